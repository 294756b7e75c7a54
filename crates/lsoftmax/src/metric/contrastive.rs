use super::{Derivatives, DistanceLoss, Distances, distance_loss, random};
use crate::error::Error;
use crate::margin::MarginError;
use burn::tensor::{Int, Tensor};
use lsoftmax_spec::metric::{ContrastiveLossConfig, PairSelection};

/// The contrastive loss (Hadsell, Chopra and `LeCun` 2006) on the pairs of a batch.
///
/// ```text
/// same class:  D² / 2        different:  max(0, margin - D)² / 2        D = |x_i - x_j|
/// ```
///
/// averaged over the selected pairs. The tables of the L-Softmax paper combine it with softmax: add
/// the two losses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ContrastiveLoss {
    config: ContrastiveLossConfig,
}

impl ContrastiveLoss {
    /// Creates the loss.
    ///
    /// # Errors
    /// The margin is not finite or not above 0.
    pub fn new(config: ContrastiveLossConfig) -> Result<Self, MarginError> {
        config.check()?;
        Ok(Self { config })
    }

    /// The loss of a batch at a step. Only [`PairSelection::Random`] uses the step.
    ///
    /// # Shapes
    /// - features: `[batch, feature]`
    /// - labels: `[batch]`
    ///
    /// # Errors
    /// The shapes do not match, or the batch is empty.
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
            // Two equal features have no direction in which to move apart.
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
