//! Observation of a training, and its results.

use crate::checkpoint::{Checkpoint, Snapshot};
use crate::error::TrainError;
use crate::model::Model;
use crate::network::Network;
use lsoftmax_networks::Backbone;
use lsoftmax_record::{ModelInfo, Outcome, Progress};

/// Receives the events of a training.
pub trait Observer {
    /// Called after every step.
    fn step(&mut self, _step: u64, _images_per_second: f64) {}

    /// Called after every interval of the curve.
    ///
    /// # Errors
    /// The progress could not be saved; the training stops.
    fn progress(&mut self, _progress: &Progress) -> Result<(), TrainError> {
        Ok(())
    }

    /// Called when a checkpoint is due.
    ///
    /// # Errors
    /// The checkpoint could not be saved; the training stops.
    fn checkpoint(&mut self, _checkpoint: &Checkpoint) -> Result<(), TrainError> {
        Ok(())
    }

    /// Called when the model is the best so far on the held-out images.
    ///
    /// # Errors
    /// The model could not be saved; the training stops.
    fn best(&mut self, _model: &Snapshot) -> Result<(), TrainError> {
        Ok(())
    }

    /// Called when the training has diverged and returns to an earlier step, where its curve was as
    /// given.
    ///
    /// # Errors
    /// Records of later steps could not be removed; the training stops.
    fn rewind(
        &mut self,
        _message: &str,
        _step: u64,
        _curve: &[Progress],
    ) -> Result<(), TrainError> {
        Ok(())
    }

    /// Called when the training has diverged and ends at this step. The last interval of the curve
    /// is still to be reported.
    ///
    /// # Errors
    /// Records of later steps could not be removed.
    fn dies(&mut self, _message: &str, _step: u64, _curve: &[Progress]) -> Result<(), TrainError> {
        Ok(())
    }

    /// Called when all steps are done and saved, before the final evaluation. A resumed run repeats
    /// only that evaluation.
    fn evaluates(&mut self, _step: u64) {}

    /// Whether the training should save its state and stop. Called after every step, and between
    /// the batches of an evaluation.
    fn stops(&self) -> bool {
        false
    }
}

impl Observer for () {}

/// A finished training.
#[derive(Debug)]
pub struct Trained<N: Network = Backbone> {
    /// The model after the last step.
    pub model: Model<N>,
    /// The description of the model.
    pub info: ModelInfo,
    /// The results of the training.
    pub outcome: Outcome,
}

impl<N: Network> Trained<N> {
    /// Whether the model can be used, that is, whether its features are finite.
    pub fn is_usable(&self) -> bool {
        self.outcome.has_model()
    }
}

/// The saved state of a training that is to be resumed.
#[derive(Debug)]
pub struct Saved {
    /// The last checkpoint.
    pub last: Checkpoint,
    /// The checkpoint to which a recovery returns, if it is not the last one.
    pub good: Option<Checkpoint>,
    /// The best model on the held-out images.
    pub best: Option<Snapshot>,
}
