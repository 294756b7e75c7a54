//! Who watches a training, and what it returns.

use crate::checkpoint::{Checkpoint, Snapshot};
use crate::error::TrainError;
use crate::model::Model;
use crate::network::Network;
use lsoftmax_networks::Backbone;
use lsoftmax_record::{ModelInfo, Outcome, Progress};

/// What a training tells while it goes on.
pub trait Observer {
    /// After every step.
    fn step(&mut self, _step: u64, _images_per_second: f64) {}

    /// After every stretch of the curve.
    ///
    /// # Errors
    /// What was told could not be kept; the training stops.
    fn progress(&mut self, _progress: &Progress) -> Result<(), TrainError> {
        Ok(())
    }

    /// A checkpoint is due.
    ///
    /// # Errors
    /// It could not be kept; the training stops.
    fn checkpoint(&mut self, _checkpoint: &Checkpoint) -> Result<(), TrainError> {
        Ok(())
    }

    /// The model is the best so far on the held-out part.
    ///
    /// # Errors
    /// It could not be kept; the training stops.
    fn best(&mut self, _model: &Snapshot) -> Result<(), TrainError> {
        Ok(())
    }

    /// The training is dying, and goes back to a step where its curve was this.
    ///
    /// # Errors
    /// What was kept of later steps could not be taken back; the training stops.
    fn rewind(
        &mut self,
        _message: &str,
        _step: u64,
        _curve: &[Progress],
    ) -> Result<(), TrainError> {
        Ok(())
    }

    /// The training has died, and stops here. Of its curve, the last stretch is still to come.
    ///
    /// # Errors
    /// What was kept of later steps could not be taken back.
    fn dies(&mut self, _message: &str, _step: u64, _curve: &[Progress]) -> Result<(), TrainError> {
        Ok(())
    }

    /// All steps are done and saved, and the last evaluation begins: a resume repeats only that.
    fn evaluates(&mut self, _step: u64) {}

    /// Whether the training is to save itself and stop. Asked after every step, and between the
    /// batches of an evaluation.
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
    /// All that goes with it.
    pub info: ModelInfo,
    /// Its figures.
    pub outcome: Outcome,
}

impl<N: Network> Trained<N> {
    /// Whether the model can be used: none whose features are not finite numbers can.
    pub fn is_usable(&self) -> bool {
        self.outcome.has_model()
    }
}

/// Where a training goes on from.
#[derive(Debug)]
pub struct Saved {
    /// Its last state.
    pub last: Checkpoint,
    /// The state that a recovery goes back to, where that is another.
    pub good: Option<Checkpoint>,
    /// The best model on the held-out part.
    pub best: Option<Snapshot>,
}
