//! The head's custom operation, dispatched to the backend at run time.

mod autodiff;
#[cfg(any(feature = "_gpu", test))]
mod composed;
#[cfg(feature = "_gpu")]
mod cube;
mod flex;
#[cfg_attr(not(any(feature = "_gpu", test)), allow(dead_code))]
mod table;
mod tensors;

pub(crate) use lsoftmax_kernels::head::{Samples, TargetRule};

use crate::rows::precision;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, DispatchDevice, TensorMetadata as _, backend_extension};
use burn::tensor::{Device, FloatDType, Int, Shape, Tensor};
use lsoftmax_kernels::head::Outcome;

/// The margin cross-entropy as a backend operation.
///
/// `flex` calls the fused kernel. Graphics processors combine matrix products with custom kernels.
/// Any other backend uses tensor operations.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "_gpu"))]
pub trait MarginBackend: Backend {
    /// The mean cross-entropy `[1]` and, for each sample, cosine, feature norm, weight norm and
    /// confidence `[batch, 4]`.
    ///
    /// `labels` are the labels of the rule, on the device.
    ///
    /// The loss is f64 if either tensor is, and f32 otherwise, because half precision is too coarse
    /// for it.
    fn margin_cross_entropy(
        features: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        labels: IntTensor<Self>,
        rule: TargetRule,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// The same, with the gradients with respect to features and weights. They have the precision
    /// of the loss, so that a scaled loss keeps gradients that half precision would round to zero.
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

    /// The cross-entropy of each sample `[batch]`, without weights, and the target statistics as
    /// above.
    fn margin_cross_entropies(
        features: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        labels: IntTensor<Self>,
        rule: TargetRule,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// Multiplies a gradient `[row, column]` of the operation by the gradient `[1]` of its loss.
    /// Both have the same type.
    fn scaled(gradient: FloatTensor<Self>, by: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_mul(gradient, Self::float_reshape(by, Shape::new([1, 1])))
    }
}

/// Whether the operation is registered for the backend of a device. On any other backend it would
/// panic.
fn serves(device: &Device) -> bool {
    match device.as_dispatch() {
        DispatchDevice::Flex(_) => true,
        #[cfg(feature = "_gpu")]
        DispatchDevice::Cube(_) => true,
        DispatchDevice::Autodiff(device) => serves(&Device::new(device.clone().inner())),
        // Reachable if Burn is built with other backends than this crate.
        #[allow(unreachable_patterns)]
        _ => false,
    }
}

/// The target statistics as rows.
fn statistics(outcome: &Outcome) -> Vec<f32> {
    (outcome.samples.iter().zip(&outcome.confidences))
        .flat_map(|(sample, &confidence)| {
            let t = sample.target;
            [t.cosine, t.feature_norm, t.weight_norm, confidence].map(|value| value as f32)
        })
        .collect()
}

/// Casts a tensor, unless it already has the precision.
pub(crate) fn cast<B: Backend>(tensor: FloatTensor<B>, precision: FloatDType) -> FloatTensor<B> {
    if tensor.dtype() == precision.into() {
        tensor
    } else {
        B::float_cast(tensor, precision)
    }
}

/// The differentiable operation: loss `[1]` and target statistics `[batch, 4]`.
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

/// The differentiable operation: the cross-entropy of each sample `[batch]`, without the weights of
/// the rule, and target statistics `[batch, 4]`.
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
