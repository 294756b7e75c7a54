//! Exact nearest neighbours by inner product, in fixed memory.

mod panel;
mod search;
mod top;

pub(crate) use panel::{Machine, Panel};
pub use search::Search;
pub(crate) use top::{key, score};

use crate::unit::push_unit;
use crate::{Error, Matrix, Result};

/// What a search may use and what it leaves out.
#[derive(Debug, Clone, Copy)]
pub struct SearchOptions<'a> {
    /// Bytes of working memory, 256 MiB unless told otherwise. See [`Search`] for what it holds.
    pub memory: usize,
    /// For each query a gallery row that is not a candidate: the query itself, where it is in the
    /// gallery.
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
    /// Neighbours of a query, at least 1.
    pub k: usize,
    /// Gallery rows, `[query, k]`, best first.
    pub indices: Vec<u32>,
    /// Their inner products with the query, `[query, k]`, falling.
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

/// The `k` gallery rows with the largest inner product for each query; of equal scores the lower
/// index is nearer. Give [`unit_rows`] for the cosine.
///
/// The search is exact: every inner product is computed, in `f32`, and its bits depend on its two
/// rows alone. So the result depends neither on the number of threads nor on
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

/// Every row divided by its Euclidean norm, `[row, column]`; zero rows stay zero.
///
/// # Errors
/// [`Error::Value`] names the first value that is not finite.
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

/// The largest magnitude of a value for which no inner product of `columns` terms leaves `f32`.
pub(crate) fn largest_value(columns: usize) -> f32 {
    0.9 * (f32::MAX / columns.max(1) as f32).sqrt()
}

/// Checks that each value is finite and at most `limit` in magnitude.
pub(crate) fn check_row(what: &'static str, row: usize, values: &[f32], limit: f32) -> Result<()> {
    // Without their sign, the bits of floats are ordered as the floats are, and NaN is the largest.
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
