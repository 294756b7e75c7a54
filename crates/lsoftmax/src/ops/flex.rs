//! The CPU backend: straight into the fused kernel.

use super::{MarginBackend, TargetRule};
use burn::backend::Flex;
use burn::backend::ops::FloatTensorOps as _;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, Element, FloatDType, TensorData};
use burn_flex::FlexTensor;
use lsoftmax_kernels::head::{self, Batch, Outcome, Real};

impl MarginBackend for Flex {
    fn margin_cross_entropy(
        features: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        rule: TargetRule,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let run = if features.dtype() == DType::F64 {
            run::<f64>
        } else {
            run::<f32>
        };
        let (loss, targets, _) = run(features, weights, &rule, false);
        (loss, targets)
    }

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
        let run = if features.dtype() == DType::F64 {
            run::<f64>
        } else {
            run::<f32>
        };
        let (loss, targets, gradient) = run(features, weights, &rule, true);
        let (d_features, d_weights) = gradient.expect("asked for the gradient");
        (loss, targets, d_features, d_weights)
    }
}

type Run = (FlexTensor, FlexTensor, Option<(FlexTensor, FlexTensor)>);

/// Half-precision tensors are widened for the kernel, and their gradients narrowed again.
fn run<T>(features: FlexTensor, weights: FlexTensor, rule: &TargetRule, gradient: bool) -> Run
where
    T: Real + Element + bytemuck::Pod,
{
    let dtype = features.dtype();
    let precision = if T::dtype() == DType::F64 {
        FloatDType::F64
    } else {
        FloatDType::F32
    };
    let [batch, size] = [features.layout().shape()[0], features.layout().shape()[1]];
    let classes = weights.layout().shape()[0];
    let prepare = |tensor: FlexTensor| {
        let tensor = if tensor.dtype() == T::dtype() {
            tensor
        } else {
            Flex::float_cast(tensor, precision)
        };
        tensor.to_contiguous()
    };
    let (features, weights) = (prepare(features), prepare(weights));
    let slice = |tensor| FlexTensor::as_slice::<T>(tensor).expect("contiguous, of this type");
    let arrays = Batch::new(
        slice(&features),
        slice(&weights),
        &rule.labels,
        classes,
        size,
    )
    .expect("shapes and labels were checked by the caller");
    let margin = |target| rule.target_logit(target);

    let narrow = |values: Vec<T>, shape: [usize; 2]| {
        let tensor = FlexTensor::from_data(TensorData::new(values, shape));
        if dtype == T::dtype() {
            tensor
        } else {
            Flex::float_cast(tensor, dtype.into())
        }
    };
    let (outcome, gradients) = if gradient {
        let mut d_features = vec![T::ZERO; batch * size];
        let mut d_weights = vec![T::ZERO; classes * size];
        let outcome = head::cross_entropy_with_gradient(
            &arrays,
            rule.normalisation(),
            &margin,
            &mut d_features,
            &mut d_weights,
        )
        .expect("the gradients have the lengths of their arrays");
        (
            outcome,
            Some((
                narrow(d_features, [batch, size]),
                narrow(d_weights, [classes, size]),
            )),
        )
    } else {
        (
            head::cross_entropy(&arrays, rule.normalisation(), &margin),
            None,
        )
    };
    let Outcome { loss, samples } = outcome;
    // A loss in half precision would lose what the kernel kept.
    let loss = FlexTensor::from_data(TensorData::new(vec![T::from_f64(loss)], [1]));
    let loss = if dtype == T::dtype() {
        loss
    } else {
        Flex::float_cast(loss, dtype.into())
    };
    let targets: Vec<f32> = samples
        .iter()
        .map(|sample| sample.target)
        .flat_map(|t| [t.cosine as f32, t.feature_norm as f32, t.weight_norm as f32])
        .collect();
    (
        loss,
        FlexTensor::from_data(TensorData::new(targets, [batch, 3])),
        gradients,
    )
}
