//! The curve of a training.

use crate::number;
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
    #[serde(deserialize_with = "number::lenient_points")]
    pub points: Vec<[f32; 2]>,
    /// Their labels.
    pub labels: Vec<u32>,
    /// The weight of each class.
    #[serde(deserialize_with = "number::lenient_points")]
    pub class_weights: Vec<[f32; 2]>,
}

impl Frame {
    /// Whether it can be drawn.
    pub fn is_finite(&self) -> bool {
        let points = self.points.iter().chain(&self.class_weights);
        points.flatten().all(|value| value.is_finite())
    }
}
