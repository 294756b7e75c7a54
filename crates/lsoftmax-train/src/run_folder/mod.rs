//! The folder of a run.

mod checkpoints;
mod curve;

use crate::checkpoint::{Checkpoint, Snapshot};
use crate::error::TrainError;
use crate::network::Network;
use crate::observer::{Observer, Saved, Trained};
use crate::tensorboard::{self, EVENTS_FILE};
use checkpoints::{checkpoint_path, load_saved, remove_checkpoint, step_of, steps_of};
use curve::{line_of, write_events, write_metrics};
use lsoftmax_data::{
    DataError, RunImages, Split, atomic_folder, atomic_write, read_file, remove_stale,
};
use lsoftmax_record::{
    Experiment, Outcome, Progress, REPORT_FILE, RecordError, Settings, read_settings,
};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// The folder of a run. It holds `experiment.toml`, `images.csv`, `metrics.jsonl` and
/// `checkpoints/`. A finished run adds `model.safetensors`, `evaluation.json`, `outcome.json`, and
/// the report, if the caller writes one.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    metrics: File,
    /// The steps of the existing checkpoints, in the order they were written.
    checkpoints: Vec<u64>,
    /// Open if the curve is also written for TensorBoard.
    events: Option<File>,
    /// The experiment file, locked while the run is in progress.
    _lock: File,
}

/// The experiment of the run.
pub const EXPERIMENT_FILE: &str = "experiment.toml";
/// The list of the run's images, if they come from files ([`RunImages`]).
pub const IMAGES_FILE: &str = "images.csv";
/// The curve: one JSON object per line and interval.
pub const METRICS_FILE: &str = "metrics.jsonl";
/// The trained model.
pub const MODEL_FILE: &str = "model.safetensors";
/// The results on the test set.
pub const EVALUATION_FILE: &str = "evaluation.json";
/// All results.
pub const OUTCOME_FILE: &str = "outcome.json";
/// The folder of checkpoints.
pub const CHECKPOINTS: &str = "checkpoints";
/// The best model on the held-out images, in the folder of checkpoints.
pub const BEST_FILE: &str = "best.safetensors";

/// Upper bound on the size of an outcome file. Some contain the features of many images at many
/// steps.
const LARGEST_OUTCOME: u64 = 1 << 30;
/// Every file that a run folder may contain, apart from its subfolders.
pub const RUN_FILES: [&str; 8] = [
    EXPERIMENT_FILE,
    IMAGES_FILE,
    METRICS_FILE,
    MODEL_FILE,
    EVALUATION_FILE,
    OUTCOME_FILE,
    REPORT_FILE,
    EVENTS_FILE,
];

/// Number of recent checkpoints to keep, besides the best model and the last good checkpoint.
const KEPT: usize = 2;

/// Creates a folder and its parents. An existing empty folder is accepted.
///
/// # Errors
/// The path is in use, or the folder cannot be created.
pub fn create_new_folder(path: &Path) -> Result<(), TrainError> {
    make_parent(path)?;
    match fs::create_dir(path) {
        Err(_) if path.is_dir() && is_free(path) => Ok(()),
        made => made.map_err(|source| not_new(path, source)),
    }
}

/// Whether a new run may use this path: it does not exist, or is an empty folder.
pub fn is_free(path: &Path) -> bool {
    match path.symlink_metadata() {
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        Ok(there) => {
            there.is_dir() && fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_none())
        }
    }
}

/// The settings that a run recorded.
///
/// # Errors
/// The folder is not a run, or its experiment is damaged.
pub fn recorded_settings(run: &Path) -> Result<Settings, TrainError> {
    Ok(read_settings(&run.join(EXPERIMENT_FILE))?.without_idle_annealing())
}

fn make_parent(path: &Path) -> Result<(), TrainError> {
    match path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        None => Ok(()),
        Some(parent) => {
            fs::create_dir_all(parent).map_err(|source| TrainError::file("make", parent, source))
        }
    }
}

fn not_new(path: &Path, source: std::io::Error) -> TrainError {
    match source.kind() {
        std::io::ErrorKind::AlreadyExists | std::io::ErrorKind::DirectoryNotEmpty => {
            TrainError::RunExists(path.to_owned())
        }
        _ => TrainError::file("make", path, source),
    }
}

impl RunFolder {
    /// Creates the folder with the experiment and the list of images in it. The folder is prepared
    /// under another name and then renamed, so that it never exists without them.
    ///
    /// # Errors
    /// The folder exists or cannot be written, or the experiment does not suit the data.
    pub fn create(path: &Path, experiment: &Experiment, split: &Split) -> Result<Self, TrainError> {
        let toml = experiment.to_toml()?;
        let images = images_of(experiment, split)?;
        make_parent(path)?;
        if !is_free(path) {
            return Err(TrainError::RunExists(path.to_owned()));
        }
        let made = atomic_folder(path, |aside| {
            let checkpoints = aside.join(CHECKPOINTS);
            fs::create_dir(&checkpoints).map_err(|e| DataError::file("make", path, e))?;
            if !images.is_empty() {
                atomic_write(&aside.join(IMAGES_FILE), &images.to_csv()?)?;
            }
            atomic_write(&aside.join(EXPERIMENT_FILE), toml.as_bytes())?;
            Ok(aside.to_owned())
        });
        made.map_err(|error| match error {
            DataError::File { source, .. } => not_new(path, source),
            error => error.into(),
        })?;
        Self::at(path, &[])
    }

    /// Resolves a path to a run folder or to one of its checkpoints. Returns the folder, and the
    /// checkpoint if the path is one.
    ///
    /// # Errors
    /// The path can be neither.
    pub fn locate(run: &Path) -> Result<(PathBuf, Option<&Path>), TrainError> {
        if run.is_dir() {
            return Ok((run.to_owned(), None));
        }
        match run.parent().and_then(Path::parent) {
            Some(folder) if run.is_file() => Ok((folder.to_owned(), Some(run))),
            _ => Err(TrainError::NoRun(run.to_owned())),
        }
    }

    /// Opens a run that was stopped or killed, in order to resume it: from its last checkpoint,
    /// from the checkpoint `from`, or from the start if there is no checkpoint yet.
    ///
    /// The experiment is the one that the run recorded. `data_dir` gives the location of the data
    /// if they have moved. Call [`check_images`](Self::check_images) once the data are loaded.
    ///
    /// # Errors
    /// The path is not a run, the run is finished, or the checkpoint is damaged or belongs to
    /// another experiment. In the last two cases the error names the checkpoint before it.
    pub fn open(
        path: &Path,
        from: Option<&Path>,
        data_dir: Option<PathBuf>,
    ) -> Result<(Self, Experiment, Option<Saved>), TrainError> {
        let settings = recorded_settings(path)?;
        let own = Experiment::resolve(Settings::default(), settings.clone())?;
        if path.join(OUTCOME_FILE).exists() {
            return Err(TrainError::Finished(path.to_owned()));
        }
        let steps = steps_of(path)?;
        let file = match from {
            Some(file) => Some(file.to_owned()),
            None => steps.last().map(|&step| checkpoint_path(path, step)),
        };
        let saved = match &file {
            None => None,
            Some(file) => Some(load_saved(path, file, &own).map_err(|error| {
                let step = step_of(file);
                let before = steps
                    .iter()
                    .rev()
                    .find(|&&s| step.is_some_and(|step| s < step));
                match before {
                    Some(&before) => TrainError::Before {
                        error: Box::new(error),
                        before: checkpoint_path(path, before),
                    },
                    None => error,
                }
            })?),
        };
        let flags = Settings {
            data_dir,
            ..Settings::default()
        };
        let experiment = Experiment::resolve(flags, settings)?;
        let curve = saved.as_ref().map_or(&[][..], |saved| saved.last.curve());
        let mut folder = Self::at(path, curve)?;
        folder.checkpoints = steps;
        Ok((folder, experiment, saved))
    }

    /// Checks that the images of a reopened run are those it started with, each with the same
    /// content, class and part. Then removes checkpoints after `step`, which would otherwise be
    /// mistaken for newer ones. Returns a warning if the run does not record its images.
    ///
    /// # Errors
    /// Images have changed, or were added or removed in a way that changes the training; the error
    /// names the first. Also if a file cannot be read or removed.
    pub fn check_images(
        &mut self,
        experiment: &Experiment,
        split: &Split,
        step: u64,
    ) -> Result<Option<String>, TrainError> {
        let remark = check_images(&self.path, experiment, split)?;
        self.forget_after(step)?;
        Ok(remark)
    }

    /// The experiment and the results of a finished run.
    ///
    /// # Errors
    /// The folder is not a run, the run is not finished, or a file is damaged.
    pub fn outcome(path: &Path) -> Result<(Experiment, Outcome), TrainError> {
        let settings = recorded_settings(path)?;
        let experiment = Experiment::resolve(Settings::default(), settings)?;
        let file = path.join(OUTCOME_FILE);
        if !file.exists() {
            return Err(TrainError::NotFinished(path.to_owned()));
        }
        let text = read_file(&file, LARGEST_OUTCOME)?;
        let outcome = serde_json::from_slice(&text).map_err(|error| RecordError::Syntax {
            path: file,
            message: error.to_string(),
        })?;
        Ok((experiment, outcome))
    }

    /// Completes a finished run that was killed while it was writing its last files, and removes
    /// leftover checkpoints.
    ///
    /// # Errors
    /// A file cannot be written or removed.
    pub fn tidy(path: &Path, outcome: &Outcome) -> Result<(), TrainError> {
        let file = path.join(EVALUATION_FILE);
        if !file.exists() {
            write_json(&file, serde_json::to_vec_pretty(&outcome.evaluation))?;
        }
        for step in steps_of(path)? {
            remove_checkpoint(path, step)?;
        }
        fs::remove_dir(path.join(CHECKPOINTS)).ok();
        Ok(())
    }

    /// Opens a folder and writes exactly this curve to it.
    fn at(path: &Path, curve: &[Progress]) -> Result<Self, TrainError> {
        let experiment = path.join(EXPERIMENT_FILE);
        let lock = File::open(&experiment).map_err(|e| TrainError::file("read", &experiment, e))?;
        // A file system without locks should not prevent training.
        if let Err(fs::TryLockError::WouldBlock) = lock.try_lock() {
            return Err(TrainError::Running(path.to_owned()));
        }
        for folder in [path.to_owned(), path.join(CHECKPOINTS)] {
            remove_stale(&folder);
        }
        let mut folder = Self {
            _lock: lock,
            path: path.to_owned(),
            metrics: write_metrics(path, curve)?,
            events: None,
            checkpoints: Vec::new(),
        };
        folder.checkpoints = steps_of(path)?;
        if path.join(EVENTS_FILE).exists() {
            folder.events = Some(write_events(path, curve)?);
        }
        Ok(folder)
    }

    /// Also writes the curve for TensorBoard.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn with_events(mut self) -> Result<Self, TrainError> {
        if self.events.is_none() {
            self.events = Some(write_events(&self.path, &[])?);
        }
        Ok(self)
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line to the curve.
    ///
    /// # Errors
    /// The file cannot be written, or was deleted.
    pub fn append(&mut self, progress: &Progress) -> Result<(), TrainError> {
        let path = self.path.join(METRICS_FILE);
        // Writing to a deleted file succeeds, but nobody would see the lines.
        fs::metadata(&path).map_err(|source| TrainError::file("write", &path, source))?;
        let line = line_of(&self.path, progress)?;
        self.metrics
            .write_all(line.as_bytes())
            .map_err(|source| TrainError::file("write", path, source))?;
        match &mut self.events {
            None => Ok(()),
            Some(events) => events
                .write_all(&tensorboard::scalars(progress))
                .map_err(|e| TrainError::file("write", self.path.join(EVENTS_FILE), e)),
        }
    }

    /// Writes the results, and the model if it can be used. Removes all checkpoints except the best
    /// model.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn finish<N: Network>(&mut self, trained: &Trained<N>) -> Result<(), TrainError> {
        if trained.is_usable() {
            trained
                .model
                .save(&trained.info, &self.path.join(MODEL_FILE))?;
        }
        let outcome = &trained.outcome;
        let evaluation = serde_json::to_vec_pretty(&outcome.evaluation);
        write_json(&self.path.join(EVALUATION_FILE), evaluation)?;
        // Written last: a run with this file is complete, and everything else can be derived from
        // it.
        write_json(&self.path.join(OUTCOME_FILE), serde_json::to_vec(outcome))?;
        for step in std::mem::take(&mut self.checkpoints) {
            self.remove(step)?;
        }
        // The folder is empty unless there is a best model.
        fs::remove_dir(self.path.join(CHECKPOINTS)).ok();
        Ok(())
    }

    fn remove(&self, step: u64) -> Result<(), TrainError> {
        remove_checkpoint(&self.path, step)
    }

    /// Removes the checkpoints after a step.
    fn forget_after(&mut self, step: u64) -> Result<(), TrainError> {
        let (kept, later) = std::mem::take(&mut self.checkpoints)
            .into_iter()
            .partition(|&s| s <= step);
        self.checkpoints = kept;
        let later: Vec<u64> = later;
        later.into_iter().try_for_each(|step| self.remove(step))
    }
}

/// Checks that the images of an experiment are those that a run recorded. Returns a warning if the
/// run does not record its images.
///
/// # Errors
/// The same as for [`RunFolder::check_images`].
pub fn check_images(
    run: &Path,
    experiment: &Experiment,
    split: &Split,
) -> Result<Option<String>, TrainError> {
    let now = images_of(experiment, split)?;
    let Some(before) = RunImages::read(&run.join(IMAGES_FILE))? else {
        return Ok((!now.is_empty()).then(|| {
            format!(
                "{} does not record its images (it was started by an older version): changes \
                 since then cannot be detected",
                run.display()
            )
        }));
    };
    match before.changes(&now) {
        None => Ok(None),
        Some(changes) => Err(TrainError::ImagesChanged {
            path: experiment.data_dir.clone().unwrap_or_default(),
            run: run.to_owned(),
            changes,
            hint: "put the data back as they were (--data-dir says where they are now), or train a \
                   new run",
        }),
    }
}

/// The images of an experiment.
fn images_of(experiment: &Experiment, split: &Split) -> Result<RunImages, TrainError> {
    let held_out = match (experiment.held_out, &split.held_out) {
        (0, _) | (_, Some(_)) => Vec::new(),
        (count, None) => (split.train).draw_held_out(count, experiment.data_seed)?,
    };
    Ok(RunImages::new(split, &held_out))
}

fn write_json(path: &Path, text: serde_json::Result<Vec<u8>>) -> Result<(), TrainError> {
    let text = text.map_err(|error| TrainError::file("write", path, error.into()))?;
    Ok(atomic_write(path, &text)?)
}

impl Observer for RunFolder {
    fn progress(&mut self, progress: &Progress) -> Result<(), TrainError> {
        self.append(progress)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        let step = checkpoint.step();
        let path = checkpoint_path(&self.path, step);
        atomic_write(&path, &checkpoint.to_bytes()?)?;
        self.checkpoints.retain(|&s| s != step);
        self.checkpoints.push(step);
        while let Some(at) = self.checkpoints[..self.checkpoints.len().saturating_sub(KEPT)]
            .iter()
            .position(|&s| Some(s) != checkpoint.good_step())
        {
            let old = self.checkpoints.remove(at);
            self.remove(old)?;
        }
        Ok(())
    }

    fn best(&mut self, model: &Snapshot) -> Result<(), TrainError> {
        let path = self.path.join(CHECKPOINTS).join(BEST_FILE);
        Ok(atomic_write(&path, &model.to_bytes()?)?)
    }

    fn rewind(&mut self, _: &str, step: u64, curve: &[Progress]) -> Result<(), TrainError> {
        self.metrics = write_metrics(&self.path, curve)?;
        if self.events.is_some() {
            self.events = Some(write_events(&self.path, curve)?);
        }
        self.forget_after(step)
    }

    fn dies(&mut self, message: &str, step: u64, curve: &[Progress]) -> Result<(), TrainError> {
        self.rewind(message, step, curve)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_beyond_the_end_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let settings = Settings {
            train_samples: Some(20),
            test_samples: Some(20),
            ..Settings::default()
        };
        let experiment = Experiment::resolve(settings, Settings::default()).unwrap();
        let split = crate::load_data(&experiment).unwrap();
        let mut folder = RunFolder::create(&path, &experiment, &split).unwrap();
        let mut checkpoint = crate::checkpoint::tests::checkpoint();
        checkpoint.state.experiment = experiment.to_toml().unwrap();
        folder.checkpoint(&checkpoint).unwrap();
        drop(folder);
        let (folder, _, saved) = RunFolder::open(&path, None, None).unwrap();
        assert_eq!(saved.unwrap().last.step(), 1);
        drop(folder);
        for step in [experiment.iterations + 1, u64::MAX] {
            checkpoint.state.step = step;
            let file = checkpoint_path(&path, 1);
            fs::write(&file, checkpoint.to_bytes().unwrap()).unwrap();
            let message = RunFolder::open(&path, None, None).unwrap_err().to_string();
            assert!(message.contains(&format!("{step} found")), "{message}");
        }
    }
}
