//! The head's custom operation, routed to the backend at run time.

mod autodiff;
#[cfg(any(feature = "_gpu", test))]
mod composed;
#[cfg(feature = "_gpu")]
mod cube;
mod flex;
#[cfg_attr(not(any(feature = "_gpu", test)), allow(dead_code))]
mod table;
mod tensors;

use crate::annealing::StepLambda;
use crate::margin::{Margin, blend};
use crate::rows::precision;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, DispatchDevice, TensorMetadata as _, backend_extension};
use burn::tensor::{Device, FloatDType, Int, Shape, Tensor};
use lsoftmax_kernels::head::{Normalisation, Outcome, Target, TargetLogit, TargetLogits};
use std::sync::Arc;

/// All of a margin cross-entropy that is not a tensor.
#[derive(Clone, Debug)]
pub struct TargetRule {
    /// The scalar function.
    pub margin: Arc<dyn Margin>,
    /// Its share: see [`blend`].
    pub lambda: StepLambda,
    /// The class of each row, each below the number of classes.
    pub labels: Arc<[u32]>,
    /// How many classes there are.
    pub classes: usize,
    /// How the samples of the batch differ in the loss.
    pub samples: Samples,
}

/// How the samples of a batch differ in the loss. By default they do not.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// Weight of the cross-entropy of each sample, `[batch]`. Without, the loss is the mean.
    pub weights: Option<Arc<[f64]>>,
    /// Share of the margin for each sample, `[batch]`, above 0 and at most 1. Without, each gets all
    /// of it.
    pub shares: Option<Arc<[f64]>>,
    /// Multiple of the target logit to add to each cross-entropy.
    pub target_pull: f64,
    /// Samples that do not count in the gate of λ, `[batch]`.
    pub ignored: Option<Arc<[bool]>>,
}

impl Samples {
    /// Whether they do not differ, and the loss is the plain mean.
    #[cfg_attr(not(feature = "_gpu"), allow(dead_code))]
    pub(crate) fn are_alike(&self) -> bool {
        let Self {
            weights,
            shares,
            target_pull,
            ignored,
        } = self;
        weights.is_none() && shares.is_none() && ignored.is_none() && *target_pull == 0.0
    }
}

impl TargetLogits for TargetRule {
    fn lambda(&self, confidences: &[f64]) -> f64 {
        let (lambda, classes) = (&self.lambda, self.classes);
        let Some(ignored) = &self.samples.ignored else {
            return lambda.of_batch(confidences, &self.labels, classes);
        };
        let counted = || (0..ignored.len()).filter(|&row| !ignored[row]);
        let confidences: Vec<f64> = counted().map(|row| confidences[row]).collect();
        let labels: Vec<u32> = counted().map(|row| self.labels[row]).collect();
        lambda.of_batch(&confidences, &labels, classes)
    }

    fn target_logit(&self, row: usize, target: Target, lambda: f64) -> TargetLogit {
        let lambda = match &self.samples.shares {
            Some(shares) if shares[row] < 1.0 => (1.0 + lambda) / shares[row] - 1.0,
            _ => lambda,
        };
        blend(&*self.margin, lambda, target)
    }

    fn weights(&self) -> Option<&[f64]> {
        self.samples.weights.as_deref()
    }

    fn target_pull(&self) -> f64 {
        self.samples.target_pull
    }
}

impl TargetRule {
    pub(crate) fn normalisation(&self) -> Normalisation {
        self.margin.normalisation()
    }
}

/// The margin cross-entropy as a backend operation.
///
/// `flex` calls the fused kernel; graphics processors get a body made of matrix products and kernels
/// between them. Any other backend computes it by tensor operations.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "_gpu"))]
pub trait MarginBackend: Backend {
    /// The mean cross-entropy `[1]` and, a row, cosine, feature norm, weight norm and confidence
    /// `[batch, 4]`.
    ///
    /// `labels` are those of the rule, for kernels that read them there.
    ///
    /// The loss is f64 if a tensor is, and f32 otherwise: half precision would lose it.
    fn margin_cross_entropy(
        features: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        labels: IntTensor<Self>,
        rule: TargetRule,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// The same, with the gradients by features and weights in the precision of the loss, so
    /// that a scaled loss keeps those that half precision would round to zero.
    fn margin_cross_entropy_with_gradient(
        features: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        labels: IntTensor<Self>,
        rule: TargetRule,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    );

    /// The cross-entropy of each sample `[batch]`, without weights, and the statistics as above.
    fn margin_cross_entropies(
        features: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        labels: IntTensor<Self>,
        rule: TargetRule,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// A gradient `[row, column]` of that operation times the gradient `[1]` of its loss, both of
    /// one type.
    fn scaled(gradient: FloatTensor<Self>, by: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_mul(gradient, Self::float_reshape(by, Shape::new([1, 1])))
    }
}

/// Whether the operation is registered for the backend of a device; on any other it would panic.
fn serves(device: &Device) -> bool {
    match device.as_dispatch() {
        DispatchDevice::Flex(_) => true,
        #[cfg(feature = "_gpu")]
        DispatchDevice::Cube(_) => true,
        DispatchDevice::Autodiff(device) => serves(&Device::new(device.clone().inner())),
        // Where Burn is built with other backends than this crate.
        #[allow(unreachable_patterns)]
        _ => false,
    }
}

/// The rows of the statistics.
fn statistics(outcome: &Outcome) -> Vec<f32> {
    (outcome.samples.iter().zip(&outcome.confidences))
        .flat_map(|(sample, &confidence)| {
            let t = sample.target;
            [t.cosine, t.feature_norm, t.weight_norm, confidence].map(|value| value as f32)
        })
        .collect()
}

/// A cast that leaves a tensor alone that has the precision.
pub(crate) fn cast<B: Backend>(tensor: FloatTensor<B>, precision: FloatDType) -> FloatTensor<B> {
    if tensor.dtype() == precision.into() {
        tensor
    } else {
        B::float_cast(tensor, precision)
    }
}

/// The differentiable call: loss `[1]` and target statistics `[batch, 4]`.
pub(crate) fn margin_cross_entropy(
    features: Tensor<2>,
    weights: Tensor<2>,
    labels: Tensor<1, Int>,
    rule: TargetRule,
) -> (Tensor<1>, Tensor<2>) {
    if !serves(&features.device()) {
        return tensors::loss(features, weights, labels, &rule);
    }
    let (loss, targets) = <Dispatch as MarginBackend>::margin_cross_entropy(
        features.into_dispatch(),
        weights.into_dispatch(),
        labels.into_dispatch(),
        rule,
    );
    (Tensor::from_dispatch(loss), Tensor::from_dispatch(targets))
}

/// The differentiable call: the cross-entropy of each sample `[batch]`, without the weights of the
/// rule, and target statistics `[batch, 4]`.
pub(crate) fn margin_cross_entropies(
    features: Tensor<2>,
    weights: Tensor<2>,
    labels: Tensor<1, Int>,
    rule: TargetRule,
) -> (Tensor<1>, Tensor<2>) {
    if !serves(&features.device()) {
        return tensors::losses(features, weights, labels, &rule);
    }
    let (losses, targets) = <Dispatch as MarginBackend>::margin_cross_entropies(
        features.into_dispatch(),
        weights.into_dispatch(),
        labels.into_dispatch(),
        rule,
    );
    (
        Tensor::from_dispatch(losses),
        Tensor::from_dispatch(targets),
    )
}

#[cfg(test)]
mod tests;
