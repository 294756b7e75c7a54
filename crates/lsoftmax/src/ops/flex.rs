//! The CPU backend, which calls the fused kernel directly.

use super::{MarginBackend, TargetRule, cast, precision, statistics};
use burn::backend::Flex;
use burn::backend::ops::FloatTensorOps as _;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{Element, FloatDType, TensorData};
use burn_flex::FlexTensor;
use lsoftmax_kernels::head::{self, Batch, Real};

impl MarginBackend for Flex {
    fn margin_cross_entropy(
        features: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        _labels: IntTensor<Self>,
        rule: TargetRule,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let run = kernel(&features, &weights);
        let found = run(features, weights, &rule, false);
        (found.loss, found.targets)
    }

    fn margin_cross_entropies(
        features: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        _labels: IntTensor<Self>,
        rule: TargetRule,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let run = kernel(&features, &weights);
        let found = run(features, weights, &rule, false);
        (found.losses, found.targets)
    }

    fn margin_cross_entropy_with_gradient(
        features: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        _labels: IntTensor<Self>,
        rule: TargetRule,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    ) {
        let run = kernel(&features, &weights);
        let found = run(features, weights, &rule, true);
        let (d_features, d_weights) = found.gradients.expect("asked for the gradient");
        (found.loss, found.targets, d_features, d_weights)
    }

    fn scaled(gradient: FloatTensor<Self>, by: FloatTensor<Self>) -> FloatTensor<Self> {
        let by = by.into_data().iter::<f64>().next().unwrap_or(f64::NAN);
        // The usual case, which saves a pass over all class weights.
        if by == 1.0 {
            gradient
        } else {
            Self::float_mul_scalar(gradient, by.into())
        }
    }
}

struct Outputs {
    loss: FlexTensor,
    losses: FlexTensor,
    targets: FlexTensor,
    gradients: Option<(FlexTensor, FlexTensor)>,
}

type Run = fn(FlexTensor, FlexTensor, &TargetRule, bool) -> Outputs;

fn kernel(features: &FlexTensor, weights: &FlexTensor) -> Run {
    match precision(features.dtype(), weights.dtype()) {
        FloatDType::F64 => run::<f64>,
        _ => run::<f32>,
    }
}

fn run<T>(features: FlexTensor, weights: FlexTensor, rule: &TargetRule, gradient: bool) -> Outputs
where
    T: Real + Element + bytemuck::Pod,
{
    let precision = precision(features.dtype(), weights.dtype());
    let [batch, size] = [features.layout().shape()[0], features.layout().shape()[1]];
    let classes = weights.layout().shape()[0];
    let prepare = |tensor| cast::<Flex>(tensor, precision).to_contiguous();
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

    let (outcome, gradients) = if gradient {
        let mut d_features = T::zeros(batch * size);
        let mut d_weights = T::zeros(classes * size);
        let outcome = head::cross_entropy_with_gradient(
            &arrays,
            rule.normalisation(),
            rule,
            &mut d_features,
            &mut d_weights,
        )
        .expect("the gradients have the lengths of their arrays");
        let tensor = |values, shape| FlexTensor::from_data(TensorData::new(values, shape));
        let gradients = (
            tensor(d_features, [batch, size]),
            tensor(d_weights, [classes, size]),
        );
        (outcome, Some(gradients))
    } else {
        (
            head::cross_entropy(&arrays, rule.normalisation(), rule),
            None,
        )
    };
    let tensor = |values: &[f64]| {
        let values: Vec<T> = values.iter().map(|&value| T::from_f64(value)).collect();
        let count = values.len();
        FlexTensor::from_data(TensorData::new(values, [count]))
    };
    Outputs {
        loss: tensor(&[outcome.loss]),
        losses: tensor(&outcome.losses),
        targets: FlexTensor::from_data(TensorData::new(statistics(&outcome), [batch, 4])),
        gradients,
    }
}
