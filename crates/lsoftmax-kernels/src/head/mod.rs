//! Softmax cross-entropy whose target logit is any scalar function of the
//! target cosine and the two norms.
//!
//! Notation: features `x` are `[batch, feature]`, class weights `w` are
//! `[class, feature]`, both row-major. The plain logits are
//!
//! ```text
//! f_ij = a_i b_j (x_i . w_j)
//! ```
//!
//! where `a_i` is 1 or `scale / |x_i|` and `b_j` is 1 or `1 / |w_j|`
//! ([`Normalisation`]). The target logit `f_iy` is replaced by `F(cos, |x|, |w|)`,
//! which the caller supplies with its three derivatives ([`TargetLogit`]). With
//! `G = (softmax - onehot) / batch`, the gradient is the ordinary pair of matrix
//! products, in which only the target entries of `G` are replaced, plus a few
//! scalars a row:
//!
//! ```text
//! dF/dx = F_c / (|x||w|) w + (F_|x| / |x| - c F_c / |x|^2) x
//! dF/dw = F_c / (|x||w|) x + (F_|w| / |w| - c F_c / |w|^2) w
//! ```
//!
//! Classes are processed in blocks: for any number of classes, the working memory stays below 64
//! MiB for a batch of up to 1024 features of length 512.

mod double;
mod panels;
mod passes;
mod real;
mod rescale;
mod rows;
mod rule;
mod sample;
mod single;
mod stream;
mod sums;

pub use lsoftmax_spec::margin::{Normalisation, TINY, Target, TargetLogit};
pub use real::Real;
pub use rule::{Samples, TargetRule, checked_label};
pub use sample::{Pair, Sample};
pub use sums::{SumExp, confidences};

use crate::simd::Level;
use rayon::prelude::*;
use rescale::Rescaled;
use rows::{Rows, norm_of};
use stream::{Plan, Walk};

/// A shorter vector counts as zero when it is not normalised: the product of two norms must not
/// become 0 in f64. No other f32 vector is this short.
const ZERO: f64 = 1e-150;

/// What a loss does with the target logits and the samples of a batch. Any function of a [`Target`]
/// is one.
pub trait TargetLogits: Sync {
    /// λ of a batch, given the probability that plain softmax assigns to each sample's own class.
    fn lambda(&self, confidences: &[f64]) -> f64;

    /// The target logit of the sample in this row of a batch with this λ.
    fn target_logit(&self, row: usize, target: Target, lambda: f64) -> TargetLogit;

    /// The weight of each sample's cross-entropy in the loss, `[batch]`. Without weights, the loss is
    /// the mean over the batch.
    ///
    /// A sample with a weight of zero adds nothing to the loss, whatever its own cross-entropy is.
    fn weights(&self) -> Option<&[f64]> {
        None
    }

    /// A multiple of the target logit to add to the cross-entropy of each sample, for label smoothing.
    fn target_pull(&self) -> f64 {
        0.0
    }
}

/// What follows from a rule, the same for every kernel.
impl dyn TargetLogits + '_ {
    /// The cross-entropy of a sample, given the sum over all logits of its row.
    pub fn loss(&self, sum: &SumExp, sample: &Sample) -> f64 {
        let pull = self.target_pull();
        let loss = -sum.log_softmax(sample.logit);
        if pull == 0.0 {
            loss
        } else {
            loss + pull * sample.logit
        }
    }

    /// The loss of the batch, given those of its samples.
    pub fn reduce(&self, losses: &[f64]) -> f64 {
        match self.weights() {
            None => losses.iter().sum::<f64>() / losses.len() as f64,
            Some(weights) => (weights.iter().zip(losses))
                .filter(|&(&weight, _)| weight != 0.0)
                .map(|(weight, loss)| weight * loss)
                .sum(),
        }
    }

    /// `value` times the weight of the sample in this row of a batch of so many.
    pub fn weighted(&self, row: usize, value: f64, batch: usize) -> f64 {
        match self.weights() {
            None => value / batch as f64,
            Some(weights) if weights[row] == 0.0 => 0.0,
            Some(weights) => value * weights[row],
        }
    }

    /// The derivative of the loss with respect to the target logit of the sample in this row.
    pub fn d_target(&self, row: usize, sum: &SumExp, sample: &Sample, batch: usize) -> f64 {
        let error = sum.log_softmax(sample.logit).exp_m1() + self.target_pull();
        self.weighted(row, error, batch)
    }
}

impl<F: Fn(Target) -> TargetLogit + Sync> TargetLogits for F {
    fn lambda(&self, _: &[f64]) -> f64 {
        0.0
    }

    fn target_logit(&self, _: usize, target: Target, _: f64) -> TargetLogit {
        self(target)
    }
}

/// The arrays of one batch.
///
/// Create it with [`Batch::new`], which checks every length and label.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a, T> {
    features: Rows<'a, T>,
    weights: Rows<'a, T>,
    labels: &'a [u32],
}

/// A batch that was rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The batch size, the number of classes or the feature size is zero.
    #[error("{0} is empty: batch, classes and feature size must be at least 1")]
    Empty(&'static str),
    /// A slice does not have the length that its shape requires.
    #[error("{name} has {found} values, expected {rows} x {columns}")]
    Length {
        /// Name of the array.
        name: &'static str,
        /// Rows of the expected shape.
        rows: usize,
        /// Columns of the expected shape.
        columns: usize,
        /// Given number of values.
        found: usize,
    },
    /// A label is not a class.
    #[error(
        "label {label} in row {row} is out of range: there are {classes} classes (0 to {})",
        classes - 1
    )]
    Label {
        /// Row in the batch.
        row: usize,
        /// The label.
        label: i64,
        /// Number of classes.
        classes: usize,
    },
}

impl<'a, T: Real> Batch<'a, T> {
    /// Checks the arrays of a batch.
    ///
    /// # Shapes
    /// - `features`: `[labels.len(), feature_size]`
    /// - `weights`: `[classes, feature_size]`
    ///
    /// # Errors
    /// A size of zero, a slice of the wrong length, or a label that is not below `classes`.
    pub fn new(
        features: &'a [T],
        weights: &'a [T],
        labels: &'a [u32],
        classes: usize,
        feature_size: usize,
    ) -> Result<Self, HeadError> {
        for (name, size) in [
            ("the batch", labels.len()),
            ("the class list", classes),
            ("the feature", feature_size),
        ] {
            if size == 0 {
                return Err(HeadError::Empty(name));
            }
        }
        for (row, &label) in labels.iter().enumerate() {
            checked_label(row, label.into(), classes)?;
        }
        Ok(Self {
            features: Rows::new("features", features, labels.len(), feature_size)?,
            weights: Rows::new("weights", weights, classes, feature_size)?,
            labels,
        })
    }

    /// Multiply-adds of one matrix product.
    fn work(&self) -> usize {
        let Self {
            features, weights, ..
        } = self;
        (features.rows() * features.columns()).saturating_mul(weights.rows())
    }

    /// The logits without margin, `f_ij = a_i b_j (x_i . w_j)`, `[batch, class]`, summed in f64.
    /// These are the logits of the trained classifier. A zero vector that is normalised gives 0.
    pub fn plain_logits(&self, normalisation: Normalisation) -> Vec<T> {
        let level = Level::get();
        let rescaled = RescaledBatch::new(level, self, normalisation);
        let batch = rescaled.batch(self);
        let factors = |side: &Option<Rescaled<T>>, factor: &dyn Fn(f64) -> f64| -> Vec<f64> {
            let norms = side.as_ref().map_or(&[][..], |side| &side.norms);
            norms.iter().map(|&norm| factor(norm)).collect()
        };
        let of_features = factors(&rescaled.features, &|n| normalisation.feature_factor(n));
        let of_weights = factors(&rescaled.weights, &|n| normalisation.weight_factor(n));
        let factor = |of: &[f64], row: usize| of.get(row).copied().unwrap_or(1.0);
        let logits_of = |(row, x)| {
            let by_feature = factor(&of_features, row);
            let classes = 0..batch.weights.rows();
            let logits = classes.map(|class| {
                let inner = T::dot(level, x, batch.weights.row(class));
                T::from_f64(by_feature * factor(&of_weights, class) * inner)
            });
            logits.collect::<Vec<T>>()
        };
        let rows = batch.features.par_iter().enumerate();
        rows.flat_map_iter(logits_of).collect()
    }
}

/// The result of the forward pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The cross-entropy averaged over the batch, or summed with the
    /// [weights](TargetLogits::weights) of the samples.
    pub loss: f64,
    /// The cross-entropy of each sample, without weights.
    pub losses: Vec<f64>,
    /// The probability that plain softmax, without margin, assigns to each sample's own class.
    pub confidences: Vec<f64>,
    /// The scalars of each sample: its angle, its norms and its target logit.
    pub samples: Vec<Sample>,
}

/// The mean cross-entropy of a batch.
///
/// `margin` is evaluated once per sample, but never for a vector of length zero, for which the
/// plain inner product is used. Its gradient there is a valid generalised gradient of L-Softmax and
/// lets the sample leave the origin. A zero vector that is normalised has no gradient: every
/// direction would be equally valid, at any length.
///
/// NaN or infinity in the arrays gives a loss that is not finite.
pub fn cross_entropy<T: Real>(
    batch: &Batch<'_, T>,
    normalisation: Normalisation,
    margin: &dyn TargetLogits,
) -> Outcome {
    let level = Level::get();
    enter(batch.work(), || {
        let rescaled = RescaledBatch::new(level, batch, normalisation);
        let batch = &rescaled.batch(batch);
        let pairs = Pairs::new(level, batch, normalisation, &rescaled);
        let (others, _) = Walk::new(level, batch, &pairs, Plan::new(batch)).sum_exp(false);
        let resolved = Resolved::new(batch, &pairs, margin, &rescaled, others);
        resolved.outcome(batch, margin, &rescaled)
    })
}

/// [`cross_entropy`] with its gradient, in one pass if the logits fit into one block.
///
/// # Shapes
/// - `d_features`: `[batch, feature]`, overwritten
/// - `d_weights`: `[class, feature]`, overwritten
///
/// # Errors
/// A gradient slice of the wrong length.
pub fn cross_entropy_with_gradient<T: Real>(
    batch: &Batch<'_, T>,
    normalisation: Normalisation,
    margin: &dyn TargetLogits,
    d_features: &mut [T],
    d_weights: &mut [T],
) -> Result<Outcome, HeadError> {
    let plan = Plan::new(batch);
    with_plan(batch, normalisation, margin, d_features, d_weights, plan)
}

fn with_plan<T: Real>(
    batch: &Batch<'_, T>,
    normalisation: Normalisation,
    margin: &dyn TargetLogits,
    d_features: &mut [T],
    d_weights: &mut [T],
    plan: Plan,
) -> Result<Outcome, HeadError> {
    batch.features.check_like("d_features", d_features.len())?;
    batch.weights.check_like("d_weights", d_weights.len())?;
    let level = Level::get();
    Ok(enter(batch.work(), || {
        let rescaled = RescaledBatch::new(level, batch, normalisation);
        let batch = &rescaled.batch(batch);
        let pairs = Pairs::new(level, batch, normalisation, &rescaled);
        let walk = Walk::new(level, batch, &pairs, plan);
        let (others, kept) = walk.sum_exp(true);
        let resolved = Resolved::new(batch, &pairs, margin, &rescaled, others);
        walk.gradient(
            &resolved.sums,
            &resolved.samples,
            margin,
            kept,
            d_features,
            d_weights,
        );
        rescaled.finish(batch.features.columns(), d_features, d_weights);
        resolved.outcome(batch, margin, &rescaled)
    }))
}

/// Multiply-adds below which the head runs on one thread: waking the others takes longer than a
/// small head.
const MIN_PARALLEL_WORK: usize = 1 << 22;

/// Enters the thread pool once if the head is large enough to run in parallel.
fn enter<R: Send>(work: usize, run: impl FnOnce() -> R + Send) -> R {
    if work < MIN_PARALLEL_WORK {
        run()
    } else {
        rayon::scope(|_| run())
    }
}

/// Maps `items` with `run`, in parallel if the head is large enough. `work` is [`Batch::work`].
fn maybe_par_map<I: Send, R: Send>(
    work: usize,
    items: Vec<I>,
    run: impl Fn(I) -> R + Send + Sync,
) -> Vec<R> {
    if work < MIN_PARALLEL_WORK || items.len() < 2 {
        items.into_iter().map(run).collect()
    } else {
        items.into_par_iter().map(run).collect()
    }
}

/// The normalised sides of a batch.
struct RescaledBatch<T> {
    features: Option<Rescaled<T>>,
    weights: Option<Rescaled<T>>,
}

impl<T: Real> RescaledBatch<T> {
    fn new(level: Level, batch: &Batch<'_, T>, normalisation: Normalisation) -> Self {
        let scaled = normalisation.feature_scale.is_some();
        Self {
            features: scaled.then(|| Rescaled::new(level, batch.work(), &batch.features)),
            weights: normalisation
                .weights
                .then(|| Rescaled::new(level, batch.work(), &batch.weights)),
        }
    }

    fn batch<'a>(&'a self, batch: &Batch<'a, T>) -> Batch<'a, T> {
        let rows = |side: &'a Option<Rescaled<T>>, rows| match side {
            Some(side) => side.rows(rows),
            None => rows,
        };
        Batch {
            features: rows(&self.features, batch.features),
            weights: rows(&self.weights, batch.weights),
            labels: batch.labels,
        }
    }

    /// True norms divided by the norms of the stand-in rows, for a feature and its class weight.
    fn factors(&self, row: usize, label: u32) -> [f64; 2] {
        let factor = |side: &Option<Rescaled<T>>, row| side.as_ref().map_or(1.0, |s| s.factor(row));
        [
            factor(&self.features, row),
            factor(&self.weights, label as usize),
        ]
    }

    fn finish(&self, columns: usize, d_features: &mut [T], d_weights: &mut [T]) {
        for (side, gradient) in [(&self.features, d_features), (&self.weights, d_weights)] {
            if let Some(side) = side {
                side.finish(gradient, columns);
            }
        }
    }
}

/// The scalars of each sample before any matrix product.
struct Pairs {
    normalisation: Normalisation,
    rows: Vec<Pair>,
    /// `b_j`; empty when weights are not normalised (all are then 1).
    weight_factors: Vec<f64>,
}

impl Pairs {
    fn new<T: Real>(
        level: Level,
        batch: &Batch<'_, T>,
        normalisation: Normalisation,
        rescaled: &RescaledBatch<T>,
    ) -> Self {
        let norms = rescaled
            .weights
            .as_ref()
            .map_or(&[][..], |side| &side.norms);
        let weight_factors = norms
            .iter()
            .map(|&norm| normalisation.weight_factor(norm))
            .collect();
        let rows = maybe_par_map(
            batch.work(),
            batch.labels.iter().enumerate().collect(),
            |(row, &label)| {
                let x = batch.features.row(row);
                let w = batch.weights.row(label as usize);
                let [inner, xx, ww] = T::inner_products(level, x, w);
                Pair::new(inner, norm_of(x, xx), norm_of(w, ww), normalisation)
            },
        );
        Self {
            normalisation,
            rows,
            weight_factors,
        }
    }

    fn weight_factor(&self, class: usize) -> f64 {
        self.weight_factors.get(class).copied().unwrap_or(1.0)
    }

    /// Whether the logits differ from the plain inner products.
    fn are_scaled(&self) -> bool {
        self.normalisation != Normalisation::default()
    }
}

/// The samples after the margin was applied.
struct Resolved {
    samples: Vec<Sample>,
    /// Over all logits, including the target's.
    sums: Vec<SumExp>,
    confidences: Vec<f64>,
}

impl Resolved {
    /// `others` holds the sums over the classes other than the sample's own.
    fn new<T: Real>(
        batch: &Batch<'_, T>,
        pairs: &Pairs,
        margin: &dyn TargetLogits,
        rescaled: &RescaledBatch<T>,
        others: Vec<SumExp>,
    ) -> Self {
        let confidences = confidences(&others, &pairs.rows);
        let lambda = margin.lambda(&confidences);
        let rows = pairs.rows.iter().zip(batch.labels).enumerate();
        let samples = maybe_par_map(batch.work(), rows.collect(), |(row, (pair, &label))| {
            let [of_x, of_w] = rescaled.factors(row, label);
            // The margin takes the true norms; its derivatives are for the rescaled ones.
            let mut sample = Sample::new(pair, &|target| {
                let logit = margin.target_logit(row, target.rescaled(of_x, of_w), lambda);
                TargetLogit {
                    d_feature_norm: logit.d_feature_norm * of_x,
                    d_weight_norm: logit.d_weight_norm * of_w,
                    ..logit
                }
            });
            // Rounded like the other logits.
            sample.logit = T::from_f64(sample.logit).to_f64();
            sample
        });
        let sums = others.into_iter().zip(&samples);
        Self {
            sums: sums
                .map(|(others, sample)| others.with(sample.logit))
                .collect(),
            samples,
            confidences,
        }
    }

    fn outcome<T: Real>(
        self,
        batch: &Batch<'_, T>,
        margin: &dyn TargetLogits,
        rescaled: &RescaledBatch<T>,
    ) -> Outcome {
        let Self {
            mut samples,
            sums,
            confidences,
        } = self;
        for (row, (sample, &label)) in samples.iter_mut().zip(batch.labels).enumerate() {
            let [of_x, of_w] = rescaled.factors(row, label);
            sample.target = sample.target.rescaled(of_x, of_w);
        }
        let losses: Vec<f64> = (sums.iter().zip(&samples))
            .map(|(sum, sample)| margin.loss(sum, sample))
            .collect();
        Outcome {
            loss: margin.reduce(&losses),
            losses,
            confidences,
            samples,
        }
    }
}

#[cfg(test)]
mod tests;
