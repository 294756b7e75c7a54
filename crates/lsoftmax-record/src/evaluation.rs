//! The figures of a model on a test set of known classes.

use crate::number;
use serde::{Deserialize, Serialize};

/// The figures of a model on labelled images of known classes.
///
/// A number that is not finite is left out of a file and read as NaN. The default has no image and
/// NaN for every number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Images.
    pub samples: usize,
    /// Share of wrong answers, from the logits that the loss trains
    /// (`MarginHead::logits`): no margin, no label, no λ.
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
    pub error_percent: f64,
    /// Mean angle between a feature and the weight of its own class.
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
    pub mean_target_angle_deg: f64,
    /// The median of the same.
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
    pub median_target_angle_deg: f64,
    /// Smallest angle between the centres (mean features) of two classes.
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
    pub min_class_angle_deg: f64,
    /// Mean length of a feature; NaN if any is not finite.
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
    pub mean_feature_norm: f64,
    /// Edges of the bins of the target angles, in degrees.
    pub target_angle_edges_deg: Vec<f64>,
    /// Samples in each bin.
    pub target_angle_counts: Vec<u64>,
    /// Rows are true classes, columns answers; absent with more than 100 classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Vec<Vec<u64>>>,
}

impl Default for Evaluation {
    fn default() -> Self {
        Self {
            samples: 0,
            error_percent: f64::NAN,
            mean_target_angle_deg: f64::NAN,
            median_target_angle_deg: f64::NAN,
            min_class_angle_deg: f64::NAN,
            mean_feature_norm: f64::NAN,
            target_angle_edges_deg: Vec::new(),
            target_angle_counts: Vec::new(),
            confusion: None,
        }
    }
}
