//! All figures of a finished training.

use crate::divergence::Divergence;
use crate::evaluation::Evaluation;
use crate::number;
use crate::open_set::OpenSetEvaluation;
use crate::progress::{Frame, Progress};
use lsoftmax_data::Split;
use serde::{Deserialize, Serialize};

/// All figures of a finished training.
///
/// The default has no curve, and NaN for every number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// The summary of a split.
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

impl Default for Outcome {
    fn default() -> Self {
        Self {
            evaluation: Evaluation::default(),
            train_evaluation: Evaluation::default(),
            curve: Vec::new(),
            frames: Vec::new(),
            open_set: None,
            data: None,
            divergence: None,
            best: None,
            remarks: Vec::new(),
            seconds: f64::NAN,
            images_per_second: f64::NAN,
        }
    }
}

impl Outcome {
    /// Training steps up to the last point of the curve; 0 without a curve.
    pub fn steps(&self) -> u64 {
        self.curve.last().map_or(0, |progress| progress.step)
    }

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

/// The model that was best on the held-out part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Steps it had been trained for.
    pub step: u64,
    /// Its error on the held-out part.
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
    pub held_out_error_percent: f64,
    /// Its error on the test set, which was not asked for the choice; set at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_error_percent: Option<f64>,
}
