//! What a training tells, while it goes on and at its end.

use crate::checkpoint::{Best, Checkpoint, Snapshot};
use crate::error::TrainError;
use crate::evaluation::Evaluation;
use crate::model::{Model, ModelInfo};
use crate::number;
use crate::open_set::OpenSetEvaluation;
use crate::watch::Divergence;
use serde::{Deserialize, Serialize};

/// The state of a training at one step: averages since the last one reported.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Mean loss, with the margin and λ of the steps.
    #[serde(deserialize_with = "number::lenient")]
    pub loss: f64,
    /// λ at the last step, for the mean confidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lambda: Option<f64>,
    /// What the plain softmax gives the own class, on average.
    #[serde(default, deserialize_with = "number::lenient")]
    pub confidence: f64,
    /// Angular multiplier of the last step.
    pub m: u32,
    /// Learning rate of the last step.
    #[serde(deserialize_with = "number::lenient")]
    pub learning_rate: f64,
    /// Error on the last batch before its update, from the logits without margin; none where a loss
    /// on distances stands alone, since nothing trains the class weights then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train_error_percent: Option<f64>,
    /// Mean angle to the own class weight.
    #[serde(deserialize_with = "number::lenient")]
    pub mean_target_angle_deg: f64,
    /// Mean length of a feature.
    #[serde(deserialize_with = "number::lenient")]
    pub feature_norm: f64,
    /// Mean length of the own class weight.
    #[serde(deserialize_with = "number::lenient")]
    pub weight_norm: f64,
    /// Error on the test set, where this step was evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_error_percent: Option<f64>,
    /// Error on the held-out part of the training set, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out_error_percent: Option<f64>,
    /// Images trained a second, evaluations left out.
    #[serde(deserialize_with = "number::lenient")]
    pub images_per_second: f64,
}

/// The features of a few test images after some steps, where they have two dimensions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// Steps done.
    pub step: u64,
    /// A feature for each of the images, which are the same in every frame.
    pub points: Vec<[f32; 2]>,
    /// Their labels.
    pub labels: Vec<u32>,
    /// The weight of each class.
    pub class_weights: Vec<[f32; 2]>,
}

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

    /// The training is dying, and goes back to a step where its curve was this, or stops at it.
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

    /// Whether the training is to save itself and stop. Asked after every step.
    fn stops(&self) -> bool {
        false
    }
}

impl Observer for () {}

/// All figures of a finished training.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The last model's figures on the test set.
    pub evaluation: Evaluation,
    /// Its figures on the training set, or on the first 10,000 images of it.
    pub train_evaluation: Evaluation,
    /// The curve.
    pub curve: Vec<Progress>,
    /// 2-D features on the way.
    pub frames: Vec<Frame>,
    /// The last model's figures on classes it was not trained on, where there are any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_set: Option<OpenSetEvaluation>,
    /// If it died, how.
    pub divergence: Option<Divergence>,
    /// The model that was best on the held-out part, if there was one.
    pub best: Option<Best>,
    /// What happened on the way, a line each.
    pub remarks: Vec<String>,
    /// Seconds of training, evaluations left out.
    pub seconds: f64,
    /// Images a second over these.
    pub images_per_second: f64,
}

/// A finished training.
#[derive(Debug)]
pub struct Trained {
    /// The model after the last step.
    pub model: Model,
    /// All that goes with it.
    pub info: ModelInfo,
    /// Its figures.
    pub outcome: Outcome,
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
