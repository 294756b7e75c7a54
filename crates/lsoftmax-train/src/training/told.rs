//! What a training tells, while it goes on and at its end.

use crate::checkpoint::{Best, Checkpoint, Snapshot};
use crate::error::TrainError;
use crate::evaluation::Evaluation;
use crate::model::{Model, ModelInfo};
use crate::number;
use crate::open_set::OpenSetEvaluation;
use crate::watch::Divergence;
use lsoftmax_data::Split;
use serde::{Deserialize, Serialize};

/// The state of a training at one step: averages since the last one reported.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Mean loss, with the margin and λ of the steps.
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
    pub loss: f64,
    /// λ at the last step, for the mean confidence.
    #[serde(default, skip_serializing_if = "number::is_no_option")]
    pub lambda: Option<f64>,
    /// What the plain softmax gives the own class, on average.
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
    pub confidence: f64,
    /// Angular multiplier of the last step.
    pub m: u32,
    /// Learning rate of the last step.
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
    pub learning_rate: f64,
    /// Error on the last batch before its update, from the logits without margin; none where a loss
    /// on distances stands alone, since nothing trains the class weights then.
    #[serde(default, skip_serializing_if = "number::is_no_option")]
    pub train_error_percent: Option<f64>,
    /// Mean angle to the own class weight.
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
    pub mean_target_angle_deg: f64,
    /// Mean length of a feature.
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
    pub feature_norm: f64,
    /// Mean length of the own class weight.
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
    pub weight_norm: f64,
    /// Error on the test set, where this step was evaluated.
    #[serde(default, skip_serializing_if = "number::is_no_option")]
    pub test_error_percent: Option<f64>,
    /// Error on the held-out part of the training set, likewise.
    #[serde(default, skip_serializing_if = "number::is_no_option")]
    pub held_out_error_percent: Option<f64>,
    /// Images trained a second, evaluations left out.
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
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

impl Frame {
    /// Whether it can be drawn.
    pub(crate) fn is_finite(&self) -> bool {
        let points = self.points.iter().chain(&self.class_weights);
        points.flatten().all(|value| value.is_finite())
    }
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
    /// The data in numbers; none in files of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataSummary>,
    /// If it died, how.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub divergence: Option<Divergence>,
    /// The model that was best on the held-out part, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
    /// What happened on the way, a line each.
    pub remarks: Vec<String>,
    /// Seconds of training, evaluations left out.
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
    pub seconds: f64,
    /// Images a second over these.
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
    pub images_per_second: f64,
}

/// What a page says of the data of a training.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSummary {
    /// Training images, those held out included.
    pub train: usize,
    /// Test images.
    pub test: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// The names of the classes.
    pub class_names: Vec<String>,
}

impl DataSummary {
    /// That of a split.
    pub fn new(split: &Split) -> Self {
        Self {
            train: split.train.len(),
            test: split.test.len(),
            height: split.train.height,
            width: split.train.width,
            class_names: split.train.class_names.clone(),
        }
    }
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

impl Trained {
    /// Whether the model can be used: none whose features are not finite numbers can.
    pub fn is_usable(&self) -> bool {
        self.outcome.has_model()
    }
}

impl Outcome {
    /// Whether there is a model with these figures that can be used.
    pub fn has_model(&self) -> bool {
        self.divergence != Some(Divergence::NotFinite)
    }

    /// What happened, if the training stopped before its end.
    pub fn death(&self) -> Option<&str> {
        match self.divergence {
            // It went to its end.
            None | Some(Divergence::Chance) => None,
            Some(divergence) => {
                let last = self.remarks.last().map(String::as_str);
                Some(last.unwrap_or(divergence.words()))
            }
        }
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
