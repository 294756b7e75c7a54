//! What the part of the page on an open set is made of.

use crate::number;
use serde::{Deserialize, Serialize};

/// How runs do on classes that they were not trained on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OpenSetSection {
    /// What was tested on, in a sentence.
    pub about: String,
    /// One row a run.
    pub rows: Vec<OpenSetRow>,
    /// The ROC of each run.
    pub curves: Vec<RocCurve>,
    /// The cosines of same and of different pairs, of each run.
    pub scores: Vec<ScoreHistogram>,
    /// Images in rows: worst mistakes, nearest neighbours.
    pub strips: Vec<ImageStrip>,
}

/// The figures of a run. A number that was not measured is NaN (`null` in JSON).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OpenSetRow {
    /// The label of the run.
    pub label: String,
    /// Its seed.
    pub seed: u64,
    /// Verification accuracy over the folds.
    #[serde(deserialize_with = "number::lenient")]
    pub accuracy_percent: f64,
    /// The standard error of that accuracy over the folds.
    #[serde(deserialize_with = "number::lenient")]
    pub standard_error_percent: f64,
    /// TAR at FAR 1e-2.
    #[serde(deserialize_with = "number::lenient")]
    pub tar_at_1e2_percent: f64,
    /// TAR at FAR 1e-3.
    #[serde(deserialize_with = "number::lenient")]
    pub tar_at_1e3_percent: f64,
    /// Equal error rate.
    #[serde(deserialize_with = "number::lenient")]
    pub eer_percent: f64,
    /// Share of the images whose nearest other image is of their class.
    #[serde(deserialize_with = "number::lenient")]
    pub recall_at_1_percent: f64,
    /// Mean average precision at R.
    #[serde(deserialize_with = "number::lenient")]
    pub map_at_r_percent: f64,
    /// Share of the images of enrolled classes whose nearest enrolled image is of their class.
    #[serde(deserialize_with = "number::lenient")]
    pub rank_1_percent: f64,
    /// Share of them that are also reported where one of a hundred strangers is.
    #[serde(deserialize_with = "number::lenient")]
    pub tpir_at_1e2_percent: f64,
    /// Normalised mutual information of k-means clusters and classes, 0 to 1.
    #[serde(deserialize_with = "number::lenient")]
    pub nmi: f64,
    /// The same less the agreement of chance.
    #[serde(deserialize_with = "number::lenient")]
    pub ami: f64,
}

/// A ROC: shares of accepted pairs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RocCurve {
    /// The label of the run.
    pub label: String,
    /// Its seed.
    pub seed: u64,
    /// The smallest FAR above 0 that could be measured.
    #[serde(deserialize_with = "number::lenient")]
    pub smallest_far: f64,
    /// (FAR, TAR), both rising from 0 to 1.
    #[serde(deserialize_with = "number::lenient_rates")]
    pub points: Vec<(f64, f64)>,
}

/// Cosines of pairs in bins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScoreHistogram {
    /// The label of the run.
    pub label: String,
    /// Its seed.
    pub seed: u64,
    /// Edges of the bins.
    pub edges: Vec<f64>,
    /// Pairs of one class in each bin.
    pub same: Vec<u64>,
    /// Pairs of different classes.
    pub different: Vec<u64>,
    /// From where on a pair counts as the same.
    pub threshold: Option<f64>,
}

/// Images with words, in rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageStrip {
    /// The heading.
    pub title: String,
    /// What is to be seen, in a sentence.
    pub about: String,
    /// The rows.
    pub rows: Vec<StripRow>,
}

/// A row of images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StripRow {
    /// What stands beside the row.
    pub caption: String,
    /// The images.
    pub images: Vec<Thumbnail>,
}

/// A small image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Thumbnail {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// 1 for grey, 3 for colour.
    pub channels: usize,
    /// `[channel, height, width]`.
    pub bytes: Vec<u8>,
    /// What stands under it, and is read out for it.
    pub caption: String,
    /// Whether it is right where it stands, if that is a question.
    pub right: Option<bool>,
}
