//! Processes the classes block by block, so that only one block of logits exists at a time.
//!
//! The classes are split into parts, one per task, and each part into blocks that stay in a core's
//! cache through all steps: logits, statistics, softmax, both gradients. The split depends on the
//! sizes alone, and results are merged in order, so that they do not depend on the threads.

use super::sums::SumExp;
use super::{Batch, Pairs, Real, Sample, TargetLogits, maybe_par_map};
use crate::simd::Level;
use lsoftmax_spec::margin::inverse;

/// Bytes of logits kept between the two passes. Beyond this, the second pass computes them again.
const MAX_KEPT_BYTES: usize = 32 << 20;
/// Bytes of the partial feature gradients, one per part, of all parts together (but at least
/// [`MIN_PARTS`]): when the logits are kept, and when they are not for lack of memory.
const MAX_PARTIAL_BYTES: [usize; 2] = [8 << 20, 4 << 20];
/// Parts of a head that has [`MIN_BLOCK`] classes for each.
const MIN_PARTS: usize = 8;
/// More parts than this are never needed.
const MAX_PARTS: usize = 64;
/// Logits of a block: they fit the second-level cache of most machines together with the operands.
const BLOCK: usize = 1 << 16;
/// Classes of a block, if there are as many: from so many on, the products reuse what they load,
/// and up to so many, the class weights stay in the cache.
const MIN_BLOCK: usize = 48;
/// See [`MIN_BLOCK`].
const MAX_BLOCK: usize = 96;

/// The split of the classes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    /// Classes in a block.
    pub(super) block: usize,
    /// Classes in a part, a multiple of `block`.
    pub(super) part: usize,
    /// Keeps all logits for the second pass.
    pub(super) keep: bool,
}

impl Plan {
    pub(super) fn new<T: Real>(batch: &Batch<'_, T>) -> Self {
        let (samples, classes) = (batch.features.rows(), batch.weights.rows());
        let bytes = samples * batch.features.columns() * size_of::<T>();
        let keep = classes.saturating_mul(samples) <= MAX_KEPT_BYTES / size_of::<T>();
        let most = MAX_PARTIAL_BYTES[usize::from(!keep)] / bytes.max(1);
        // Powers of two are equal shares for the usual numbers of threads.
        let parts_of = |classes_each: usize| 1 << (classes / classes_each).max(1).ilog2();
        // A part has a partial gradient, which costs as much as some more classes.
        let parts = parts_of(2 * MIN_BLOCK).max(parts_of(MIN_BLOCK).min(MIN_PARTS));
        let share = classes.div_ceil(parts.min(most.clamp(MIN_PARTS, MAX_PARTS)));
        let largest = (BLOCK / samples).clamp(MIN_BLOCK, MAX_BLOCK);
        let blocks = share.div_ceil(largest);
        let block = share.div_ceil(blocks);
        Self {
            block,
            part: block * blocks,
            keep,
        }
    }
}

/// The inputs of both passes.
pub(super) struct Walk<'a, T: Real> {
    level: Level,
    batch: &'a Batch<'a, T>,
    pairs: &'a Pairs,
    packed: T::Packed,
    plan: Plan,
    /// `(label, row)` of the batch, sorted.
    targets: Vec<(usize, usize)>,
}

impl<'a, T: Real> Walk<'a, T> {
    pub(super) fn new(level: Level, batch: &'a Batch<'a, T>, pairs: &'a Pairs, plan: Plan) -> Self {
        let labels = batch.labels.iter().enumerate();
        let mut targets: Vec<_> = labels.map(|(row, &label)| (label as usize, row)).collect();
        targets.sort_unstable();
        Self {
            level,
            batch,
            pairs,
            packed: T::pack(level, &batch.features, batch.weights.rows()),
            plan,
            targets,
        }
    }

    fn size(&self) -> usize {
        self.batch.labels.len()
    }

    /// First class and end of each block of a part.
    fn blocks(&self, part: usize) -> impl Iterator<Item = (usize, usize)> {
        let Plan {
            block, part: of, ..
        } = self.plan;
        let end = ((part + 1) * of).min(self.batch.weights.rows());
        (part * of..end)
            .step_by(block)
            .map(move |first| (first, end.min(first + block)))
    }

    /// The samples of the classes `first..end`, with their labels.
    fn targets(&self, first: usize, end: usize) -> &[(usize, usize)] {
        let place = |class| self.targets.partition_point(|&(label, _)| label < class);
        &self.targets[place(first)..place(end)]
    }

    /// The logits of the classes `first..end`, `[class, sample]`. A target's logit is replaced by
    /// the lowest number, whose exponential is 0 relative to any other.
    fn logits(&self, first: usize, end: usize, logits: &mut [T]) {
        let Self { batch, pairs, .. } = self;
        let weights = batch.weights.range(first, end - first);
        let packed = &self.packed;
        T::logits(self.level, &weights, &batch.features, packed, logits);
        if pairs.are_scaled() {
            for (class, row) in (first..).zip(logits.chunks_exact_mut(self.size())) {
                let b = pairs.weight_factor(class);
                for (value, pair) in row.iter_mut().zip(&pairs.rows) {
                    *value = *value * T::from_f64(pair.feature_factor * b);
                }
            }
        }
        for &(label, row) in self.targets(first, end) {
            logits[(label - first) * self.size() + row] = T::LOWEST;
        }
    }

    /// The first pass: for each sample, the sum of exponentials over the classes other than its
    /// own, and all logits if they are kept (otherwise an empty vector).
    pub(super) fn sum_exp(&self, keep: bool) -> (Vec<SumExp>, Vec<T>) {
        let size = self.size();
        let classes = self.batch.weights.rows();
        let (part, keep) = (self.plan.part, keep && self.plan.keep);
        let mut kept = T::take(if keep { classes * size } else { 0 });
        let mut chunks = kept.chunks_mut(part * size);
        let parts = (0..classes.div_ceil(part)).map(|part| (part, chunks.next()));
        let sums = maybe_par_map(self.batch.work(), parts.collect(), |(part, logits)| {
            self.sum_exp_of(part, logits)
        });
        let mut all = vec![SumExp::EMPTY; size];
        for part in sums {
            for (all, part) in all.iter_mut().zip(part) {
                all.add(part);
            }
        }
        (all, kept)
    }

    fn sum_exp_of(&self, part: usize, mut kept: Option<&mut [T]>) -> Vec<SumExp> {
        let size = self.size();
        let own = if kept.is_some() { 0 } else { self.plan.block };
        let mut own = T::take(own * size);
        let mut max = vec![T::from_f64(f64::NEG_INFINITY); size];
        let mut sum = vec![T::ZERO; size];
        let mut sums = vec![SumExp::EMPTY; size];
        for (first, end) in self.blocks(part) {
            let logits = match &mut kept {
                Some(kept) => &mut kept[(first - part * self.plan.part) * size..],
                None => &mut own[..],
            };
            let logits = &mut logits[..(end - first) * size];
            self.logits(first, end, logits);
            T::statistics(self.level, logits, &mut max, &mut sum);
            // In f64, because there may be millions of classes.
            for ((all, max), sum) in sums.iter_mut().zip(&max).zip(&sum) {
                all.add(SumExp {
                    max: max.to_f64(),
                    sum: sum.to_f64(),
                });
            }
        }
        T::give(own);
        sums
    }

    /// The second pass: both gradients of the loss.
    ///
    /// `sums` includes the target logits.
    pub(super) fn gradient(
        &self,
        sums: &[SumExp],
        samples: &[Sample],
        rule: &dyn TargetLogits,
        mut kept: Vec<T>,
        d_features: &mut [T],
        d_weights: &mut [T],
    ) {
        let (size, columns) = (self.size(), self.batch.features.columns());
        let softmax = Softmax {
            max: sums.iter().map(|sum| T::from_f64(sum.max)).collect(),
            factor: (self.pairs.rows.iter().zip(sums).enumerate())
                .map(|(row, (pair, sum))| {
                    T::from_f64(rule.weighted(row, pair.feature_factor, size) / sum.sum)
                })
                .collect(),
            d_target: (samples.iter().zip(sums).enumerate())
                .map(|(row, (sample, sum))| rule.d_target(row, sum, sample, size))
                .collect(),
            samples,
        };
        let part = self.plan.part;
        let parts = self.batch.weights.rows().div_ceil(part);
        let mut kept_parts = kept.chunks_mut(part * size);
        let d_parts = d_weights.chunks_mut(part * columns);
        if parts == 1 {
            for d_weights in d_parts {
                self.gradient_of(0, &softmax, kept_parts.next(), d_features, d_weights);
            }
        } else {
            let mut partial = T::take(parts * size * columns);
            let tasks = (partial.chunks_mut(size * columns).zip(d_parts).enumerate())
                .map(|(part, (d_features, d_weights))| {
                    (part, d_features, d_weights, kept_parts.next())
                })
                .collect();
            maybe_par_map(
                self.batch.work(),
                tasks,
                |(part, d_features, d_weights, kept)| {
                    self.gradient_of(part, &softmax, kept, d_features, d_weights);
                },
            );
            let rows = d_features.chunks_mut(columns).enumerate().collect();
            maybe_par_map(self.batch.work(), rows, |(row, d_row)| {
                d_row.copy_from_slice(&partial[row * columns..][..columns]);
                for part in 1..parts {
                    let from = &partial[(part * size + row) * columns..][..columns];
                    for (sum, &value) in d_row.iter_mut().zip(from) {
                        *sum += value;
                    }
                }
            });
            T::give(partial);
        }
        T::give(kept);
        self.finish_features(&softmax, d_features);
    }

    /// Adds the part along the features.
    fn finish_features(&self, softmax: &Softmax<'_, T>, d_features: &mut [T]) {
        let columns = self.batch.features.columns();
        let scaled = self.pairs.normalisation.feature_scale.is_some();
        let rows = d_features
            .chunks_mut(columns)
            .zip(softmax.samples)
            .enumerate();
        maybe_par_map(
            self.batch.work(),
            rows.collect(),
            |(row, (d_row, sample))| {
                let x = self.batch.features.row(row);
                let mut along = softmax.d_target[row] * sample.along_feature;
                if scaled {
                    let norm = sample.target.feature_norm;
                    along -= T::dot(self.level, d_row, x) * inverse(norm).powi(2);
                }
                if along != 0.0 {
                    T::add_scaled(self.level, d_row, along, x);
                }
            },
        );
    }

    fn gradient_of(
        &self,
        part: usize,
        softmax: &Softmax<'_, T>,
        mut kept: Option<&mut [T]>,
        d_features: &mut [T],
        d_weights: &mut [T],
    ) {
        let Self {
            level,
            batch,
            pairs,
            ..
        } = *self;
        let (size, columns) = (self.size(), batch.features.columns());
        let start = part * self.plan.part;
        let own = if kept.is_some() { 0 } else { self.plan.block };
        let mut own = T::take(own * size);
        for (first, end) in self.blocks(part) {
            let block = if let Some(kept) = &mut kept {
                &mut kept[(first - start) * size..][..(end - first) * size]
            } else {
                let block = &mut own[..(end - first) * size];
                self.logits(first, end, block);
                block
            };
            T::scaled_exp(level, block, &softmax.max, &softmax.factor);
            if pairs.normalisation.weights {
                for (class, row) in (first..).zip(block.chunks_exact_mut(size)) {
                    let b = T::from_f64(pairs.weight_factor(class));
                    for value in row {
                        *value = *value * b;
                    }
                }
            }
            let targets = self.targets(first, end);
            for &(label, row) in targets {
                let entry = softmax.d_target[row] * softmax.samples[row].entry;
                block[(label - first) * size + row] = T::from_f64(entry);
            }
            let weights = batch.weights.range(first, end - first);
            let d_weights = &mut d_weights[(first - start) * columns..][..(end - first) * columns];
            T::weight_gradient(level, block, &batch.features, &self.packed, d_weights);
            T::feature_gradient(level, block, &weights, d_features, first > start);
            self.finish_weights(first, targets, softmax, d_weights);
        }
        T::give(own);
    }

    /// Adds the part along the class weights while they are in the cache.
    fn finish_weights(
        &self,
        first: usize,
        mut targets: &[(usize, usize)],
        softmax: &Softmax<'_, T>,
        d_weights: &mut [T],
    ) {
        let Self { batch, pairs, .. } = self;
        let normalised = pairs.normalisation.weights;
        for (class, d_row) in (first..).zip(d_weights.chunks_exact_mut(batch.weights.columns())) {
            let mut along = 0.0;
            while let [(label, row), rest @ ..] = targets
                && *label == class
            {
                along += softmax.d_target[*row] * softmax.samples[*row].along_weight;
                targets = rest;
            }
            let w = batch.weights.row(class);
            if normalised {
                let b = pairs.weight_factor(class);
                along -= T::dot(self.level, d_row, w) * b.powi(2);
            }
            if along != 0.0 {
                T::add_scaled(self.level, d_row, along, w);
            }
        }
    }
}

/// The inputs of the second pass for each sample.
struct Softmax<'a, T> {
    max: Vec<T>,
    /// Factor from `exp(logit - max)` to the gradient's entry.
    factor: Vec<T>,
    /// The derivative of the loss with respect to the target logit.
    d_target: Vec<f64>,
    samples: &'a [Sample],
}
