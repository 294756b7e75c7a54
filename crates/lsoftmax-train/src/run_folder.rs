//! The folder that a run leaves behind.

use crate::error::TrainError;
use crate::experiment::Experiment;
use crate::training::{Observer, Progress, Trained};
use lsoftmax_data::atomic_write;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A run's folder: `experiment.toml`, `metrics.jsonl`, `model.safetensors`,
/// `evaluation.json`, and whatever report the caller adds.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    metrics: File,
}

/// The experiment as it was run.
pub const EXPERIMENT_FILE: &str = "experiment.toml";
/// One JSON object a stretch of the curve.
pub const METRICS_FILE: &str = "metrics.jsonl";
/// The trained model.
pub const MODEL_FILE: &str = "model.safetensors";
/// The figures on the test set.
pub const EVALUATION_FILE: &str = "evaluation.json";
/// The page.
pub const REPORT_FILE: &str = "report.html";

/// Makes a folder that must not be there yet, and its parents.
///
/// # Errors
/// It exists, or cannot be made.
pub fn create_new_folder(path: &Path) -> Result<(), TrainError> {
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        fs::create_dir_all(parent).map_err(|source| TrainError::file("make", parent, source))?;
    }
    fs::create_dir(path).map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => TrainError::RunExists(path.to_owned()),
        _ => TrainError::file("make", path, source),
    })
}

impl RunFolder {
    /// Makes the folder and writes the experiment into it.
    ///
    /// # Errors
    /// The folder exists, or cannot be written.
    pub fn create(path: &Path, experiment: &Experiment) -> Result<Self, TrainError> {
        let toml = experiment.to_toml()?;
        create_new_folder(path)?;
        atomic_write(&path.join(EXPERIMENT_FILE), toml.as_bytes())?;
        let metrics = path.join(METRICS_FILE);
        let file = File::create_new(&metrics)
            .map_err(|source| TrainError::file("write", &metrics, source))?;
        Ok(Self {
            path: path.to_owned(),
            metrics: file,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line to the metrics.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn append(&mut self, progress: &Progress) -> Result<(), TrainError> {
        let mut line = self.json(METRICS_FILE, serde_json::to_string(progress))?;
        line.push('\n');
        self.metrics
            .write_all(line.as_bytes())
            .map_err(|source| TrainError::file("write", self.path.join(METRICS_FILE), source))
    }

    /// Writes the model and its figures.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn finish(&self, trained: &Trained) -> Result<(), TrainError> {
        trained
            .model
            .save(&trained.info, &self.path.join(MODEL_FILE))?;
        let json = serde_json::to_string_pretty(&trained.evaluation);
        let json = self.json(EVALUATION_FILE, json)?;
        Ok(atomic_write(
            &self.path.join(EVALUATION_FILE),
            json.as_bytes(),
        )?)
    }
}

impl RunFolder {
    fn json(&self, file: &str, text: serde_json::Result<String>) -> Result<String, TrainError> {
        text.map_err(|error| TrainError::file("write", self.path.join(file), error.into()))
    }
}

impl Observer for RunFolder {
    fn progress(&mut self, progress: &Progress) -> Result<(), TrainError> {
        self.append(progress)
    }
}
