//! The head built from Burn's tensor operations, for backends without a custom operation in this
//! crate. Burn derives the gradient. Keeps all logits, `[batch, class]`.

use super::table::{Margins, entry};
use super::{TargetRule, statistics};
use crate::rows::{in_precision, precision, unit_rows, values_like};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Bool, Int, Tensor, TensorData};
use lsoftmax_kernels::head::{TINY, TargetLogits as _};

/// The cross-entropy of each sample `[batch]`, without the weights of the rule, and the target
/// statistics `[batch, 4]`.
pub(super) fn losses(
    features: Tensor<2>,
    weights: Tensor<2>,
    labels: Tensor<1, Int>,
    rule: &TargetRule,
) -> (Tensor<1>, Tensor<2>) {
    let precision = precision(features.dtype(), weights.dtype());
    let features = in_precision(features, precision);
    let weights = in_precision(weights, precision);
    let normalisation = rule.normalisation();
    let [batch, classes] = [features.dims()[0], weights.dims()[0]];
    // Rows as they enter the logits, with the features not yet scaled.
    let unit_features = match normalisation.feature_scale {
        Some(_) => unit_rows(features.clone(), TINY),
        None => features.clone(),
    };
    let unit_weights = if normalisation.weights {
        unit_rows(weights.clone(), TINY)
    } else {
        weights.clone()
    };
    let logits = (unit_features.clone())
        .mul_scalar(normalisation.feature_scale.unwrap_or(1.0))
        .matmul(unit_weights.clone().transpose());
    let own = weights.select(0, labels.clone());
    let columns: Tensor<2, Int> = Tensor::arange(0..classes as i64, &labels.device()).unsqueeze();
    let rows: Tensor<2, Int> = labels.clone().unsqueeze_dim(1);
    let is_own = (rows.clone().expand([batch, classes])).equal(columns.expand([batch, classes]));

    let ((even_features, largest_feature), (even_own, largest_own)) = (even(&features), even(&own));
    let dot = |a: &Tensor<2>, b: &Tensor<2>| (a.clone() * b.clone()).sum_dim(1);
    let mut columns = vec![
        dot(&even_features, &even_own),
        dot(&even_features, &even_features),
        dot(&even_own, &even_own),
        largest_feature,
        largest_own,
    ];
    columns.extend(sum_exp(&logits, is_own.clone()));
    let table: Vec<f64> = Tensor::cat(columns, 1).into_data().iter().collect();
    let Margins {
        outcome, largest, ..
    } = Margins::new(rule, &table, precision);
    let samples = || outcome.samples.iter().zip(&largest);
    let device = features.device();
    let column = |values: Vec<f64>| values_like(&logits, values, [batch, 1]);
    // A function whose derivatives at this batch equal those of the target logit. Squares of very
    // large and small values leave the range of f32, so one factor of each is divided by its
    // largest entry.
    let product =
        |a: Tensor<2>, b: Tensor<2>, factors: Vec<f64>| (a * (b * column(factors))).sum_dim(1);
    let entries = samples().map(|(sample, _)| entry(rule, sample));
    let along_features = samples().map(|(sample, [x, _])| sample.along_feature * x);
    let along_weights = samples().map(|(sample, [_, w])| sample.along_weight * w);
    let unit_own = unit_weights.select(0, labels);
    let tangent = product(unit_features, unit_own, entries.collect())
        + product(features, even_features, along_features.collect())
        + product(own, even_own, along_weights.collect());
    let value = column(samples().map(|(sample, _)| sample.logit).collect());
    let target = tangent.clone() - tangent.detach() + value;
    let logits = logits.mask_where(is_own, target.clone().expand([batch, classes]));
    let losses = -log_softmax(logits, 1).gather(1, rows) + target.mul_scalar(rule.target_pull());

    let statistics = TensorData::new(statistics(&outcome), [batch, 4]);
    let targets = Tensor::from_data(statistics, &device);
    (losses.squeeze_dim(1), targets)
}

/// The loss of the batch `[1]`, and the target statistics.
pub(super) fn loss(
    features: Tensor<2>,
    weights: Tensor<2>,
    labels: Tensor<1, Int>,
    rule: &TargetRule,
) -> (Tensor<1>, Tensor<2>) {
    let (losses, targets) = losses(features, weights, labels, rule);
    let loss = match rule.weights() {
        None => losses.mean(),
        Some(weights) => {
            let weights = values_like(&losses, weights.to_vec(), [weights.len()]);
            // A sample without weight may have a loss that is not finite.
            let losses = losses.mask_fill(weights.clone().equal_elem(0.0), 0.0);
            (losses * weights).sum()
        }
    };
    (loss, targets)
}

/// Divides rows by their largest entries, which are also returned, `[rows, 1]`.
fn even(rows: &Tensor<2>) -> (Tensor<2>, Tensor<2>) {
    let rows = rows.clone().detach();
    let largest = rows.clone().abs().max_dim(1).clamp_min(f32::MIN_POSITIVE);
    (rows / largest.clone(), largest)
}

/// For each row of logits, excluding the target class: the largest logit, and the sum of the
/// exponentials of the differences to it.
fn sum_exp(logits: &Tensor<2>, is_own: Tensor<2, Bool>) -> [Tensor<2>; 2] {
    // Far below any logit, so that its exponential is 0.
    let others = (logits.clone().detach()).mask_fill(is_own, f32::MIN / 2.0);
    let max = others.clone().max_dim(1);
    let sum = (others - max.clone()).exp().sum_dim(1);
    [max, sum]
}
