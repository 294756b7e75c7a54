//! The margin head.

mod config;
mod labels;

pub use config::{MarginHeadConfig, Reduction};
pub use labels::Labels;

use crate::annealing::{Annealing, RunningSignal, StepLambda};
use crate::checks::{check, check_size, checked_labels};
use crate::error::Error;
use crate::margin::{Loss, Margin, Normalisation};
use crate::ops::{Samples, TargetRule, margin_cross_entropies, margin_cross_entropy as operation};
use crate::record::Identity;
use crate::rows::{in_precision, precision, unit_rows, values_like};
use burn::module::{Content, DisplaySettings, Module, ModuleDisplay, Param};
use burn::tensor::{Int, Tensor};
use labels::Resolved;
use lsoftmax_kernels::head::{TINY, TargetLogits as _};
use std::sync::Arc;

/// The bias-free class layer of a margin loss, and the loss itself.
///
/// It owns the class weights `[class, feature]`, initialised from a Gaussian with standard
/// deviation `sqrt(2 / feature_size)` (He et al. 2015) like the networks of the paper, and
/// separates three outputs:
///
/// - [`loss`](Self::loss) for training: with the margin and the λ of the step;
/// - [`logits`](Self::logits) for accuracy and inference: the logits of the loss, without label,
///   margin and λ;
/// - [`cosines`](Self::cosines) for verification.
///
/// The head is a Burn module, and its weights are saved with the model that contains it. The record
/// also names the loss and the schedule, so that loading it into a head with other ones is an error
/// (`Missing tensors: ["head.trained_with.…"]`). To load only the weights, use
/// `record.allow_partial(true).allow_unused(true)`. Should be created with [`MarginHeadConfig`].
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct MarginHead {
    /// Class weights, `[class, feature]`.
    pub weight: Param<Tensor<2>>,
    trained_with: Identity,
    #[module(skip)]
    config: MarginHeadConfig,
    /// The share of the margin that each class gets, if the shares differ.
    #[module(skip)]
    shares: Option<Arc<[f64]>>,
}

/// The loss of a batch and the target statistics of its samples.
#[derive(Clone, Debug)]
pub struct HeadLoss {
    /// The loss, differentiable: `[1]`, or `[batch]` for [`Reduction::None`]. It is f32 if the
    /// tensors have half precision.
    pub loss: Tensor<1>,
    /// One row per sample, `[batch, 4]`, not differentiable: the cosine between the feature and the
    /// weight of its target class, the norm of the feature, the norm of the class weight, and the
    /// confidence, which is the probability of the target class by the plain softmax, without
    /// margin.
    pub targets: Tensor<2>,
}

/// All outputs of the head for a batch.
#[derive(Clone, Debug)]
pub struct HeadOutput {
    /// See [`HeadLoss`].
    pub loss: Tensor<1>,
    /// [`MarginHead::logits`], `[batch, class]`, not differentiable.
    pub logits: Tensor<2>,
    /// See [`HeadLoss`].
    pub targets: Tensor<2>,
    /// λ of the batch; infinite while the gate is closed.
    pub lambda: f64,
}

impl MarginHead {
    fn new(config: MarginHeadConfig, weight: Param<Tensor<2>>) -> Self {
        let counts = config.class_counts.as_deref();
        let shares = counts.and_then(|counts| config.annealing.class_shares(counts));
        Self {
            weight,
            trained_with: Identity::new(config.loss, &config.annealing),
            shares: shares.map(Into::into),
            config,
        }
    }

    /// The loss of a batch at a training step, counted from 0.
    ///
    /// # Shapes
    /// - features: `[batch, feature]`
    /// - labels: `[batch]`
    /// - output: `[1]`, or `[batch]` for [`Reduction::None`]
    ///
    /// # Errors
    /// The shapes do not match, the batch is empty, a label is not a class (the error names its row
    /// and value), or a sample weight is negative or not finite.
    pub fn loss<'a>(
        &self,
        features: Tensor<2>,
        labels: impl Into<Labels<'a>>,
        step: u64,
    ) -> Result<Tensor<1>, Error> {
        Ok(self.loss_with_targets(features, labels, step)?.loss)
    }

    /// [`loss`](Self::loss), with the cosine and the norms of each sample.
    ///
    /// # Errors
    /// The same as for [`loss`](Self::loss).
    pub fn loss_with_targets<'a>(
        &self,
        features: Tensor<2>,
        labels: impl Into<Labels<'a>>,
        step: u64,
    ) -> Result<HeadLoss, Error> {
        self.loss_after(features, labels, step, RunningSignal::default())
    }

    /// [`loss_with_targets`](Self::loss_with_targets), with the signal of the preceding batches,
    /// for a [gate](crate::annealing::Gate) that averages over batches.
    ///
    /// # Errors
    /// The same as for [`loss`](Self::loss).
    pub fn loss_after<'a>(
        &self,
        features: Tensor<2>,
        labels: impl Into<Labels<'a>>,
        step: u64,
        running: RunningSignal,
    ) -> Result<HeadLoss, Error> {
        let labels = self.resolve(&features, labels.into())?;
        let rule = self.rule(&labels, step, running)?;
        Ok(self.loss_of(features, &labels, rule))
    }

    /// The loss with all other outputs for the batch. The logits take one more matrix product than
    /// [`loss`](Self::loss), and λ is read back from the device.
    ///
    /// # Errors
    /// The same as for [`loss`](Self::loss).
    pub fn forward<'a>(
        &self,
        features: Tensor<2>,
        labels: impl Into<Labels<'a>>,
        step: u64,
    ) -> Result<HeadOutput, Error> {
        let labels = self.resolve(&features, labels.into())?;
        let logits = self.logits(features.clone().detach()).detach();
        let rule = self.rule(&labels, step, RunningSignal::default())?;
        let HeadLoss { loss, targets } = self.loss_of(features, &labels, rule.clone());
        let confidences: Vec<f64> = targets.to_data().iter::<f64>().skip(3).step_by(4).collect();
        Ok(HeadOutput {
            loss,
            logits,
            targets,
            lambda: rule.lambda(&confidences),
        })
    }

    /// Checks a batch.
    fn resolve(&self, features: &Tensor<2>, labels: Labels<'_>) -> Result<Resolved, Error> {
        check(features, &self.weight.val(), labels.len())?;
        labels.resolve(&self.config)
    }

    fn rule(
        &self,
        labels: &Resolved,
        step: u64,
        running: RunningSignal,
    ) -> Result<TargetRule, Error> {
        let (loss, lambda) = self.at(step);
        let classes = self.config.classes;
        // See `other_logits`.
        let pull = self.config.label_smoothing * (1.0 - 1.0 / classes as f64);
        Ok(TargetRule {
            margin: loss.margin()?.into(),
            lambda: lambda.after(running),
            labels: labels.on_host.clone(),
            classes,
            samples: labels.samples(self.shares.as_deref(), pull),
        })
    }

    fn loss_of(&self, features: Tensor<2>, labels: &Resolved, mut rule: TargetRule) -> HeadLoss {
        let factors = labels.factors(self.config.reduction);
        let is_smooth = self.config.label_smoothing > 0.0;
        let others = is_smooth.then(|| self.other_logits(features.clone(), labels));
        let (weights, on_device) = (self.weight.val(), labels.on_device.clone());
        if self.config.reduction == Reduction::None {
            let (losses, targets) = margin_cross_entropies(features, weights, on_device, rule);
            let losses = match others {
                Some(others) => losses + others,
                None => losses,
            };
            let factors = values_like(&losses, factors.unwrap_or_default(), losses.dims());
            let loss = losses * factors;
            return HeadLoss { loss, targets };
        }
        let count = labels.on_host.len();
        rule.samples.weights = factors.clone().map(Into::into);
        let (loss, targets) = operation(features, weights, on_device, rule);
        let loss = match others {
            Some(others) => {
                let even = || vec![1.0 / count as f64; count];
                let factors = values_like(&others, factors.unwrap_or_else(even), [count]);
                loss + (others * factors).sum()
            }
            None => loss,
        };
        HeadLoss { loss, targets }
    }

    /// The part of label smoothing that concerns the classes other than the target class.
    ///
    /// With smoothing, the label of class `j` is `ε / C`, and that of the target class `y` is
    /// `1 - ε + ε / C`:
    ///
    /// ```text
    /// l = lse(f) - (1 - ε + ε / C) f_y - ε / C Σ_{j ≠ y} f_j
    ///   = cross-entropy + ε (1 - 1 / C) f_y - ε / C Σ_{j ≠ y} f_j
    /// ```
    ///
    /// The second term is the operation's `target_pull`. The third is linear in the class weights,
    /// so it does not need the matrix of logits: `ε / C (w_y - Σ_j w_j) · x`.
    fn other_logits(&self, features: Tensor<2>, labels: &Resolved) -> Tensor<1> {
        let (features, weights) = self.normalised(features);
        let share = self.config.label_smoothing / self.config.classes as f64;
        let own = weights.clone().select(0, labels.on_device.clone());
        let difference = own - weights.sum_dim(0);
        let inner: Tensor<1> = (features * difference).sum_dim(1).squeeze_dim(1);
        inner.mul_scalar(share)
    }

    /// The logits of the loss without its margin, for accuracy and inference. Their argmax is the
    /// classifier that the loss trains.
    ///
    /// | loss | logit of class `j` |
    /// |---|---|
    /// | softmax, L-Softmax | `w_j · x` |
    /// | A-Softmax | `|x| cos θ_j` |
    /// | `CosFace`, AM-Softmax, `ArcFace`, combined | `s cos θ_j` |
    ///
    /// Computed in f64 if the features or the class weights are f64, and in f32 otherwise. Where
    /// the loss normalises, a vector of length zero gives 0.
    ///
    /// # Shapes
    /// - features: `[batch, feature]`
    /// - output: `[batch, class]`
    ///
    /// # Panics
    /// Panics if the features and the class weights have different lengths.
    pub fn logits(&self, features: Tensor<2>) -> Tensor<2> {
        let (features, weights) = self.normalised(features);
        features.matmul(weights.transpose())
    }

    /// The cosines between features and class weights, or 0 for a vector of length zero. Computed
    /// in f64 if the features or the class weights are f64, and in f32 otherwise.
    ///
    /// # Shapes
    /// - features: `[batch, feature]`
    /// - output: `[batch, class]`, in [-1, 1]
    ///
    /// # Panics
    /// Panics if the features and the class weights have different lengths.
    pub fn cosines(&self, features: Tensor<2>) -> Tensor<2> {
        let (features, weights) = self.operands(features);
        let shortest = f32::MIN_POSITIVE.into();
        unit_rows(features, shortest)
            .matmul(unit_rows(weights, shortest).transpose())
            .clamp(-1.0, 1.0)
    }

    /// Features and class weights as they enter the logits.
    fn normalised(&self, features: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let (features, weights) = self.operands(features);
        let margin = self.config.loss.margin();
        let Normalisation {
            weights: unit_weights,
            feature_scale,
        } = margin
            .expect("checked when the head was made")
            .normalisation();
        let features = match feature_scale {
            Some(scale) => unit_rows(features, TINY).mul_scalar(scale),
            None => features,
        };
        let weights = if unit_weights {
            unit_rows(weights, TINY)
        } else {
            weights
        };
        (features, weights)
    }

    /// Features and class weights in a common precision, at least f32.
    fn operands(&self, features: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let weights = self.weight.val();
        if let Err(error) = check_size(&features, &weights) {
            panic!("{error}");
        }
        let precision = precision(features.dtype(), weights.dtype());
        (
            in_precision(features, precision),
            in_precision(weights, precision),
        )
    }

    /// The configuration.
    pub fn config(&self) -> &MarginHeadConfig {
        &self.config
    }

    /// The loss at a step (with staged m) and its λ.
    pub fn at(&self, step: u64) -> (Loss, StepLambda) {
        self.config.annealing.at(step, self.config.loss)
    }

    /// Returns this head with another schedule of λ and m.
    ///
    /// # Errors
    /// A parameter of the schedule is out of range, or the loss has no λ or m.
    pub fn with_annealing(self, annealing: Annealing) -> Result<Self, Error> {
        self.configured(|config| MarginHeadConfig {
            annealing,
            ..config
        })
    }

    /// Returns this head with the number of training samples of each class; see
    /// [`MarginHeadConfig::class_counts`].
    ///
    /// # Errors
    /// The number of classes is not that of the head.
    pub fn with_class_counts(self, counts: &[usize]) -> Result<Self, Error> {
        self.configured(|config| config.with_class_counts(Some(counts.to_vec())))
    }

    /// Returns this head with [label smoothing](MarginHeadConfig::label_smoothing).
    ///
    /// # Errors
    /// The value is out of range.
    pub fn with_label_smoothing(self, smoothing: f64) -> Result<Self, Error> {
        self.configured(|config| config.with_label_smoothing(smoothing))
    }

    fn configured(
        self,
        change: impl FnOnce(MarginHeadConfig) -> MarginHeadConfig,
    ) -> Result<Self, Error> {
        let config = change(self.config);
        config.check()?;
        Ok(Self::new(config, self.weight))
    }
}

impl ModuleDisplay for MarginHead {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new()
            .with_new_line_after_attribute(false)
            .optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        let [classes, feature_size] = self.weight.shape().dims();
        content
            .add("loss", &self.config.loss.to_string())
            .add("feature_size", &feature_size)
            .add("classes", &classes)
            .optional()
    }
}

/// The mean cross-entropy of any [`Margin`], including your own, at a given λ: a number, or the
/// result of [`Annealing::at`] for a step.
///
/// # Shapes
/// - features: `[batch, feature]`
/// - weights: `[class, feature]`
/// - labels: `[batch]`
///
/// # Errors
/// The same as for [`MarginHead::loss`].
pub fn margin_cross_entropy(
    features: Tensor<2>,
    weights: Tensor<2>,
    labels: Tensor<1, Int>,
    margin: Arc<dyn Margin>,
    lambda: impl Into<StepLambda>,
) -> Result<HeadLoss, Error> {
    let [count] = labels.dims();
    check(&features, &weights, count)?;
    let classes = weights.dims()[0];
    let host_labels = checked_labels(labels.to_data().iter::<i64>(), classes)?;
    let rule = TargetRule {
        margin,
        lambda: lambda.into(),
        labels: host_labels,
        classes,
        samples: Samples::default(),
    };
    let (loss, targets) = operation(features, weights, labels, rule);
    Ok(HeadLoss { loss, targets })
}
