use super::{Derivatives, DistanceLoss, Distances, distance_loss, random};
use crate::head::Error;
use crate::margin::{MarginError, check};
use burn::tensor::{Int, Tensor};
use serde::{Deserialize, Serialize};

/// Which pairs of a batch count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairSelection {
    /// Every pair.
    #[default]
    All,
    /// Every pair of one class, and beside each a pair with a random sample of another class.
    Random,
    /// For each sample the farthest of its class and the nearest of any other.
    Hard,
}

/// Configuration of a [`ContrastiveLoss`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContrastiveLossConfig {
    /// The distance from which on a pair of different classes has no loss. Default: 1.
    pub margin: f64,
    /// Which pairs count. Default: all.
    pub selection: PairSelection,
    /// Whether distances are between features of length 1. Default: true.
    pub normalise: bool,
    /// Seed of [`PairSelection::Random`]. Default: 0.
    pub seed: u64,
}

impl Default for ContrastiveLossConfig {
    fn default() -> Self {
        Self {
            margin: 1.0,
            selection: PairSelection::All,
            normalise: true,
            seed: 0,
        }
    }
}

impl ContrastiveLossConfig {
    /// Checks the numbers.
    ///
    /// # Errors
    /// A margin that is not above 0 and finite.
    pub fn init(self) -> Result<ContrastiveLoss, MarginError> {
        check("margin", self.margin, "finite and above 0", |v| v > 0.0)?;
        Ok(ContrastiveLoss { config: self })
    }
}

/// The contrastive loss (Hadsell, Chopra and `LeCun` 2006) on the pairs of a batch.
///
/// ```text
/// same class:  D² / 2        different:  max(0, margin - D)² / 2        D = |x_i - x_j|
/// ```
///
/// averaged over the pairs selected. The article's L-Softmax tables have it beside softmax: add the
/// two losses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ContrastiveLoss {
    config: ContrastiveLossConfig,
}

impl ContrastiveLoss {
    /// The loss of a batch at a step, which only [`PairSelection::Random`] looks at.
    ///
    /// # Shapes
    /// - features: `[batch, feature]`
    /// - labels: `[batch]`
    ///
    /// # Errors
    /// Shapes that do not fit, or an empty batch.
    pub fn forward(
        &self,
        features: Tensor<2>,
        labels: Tensor<1, Int>,
        step: u64,
    ) -> Result<DistanceLoss, Error> {
        distance_loss(features, labels, self.config.normalise, |distances| {
            self.of(distances, step)
        })
    }

    fn of(&self, distances: &Distances, step: u64) -> Derivatives {
        let size = distances.size();
        let mut sum = Derivatives::none(size);
        for i in 0..size {
            match self.config.selection {
                PairSelection::All => {
                    for j in i + 1..size {
                        self.add(&mut sum, distances, i, j);
                    }
                }
                PairSelection::Random => {
                    let different: Vec<usize> = distances.different(i).collect();
                    for j in distances.same(i).filter(|&j| j > i) {
                        self.add(&mut sum, distances, i, j);
                        let index = random(self.config.seed, step, (i * size + j) as u64);
                        if let Some(at) = index.checked_rem(different.len() as u64) {
                            self.add(&mut sum, distances, i, different[at as usize]);
                        }
                    }
                }
                PairSelection::Hard => {
                    let farthest = distances.farthest(i, distances.same(i));
                    let nearest = distances.nearest(i, distances.different(i));
                    for j in farthest.into_iter().chain(nearest) {
                        self.add(&mut sum, distances, i, j);
                    }
                }
            }
        }
        let selected = sum.selected;
        sum.over(selected)
    }

    fn add(&self, sum: &mut Derivatives, distances: &Distances, i: usize, j: usize) {
        let squared = distances.squared(i, j);
        let (loss, derivative) = if distances.labels[i] == distances.labels[j] {
            (squared / 2.0, 0.5)
        } else {
            let distance = squared.sqrt();
            let short = (self.config.margin - distance).max(0.0);
            // Two features in one place have no direction to part in.
            let derivative = if distance > 0.0 {
                -short / (2.0 * distance)
            } else {
                0.0
            };
            (short.powi(2) / 2.0, derivative)
        };
        sum.value += loss;
        sum.by_squared[i * distances.size() + j] += derivative;
        sum.selected += 1;
        sum.active += u64::from(loss > 0.0);
    }
}
