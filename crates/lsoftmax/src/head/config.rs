//! Configuration of the margin head.

use super::MarginHead;
use crate::annealing::Annealing;
use crate::error::Error;
use crate::margin::Loss;
use burn::config::Config;
use burn::module::Initializer;
use burn::tensor::Device;
use lsoftmax_kernels::head::HeadError;
use serde::{Deserialize, Serialize};

/// How the losses of the samples are combined into the loss of the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reduction {
    /// The mean, weighted if the samples have weights: `Σ w_i l_i / Σ w_i`. 0 if all weights are 0.
    #[default]
    Mean,
    /// The sum, `Σ w_i l_i`.
    Sum,
    /// The weighted loss of each sample, `[batch]`.
    None,
}

/// Configuration of a [`MarginHead`].
///
/// ```
/// # use lsoftmax::{Annealing, Loss, MarginHeadConfig};
/// let l_softmax = MarginHeadConfig::new(256, 10, Annealing::auto(18_000)); // steps of the training
/// let arc_face = MarginHeadConfig::new(256, 10, Annealing::none()).with_loss(Loss::ARC_FACE);
/// ```
#[derive(Config, Debug, PartialEq)]
pub struct MarginHeadConfig {
    /// Length of a feature vector.
    pub feature_size: usize,
    /// Number of classes.
    pub classes: usize,
    /// The schedule of λ and m. Use [`Annealing::auto`] for a loss with an angular multiplier:
    /// without annealing, training with m >= 3 usually diverges. The other losses have no λ and
    /// take [`Annealing::none`].
    pub annealing: Annealing,
    /// The loss. Default: L-Softmax with m = 4.
    #[config(default = "Loss::LSoftmax { m: 4 }")]
    pub loss: Loss,
    /// How the losses of the samples are combined. Default: the mean.
    #[config(default = "Reduction::Mean")]
    pub reduction: Reduction,
    /// Weight of the samples of each class in the loss, `[class]`. Default: all 1.
    pub class_weights: Option<Vec<f32>>,
    /// Number of training samples of each class, `[class]`. If given, classes with more samples
    /// than the rarest class get a smaller share of the margin; see [`Annealing::class_shares`].
    /// Default: all classes get the full margin.
    pub class_counts: Option<Vec<usize>>,
    /// Label smoothing ε, at least 0 and below 1: the label gets the weight `1 - ε`, plus `ε / C`
    /// like every other class. Default: 0.
    #[config(default = 0.0)]
    pub label_smoothing: f64,
    /// A label that marks samples to exclude from the loss, the mean and the gate of λ, such as
    /// -100. Default: none.
    pub ignore_index: Option<i64>,
}

impl MarginHeadConfig {
    /// Creates the head. Its weights are drawn from the random generator of the device.
    ///
    /// # Errors
    /// A size is zero, a parameter of the loss or the schedule is out of range, λ or m is scheduled
    /// for a loss that has neither, or a list does not have one entry per class.
    pub fn init(&self, device: &Device) -> Result<MarginHead, Error> {
        let shape = [self.classes, self.feature_size];
        // `classes` and `feature_size` of zero have no distribution.
        self.check()?;
        let std = (2.0 / self.feature_size as f64).sqrt();
        let weight = Initializer::Normal { mean: 0.0, std }.init(shape, device);
        Ok(MarginHead::new(self.clone(), weight))
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        for (name, size) in [
            ("the class list", self.classes),
            ("the feature", self.feature_size),
        ] {
            if size == 0 {
                return Err(HeadError::Empty(name).into());
            }
        }
        self.loss.margin()?;
        self.annealing.check()?;
        if !self.annealing.suits(self.loss) {
            return Err(Error::NoAnnealing(self.loss));
        }
        if let Some(weights) = &self.class_weights {
            check_weights("class weights", weights, self.classes)?;
        }
        if let Some(counts) = &self.class_counts {
            check_length("class counts", counts.len(), self.classes)?;
        }
        if (0.0..1.0).contains(&self.label_smoothing) {
            Ok(())
        } else {
            Err(Error::LabelSmoothing(self.label_smoothing))
        }
    }
}

/// Checks the number of weights, and that each is finite and not negative.
pub(super) fn check_weights(
    name: &'static str,
    weights: &[f32],
    expected: usize,
) -> Result<(), Error> {
    check_length(name, weights.len(), expected)?;
    let is_wrong = |weight: &f32| !weight.is_finite() || *weight < 0.0;
    match weights.iter().position(is_wrong) {
        Some(index) => Err(Error::Weight {
            name,
            index,
            found: weights[index],
        }),
        None => Ok(()),
    }
}

pub(super) fn check_length(name: &'static str, found: usize, expected: usize) -> Result<(), Error> {
    if found == expected {
        Ok(())
    } else {
        Err(Error::Length {
            name,
            found,
            expected,
        })
    }
}
