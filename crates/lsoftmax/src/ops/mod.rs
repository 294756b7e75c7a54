//! The head's custom operation, routed to the backend at run time.

mod autodiff;
mod composed;
#[cfg(feature = "_gpu")]
mod cube;
mod flex;

use crate::annealing::StepLambda;
use crate::margin::{Margin, blend};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Dispatch, DispatchDevice, TensorMetadata as _, backend_extension};
use burn::tensor::{DType, Device, FloatDType, Shape, Tensor};
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
}

impl TargetLogits for TargetRule {
    fn target_logit(&self, target: Target, confidence: f64) -> TargetLogit {
        let lambda = self.lambda.of(confidence, self.classes);
        blend(&*self.margin, lambda, target)
    }
}

impl TargetRule {
    pub(crate) fn normalisation(&self) -> Normalisation {
        self.margin.normalisation()
    }
}

/// The margin cross-entropy as a backend operation.
///
/// `flex` calls the fused kernel; any other backend gets a body made of matrix products and two
/// passes over a block of logits, which asks the same scalar function, so that the numbers agree. The
/// passes are kernels on graphics processors, and Burn's own operations elsewhere.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "_gpu"))]
pub trait MarginBackend: Backend {
    /// The mean cross-entropy `[1]` and, a row, cosine, feature norm, weight norm and confidence
    /// `[batch, 4]`.
    ///
    /// The loss is f64 if a tensor is, and f32 otherwise: half precision would lose it.
    fn margin_cross_entropy(
        features: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        rule: TargetRule,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::forward::<Self>(features, weights, &rule, composed::BLOCK)
    }

    /// The same, with the gradients by features and weights in the precision of the loss, so
    /// that a scaled loss keeps those that half precision would round to zero.
    fn margin_cross_entropy_with_gradient(
        features: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        rule: TargetRule,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    ) {
        composed::with_gradient::<Self>(features, weights, &rule, composed::BLOCK)
    }

    /// Of each row of a block of logits, the largest but that of the own class, and the sum of the
    /// exponentials of the differences to it: `[batch, 2]`.
    ///
    /// # Shapes
    /// - logits: `[batch, class of the block]`
    /// - column: where the own class stands in the block, `[batch, 1]`; any column if elsewhere
    /// - inside: 1 if it stands in the block, else 0, `[batch, 1]`
    fn sums(
        logits: FloatTensor<Self>,
        column: IntTensor<Self>,
        inside: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed::sums::<Self>(logits, &OwnClass { column, inside })
    }

    /// What both matrix products of the gradient take: `exp(logit - max) * factor`, and the entry of
    /// the row at its own class, `[batch, class of the block]`.
    ///
    /// # Shapes
    /// - logits, column, inside: as of [`sums`](Self::sums)
    /// - row: max, factor and entry of each row, `[batch, 3]`
    fn matrix(
        logits: FloatTensor<Self>,
        column: IntTensor<Self>,
        inside: FloatTensor<Self>,
        row: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed::matrix::<Self>(logits, &OwnClass { column, inside }, &row)
    }

    /// A gradient `[row, column]` of that operation times the gradient `[1]` of its loss, both of
    /// one type.
    fn scaled(gradient: FloatTensor<Self>, by: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_mul(gradient, Self::float_reshape(by, Shape::new([1, 1])))
    }
}

/// Where in a block of classes the own class of each sample stands: see [`MarginBackend::sums`].
struct OwnClass<B: Backend> {
    column: IntTensor<B>,
    inside: FloatTensor<B>,
}

/// Whether the operation is registered for the backend of a device; on any other it would panic.
pub(crate) fn serves(device: &Device) -> bool {
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

/// The precision of all arithmetic: at least f32.
pub(crate) fn precision(features: DType, weights: DType) -> FloatDType {
    if features == DType::F64 || weights == DType::F64 {
        FloatDType::F64
    } else {
        FloatDType::F32
    }
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
    rule: TargetRule,
) -> (Tensor<1>, Tensor<2>) {
    let (loss, targets) = <Dispatch as MarginBackend>::margin_cross_entropy(
        features.into_dispatch(),
        weights.into_dispatch(),
        rule,
    );
    (Tensor::from_dispatch(loss), Tensor::from_dispatch(targets))
}

#[cfg(test)]
mod tests;
