//! The checkpoints of a run.

use super::{BEST_FILE, CHECKPOINTS, EXPERIMENT_FILE};
use crate::checkpoint::{Checkpoint, Snapshot};
use crate::error::TrainError;
use crate::observer::Saved;
use lsoftmax_record::{Experiment, Settings};
use std::fs;
use std::path::{Path, PathBuf};

pub(super) fn checkpoint_path(run: &Path, step: u64) -> PathBuf {
    run.join(CHECKPOINTS)
        .join(format!("step-{step:09}.safetensors"))
}

pub(super) fn remove_checkpoint(run: &Path, step: u64) -> Result<(), TrainError> {
    let path = checkpoint_path(run, step);
    fs::remove_file(&path).map_err(|source| TrainError::file("remove", path, source))
}

/// The steps of a run's checkpoints, in ascending order.
pub(super) fn steps_of(run: &Path) -> Result<Vec<u64>, TrainError> {
    let folder = run.join(CHECKPOINTS);
    let failed = |source| TrainError::file("read", &folder, source);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut steps = Vec::new();
    for entry in entries {
        steps.extend(step_of(&entry.map_err(failed)?.path()));
    }
    steps.sort_unstable();
    Ok(steps)
}

/// The step number in the file name of a checkpoint.
pub(super) fn step_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let number = name.strip_prefix("step-")?.strip_suffix(".safetensors")?;
    number.parse().ok()
}

/// Loads a checkpoint of this experiment and the files that it refers to.
pub(super) fn load_saved(run: &Path, file: &Path, own: &Experiment) -> Result<Saved, TrainError> {
    let last = Checkpoint::load(file)?;
    let theirs: Settings =
        toml::from_str(last.experiment()).map_err(|error| TrainError::Checkpoint {
            path: file.to_owned(),
            message: error.to_string(),
        })?;
    let theirs = Experiment {
        // The data may have been moved.
        data_dir: own.data_dir.clone(),
        ..Experiment::resolve(Settings::default(), theirs.without_idle_annealing())?
    };
    if theirs != *own {
        return Err(TrainError::Foreign {
            path: file.to_owned(),
            message: format!(
                "its settings are not those of {}",
                run.join(EXPERIMENT_FILE).display()
            ),
        });
    }
    if last.step() > own.iterations {
        return Err(TrainError::Checkpoint {
            path: file.to_owned(),
            message: format!(
                "at most {} steps expected, {} found",
                own.iterations,
                last.step()
            ),
        });
    }
    let good = match last.good_step() {
        Some(step) if step != last.step() => Some(Checkpoint::load(&checkpoint_path(run, step))?),
        _ => None,
    };
    let best = match last.best_step() {
        Some(_) => Some(Snapshot::load(&run.join(CHECKPOINTS).join(BEST_FILE))?),
        None => None,
    };
    Ok(Saved { last, good, best })
}
