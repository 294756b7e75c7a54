//! The steps of the head between its matrix products, implemented with Burn's operations.

use super::super::{TargetRule, cast, precision};
use crate::margin::Curve;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata as _};
use burn::tensor::{IndexingUpdateOp, Scalar, Shape, Slice};

/// The steps between the matrix products. The default implementations use Burn's operations.
pub(in crate::ops) trait HeadPasses: Backend {
    /// Pairs each feature with the weight of its target class, in a table with this number of
    /// columns.
    ///
    /// # Shapes
    /// - features: `[batch, feature]`, at least f32
    /// - weights: `[class, feature]`, in their original precision
    /// - labels: `[batch]`
    fn pairs(
        features: &FloatTensor<Self>,
        weights: &FloatTensor<Self>,
        labels: &IntTensor<Self>,
        columns: usize,
    ) -> Pairs<Self> {
        pairs::<Self>(features, weights, labels, columns)
    }

    /// For each row of a block of logits, computes the largest logit, excluding the target class,
    /// and the sum of the exponentials of the differences to it. Stores them in two columns of the
    /// table.
    ///
    /// # Shapes
    /// - logits: `[batch, class of the block]`
    /// - labels: `[batch]`, counted over all classes
    /// - start: the first class of the block
    /// - table, column: the table, and the first of the two columns
    fn sums(
        logits: FloatTensor<Self>,
        labels: &IntTensor<Self>,
        start: usize,
        table: FloatTensor<Self>,
        column: usize,
    ) -> FloatTensor<Self> {
        sums::<Self>(logits, labels, start, table, column)
    }

    /// The matrix that both products of the gradient use, `[batch, class of the block]`:
    /// `exp(logit - max) * factor`, with the entry of the row at its target class.
    ///
    /// # Shapes
    /// - logits, labels, start: the same as for [`sums`](Self::sums)
    /// - row: max, factor and entry of each row, `[batch, 3]`
    fn matrix(
        logits: FloatTensor<Self>,
        labels: &IntTensor<Self>,
        start: usize,
        row: &FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        matrix::<Self>(logits, labels, start, row)
    }

    /// Applies a margin given by a curve, if the device can compute it.
    ///
    /// # Shapes
    /// - table: `table::PAIR` columns and then two for each block, `[batch, columns]`
    fn apply(table: &FloatTensor<Self>, curve: Curve, rule: &TargetRule) -> Option<Margined<Self>> {
        let _ = (table, curve, rule);
        None
    }
}

/// The result of the margin for a batch.
pub(in crate::ops) struct Margined<B: Backend> {
    /// The loss, `[1]`.
    pub(in crate::ops) loss: FloatTensor<B>,
    /// Target statistics, `[batch, 4]`: see [`HeadLoss`](crate::HeadLoss).
    pub(in crate::ops) targets: FloatTensor<B>,
    /// Max, factor and entry of each row for [`HeadPasses::matrix`], `[batch, 3]`.
    pub(in crate::ops) row: FloatTensor<B>,
    /// The share of the feature in its own gradient, and of the target class weight in its own,
    /// both divided by their largest entry, `[batch, 2]`.
    pub(in crate::ops) along: FloatTensor<B>,
}

/// Each feature paired with the weight of its target class.
pub(in crate::ops) struct Pairs<B: Backend> {
    /// `[batch, columns]`, the first `table::PAIR` of them filled.
    pub(in crate::ops) table: FloatTensor<B>,
    pub(in crate::ops) features: Even<B>,
    /// The weight of each sample's target class, divided by its largest entry.
    pub(in crate::ops) own: FloatTensor<B>,
}

/// The position of each sample's target class in a block of classes.
struct OwnClass<B: Backend> {
    /// The column, or any valid column if the class is in another block, `[batch, 1]`.
    column: IntTensor<B>,
    /// 1 if the class is in the block, otherwise 0, `[batch, 1]`.
    inside: FloatTensor<B>,
}

impl<B: Backend> OwnClass<B> {
    fn new(labels: &IntTensor<B>, start: usize, logits: &FloatTensor<B>) -> Self {
        let [batch, classes] = logits.shape().dims();
        let last = classes as i64 - 1;
        let bool_dtype = burn::backend::get_device_settings::<B>(&logits.device()).bool_dtype;
        let place = B::int_reshape(labels.clone(), Shape::new([batch, 1]));
        let place = B::int_sub_scalar(place, (start as i64).into());
        let column = B::int_clamp(place.clone(), 0i64.into(), last.into());
        let inside = B::int_equal(place, column.clone(), bool_dtype);
        Self {
            column,
            inside: B::bool_into_float(inside, logits.dtype().into()),
        }
    }
}

/// Rows divided by their largest entry, because squares of very large or small values leave the
/// range of f32.
pub(in crate::ops) struct Even<B: Backend> {
    /// Rows whose largest entry is 1, or zero rows.
    pub(in crate::ops) rows: FloatTensor<B>,
    /// The divisors, `[rows, 1]`.
    pub(in crate::ops) largest: FloatTensor<B>,
}

impl<B: Backend> Even<B> {
    pub(super) fn new(rows: FloatTensor<B>) -> Self {
        let largest = B::float_max_abs_dim(rows.clone(), 1);
        let largest = B::float_clamp_min(largest, Scalar::from(f32::MIN_POSITIVE));
        Self {
            rows: B::float_div(rows, largest.clone()),
            largest,
        }
    }
}

/// Returns a column `[batch, 1]` of `[batch, columns]`.
pub(super) fn column<B: Backend>(table: &FloatTensor<B>, at: usize) -> FloatTensor<B> {
    B::float_slice(table.clone(), &[Slice::full(), Slice::from(at..at + 1)])
}

pub(super) fn row_dot<B: Backend>(a: &FloatTensor<B>, b: &FloatTensor<B>) -> FloatTensor<B> {
    B::float_sum_dim(B::float_mul(a.clone(), b.clone()), 1)
}

/// Replaces the target logit while the other logits are summed. It is far below any logit, and a
/// logit can be subtracted from it without overflow in f32.
pub(in crate::ops) const NOTHING: f64 = f32::MIN as f64 / 2.0;

/// Replaces the logits of the target classes with [`NOTHING`].
fn without_own<B: Backend>(logits: FloatTensor<B>, own: &OwnClass<B>) -> FloatTensor<B> {
    let plain = B::float_gather(1, logits.clone(), own.column.clone());
    let change = B::float_add_scalar(B::float_neg(plain), NOTHING.into());
    let change = B::float_mul(change, own.inside.clone());
    B::float_scatter(1, logits, own.column.clone(), change, IndexingUpdateOp::Add)
}

/// Writes columns side by side into a table.
fn put<B: Backend>(
    table: FloatTensor<B>,
    column: usize,
    columns: Vec<FloatTensor<B>>,
) -> FloatTensor<B> {
    let place = Slice::from(column..column + columns.len());
    B::float_slice_assign(table, &[Slice::full(), place], B::float_cat(columns, 1))
}

/// [`HeadPasses::pairs`] with Burn's operations.
pub(in crate::ops) fn pairs<B: Backend>(
    features: &FloatTensor<B>,
    weights: &FloatTensor<B>,
    labels: &IntTensor<B>,
    columns: usize,
) -> Pairs<B> {
    let precision = precision(features.dtype(), weights.dtype());
    let own = B::float_select(weights.clone(), 0, labels.clone());
    let own = Even::<B>::new(cast::<B>(own, precision));
    let features = Even::<B>::new(features.clone());
    let shape = Shape::new([features.rows.shape()[0], columns]);
    let table = B::float_empty(shape, &features.rows.device(), precision);
    let of_pairs = vec![
        row_dot::<B>(&features.rows, &own.rows),
        row_dot::<B>(&features.rows, &features.rows),
        row_dot::<B>(&own.rows, &own.rows),
        features.largest.clone(),
        own.largest,
    ];
    Pairs {
        table: put::<B>(table, 0, of_pairs),
        features,
        own: own.rows,
    }
}

/// [`HeadPasses::sums`] with Burn's operations.
pub(in crate::ops) fn sums<B: Backend>(
    logits: FloatTensor<B>,
    labels: &IntTensor<B>,
    start: usize,
    table: FloatTensor<B>,
    column: usize,
) -> FloatTensor<B> {
    let own = OwnClass::<B>::new(labels, start, &logits);
    let logits = without_own::<B>(logits, &own);
    let max = B::float_max_dim(logits.clone(), 1);
    let sum = B::float_exp(B::float_sub(logits, max.clone()));
    put::<B>(table, column, vec![max, B::float_sum_dim(sum, 1)])
}

/// [`HeadPasses::matrix`] with Burn's operations.
pub(in crate::ops) fn matrix<B: Backend>(
    logits: FloatTensor<B>,
    labels: &IntTensor<B>,
    start: usize,
    row: &FloatTensor<B>,
) -> FloatTensor<B> {
    let own = OwnClass::<B>::new(labels, start, &logits);
    let [max, factor, entry] = [0, 1, 2].map(|at| column::<B>(row, at));
    // The exponential of `NOTHING` is 0.
    let logits = without_own::<B>(logits, &own);
    let matrix = B::float_mul(B::float_exp(B::float_sub(logits, max)), factor);
    let entry = B::float_mul(entry, own.inside.clone());
    B::float_scatter(1, matrix, own.column, entry, IndexingUpdateOp::Add)
}
