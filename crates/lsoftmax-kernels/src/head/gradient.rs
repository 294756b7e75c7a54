//! The gradient of the head: two matrix products a block and a few scalars a row.

use super::rows::{dot, times, transposed_times};
use super::sample::inverse;
use super::{Batch, Real, Samples, SumExp};
use rayon::prelude::*;

/// Writes both gradients of the mean cross-entropy.
///
/// `logits` still holds the last block of the forward pass, so that a head whose
/// classes fit one block computes them once.
pub(super) fn gradient<T: Real>(
    batch: &Batch<'_, T>,
    samples: &Samples,
    sums: &[SumExp],
    block: usize,
    logits: &mut [T],
    d_features: &mut [T],
    d_weights: &mut [T],
) {
    let (size, classes) = (batch.labels.len(), batch.weights.rows());
    let columns = batch.features.columns();
    // dLoss / d target logit of each row.
    let d_target: Vec<f64> = samples
        .rows
        .iter()
        .zip(sums)
        .map(|(sample, sum)| sum.log_softmax(sample.logit).exp_m1() / size as f64)
        .collect();

    let firsts: Vec<usize> = (0..classes).step_by(block).collect();
    // Backwards: the last block is there already.
    for &first in firsts.iter().rev() {
        let count = block.min(classes - first);
        let last = first + count == classes;
        if !last {
            samples.block_logits(batch, first, count, logits);
        }
        let logits = &mut logits[..size * count];
        logits
            .par_chunks_mut(count)
            .enumerate()
            .for_each(|(i, row)| {
                let sample = &samples.rows[i];
                let factor = sample.feature_factor / size as f64 / sums[i].sum;
                T::scaled_exp(row, T::from_f64(sums[i].max), T::from_f64(factor));
                if samples.normalisation.weights {
                    for (value, b) in row.iter_mut().zip(&samples.weight_factors[first..]) {
                        *value = *value * T::from_f64(*b);
                    }
                }
                let label = batch.labels[i] as usize;
                if (first..first + count).contains(&label) {
                    row[label - first] = T::from_f64(d_target[i] * sample.entry);
                }
            });
        let weights = batch.weights.range(first, count);
        times(logits, &weights, d_features, !last);
        let d_block = &mut d_weights[first * columns..(first + count) * columns];
        transposed_times(logits, &batch.features, d_block);
    }

    finish_features(batch, samples, &d_target, d_features);
    finish_weights(batch, samples, &d_target, d_weights);
}

fn finish_features<T: Real>(
    batch: &Batch<'_, T>,
    samples: &Samples,
    d_target: &[f64],
    d_features: &mut [T],
) {
    let normalised = samples.normalisation.feature_scale.is_some();
    d_features
        .par_chunks_mut(batch.features.columns())
        .enumerate()
        .for_each(|(i, d_row)| {
            let x = batch.features.row(i);
            let sample = &samples.rows[i];
            let mut along = d_target[i] * sample.along_feature;
            if normalised {
                along -= dot(d_row, x) * inverse(sample.target.feature_norm).powi(2);
            }
            add_scaled(d_row, along, x);
        });
}

fn finish_weights<T: Real>(
    batch: &Batch<'_, T>,
    samples: &Samples,
    d_target: &[f64],
    d_weights: &mut [T],
) {
    let normalised = samples.normalisation.weights;
    let mut along = vec![0.0f64; batch.weights.rows()];
    for ((sample, d_target), &label) in samples.rows.iter().zip(d_target).zip(batch.labels) {
        along[label as usize] += d_target * sample.along_weight;
    }
    d_weights
        .par_chunks_mut(batch.weights.columns())
        .zip(along)
        .enumerate()
        .for_each(|(j, (d_row, mut along))| {
            if !normalised && along == 0.0 {
                return;
            }
            let w = batch.weights.row(j);
            if normalised {
                along -= dot(d_row, w) * samples.weight_factors[j].powi(2);
            }
            add_scaled(d_row, along, w);
        });
}

fn add_scaled<T: Real>(row: &mut [T], factor: f64, direction: &[T]) {
    for (value, d) in row.iter_mut().zip(direction) {
        *value = T::from_f64(value.to_f64() + factor * d.to_f64());
    }
}
