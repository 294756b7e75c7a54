use super::{Derivatives, DistanceLoss, Distances, distance_loss, random};
use crate::error::Error;
use crate::margin::MarginError;
use burn::tensor::{Int, Tensor};
use lsoftmax_spec::metric::{TripletLossConfig, TripletSelection};

/// The triplet loss of `FaceNet` (Schroff, Kalenichenko and Philbin 2015) on the triplets of a batch.
///
/// ```text
/// max(0, |x_a - x_p|² - |x_a - x_n|² + margin)
/// ```
///
/// averaged over the selected triplets with a loss above 0. The others would only make the mean
/// vanish as training succeeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TripletLoss {
    config: TripletLossConfig,
}

impl TripletLoss {
    /// Creates the loss.
    ///
    /// # Errors
    /// The margin is not finite or not above 0.
    pub fn new(config: TripletLossConfig) -> Result<Self, MarginError> {
        config.check()?;
        Ok(Self { config })
    }

    /// The loss of a batch at a step. Only [`TripletSelection::Random`] uses the step.
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
        for anchor in 0..size {
            // Nearest first.
            let mut negatives: Vec<usize> = distances.different(anchor).collect();
            let squared = |other: usize| distances.squared(anchor, other);
            negatives.sort_by(|&a, &b| squared(a).total_cmp(&squared(b)));
            let Some(&nearest) = negatives.first() else {
                continue;
            };
            let mut add = |positive, negative| {
                self.add(&mut sum, distances, [anchor, positive, negative]);
            };
            match self.config.selection {
                TripletSelection::All => self.add_all(&mut sum, distances, anchor, &negatives),
                TripletSelection::Random => {
                    for positive in distances.same(anchor) {
                        let place = (anchor * size + positive) as u64;
                        let at = random(self.config.seed, step, place) % negatives.len() as u64;
                        add(positive, negatives[at as usize]);
                    }
                }
                TripletSelection::Hard => {
                    for positive in distances.same(anchor) {
                        add(positive, nearest);
                    }
                }
                TripletSelection::SemiHard => {
                    for positive in distances.same(anchor) {
                        let farther = squared(positive);
                        let at = negatives.partition_point(|&n| squared(n) <= farther);
                        let next = negatives.get(at).copied();
                        if let Some(negative) =
                            next.filter(|&n| squared(n) < farther + self.config.margin)
                        {
                            add(positive, negative);
                        }
                    }
                }
                TripletSelection::BatchHard => {
                    if let Some(positive) = distances.farthest(anchor, distances.same(anchor)) {
                        add(positive, nearest);
                    }
                }
            }
        }
        let active = sum.active;
        sum.over(active)
    }

    fn add(
        &self,
        sum: &mut Derivatives,
        distances: &Distances,
        [anchor, positive, negative]: [usize; 3],
    ) {
        sum.selected += 1;
        let [near, far] = [positive, negative].map(|other| distances.squared(anchor, other));
        let loss = near - far + self.config.margin;
        if loss > 0.0 {
            let row = anchor * distances.size();
            sum.active += 1;
            sum.value += loss;
            sum.by_squared[row + positive] += 1.0;
            sum.by_squared[row + negative] -= 1.0;
        }
    }

    /// Adds every triplet of an anchor in `O(batch log batch)`: for each positive, the triplets
    /// with a loss are those with its first few negatives, in order of distance.
    fn add_all(
        &self,
        sum: &mut Derivatives,
        distances: &Distances,
        anchor: usize,
        negatives: &[usize],
    ) {
        let row = anchor * distances.size();
        let squared = |other: usize| distances.squared(anchor, other);
        let mut nearest_sum = vec![0.0];
        for &negative in negatives {
            nearest_sum.push(nearest_sum[nearest_sum.len() - 1] + squared(negative));
        }
        // Number of positives that have a loss with exactly this many negatives.
        let mut reach = vec![0u64; negatives.len() + 1];
        for positive in distances.same(anchor) {
            let limit = squared(positive) + self.config.margin;
            let count = negatives.partition_point(|&n| squared(n) < limit);
            sum.selected += negatives.len() as u64;
            sum.active += count as u64;
            sum.value += limit * count as f64 - nearest_sum[count];
            sum.by_squared[row + positive] += count as f64;
            reach[count] += 1;
        }
        let mut with_loss: u64 = 0;
        for (place, &negative) in negatives.iter().enumerate().rev() {
            with_loss += reach[place + 1];
            sum.by_squared[row + negative] -= with_loss as f64;
        }
    }
}
