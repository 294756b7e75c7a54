//! Metric losses on the distances between the features of a batch, one file per loss, to compare
//! the margin losses with.
//!
//! The squared distances of a batch are one matrix product, `D² = |x|² + |y|² - 2 x·y`. A loss
//! reads them once, on the host in f64, and returns its value and its derivative with respect to
//! each of them. The backward pass is then two more matrix products. The pairs or triplets are
//! selected there too, without storing a list of them.

mod center;
mod contrastive;
mod triplet;

pub use center::{CenterLoss, CenterLossConfig};
pub use contrastive::ContrastiveLoss;
pub use lsoftmax_spec::metric::{
    ContrastiveLossConfig, PairSelection, TripletLossConfig, TripletSelection,
};
pub use triplet::TripletLoss;

use crate::error::Error;
use crate::rows::{in_precision, precision, unit_rows};
use burn::tensor::{Int, Tensor, TensorData};
use lsoftmax_kernels::head::{HeadError, TINY};

/// The result of a metric loss on a batch.
#[derive(Clone, Debug)]
pub struct DistanceLoss {
    /// The mean loss, `[1]`, differentiable. It is f32 if the features have half precision.
    pub loss: Tensor<1>,
    /// Number of selected pairs or triplets.
    pub selected: u64,
    /// Number of them with a loss above 0. If there are none, the batch has nothing left to train.
    pub active: u64,
}

/// The squared distances of a batch, on the host, with its labels.
struct Distances {
    squared: Vec<f64>,
    labels: Vec<i64>,
}

/// The value of a loss and its derivatives with respect to the squared distances.
struct Derivatives {
    value: f64,
    /// `[batch, batch]`
    by_squared: Vec<f64>,
    selected: u64,
    active: u64,
}

impl Distances {
    fn size(&self) -> usize {
        self.labels.len()
    }

    fn squared(&self, i: usize, j: usize) -> f64 {
        self.squared[i * self.size() + j]
    }

    /// The other samples of the same class.
    fn same(&self, of: usize) -> impl Iterator<Item = usize> {
        (0..self.size()).filter(move |&other| other != of && self.labels[other] == self.labels[of])
    }

    /// The samples of other classes.
    fn different(&self, of: usize) -> impl Iterator<Item = usize> {
        (0..self.size()).filter(move |&other| self.labels[other] != self.labels[of])
    }

    fn nearest(&self, to: usize, among: impl Iterator<Item = usize>) -> Option<usize> {
        among.min_by(|&a, &b| self.squared(to, a).total_cmp(&self.squared(to, b)))
    }

    fn farthest(&self, from: usize, among: impl Iterator<Item = usize>) -> Option<usize> {
        among.max_by(|&a, &b| self.squared(from, a).total_cmp(&self.squared(from, b)))
    }
}

impl Derivatives {
    fn none(batch: usize) -> Self {
        Self {
            value: 0.0,
            by_squared: vec![0.0; batch * batch],
            selected: 0,
            active: 0,
        }
    }

    /// Divides the sums by a count, unless it is 0.
    fn over(mut self, count: u64) -> Self {
        if count > 0 {
            let share = 1.0 / count as f64;
            self.value *= share;
            self.by_squared.iter_mut().for_each(|d| *d *= share);
        }
        self
    }
}

/// A random number that depends only on seed, step and index: `SplitMix64` of the three.
fn random(seed: u64, step: u64, index: u64) -> u64 {
    let mix = |z: u64| {
        let z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    };
    mix(mix(mix(seed) ^ step) ^ index)
}

/// Computes the loss that `look` derives from the distances between the rows of `features`.
fn distance_loss(
    features: Tensor<2>,
    labels: Tensor<1, Int>,
    normalise: bool,
    look: impl FnOnce(&Distances) -> Derivatives,
) -> Result<DistanceLoss, Error> {
    let [batch, size] = features.dims();
    let [count] = labels.dims();
    if count != batch {
        return Err(Error::BatchSize {
            features: batch,
            labels: count,
        });
    }
    for (name, size) in [("the batch", batch), ("the feature", size)] {
        if size == 0 {
            return Err(HeadError::Empty(name).into());
        }
    }
    // Half precision is too coarse for the distances.
    let precision = precision(features.dtype(), features.dtype());
    let features = in_precision(features, precision);
    let features = if normalise {
        unit_rows(features, TINY)
    } else {
        // Distances do not depend on the origin, and lose the fewest digits near it.
        let centre = features.clone().detach().mean_dim(0);
        features - centre
    };
    let squares = features.clone().square().sum_dim(1);
    let products = features.clone().matmul(features.transpose());
    let squared = squares.clone() + squares.transpose() - products.mul_scalar(2.0);

    let found = squared.clone().detach().into_data();
    let mut on_host: Vec<f64> = found.iter::<f64>().map(|d| d.max(0.0)).collect();
    // `max` above drops NaN, so check for it here.
    let finite = found.iter::<f64>().all(f64::is_finite);
    for i in 0..batch {
        on_host[i * batch + i] = 0.0;
    }
    let mut answer = if finite {
        look(&Distances {
            squared: on_host,
            labels: labels.into_data().iter::<i64>().collect(),
        })
    } else {
        Derivatives::none(batch)
    };
    if !finite {
        answer.value = f64::NAN;
    }
    let device = squared.device();
    let options = (&device, squared.dtype());
    let by_squared = TensorData::new(answer.by_squared, [batch, batch]);
    let by_squared = Tensor::<2>::from_data(by_squared, options);
    let value = Tensor::<1>::from_data(TensorData::new(vec![answer.value], [1]), options);
    // The gradient of a sum with constant derivatives, combined with the value of the loss.
    let carrier = (squared * by_squared).sum();
    Ok(DistanceLoss {
        loss: carrier.clone() - carrier.detach() + value,
        selected: answer.selected,
        active: answer.active,
    })
}

#[cfg(test)]
mod tests;
