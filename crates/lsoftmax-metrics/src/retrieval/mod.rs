//! How well the nearest neighbours of a query are of its class.

mod ranks;

use serde::{Deserialize, Serialize};

use crate::matrix::check_columns;
use crate::nearest::check_rows;
use crate::{Error, Matrix, Result};
use ranks::{References, each_query};

/// Retrieval metrics, averaged over queries; all of them are shares from 0 to 1.
///
/// A query's *references* are the gallery rows of its class, other than itself; there are R of
/// them, and R differs from query to query. Gallery rows are ranked by their inner product with the
/// query, of equal ones the lower index first. P(i) is the share of references in the first i ranks.
///
/// R-precision and MAP@R as tools for metric learning: Musgrave, Belongie and Lim, "A Metric Learning
/// Reality Check" (2020), section 3.2, whose library these figures agree with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetrievalReport {
    /// Queries that have a reference: all means are over these.
    pub queries: usize,
    /// Queries whose class has no reference. They are left out.
    pub without_reference: usize,
    /// For each K that was asked for, in that order: share of queries with a reference in the first
    /// K ranks.
    pub recall_at: Vec<(usize, f64)>,
    /// Share of queries whose nearest gallery row is a reference; the same as Recall@1.
    pub precision_at_1: f64,
    /// P(R).
    pub r_precision: f64,
    /// `1/R sum P(i)` over those ranks i up to R that hold a reference.
    pub map_at_r: f64,
    /// `1/R sum P(i)` over all ranks i that hold a reference.
    pub mean_average_precision: f64,
}

/// Retrieval of queries in a gallery that does not hold them.
///
/// `queries` is `[query, column]`, `gallery` `[row, column]`, each with one label a row; labels may
/// be any numbers. `recall_at` are the K of Recall@K; K may exceed the gallery. Give
/// [`unit_rows`](crate::unit_rows) for the cosine, which ranks as the Euclidean distance does.
///
/// Inner products are those of [`nearest`](crate::nearest()). None is kept but those of references: a
/// thread holds up to 64 queries and 12 bytes for each of their references, and takes fewer queries
/// where that would exceed about 100 MB. Each query and gallery row takes some tens of bytes besides.
///
/// # Errors
/// - [`Error::RowCount`] when there is not one label a row, [`Error::ColumnCount`] when the arrays
///   have different columns, or none.
/// - [`Error::Value`] when a row has a value that is not finite, or so large that inner products
///   leave `f32`.
/// - [`Error::RecallAt`] when a K is 0.
/// - [`Error::GallerySize`] when the rows are more than a `u32` can number.
/// - [`Error::NoSamples`] when no query has a reference.
pub fn retrieval(
    queries: Matrix<'_>,
    query_labels: &[usize],
    gallery: Matrix<'_>,
    gallery_labels: &[usize],
    recall_at: &[usize],
) -> Result<RetrievalReport> {
    check_labelled("query labels", queries, query_labels)?;
    check_rows("queries", queries)?;
    report(
        queries,
        query_labels,
        gallery,
        gallery_labels,
        recall_at,
        false,
    )
}

/// Retrieval of each row of `embeddings` `[row, column]` among all others: as [`retrieval`] with the
/// same array on both sides, but no row is a candidate for itself.
///
/// ```
/// use lsoftmax_metrics::{Matrix, retrieval_leave_one_out};
///
/// let embeddings = [1.0, 0.0, 0.8, 0.6, 0.6, 0.8, 0.0, 1.0];
/// let embeddings = Matrix::new(&embeddings, 4, 2)?;
/// let report = retrieval_leave_one_out(embeddings, &[7, 7, 7, 3], &[1, 2])?;
/// assert_eq!((report.queries, report.without_reference), (3, 1));
/// assert_eq!(report.recall_at, [(1, 1.0), (2, 1.0)]);
/// // The third row ranks: second, fourth (another class), first.
/// assert_eq!(report.r_precision, (1.0 + 1.0 + 0.5) / 3.0);
/// assert_eq!(report.map_at_r, (1.0 + 1.0 + 0.5) / 3.0);
/// # Ok::<(), lsoftmax_metrics::Error>(())
/// ```
///
/// # Errors
/// Those of [`retrieval`].
pub fn retrieval_leave_one_out(
    embeddings: Matrix<'_>,
    labels: &[usize],
    recall_at: &[usize],
) -> Result<RetrievalReport> {
    report(embeddings, labels, embeddings, labels, recall_at, true)
}

fn report(
    queries: Matrix<'_>,
    query_labels: &[usize],
    gallery: Matrix<'_>,
    gallery_labels: &[usize],
    recall_at: &[usize],
    leave_one_out: bool,
) -> Result<RetrievalReport> {
    check_labelled("labels", gallery, gallery_labels)?;
    check_columns("gallery", gallery, queries.columns())?;
    check_rows("gallery", gallery)?;
    if recall_at.contains(&0) {
        return Err(Error::RecallAt);
    }
    let references = References::new(gallery_labels, leave_one_out);
    let ranked = each_query(queries, query_labels, gallery, &references);
    if ranked.is_empty() {
        return Err(Error::NoSamples { what: "retrieval" });
    }
    let count = ranked.len() as f64;
    // In the order of the queries, whoever computed them.
    let mean =
        |value: &dyn Fn(&ranks::Ranked) -> f64| ranked.iter().map(value).sum::<f64>() / count;
    let recall = |k: usize| mean(&|query| f64::from(query.first as usize <= k));
    Ok(RetrievalReport {
        queries: ranked.len(),
        without_reference: queries.rows() - ranked.len(),
        recall_at: recall_at.iter().map(|&k| (k, recall(k))).collect(),
        precision_at_1: recall(1),
        r_precision: mean(&|query| query.r_precision),
        map_at_r: mean(&|query| query.average_precision_at_r),
        mean_average_precision: mean(&|query| query.average_precision),
    })
}

/// Checks that a matrix has columns, as many labels as rows, and rows that a `u32` can number.
fn check_labelled(what: &'static str, matrix: Matrix<'_>, labels: &[usize]) -> Result<()> {
    if labels.len() != matrix.rows() {
        return Err(Error::RowCount {
            what,
            expected: matrix.rows(),
            found: labels.len(),
        });
    }
    if matrix.columns() == 0 {
        return Err(Error::ColumnCount {
            what: "embeddings",
            expected: 1,
            found: 0,
        });
    }
    if matrix.rows() >= u32::MAX as usize {
        return Err(Error::GallerySize {
            rows: matrix.rows(),
        });
    }
    Ok(())
}
