//! Exact nearest neighbours by inner product, in fixed memory.

mod panel;
mod search;
mod top;

pub(crate) use panel::{Machine, Panel};
pub use search::Search;
pub(crate) use top::{key, score};

use crate::unit::push_unit;
use crate::{Error, Matrix, Result};

/// Options of a search.
#[derive(Debug, Clone, Copy)]
pub struct SearchOptions<'a> {
    /// Bytes of working memory, 256 MiB by default. [`Search`] describes its use.
    pub memory: usize,
    /// For each query, a gallery row to exclude: the query itself, if it is in the gallery.
    pub leave_out: Option<&'a [u32]>,
}

impl Default for SearchOptions<'_> {
    fn default() -> Self {
        Self {
            memory: 256 << 20,
            leave_out: None,
        }
    }
}

/// The `k` nearest gallery rows of each query.
#[derive(Debug, Clone, PartialEq)]
pub struct Neighbours {
    /// Neighbours per query, at least 1.
    pub k: usize,
    /// Gallery rows, `[query, k]`, best first.
    pub indices: Vec<u32>,
    /// Inner products with the query, `[query, k]`, in descending order.
    pub scores: Vec<f32>,
}

impl Neighbours {
    /// Gallery row and score of each neighbour of `query`, best first; `None` past the last query.
    pub fn of(&self, query: usize) -> Option<impl Iterator<Item = (u32, f32)>> {
        let start = query.checked_mul(self.k)?;
        let indices = self.indices.get(start..start + self.k)?;
        let scores = self.scores.get(start..start + self.k)?;
        Some(indices.iter().copied().zip(scores.iter().copied()))
    }
}

/// The `k` gallery rows with the largest inner product for each query. Ties go to the lower index.
/// Pass [`unit_rows`] to search by cosine.
///
/// The search is exact: it computes every inner product in `f32`, and the bits of a product depend
/// only on its two rows. The result therefore depends neither on the number of threads nor on
/// [`SearchOptions::memory`]; another instruction set may round differently.
///
/// ```
/// use lsoftmax_metrics::{Matrix, SearchOptions, nearest};
///
/// let gallery = [1.0, 0.0, 0.6, 0.8, 0.0, 1.0];
/// let gallery = Matrix::new(&gallery, 3, 2)?;
/// let probe = Matrix::new(&[0.8, 0.6], 1, 2)?;
/// assert_eq!(nearest(probe, gallery, 2, SearchOptions::default())?.indices, [1, 0]);
/// # Ok::<(), lsoftmax_metrics::Error>(())
/// ```
///
/// # Errors
/// Those of [`Search::new`], [`Search::push`] and [`Search::finish`].
pub fn nearest(
    queries: Matrix<'_>,
    gallery: Matrix<'_>,
    k: usize,
    options: SearchOptions<'_>,
) -> Result<Neighbours> {
    let mut search = Search::new(queries, k, options)?;
    search.push(gallery)?;
    search.finish()
}

/// Divides every row by its Euclidean norm, `[row, column]`. Zero rows stay zero.
///
/// # Errors
/// [`Error::Value`] with the first value that is not finite.
pub fn unit_rows(matrix: Matrix<'_>) -> Result<Vec<f32>> {
    if matrix.is_empty() {
        return Ok(Vec::new());
    }
    let mut units = Vec::with_capacity(matrix.rows() * matrix.columns());
    for (row, values) in matrix.iter_rows().enumerate() {
        check_row("unit rows", row, values, f32::MAX)?;
        push_unit(&mut units, values);
    }
    Ok(units)
}

/// The largest magnitude of a value for which no inner product of `columns` terms overflows `f32`.
pub(crate) fn largest_value(columns: usize) -> f32 {
    0.9 * (f32::MAX / columns.max(1) as f32).sqrt()
}

/// Checks that each value is finite and at most `limit` in magnitude.
pub(crate) fn check_row(what: &'static str, row: usize, values: &[f32], limit: f32) -> Result<()> {
    // Without the sign bit, the bits of floats have the same order as the floats, with NaN largest.
    let bits = |value: f32| value.to_bits() & (u32::MAX >> 1);
    let largest = values
        .iter()
        .fold(0, |largest, &value| bits(value).max(largest));
    if largest <= limit.to_bits() {
        return Ok(());
    }
    let outside = |value: &f32| bits(*value) > limit.to_bits();
    let column = values.iter().position(outside).unwrap_or_default();
    Err(Error::Value {
        what,
        row,
        column,
        found: values[column],
        limit,
    })
}

/// [`check_row`] for each row of a matrix, against [`largest_value`].
pub(crate) fn check_rows(what: &'static str, matrix: Matrix<'_>) -> Result<()> {
    if matrix.is_empty() {
        return Ok(());
    }
    let limit = largest_value(matrix.columns());
    let mut rows = matrix.iter_rows().enumerate();
    rows.try_for_each(|(row, values)| check_row(what, row, values, limit))
}
