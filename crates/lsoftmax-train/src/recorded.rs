//! A training that is recorded in a run folder.

use crate::checkpoint::{Checkpoint, Snapshot};
use crate::error::TrainError;
use crate::observer::{Observer, Saved, Trained};
use crate::run_folder::RunFolder;
use crate::training::{resume, train};
use burn::tensor::Device;
use lsoftmax_data::Split;
use lsoftmax_record::{Experiment, Progress};

/// Trains a run in its folder, from the start or from its saved state, and writes every file of the
/// folder except the report. Each event is saved to the folder before it is passed to the observer.
///
/// # Errors
/// The same as for [`train`] and [`resume`]; also if the folder cannot be written.
pub fn train_recorded(
    folder: &mut RunFolder,
    experiment: &Experiment,
    split: &Split,
    saved: Option<Saved>,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Trained, TrainError> {
    let mut both = Both {
        folder: &mut *folder,
        observer,
    };
    let trained = match saved {
        None => train(experiment, split, device, &mut both),
        Some(saved) => resume(experiment, split, device, saved, &mut both),
    }?;
    folder.finish(&trained)?;
    Ok(trained)
}

/// Forwards events to a folder and then to an observer.
struct Both<'a> {
    folder: &'a mut RunFolder,
    observer: &'a mut dyn Observer,
}

impl Observer for Both<'_> {
    fn step(&mut self, step: u64, images_per_second: f64) {
        self.folder.step(step, images_per_second);
        self.observer.step(step, images_per_second);
    }

    fn progress(&mut self, progress: &Progress) -> Result<(), TrainError> {
        self.folder.progress(progress)?;
        self.observer.progress(progress)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        self.folder.checkpoint(checkpoint)?;
        self.observer.checkpoint(checkpoint)
    }

    fn best(&mut self, model: &Snapshot) -> Result<(), TrainError> {
        self.folder.best(model)?;
        self.observer.best(model)
    }

    fn rewind(&mut self, message: &str, step: u64, curve: &[Progress]) -> Result<(), TrainError> {
        self.folder.rewind(message, step, curve)?;
        self.observer.rewind(message, step, curve)
    }

    fn dies(&mut self, message: &str, step: u64, curve: &[Progress]) -> Result<(), TrainError> {
        self.folder.dies(message, step, curve)?;
        self.observer.dies(message, step, curve)
    }

    fn evaluates(&mut self, step: u64) {
        self.folder.evaluates(step);
        self.observer.evaluates(step);
    }

    fn stops(&self) -> bool {
        self.observer.stops()
    }
}
