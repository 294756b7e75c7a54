//! The curve of a run as JSON lines and as a TensorBoard file.

use super::METRICS_FILE;
use crate::error::TrainError;
use crate::tensorboard::{self, EVENTS_FILE};
use lsoftmax_data::atomic_write;
use lsoftmax_record::Progress;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

/// Writes a curve to a new file of JSON lines and returns it, open for appending.
pub(super) fn write_metrics(run: &Path, curve: &[Progress]) -> Result<File, TrainError> {
    let lines: Vec<String> = curve
        .iter()
        .map(|progress| line_of(run, progress))
        .collect::<Result<_, _>>()?;
    write_and_open(run.join(METRICS_FILE), lines.concat().as_bytes())
}

/// The same for a TensorBoard file.
pub(super) fn write_events(run: &Path, curve: &[Progress]) -> Result<File, TrainError> {
    let mut bytes = tensorboard::opening();
    bytes.extend(curve.iter().flat_map(tensorboard::scalars));
    write_and_open(run.join(EVENTS_FILE), &bytes)
}

pub(super) fn write_and_open(path: PathBuf, bytes: &[u8]) -> Result<File, TrainError> {
    atomic_write(&path, bytes)?;
    OpenOptions::new()
        .append(true)
        .open(&path)
        .map_err(|source| TrainError::file("write", path, source))
}

pub(super) fn line_of(run: &Path, progress: &Progress) -> Result<String, TrainError> {
    let line = serde_json::to_string(progress)
        .map_err(|error| TrainError::file("write", run.join(METRICS_FILE), error.into()))?;
    Ok(line + "\n")
}
