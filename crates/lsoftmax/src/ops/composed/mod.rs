//! The loss and its gradient on any backend.
//!
//! Classes are processed in blocks, as in `lsoftmax-kernels`, which documents the formulas; names
//! here are the same. In the forward pass, a block is a matrix product and one pass over its
//! logits, [`HeadPasses::sums`]. In the backward pass it is the same product again, one pass,
//! [`HeadPasses::matrix`], and two products. If there is only one block, its logits are kept in
//! between.
//!
//! The margin is applied between the two passes, to `O(batch)` numbers. A device that knows the
//! margin's curve computes it there, in [`HeadPasses::apply`]. Otherwise the numbers are read back
//! to the host, once per step, and the results are uploaded as columns. All arithmetic is at least
//! f32.

mod passes;

pub(super) use passes::{Even, HeadPasses, Margined, Pairs};
#[cfg(feature = "_gpu")]
pub(super) use passes::{NOTHING, matrix, pairs, sums};

use super::table::{Margins, PAIR, entry};
use super::{TargetRule, cast, precision, statistics};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata as _};
use burn::tensor::{
    Element as _, FloatDType, IndexingUpdateOp, Shape, Slice, TensorData, read_sync,
};
use lsoftmax_kernels::head::{Normalisation, TINY, TargetLogits};
use passes::{column, row_dot};
use std::ops::Range;

/// Number of logits in a block: 32 MiB of f32.
pub(super) const BLOCK: usize = 1 << 23;

/// The features or class weights as they enter the matrix products.
struct Side<B: Backend> {
    /// Unit vectors, or the original rows.
    rows: FloatTensor<B>,
    /// The inverse norms if the rows are normalised, `[rows, 1]`.
    inverse_norms: Option<FloatTensor<B>>,
}

impl<B: Backend> Side<B> {
    fn as_they_came(rows: FloatTensor<B>) -> Self {
        Self {
            rows,
            inverse_norms: None,
        }
    }

    fn normalised(even: &Even<B>) -> Self {
        let even_norms = B::float_sqrt(row_dot::<B>(&even.rows, &even.rows));
        let norms = B::float_mul(even_norms.clone(), even.largest.clone());
        let bool_dtype = burn::backend::get_device_settings::<B>(&norms.device()).bool_dtype;
        let is_zero = B::float_lower_elem(norms, TINY.into(), bool_dtype);
        let even_inverse = B::float_recip(even_norms);
        let even_inverse = B::float_mask_fill(even_inverse, is_zero.clone(), 0.0.into());
        let inverse = B::float_div(even_inverse.clone(), even.largest.clone());
        Self {
            rows: B::float_mul(even.rows.clone(), even_inverse),
            inverse_norms: Some(B::float_mask_fill(inverse, is_zero, 0.0.into())),
        }
    }

    /// Converts the gradient with respect to the rows in the products to that of the original rows.
    fn finish(&self, gradient: FloatTensor<B>) -> FloatTensor<B> {
        let Some(inverse_norms) = &self.inverse_norms else {
            return gradient;
        };
        let radial = row_dot::<B>(&gradient, &self.rows);
        let radial = B::float_mul(self.rows.clone(), radial);
        B::float_mul(B::float_sub(gradient, radial), inverse_norms.clone())
    }
}

/// A batch on its device.
struct Head<'a, B: HeadPasses> {
    rule: &'a TargetRule,
    normalisation: Normalisation,
    precision: FloatDType,
    features: Even<B>,
    feature_side: Side<B>,
    /// The features as they enter the logits: scaled unit vectors, or the original rows.
    scaled: FloatTensor<B>,
    /// `[class, feature]`, in their original precision.
    weights: FloatTensor<B>,
    /// `[batch]`.
    labels: IntTensor<B>,
    /// The weight of each sample's target class.
    own: FloatTensor<B>,
    /// The classes of each block. The last block may be smaller.
    blocks: Vec<Range<usize>>,
}

/// A block of class weights and its logits.
struct Block<B: Backend> {
    weights: Side<B>,
    /// `[batch, class of the block]`.
    logits: FloatTensor<B>,
}

/// The loss and the target statistics.
pub(super) fn forward<B: HeadPasses>(
    features: FloatTensor<B>,
    weights: FloatTensor<B>,
    labels: IntTensor<B>,
    rule: &TargetRule,
    block: usize,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let (head, table) = Head::<B>::new(features, weights, labels, rule, block);
    let (found, _) = head.forward(table, false);
    (found.loss, found.targets)
}

/// The cross-entropy of each sample, and the target statistics.
pub(super) fn each<B: HeadPasses>(
    features: FloatTensor<B>,
    weights: FloatTensor<B>,
    labels: IntTensor<B>,
    rule: &TargetRule,
    block: usize,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let (head, table) = Head::<B>::new(features, weights, labels, rule, block);
    let (table, _) = head.sums(table, false);
    let (found, losses) = head.ask(&host::<B>(table));
    let size = losses.len();
    (head.upload(losses, Shape::new([size])), found.targets)
}

/// Loss, target statistics, and the gradients with respect to features and class weights.
pub(super) fn with_gradient<B: HeadPasses>(
    features: FloatTensor<B>,
    weights: FloatTensor<B>,
    labels: IntTensor<B>,
    rule: &TargetRule,
    block: usize,
) -> (
    FloatTensor<B>,
    FloatTensor<B>,
    FloatTensor<B>,
    FloatTensor<B>,
) {
    let (head, table) = Head::<B>::new(features, weights, labels, rule, block);
    let (found, kept) = head.forward(table, true);
    let [d_features, d_weights] = head.gradient(&found, kept);
    (found.loss, found.targets, d_features, d_weights)
}

impl<'a, B: HeadPasses> Head<'a, B> {
    /// Also returns the table of the pairs. `block` is the number of logits in a block.
    fn new(
        features: FloatTensor<B>,
        weights: FloatTensor<B>,
        labels: IntTensor<B>,
        rule: &'a TargetRule,
        block: usize,
    ) -> (Self, FloatTensor<B>) {
        let precision = precision(features.dtype(), weights.dtype());
        let batch = rule.labels.len();
        let normalisation = rule.normalisation();
        let rows = cast::<B>(features, precision);
        let classes = (block / batch).max(1);
        let blocks: Vec<Range<usize>> = (0..rule.classes)
            .step_by(classes)
            .map(|start| start..(start + classes).min(rule.classes))
            .collect();
        let columns = PAIR + 2 * blocks.len();
        let Pairs {
            table,
            features,
            own,
        } = B::pairs(&rows, &weights, &labels, columns);
        let (feature_side, scaled) = match normalisation.feature_scale {
            None => (Side::as_they_came(rows.clone()), rows),
            Some(scale) => {
                let side = Side::<B>::normalised(&features);
                let scaled = B::float_mul_scalar(side.rows.clone(), scale.into());
                (side, scaled)
            }
        };
        let head = Self {
            rule,
            normalisation,
            precision,
            features,
            feature_side,
            scaled,
            weights,
            labels,
            own,
            blocks,
        };
        (head, table)
    }

    fn batch(&self) -> usize {
        self.rule.labels.len()
    }

    fn block(&self, classes: &Range<usize>) -> Block<B> {
        let rows = if self.blocks.len() == 1 {
            self.weights.clone()
        } else {
            B::float_slice(self.weights.clone(), &[rows_of(classes), Slice::full()])
        };
        let rows = cast::<B>(rows, self.precision);
        let weights = if self.normalisation.weights {
            Side::<B>::normalised(&Even::new(rows))
        } else {
            Side::<B>::as_they_came(rows)
        };
        let transposed = B::float_swap_dims(weights.rows.clone(), 0, 1);
        Block {
            logits: B::float_matmul(self.scaled.clone(), transposed),
            weights,
        }
    }

    fn forward(&self, table: FloatTensor<B>, keep: bool) -> (Margined<B>, Option<Block<B>>) {
        let (table, kept) = self.sums(table, keep);
        // The device kernel does not handle per-sample options.
        let curve = (self.rule.margin.curve()).filter(|_| self.rule.samples.are_alike());
        let found = curve.and_then(|curve| B::apply(&table, curve, self.rule));
        (found.unwrap_or_else(|| self.ask(&host::<B>(table)).0), kept)
    }

    /// Adds the sums of exponentials to the table. Also returns the block if there is only one and
    /// it is to be kept.
    fn sums(&self, mut table: FloatTensor<B>, keep: bool) -> (FloatTensor<B>, Option<Block<B>>) {
        let mut kept = None;
        for (number, classes) in self.blocks.iter().enumerate() {
            let block = self.block(classes);
            let (logits, column) = (block.logits.clone(), PAIR + 2 * number);
            table = B::sums(logits, &self.labels, classes.start, table, column);
            if keep && self.blocks.len() == 1 {
                kept = Some(block);
            }
        }
        (table, kept)
    }

    /// Applies the margin on the host. Also returns the cross-entropy of each sample.
    fn ask(&self, table: &[f64]) -> (Margined<B>, Vec<f64>) {
        let batch = self.batch();
        let Margins {
            outcome,
            sums,
            largest,
        } = Margins::new(self.rule, table, self.precision);
        let rule: &dyn TargetLogits = self.rule;

        // The rows here are unit vectors, where the fused kernel has the original rows.
        let scale = self.normalisation.feature_scale;
        let (mut rows, mut along) = (Vec::new(), Vec::new());
        let samples = sums.iter().zip(&outcome.samples).zip(largest);
        for (at, ((sum, sample), [x, w])) in samples.enumerate() {
            let share = rule.weighted(at, scale.unwrap_or(1.0), batch);
            let d_target = rule.d_target(at, sum, sample, batch);
            let entry = d_target * entry(self.rule, sample);
            rows.extend([sum.max, share / sum.sum, entry]);
            // Multiply by the largest entry on the host: the factor of the original rows may
            // overflow f32.
            along.extend([
                d_target * sample.along_feature * x,
                d_target * sample.along_weight * w,
            ]);
        }
        let targets = TensorData::new(statistics(&outcome), [batch, 4]);
        let margined = Margined {
            loss: self.upload(vec![outcome.loss], Shape::new([1])),
            targets: B::float_from_data(targets, &self.scaled.device()),
            row: self.upload(rows, Shape::new([batch, 3])),
            along: self.upload(along, Shape::new([batch, 2])),
        };
        (margined, outcome.losses)
    }

    /// The gradients with respect to features and class weights.
    fn gradient(&self, found: &Margined<B>, mut kept: Option<Block<B>>) -> [FloatTensor<B>; 2] {
        let mut d_features = None;
        let mut d_weights = None;
        for classes in &self.blocks {
            let block = kept.take().unwrap_or_else(|| self.block(classes));
            let matrix = B::matrix(block.logits, &self.labels, classes.start, &found.row);
            let part = B::float_matmul(matrix.clone(), block.weights.rows.clone());
            d_features = Some(match d_features.take() {
                None => part,
                Some(sum) => B::float_add(sum, part),
            });
            let transposed = B::float_swap_dims(matrix, 0, 1);
            let part = B::float_matmul(transposed, self.feature_side.rows.clone());
            let part = block.weights.finish(part);
            d_weights = Some(if self.blocks.len() == 1 {
                part
            } else {
                let all = d_weights.take().unwrap_or_else(|| {
                    let device = part.device();
                    B::float_empty(self.weights.shape(), &device, self.precision)
                });
                B::float_slice_assign(all, &[rows_of(classes), Slice::full()], part)
            });
        }
        let d_features = d_features.expect("at least one class");
        let d_weights = d_weights.expect("at least one class");

        let [of_feature, of_weight] = [0, 1].map(|at| column::<B>(&found.along, at));
        let along = B::float_mul(self.features.rows.clone(), of_feature);
        let d_features = B::float_add(self.feature_side.finish(d_features), along);

        let along = B::float_mul(self.own.clone(), of_weight);
        let labels = self.labels.clone();
        let d_weights = B::float_select_assign(d_weights, 0, labels, along, IndexingUpdateOp::Add);
        [d_features, d_weights]
    }

    fn upload(&self, values: Vec<f64>, shape: Shape) -> FloatTensor<B> {
        let data = TensorData::new(values, shape).convert_dtype(self.precision.into());
        B::float_from_data(data, &self.scaled.device())
    }
}

fn rows_of(classes: &Range<usize>) -> Slice {
    Slice::from(classes.clone())
}

fn host<B: Backend>(tensor: FloatTensor<B>) -> Vec<f64> {
    let data = read_sync(B::float_into_data(tensor)).expect("the device answers");
    data.convert_dtype(f64::dtype())
        .try_into_vec()
        .expect("converted to f64")
}
