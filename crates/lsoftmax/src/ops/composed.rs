//! The same loss and gradient from the operations that every backend has.
//!
//! The scalars of each row are read back to the host, given to the margin, and sent to
//! the device again: `O(batch)` numbers a step. All arithmetic is f32 at least.

use super::TargetRule;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata as _};
use burn::tensor::{
    DType, Element as _, FloatDType, IndexingUpdateOp, Shape, TensorData, read_sync,
};
use lsoftmax_kernels::head::{Normalisation, Sample};

pub(super) struct Forward<B: Backend> {
    pub(super) loss: FloatTensor<B>,
    pub(super) targets: FloatTensor<B>,
    /// Logits with the target replaced, less the log-sum-exp of their row.
    log_softmax: FloatTensor<B>,
    features: FloatTensor<B>,
    weights: FloatTensor<B>,
    /// `b_j` as `[1, class]`, if weights are normalised.
    weight_factors: Option<FloatTensor<B>>,
    labels: IntTensor<B>,
    samples: Vec<Sample>,
    dtype: FloatDType,
}

pub(super) fn forward<B: Backend>(
    features: FloatTensor<B>,
    weights: FloatTensor<B>,
    rule: &TargetRule,
) -> Forward<B> {
    let dtype = features.dtype();
    let widen = |tensor: FloatTensor<B>| match tensor.dtype() {
        DType::F32 | DType::F64 => tensor,
        _ => B::float_cast(tensor, FloatDType::F32),
    };
    let (features, weights) = (widen(features), widen(weights));
    let device = features.device();
    let batch = rule.labels.len();
    let normalisation = rule.normalisation();
    let labels: Vec<i32> = rule.labels.iter().map(|&label| label as i32).collect();
    let labels = B::int_from_data(TensorData::new(labels, [batch]), &device);
    let column = B::int_reshape(labels.clone(), Shape::new([batch, 1]));

    let own = B::float_select(weights.clone(), 0, labels.clone());
    let row_dot = |a: &FloatTensor<B>, b: &FloatTensor<B>| {
        B::float_sum_dim(B::float_mul(a.clone(), b.clone()), 1)
    };
    let inner = host::<B>(row_dot(&features, &own));
    let feature_squares = host::<B>(row_dot(&features, &features));
    let weight_squares = host::<B>(row_dot(&own, &own));
    let samples: Vec<Sample> = inner
        .iter()
        .zip(feature_squares.iter().zip(&weight_squares))
        .map(|(&inner, (&xx, &ww))| {
            Sample::new(inner, xx.sqrt(), ww.sqrt(), normalisation, &|t| {
                rule.target_logit(t)
            })
        })
        .collect();

    let logits = B::float_matmul(features.clone(), B::float_swap_dims(weights.clone(), 0, 1));
    let weight_factors = normalisation.weights.then(|| {
        let norms = B::float_sqrt(row_dot(&weights, &weights));
        let norms = B::float_swap_dims(norms, 0, 1);
        inverse_or_zero::<B>(norms)
    });
    let logits = match &weight_factors {
        Some(factors) => B::float_mul(logits, factors.clone()),
        None => logits,
    };
    let logits = match normalisation.feature_scale {
        Some(_) => {
            let factors = samples.iter().map(|s| s.feature_factor).collect();
            B::float_mul(logits, column_of::<B>(factors, &features))
        }
        None => logits,
    };
    let plain = B::float_gather(1, logits.clone(), column.clone());
    let target = column_of::<B>(samples.iter().map(|s| s.logit).collect(), &features);
    let logits = B::float_scatter(
        1,
        logits,
        column,
        B::float_sub(target.clone(), plain),
        IndexingUpdateOp::Add,
    );
    let max = B::float_max_dim(logits.clone(), 1);
    let shifted = B::float_sub(logits, max.clone());
    let log_sum = B::float_log(B::float_sum_dim(B::float_exp(shifted.clone()), 1));
    let log_softmax = B::float_sub(shifted, log_sum.clone());
    let losses = B::float_sub(B::float_add(log_sum, max), target);
    let loss = B::float_reshape(B::float_mean(losses), Shape::new([1]));
    let targets: Vec<f32> = samples
        .iter()
        .map(|sample| sample.target)
        .flat_map(|t| [t.cosine as f32, t.feature_norm as f32, t.weight_norm as f32])
        .collect();
    Forward {
        loss: B::float_cast(loss, dtype.into()),
        targets: B::float_from_data(TensorData::new(targets, [batch, 3]), &device),
        log_softmax,
        features,
        weights,
        weight_factors,
        labels,
        samples,
        dtype: dtype.into(),
    }
}

pub(super) fn with_gradient<B: Backend>(
    features: FloatTensor<B>,
    weights: FloatTensor<B>,
    rule: &TargetRule,
) -> (
    FloatTensor<B>,
    FloatTensor<B>,
    FloatTensor<B>,
    FloatTensor<B>,
) {
    let f = forward::<B>(features, weights, rule);
    let batch = rule.labels.len();
    let size = batch as f64;
    let Normalisation {
        weights: unit_weights,
        feature_scale,
    } = rule.normalisation();
    let column = B::int_reshape(f.labels.clone(), Shape::new([batch, 1]));
    let softmax = B::float_exp(f.log_softmax);
    let probability = B::float_gather(1, softmax.clone(), column.clone());
    let d_target: Vec<f64> = host::<B>(probability.clone())
        .into_iter()
        .map(|p| (p - 1.0) / size)
        .collect();
    let of_rows = |value: &dyn Fn(&Sample) -> f64| -> Vec<f64> {
        f.samples
            .iter()
            .zip(&d_target)
            .map(|(sample, d)| d * value(sample))
            .collect()
    };

    let mut matrix = B::float_mul_scalar(softmax, (1.0 / size).into());
    if let Some(factors) = &f.weight_factors {
        matrix = B::float_mul(matrix, factors.clone());
    }
    if feature_scale.is_some() {
        let factors = f.samples.iter().map(|s| s.feature_factor).collect();
        matrix = B::float_mul(matrix, column_of::<B>(factors, &f.features));
    }
    let entry = column_of::<B>(of_rows(&|s| s.entry), &f.features);
    let there = B::float_gather(1, matrix.clone(), column.clone());
    let change = B::float_sub(entry, there);
    let matrix = B::float_scatter(1, matrix, column, change, IndexingUpdateOp::Add);

    let mut d_features = B::float_matmul(matrix.clone(), f.weights.clone());
    let mut d_weights = B::float_matmul(B::float_swap_dims(matrix, 0, 1), f.features.clone());
    if feature_scale.is_some() {
        d_features = without_radial::<B>(d_features, &f.features);
    }
    if unit_weights {
        d_weights = without_radial::<B>(d_weights, &f.weights);
    }
    let along = column_of::<B>(of_rows(&|s| s.along_feature), &f.features);
    d_features = B::float_add(d_features, B::float_mul(f.features.clone(), along));
    let along = column_of::<B>(of_rows(&|s| s.along_weight), &f.features);
    let own = B::float_select(f.weights, 0, f.labels.clone());
    d_weights = B::float_select_assign(
        d_weights,
        0,
        f.labels,
        B::float_mul(own, along),
        IndexingUpdateOp::Add,
    );
    let narrow = |tensor| B::float_cast(tensor, f.dtype);
    (f.loss, f.targets, narrow(d_features), narrow(d_weights))
}

/// Takes away the part of each row of `gradient` that lies along the row of `direction`.
fn without_radial<B: Backend>(
    gradient: FloatTensor<B>,
    direction: &FloatTensor<B>,
) -> FloatTensor<B> {
    let inner = B::float_sum_dim(B::float_mul(gradient.clone(), direction.clone()), 1);
    let squares = B::float_sum_dim(B::float_mul(direction.clone(), direction.clone()), 1);
    let share = B::float_mul(inner, inverse_or_zero::<B>(squares));
    B::float_sub(gradient, B::float_mul(direction.clone(), share))
}

/// `1 / v`, and 0 where v is 0.
fn inverse_or_zero<B: Backend>(values: FloatTensor<B>) -> FloatTensor<B> {
    let bool_dtype = burn::backend::get_device_settings::<B>(&values.device()).bool_dtype;
    let zero = B::float_equal_elem(values.clone(), 0.0.into(), bool_dtype);
    B::float_mask_fill(B::float_recip(values), zero, 0.0.into())
}

/// A host column as `[batch, 1]` beside `like`, in its precision.
fn column_of<B: Backend>(values: Vec<f64>, like: &FloatTensor<B>) -> FloatTensor<B> {
    let shape = [values.len(), 1];
    let data = TensorData::new(values, shape).convert_dtype(like.dtype());
    B::float_from_data(data, &like.device())
}

fn host<B: Backend>(tensor: FloatTensor<B>) -> Vec<f64> {
    let data = read_sync(B::float_into_data(tensor)).expect("the device answers");
    data.convert_dtype(f64::dtype())
        .try_into_vec()
        .expect("converted to f64")
}
