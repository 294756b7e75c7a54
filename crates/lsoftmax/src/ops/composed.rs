//! The same loss and gradient from the operations that every backend has.
//!
//! The scalars of each row are read back to the host, given to the margin, and sent to
//! the device again: `O(batch)` numbers a step. All arithmetic is f32 at least.
//!
//! The kernel in `lsoftmax-kernels` has the formulas; names here are as there.

use super::{TargetRule, cast, precision, statistics};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata as _};
use burn::tensor::{
    DType, Element as _, FloatDType, IndexingUpdateOp, Scalar, Shape, TensorData, read_sync,
};
use lsoftmax_kernels::head::{
    Normalisation, Outcome, Pair, Sample, SumExp, TINY, TargetLogits as _, confidences, mean,
};

/// Stands for the target logit while the others are summed: far below any logit, and the logit can
/// be taken from it without leaving f32.
const NOTHING: f64 = f32::MIN as f64 / 2.0;

pub(super) struct Forward<B: Backend> {
    pub(super) loss: FloatTensor<B>,
    pub(super) targets: FloatTensor<B>,
    /// Logits with nothing for the target: the exponential of [`NOTHING`] is 0.
    logits: FloatTensor<B>,
    /// Over all logits of a row, the target's among them.
    sums: Vec<SumExp>,
    features: Side<B>,
    weights: Side<B>,
    labels: IntTensor<B>,
    /// `labels` as `[batch, 1]`.
    column: IntTensor<B>,
    samples: Vec<Sample>,
}

/// Features or class weights, and what the products need of them.
///
/// The largest entry is divided out first: squares of huge and tiny values leave f32.
struct Side<B: Backend> {
    /// Rows whose largest entry is 1, or rows of zeros.
    even: FloatTensor<B>,
    /// What gives the true rows again, `[rows, 1]`.
    largest: FloatTensor<B>,
    /// What stands in the products: unit vectors, or the rows as they came.
    rows: FloatTensor<B>,
    /// The inverse norms if the rows are normalised, `[rows, 1]`.
    inverse_norms: Option<FloatTensor<B>>,
}

impl<B: Backend> Side<B> {
    fn new(rows: FloatTensor<B>, normalised: bool) -> Self {
        let largest = B::float_max_abs_dim(rows.clone(), 1);
        let largest = B::float_clamp_min(largest, Scalar::from(f32::MIN_POSITIVE));
        let even = B::float_div(rows.clone(), largest.clone());
        if !normalised {
            return Self {
                even,
                largest,
                rows,
                inverse_norms: None,
            };
        }
        let even_norms = B::float_sqrt(row_dot::<B>(&even, &even));
        let norms = B::float_mul(even_norms.clone(), largest.clone());
        let bool_dtype = burn::backend::get_device_settings::<B>(&norms.device()).bool_dtype;
        let is_zero = B::float_lower_elem(norms, TINY.into(), bool_dtype);
        let even_inverse = B::float_recip(even_norms);
        let even_inverse = B::float_mask_fill(even_inverse, is_zero.clone(), 0.0.into());
        let inverse = B::float_div(even_inverse.clone(), largest.clone());
        Self {
            rows: B::float_mul(even.clone(), even_inverse),
            inverse_norms: Some(B::float_mask_fill(inverse, is_zero, 0.0.into())),
            even,
            largest,
        }
    }

    /// Makes the gradient by what stands in the products one by the rows as they came, and adds
    /// `along` to it.
    fn finish(&self, gradient: FloatTensor<B>, along: FloatTensor<B>) -> FloatTensor<B> {
        let gradient = match &self.inverse_norms {
            None => gradient,
            Some(inverse_norms) => {
                let radial = row_dot::<B>(&gradient, &self.rows);
                let radial = B::float_mul(self.rows.clone(), radial);
                B::float_mul(B::float_sub(gradient, radial), inverse_norms.clone())
            }
        };
        B::float_add(gradient, along)
    }
}

pub(super) fn forward<B: Backend>(
    features: FloatTensor<B>,
    weights: FloatTensor<B>,
    rule: &TargetRule,
) -> Forward<B> {
    let precision = precision(features.dtype(), weights.dtype());
    let device = features.device();
    let batch = rule.labels.len();
    let normalisation = rule.normalisation();
    let scaled = normalisation.feature_scale.is_some();
    let features = Side::<B>::new(cast::<B>(features, precision), scaled);
    let weights = Side::<B>::new(cast::<B>(weights, precision), normalisation.weights);
    let labels: Vec<i32> = rule.labels.iter().map(|&label| label as i32).collect();
    let labels = B::int_from_data(TensorData::new(labels, [batch]), &device);
    let column = B::int_reshape(labels.clone(), Shape::new([batch, 1]));

    let own = B::float_select(weights.even.clone(), 0, labels.clone());
    let own_largest = B::float_select(weights.largest.clone(), 0, labels.clone());
    let [inner, xx, ww] = [
        row_dot::<B>(&features.even, &own),
        row_dot::<B>(&features.even, &features.even),
        row_dot::<B>(&own, &own),
    ]
    .map(host::<B>);
    let (x_largest, w_largest) = (host::<B>(features.largest.clone()), host::<B>(own_largest));
    let pairs: Vec<Pair> = (0..batch)
        .map(|i| {
            let (x, w) = (x_largest[i], w_largest[i]);
            let [inner, x, w] = [inner[i] * x * w, xx[i].sqrt() * x, ww[i].sqrt() * w];
            Pair::new(inner, x, w, normalisation)
        })
        .collect();

    let transposed = B::float_swap_dims(weights.rows.clone(), 0, 1);
    let logits = B::float_matmul(features.rows.clone(), transposed);
    let logits = match normalisation.feature_scale {
        Some(scale) => B::float_mul_scalar(logits, scale.into()),
        None => logits,
    };
    let plain = B::float_gather(1, logits.clone(), column.clone());
    let change = B::float_add_scalar(B::float_neg(plain), NOTHING.into());
    let logits = B::float_scatter(1, logits, column.clone(), change, IndexingUpdateOp::Add);
    let max = B::float_max_dim(logits.clone(), 1);
    let sum = B::float_exp(B::float_sub(logits.clone(), max.clone()));
    let sum = B::float_sum_dim(sum, 1);
    let others: Vec<SumExp> = (host::<B>(max).into_iter().zip(host::<B>(sum)))
        .map(|(max, sum)| SumExp { max, sum })
        .collect();

    let confidences = confidences(&others, &pairs);
    let confidence = mean(&confidences);
    let samples: Vec<Sample> = (pairs.iter())
        .map(|pair| {
            let mut sample = Sample::new(pair, &|t| rule.target_logit(t, confidence));
            // As it would stand among the other logits.
            if precision == FloatDType::F32 {
                sample.logit = f64::from(sample.logit as f32);
            }
            sample
        })
        .collect();
    let sums: Vec<SumExp> = (others.into_iter().zip(&samples))
        .map(|(others, sample)| others.with(sample.logit))
        .collect();
    let losses = sums.iter().zip(&samples);
    let total: f64 = losses
        .map(|(sum, sample)| -sum.log_softmax(sample.logit))
        .sum();
    let outcome = Outcome {
        loss: total / batch as f64,
        confidences,
        samples,
    };
    let loss = TensorData::new(vec![outcome.loss], [1]).convert_dtype(features.rows.dtype());
    let targets = TensorData::new(statistics(&outcome), [batch, 4]);
    Forward {
        loss: B::float_from_data(loss, &device),
        targets: B::float_from_data(targets, &device),
        logits,
        sums,
        features,
        weights,
        labels,
        column,
        samples: outcome.samples,
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
    let size = rule.labels.len() as f64;
    let Normalisation {
        weights: unit_weights,
        feature_scale,
    } = rule.normalisation();
    let d_target: Vec<f64> = (f.sums.iter().zip(&f.samples))
        .map(|(sum, sample)| sum.log_softmax(sample.logit).exp_m1() / size)
        .collect();
    let of_rows = |value: &dyn Fn(usize, &Sample) -> f64| {
        let values = f.samples.iter().zip(&d_target).enumerate();
        column_of::<B>(
            values.map(|(i, (sample, d))| d * value(i, sample)),
            &f.features.rows,
        )
    };

    let rows = &f.features.rows;
    let max = column_of::<B>(f.sums.iter().map(|sum| sum.max), rows);
    // The rows here are unit vectors where the kernel has them as they came.
    let share = feature_scale.unwrap_or(1.0) / size;
    let factor = column_of::<B>(f.sums.iter().map(|sum| share / sum.sum), rows);
    let matrix = B::float_mul(B::float_exp(B::float_sub(f.logits, max)), factor);
    // By the unit vectors, where there are any.
    let entry = of_rows(&|_, sample| {
        let target = sample.target;
        let of_feature = feature_scale.map_or(1.0, |_| target.feature_norm);
        let of_weight = if unit_weights {
            target.weight_norm
        } else {
            1.0
        };
        sample.entry * of_feature * of_weight
    });
    let matrix = B::float_scatter(1, matrix, f.column.clone(), entry, IndexingUpdateOp::Add);

    let d_features = B::float_matmul(matrix.clone(), f.weights.rows.clone());
    let transposed = B::float_swap_dims(matrix, 0, 1);
    let d_weights = B::float_matmul(transposed, f.features.rows.clone());

    // Times the largest entry on the host: the factor of the rows as they came may not fit f32.
    let largest = host::<B>(f.features.largest.clone());
    let along = of_rows(&|i, sample| sample.along_feature * largest[i]);
    let along = B::float_mul(f.features.even.clone(), along);
    let d_features = f.features.finish(d_features, along);

    let own = B::float_select(f.weights.even.clone(), 0, f.labels.clone());
    let largest = B::float_select(f.weights.largest.clone(), 0, f.labels.clone());
    let largest = host::<B>(largest);
    let along = of_rows(&|i, sample| sample.along_weight * largest[i]);
    let none = B::float_zeros(
        f.weights.rows.shape(),
        &f.weights.rows.device(),
        float_type(f.weights.rows.dtype()),
    );
    let along = B::float_select_assign(
        none,
        0,
        f.labels.clone(),
        B::float_mul(own, along),
        IndexingUpdateOp::Add,
    );
    let d_weights = f.weights.finish(d_weights, along);
    (f.loss, f.targets, d_features, d_weights)
}

fn row_dot<B: Backend>(a: &FloatTensor<B>, b: &FloatTensor<B>) -> FloatTensor<B> {
    B::float_sum_dim(B::float_mul(a.clone(), b.clone()), 1)
}

/// A host column as `[batch, 1]` beside `like`, in its precision.
fn column_of<B: Backend>(
    values: impl Iterator<Item = f64>,
    like: &FloatTensor<B>,
) -> FloatTensor<B> {
    let values: Vec<f64> = values.collect();
    let shape = [values.len(), 1];
    let data = TensorData::new(values, shape).convert_dtype(like.dtype());
    B::float_from_data(data, &like.device())
}

fn float_type(dtype: DType) -> FloatDType {
    dtype.into()
}

fn host<B: Backend>(tensor: FloatTensor<B>) -> Vec<f64> {
    let data = read_sync(B::float_into_data(tensor)).expect("the device answers");
    data.convert_dtype(f64::dtype())
        .try_into_vec()
        .expect("converted to f64")
}
