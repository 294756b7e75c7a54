//! What a report is made of: plain data, filled in by the caller.

use crate::number;
use crate::open_set::OpenSetSection;
use serde::{Deserialize, Serialize};

/// One run, or several compared.
///
/// `rows`, `pictures` and `runs` belong together by their `label` (and `seed`): the same
/// label has the same colour everywhere on the page, in the order of first appearance.
/// Every part may be left empty; the page then says so, or leaves the part out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The heading, e.g. "Softmax against L-Softmax on glyphs".
    pub title: String,
    /// What the page is about, for programs: "run", "compare", ...; empty: it does not say.
    pub kind: String,
    /// The command that made this report.
    pub command: String,
    /// The data in words, e.g. "glyphs, 20,000 training and 4,000 test images, 28x28".
    pub data: String,
    /// When it was made, as it is to be shown.
    pub created: String,
    /// The names of the classes by label; missing names are shown as numbers.
    pub class_names: Vec<String>,
    /// One row a run: one loss with one seed.
    pub rows: Vec<RunSummary>,
    /// Pictures of 2-D features.
    pub pictures: Vec<FeaturePicture>,
    /// Curves, histograms and confusion matrices, one entry a run.
    pub runs: Vec<RunDetail>,
    /// What the margin does in the plane of two classes.
    pub boundaries: Vec<Boundary>,
    /// How the runs do on classes they were not trained on.
    pub open_set: Option<OpenSetSection>,
    /// Remarks, one paragraph each.
    pub notes: Vec<String>,
}

/// The outcome of one run. A number that was not measured is NaN (`null` in JSON).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunSummary {
    /// The loss as the experiment names it: "softmax", "l-softmax", ...
    pub loss: String,
    /// The angular multiplier m at the end; 1 for softmax.
    pub m: u32,
    /// The name on the page, e.g. "L-Softmax m = 4". Runs of equal label differ by seed.
    pub label: String,
    /// The network.
    pub network: String,
    /// The size of the feature.
    pub feature: usize,
    /// The seed.
    pub seed: u64,
    /// The optimiser steps done.
    pub iterations: usize,
    /// Error on the training set in per cent, if it was measured.
    pub train_error_percent: Option<f64>,
    /// Error on the test set in per cent, from the logits without margin.
    #[serde(deserialize_with = "number::lenient")]
    pub test_error_percent: f64,
    /// Mean angle on the test set between a feature and its own class weight.
    #[serde(deserialize_with = "number::lenient")]
    pub mean_target_angle_deg: f64,
    /// The smallest angle between two class centres (or class weights).
    #[serde(deserialize_with = "number::lenient")]
    pub min_class_angle_deg: f64,
    /// Mean length of the features on the test set.
    #[serde(deserialize_with = "number::lenient")]
    pub mean_feature_norm: f64,
    /// λ at the last step; `None` where there is none (softmax).
    pub final_lambda: Option<f64>,
    /// Time of training in seconds.
    #[serde(deserialize_with = "number::lenient")]
    pub seconds: f64,
    /// Training images a second.
    #[serde(deserialize_with = "number::lenient")]
    pub images_per_second: f64,
    /// Whether the run died: loss not finite, norm collapse or norm blow-up.
    pub diverged: bool,
    /// What went wrong or is worth knowing, e.g. "norm collapse at step 412"; may be empty.
    pub remark: String,
}

impl Default for RunSummary {
    fn default() -> Self {
        Self {
            loss: String::new(),
            m: 1,
            label: String::new(),
            network: String::new(),
            feature: 0,
            seed: 0,
            iterations: 0,
            train_error_percent: None,
            test_error_percent: f64::NAN,
            mean_target_angle_deg: f64::NAN,
            min_class_angle_deg: f64::NAN,
            mean_feature_norm: f64::NAN,
            final_lambda: None,
            seconds: f64::NAN,
            images_per_second: f64::NAN,
            diverged: false,
            remark: String::new(),
        }
    }
}

/// The features of one run in the plane, as in figure 2 of the L-Softmax paper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeaturePicture {
    /// The label of the run.
    pub label: String,
    /// Its seed.
    pub seed: u64,
    /// The optimiser steps done.
    pub step: usize,
    /// Test error of the run in per cent.
    #[serde(deserialize_with = "number::lenient")]
    pub test_error_percent: f64,
    /// Mean target angle of the run.
    #[serde(deserialize_with = "number::lenient")]
    pub mean_target_angle_deg: f64,
    /// Features. Any number: the page draws an even sample of about 1,500.
    #[serde(deserialize_with = "number::lenient_points")]
    pub points: Vec<[f32; 2]>,
    /// The class of each point.
    pub labels: Vec<u32>,
    /// The weight of each class; only the direction is drawn.
    #[serde(deserialize_with = "number::lenient_points")]
    pub class_weights: Vec<[f32; 2]>,
    /// The same samples at earlier steps, rising; the page has a slider for them.
    pub earlier: Vec<FeatureFrame>,
}

/// The features of a [`FeaturePicture`] at an earlier step, in the same order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct FeatureFrame {
    /// The optimiser steps done.
    pub step: usize,
    /// Features.
    #[serde(deserialize_with = "number::lenient_points")]
    pub points: Vec<[f32; 2]>,
    /// The weight of each class.
    #[serde(deserialize_with = "number::lenient_points")]
    pub class_weights: Vec<[f32; 2]>,
}

/// The plane of two class weights, with what a margin makes of it: one panel of
/// [`boundary_plot`](crate::boundary_plot). Angles are in degrees, from class weight 1 towards class
/// weight 2.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Boundary {
    /// What the panel shows, e.g. "m = 2, equal norms".
    pub label: String,
    /// The angle between the two class weights, below 180.
    #[serde(deserialize_with = "number::lenient")]
    pub between_deg: f64,
    /// Their lengths.
    #[serde(deserialize_with = "number::lenient_pair")]
    pub norms: [f64; 2],
    /// Where both logits are equal without margin: the boundary of softmax, and of the test.
    #[serde(deserialize_with = "number::lenient")]
    pub plain_deg: f64,
    /// Up to which angle a sample of class 1 counts as right in training, and from which angle one
    /// of class 2 does.
    #[serde(deserialize_with = "number::lenient_pair")]
    pub margin_deg: [f64; 2],
}

impl Default for FeaturePicture {
    fn default() -> Self {
        Self {
            label: String::new(),
            seed: 0,
            step: 0,
            test_error_percent: f64::NAN,
            mean_target_angle_deg: f64::NAN,
            points: Vec::new(),
            labels: Vec::new(),
            class_weights: Vec::new(),
            earlier: Vec::new(),
        }
    }
}

/// What one run leaves besides its summary.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunDetail {
    /// The label of the run.
    pub label: String,
    /// Its seed.
    pub seed: u64,
    /// What was logged, in the order of steps.
    pub curve: Vec<CurvePoint>,
    /// Target angles on the training set.
    pub target_angle_train: Option<Histogram>,
    /// Target angles on the test set.
    pub target_angle_test: Option<Histogram>,
    /// Angles between the class centres (or class weights), pair by pair.
    pub class_angle: Option<Histogram>,
    /// Counts on the test set: row = true class, column = answer.
    pub confusion: Option<Vec<Vec<u64>>>,
}

/// One logged step. `None` is not measured at this step; NaN and infinity are values that
/// were measured and are not finite: the line breaks there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CurvePoint {
    /// The global step (iteration).
    pub step: usize,
    /// The training loss.
    pub loss: Option<f64>,
    /// The λ that was used; `None` for a loss without one.
    pub lambda: Option<f64>,
    /// The multiplier m that was used.
    pub m: Option<u32>,
    /// The learning rate.
    pub learning_rate: Option<f64>,
    /// Training error in per cent.
    pub train_error_percent: Option<f64>,
    /// Test error in per cent.
    pub test_error_percent: Option<f64>,
    /// Mean angle between feature and own class weight.
    pub mean_target_angle_deg: Option<f64>,
    /// Mean length of the features.
    pub feature_norm: Option<f64>,
    /// Mean length of the class weights.
    pub weight_norm: Option<f64>,
}

/// Counts of angles in bins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Histogram {
    /// The limits of the bins in degrees, rising; one more than `counts`.
    pub edges_deg: Vec<f64>,
    /// How many angles lie in each bin.
    pub counts: Vec<u64>,
    /// The exact mean, if known; else it is taken from the bins.
    pub mean_deg: Option<f64>,
}

impl Histogram {
    /// Angles from 0° to 180° in `bins` bins of equal width, with their exact mean. Angles
    /// that are not finite are left out.
    pub fn from_degrees(angles: impl IntoIterator<Item = f64>, bins: usize) -> Self {
        let bins = bins.max(1);
        let width = 180.0 / bins as f64;
        let mut counts = vec![0; bins];
        let (mut sum, mut total) = (0.0, 0_u64);
        for angle in angles.into_iter().filter(|angle| angle.is_finite()) {
            let angle = angle.clamp(0.0, 180.0);
            counts[((angle / width) as usize).min(bins - 1)] += 1;
            sum += angle;
            total += 1;
        }
        Self {
            edges_deg: (0..=bins).map(|i| i as f64 * width).collect(),
            counts,
            mean_deg: (total > 0).then(|| sum / total as f64),
        }
    }

    /// How many angles there are.
    pub fn total(&self) -> u64 {
        self.counts
            .iter()
            .fold(0, |sum, &count| sum.saturating_add(count))
    }

    /// The mean angle: the exact one if known, else that of the middles of the bins.
    pub fn mean(&self) -> Option<f64> {
        if let Some(mean) = self.mean_deg.filter(|mean| mean.is_finite()) {
            return Some(mean);
        }
        let total = self.total();
        if total == 0 || !self.is_sound() {
            return None;
        }
        let middles = self
            .edges_deg
            .windows(2)
            .map(|edge| f64::midpoint(edge[0], edge[1]));
        let sum: f64 = middles
            .zip(&self.counts)
            .map(|(middle, &n)| middle * n as f64)
            .sum();
        Some(sum / total as f64)
    }

    /// Whether the edges are finite, rising, and one more than the counts.
    pub(crate) fn is_sound(&self) -> bool {
        !self.counts.is_empty()
            && self.edges_deg.len() == self.counts.len() + 1
            && self.edges_deg.iter().all(|edge| edge.is_finite())
            && self.edges_deg.windows(2).all(|edge| edge[0] < edge[1])
    }
}

/// One curve of [`margin_plot`](crate::margin_plot).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MarginCurve {
    /// The name in the legend, e.g. "m = 4, λ = 5".
    pub label: String,
    /// (θ in degrees, ψ, dψ/dθ with θ in radians), by rising θ.
    pub points: Vec<(f64, f64, f64)>,
}

/// One curve of [`annealing_plot`](crate::annealing_plot).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AnnealingCurve {
    /// The name in the legend, e.g. "power law".
    pub label: String,
    /// (step, λ), by rising step. λ = 0 has its own place below the logarithmic axis.
    pub points: Vec<(f64, f64)>,
}
