use serde::{Deserialize, Serialize};

use crate::pairwise::{PairwiseAngles, of_directions};
use crate::vector::{add_scaled, dot, has_direction, norm};

/// A mean shorter than this share of the averaged length is rounding noise of the `f32` features,
/// and its direction is meaningless.
const MIN_MEAN_SHARE: f64 = 1e-7;

/// Definition of a class centre. Only its direction matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Centre {
    /// The mean of the features. Long features weigh more. The published angular Fisher score uses
    /// this centre.
    #[default]
    MeanFeature,
    /// The mean of the normalised features. Every sample has the same weight. This direction has
    /// the largest mean cosine to the class.
    MeanDirection,
}

/// Sums of feature vectors per class, with the total length of the summands.
#[derive(Debug, Clone)]
pub(crate) struct ClassSums {
    features: usize,
    sums: Vec<f64>,
    lengths: Vec<f64>,
}

impl ClassSums {
    pub(crate) fn new(classes: usize, features: usize) -> Self {
        Self {
            features,
            sums: vec![0.0; classes * features],
            lengths: vec![0.0; classes],
        }
    }

    /// Adds `scale * row`, a vector of length `length`, to the sum of class `label`.
    pub(crate) fn add(&mut self, label: usize, row: &[f32], scale: f64, length: f64) {
        let start = label * self.features;
        add_scaled(&mut self.sums[start..start + self.features], row, scale);
        self.lengths[label] += length;
    }

    pub(crate) fn row(&self, label: usize) -> &[f64] {
        &self.sums[label * self.features..(label + 1) * self.features]
    }

    /// The direction of the sum over one class.
    fn direction(&self, label: usize) -> Option<Vec<f64>> {
        direction(self.row(label), self.lengths[label])
    }

    /// The direction of the sum over all classes.
    pub(crate) fn total_direction(&self) -> Option<Vec<f64>> {
        let mut total = vec![0.0; self.features];
        for label in 0..self.lengths.len() {
            for (total, value) in total.iter_mut().zip(self.row(label)) {
                *total += value;
            }
        }
        direction(&total, self.lengths.iter().sum())
    }
}

fn direction(sum: &[f64], length: f64) -> Option<Vec<f64>> {
    let norm = norm(sum);
    (has_direction(norm) && norm > MIN_MEAN_SHARE * length)
        .then(|| sum.iter().map(|value| value / norm).collect())
}

/// The directions of the class centres.
///
/// A class has no direction if no sample has one, or if its features cancel out.
#[derive(Debug, Clone, PartialEq)]
pub struct ClassCentres {
    features: usize,
    directions: Vec<Option<Vec<f64>>>,
}

impl ClassCentres {
    pub(crate) fn new(sums: &ClassSums) -> Self {
        let classes = sums.lengths.len();
        Self {
            features: sums.features,
            directions: (0..classes).map(|label| sums.direction(label)).collect(),
        }
    }

    /// Number of classes, including those without a centre.
    pub fn classes(&self) -> usize {
        self.directions.len()
    }

    /// Number of values of a feature.
    pub fn features(&self) -> usize {
        self.features
    }

    /// The unit vector towards the centre of class `label`, if it has one.
    pub fn direction(&self, label: usize) -> Option<&[f64]> {
        self.directions.get(label)?.as_deref()
    }

    /// The angles between all pairs of centres.
    pub fn pairwise_angles(&self) -> PairwiseAngles {
        of_directions(self.directions.iter().cloned())
    }

    /// Angular Fisher score: the scatter within classes divided by the scatter between them,
    /// `sum_x (1 - cos(x, m_y)) / sum_class n (1 - cos(m_class, m))`. Lower is better.
    ///
    /// The cosine is linear in the normalised feature, so the sums of normalised features
    /// (`directions`) give the numerator without another pass over the samples. `None` if the
    /// overall mean has no direction or the centres do not differ.
    pub(crate) fn fisher_score(
        &self,
        directions: &ClassSums,
        counts: &[u64],
        overall: Option<&[f64]>,
    ) -> Option<f64> {
        let overall = overall?;
        let (mut within, mut between) = (0.0, 0.0);
        for (label, &count) in counts.iter().enumerate() {
            if let Some(centre) = self.direction(label) {
                within += (count as f64 - dot(directions.row(label), centre)).max(0.0);
                between += count as f64 * (1.0 - dot(centre, overall)).max(0.0);
            }
        }
        // The cosine of a centre with itself differs from 1 only by rounding.
        let samples: u64 = counts.iter().sum();
        (between > 1e-14 * samples as f64).then(|| within / between)
    }
}
