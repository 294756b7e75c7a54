use crate::annealing::{Annealing, RunningSignal, StepLambda};
use crate::checks::{check, check_size, checked_labels};
use crate::error::Error;
use crate::margin::{Loss, Margin, Normalisation};
use crate::metric::unit_rows;
use crate::ops::{TargetRule, in_precision, margin_cross_entropy as operation, precision};
use burn::module::{Content, DisplaySettings, Initializer, Module, ModuleDisplay, Param};
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use lsoftmax_kernels::head::{HeadError, TINY};
use std::sync::Arc;

/// Configuration of a [`MarginHead`].
///
/// ```
/// # use lsoftmax::{Annealing, Loss, MarginHeadConfig};
/// let l_softmax = MarginHeadConfig::new(256, 10, Annealing::auto(18_000)); // steps of the training
/// let arc_face = MarginHeadConfig::new(256, 10, Annealing::none()).with_loss(Loss::ARC_FACE);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct MarginHeadConfig {
    /// Length of a feature.
    pub feature_size: usize,
    /// Number of classes.
    pub classes: usize,
    /// The loss. Default: L-Softmax with m = 4.
    pub loss: Loss,
    /// λ and m over the steps. A loss with an angular multiplier takes [`Annealing::auto`]: without
    /// annealing, training with m >= 3 usually dies. The other losses have no λ and take
    /// [`Annealing::none`].
    pub annealing: Annealing,
}

/// The bias-free class layer of a margin loss, and the loss itself.
///
/// It owns the class weights `[class, feature]` (Gaussian with standard deviation
/// `sqrt(2 / feature_size)`, He et al. 2015, as the paper's networks have them) and keeps
/// three readings apart:
///
/// - [`loss`](Self::loss) for training: margin and λ of the step;
/// - [`logits`](Self::logits) for accuracy and inference: those of the loss, without label, margin
///   and λ;
/// - [`cosines`](Self::cosines) for verification.
///
/// It is a Burn module: its weights are saved with the model that holds it. Created with
/// [`MarginHeadConfig`].
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct MarginHead {
    /// Class weights, `[class, feature]`.
    pub weight: Param<Tensor<2>>,
    #[module(skip)]
    loss: Loss,
    #[module(skip)]
    annealing: Annealing,
}

/// What a training step reads from the head.
#[derive(Clone, Debug)]
pub struct HeadLoss {
    /// The mean cross-entropy `[1]`, differentiable; f32 if the tensors are of half precision.
    pub loss: Tensor<1>,
    /// A row a sample, `[batch, 4]`, not differentiable: the cosine between feature and
    /// own class weight, the feature's norm, the class weight's norm, and the confidence, which
    /// is the probability of the own class by the plain softmax, without margin.
    pub targets: Tensor<2>,
}

impl MarginHeadConfig {
    /// A head for features of this length and this number of classes. Its loss is L-Softmax with
    /// m = 4 unless [`with_loss`](Self::with_loss) sets another.
    pub fn new(feature_size: usize, classes: usize, annealing: Annealing) -> Self {
        Self {
            feature_size,
            classes,
            loss: Loss::LSoftmax { m: 4 },
            annealing,
        }
    }

    /// Sets the loss.
    #[must_use]
    pub fn with_loss(mut self, loss: Loss) -> Self {
        self.loss = loss;
        self
    }

    /// Makes the head, its weights drawn from the device's random generator.
    ///
    /// # Errors
    /// A size of zero, a parameter of the loss or the schedule out of range, or a schedule of λ or m
    /// for a loss that has neither.
    pub fn init(&self, device: &Device) -> Result<MarginHead, Error> {
        let shape = [self.classes, self.feature_size];
        // `classes` and `feature_size` of zero have no distribution.
        self.check()?;
        let std = (2.0 / self.feature_size as f64).sqrt();
        let weight = Initializer::Normal { mean: 0.0, std }.init(shape, device);
        Ok(MarginHead {
            weight,
            loss: self.loss,
            annealing: self.annealing.clone(),
        })
    }

    fn check(&self) -> Result<(), Error> {
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
        if self.annealing.suits(self.loss) {
            Ok(())
        } else {
            Err(Error::NoAnnealing(self.loss))
        }
    }
}

impl MarginHead {
    /// The training loss of a step (counted from 0).
    ///
    /// # Shapes
    /// - features: `[batch, feature]`
    /// - labels: `[batch]`
    /// - output: `[1]`
    ///
    /// # Errors
    /// Shapes that do not fit, an empty batch, or a label that is no class (its row and
    /// value are named).
    pub fn loss(
        &self,
        features: Tensor<2>,
        labels: Tensor<1, Int>,
        step: u64,
    ) -> Result<Tensor<1>, Error> {
        Ok(self.loss_with_targets(features, labels, step)?.loss)
    }

    /// [`loss`](Self::loss) with the cosine and the norms of each sample.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn loss_with_targets(
        &self,
        features: Tensor<2>,
        labels: Tensor<1, Int>,
        step: u64,
    ) -> Result<HeadLoss, Error> {
        let (loss, lambda) = self.at(step);
        margin_cross_entropy(
            features,
            self.weight.val(),
            labels,
            loss.margin()?.into(),
            lambda,
        )
    }

    /// [`loss_with_targets`](Self::loss_with_targets) for labels that the host has: no device is
    /// asked for them.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn loss_with_host_labels(
        &self,
        features: Tensor<2>,
        labels: &[u32],
        step: u64,
    ) -> Result<HeadLoss, Error> {
        let count = labels.len();
        let data: Vec<i32> = labels.iter().map(|&label| label as i32).collect();
        let options = (&features.device(), DType::I32);
        let on_device = Tensor::from_data(TensorData::new(data, [count]), options);
        self.loss_with_known_labels(features, on_device, labels, step)
    }

    /// [`loss_with_targets`](Self::loss_with_targets) for labels that host and device have:
    /// nothing is asked, and nothing copied.
    ///
    /// # Shapes
    /// - `labels`, `host_labels`: `[batch]`, the same numbers
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn loss_with_known_labels(
        &self,
        features: Tensor<2>,
        labels: Tensor<1, Int>,
        host_labels: &[u32],
        step: u64,
    ) -> Result<HeadLoss, Error> {
        let running = RunningSignal::default();
        self.loss_after(features, labels, host_labels, step, running)
    }

    /// [`loss_with_known_labels`](Self::loss_with_known_labels) after batches with this signal, for a
    /// [gate](crate::annealing::Gate) with a memory.
    ///
    /// # Errors
    /// As [`loss`](Self::loss).
    pub fn loss_after(
        &self,
        features: Tensor<2>,
        labels: Tensor<1, Int>,
        host_labels: &[u32],
        step: u64,
        running: RunningSignal,
    ) -> Result<HeadLoss, Error> {
        let (loss, lambda) = self.at(step);
        let lambda = lambda.after(running);
        let weights = self.weight.val();
        check(&features, &weights, host_labels.len())?;
        check(&features, &weights, labels.dims()[0])?;
        let classes = weights.dims()[0];
        let host_labels = host_labels.iter().map(|&label| label.into());
        Ok(cross_entropy(
            features,
            weights,
            labels,
            checked_labels(host_labels, classes)?,
            loss.margin()?.into(),
            lambda,
        ))
    }

    /// The logits of the loss without its margin, for accuracy and inference: their argmax is the
    /// classifier that the loss trains.
    ///
    /// | loss | logit of class `j` |
    /// |---|---|
    /// | softmax, L-Softmax | `w_j · x` |
    /// | A-Softmax | `|x| cos θ_j` |
    /// | `CosFace`, AM-Softmax, `ArcFace`, combined | `s cos θ_j` |
    ///
    /// Computed in f64 if the features or the class weights are f64, and in f32 otherwise. A vector of
    /// length zero that is to be normalised gives 0.
    ///
    /// # Shapes
    /// - features: `[batch, feature]`
    /// - output: `[batch, class]`
    ///
    /// # Panics
    /// The features are not as long as the class weights.
    pub fn logits(&self, features: Tensor<2>) -> Tensor<2> {
        let (features, weights) = self.operands(features);
        let margin = self.loss.margin().expect("checked when the head was made");
        let Normalisation {
            weights: unit_weights,
            feature_scale,
        } = margin.normalisation();
        let features = match feature_scale {
            Some(scale) => unit_rows(features, TINY).mul_scalar(scale),
            None => features,
        };
        let weights = if unit_weights {
            unit_rows(weights, TINY)
        } else {
            weights
        };
        features.matmul(weights.transpose())
    }

    /// The cosines between features and class weights; 0 for a vector of length zero. In f64 if the
    /// features or the class weights are f64, and in f32 otherwise.
    ///
    /// # Shapes
    /// - features: `[batch, feature]`
    /// - output: `[batch, class]`, in [-1, 1]
    ///
    /// # Panics
    /// The features are not as long as the class weights.
    pub fn cosines(&self, features: Tensor<2>) -> Tensor<2> {
        let (features, weights) = self.operands(features);
        let shortest = f32::MIN_POSITIVE.into();
        unit_rows(features, shortest)
            .matmul(unit_rows(weights, shortest).transpose())
            .clamp(-1.0, 1.0)
    }

    /// Features and class weights in one precision, which is at least f32.
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

    /// The loss as configured.
    pub fn margin_loss(&self) -> Loss {
        self.loss
    }

    /// The loss in force at a step (staged m) and its λ.
    pub fn at(&self, step: u64) -> (Loss, StepLambda) {
        self.annealing.at(step, self.loss)
    }

    /// This head with another schedule of λ and m, which the caller has
    /// [checked](Annealing::check).
    #[must_use]
    pub fn with_annealing(mut self, annealing: Annealing) -> Self {
        self.annealing = annealing;
        self
    }

    /// The schedule of λ and m.
    pub fn annealing(&self) -> &Annealing {
        &self.annealing
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
            .add("loss", &self.loss.to_string())
            .add("feature_size", &feature_size)
            .add("classes", &classes)
            .optional()
    }
}

/// The mean cross-entropy of any [`Margin`], yours included, at a given λ: a number, or what
/// [`Annealing::at`] gives for a step.
///
/// # Shapes
/// - features: `[batch, feature]`
/// - weights: `[class, feature]`
/// - labels: `[batch]`
///
/// # Errors
/// As [`MarginHead::loss`].
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
    Ok(cross_entropy(
        features,
        weights,
        labels,
        host_labels,
        margin,
        lambda.into(),
    ))
}

/// The operation on what was checked.
fn cross_entropy(
    features: Tensor<2>,
    weights: Tensor<2>,
    labels: Tensor<1, Int>,
    host_labels: Arc<[u32]>,
    margin: Arc<dyn Margin>,
    lambda: StepLambda,
) -> HeadLoss {
    let rule = TargetRule {
        margin,
        lambda,
        labels: host_labels,
        classes: weights.dims()[0],
    };
    let (loss, targets) = operation(features, weights, labels, rule);
    HeadLoss { loss, targets }
}
