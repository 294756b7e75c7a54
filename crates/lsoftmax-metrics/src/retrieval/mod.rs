//! Retrieval: are the nearest neighbours of a query of its class?

mod ranks;

use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicBool;

use crate::matrix::check_columns;
use crate::nearest::check_rows;
use crate::{Error, Matrix, Result, stop};
use ranks::{References, each_query};

/// Retrieval metrics averaged over queries, as shares from 0 to 1.
///
/// The *references* of a query are the gallery rows of its class, excluding the query itself. R is
/// their number and varies by query. Gallery rows are ranked by inner product with the query; ties
/// go to the lower index. P(i) is the share of references in the first i ranks.
///
/// R-precision and MAP@R follow Musgrave, Belongie and Lim, "A Metric Learning Reality Check"
/// (2020), section 3.2. The values agree with the library of its authors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetrievalReport {
    /// Number of queries with a reference. All means are over these.
    pub queries: usize,
    /// Number of queries without a reference. They are excluded.
    pub without_reference: usize,
    /// For each requested K, in that order: the share of queries with a reference in the first K
    /// ranks.
    pub recall_at: Vec<(usize, f64)>,
    /// Share of queries whose nearest gallery row is a reference; equals Recall@1.
    pub precision_at_1: f64,
    /// P(R).
    pub r_precision: f64,
    /// `1/R sum P(i)` over the ranks i up to R that hold a reference.
    pub map_at_r: f64,
    /// `1/R sum P(i)` over all ranks i that hold a reference.
    pub mean_average_precision: f64,
}

/// Retrieval of queries in a gallery that does not contain them.
///
/// `queries` is `[query, column]` and `gallery` is `[row, column]`, each with one label per row;
/// labels may be arbitrary numbers. `recall_at` lists the K of Recall@K; K may exceed the gallery.
/// Pass [`unit_rows`](crate::unit_rows) to rank by cosine, which equals ranking by Euclidean
/// distance.
///
/// Inner products are those of [`nearest`](crate::nearest()). Only those of references are stored:
/// a thread processes up to 64 queries with 12 bytes for each of their references, and fewer
/// queries if that would exceed about 100 MB. Each query and gallery row takes a few tens of bytes
/// in addition.
///
/// # Errors
/// - [`Error::RowCount`] if there is not one label per row, [`Error::ColumnCount`] if the numbers
///   of columns differ or are 0.
/// - [`Error::Value`] if a row has a value that is not finite, or so large that inner products
///   overflow `f32`.
/// - [`Error::RecallAt`] if a K is 0.
/// - [`Error::GallerySize`] if there are more rows than a `u32` can index.
/// - [`Error::NoSamples`] if no query has a reference.
pub fn retrieval(
    queries: Matrix<'_>,
    query_labels: &[usize],
    gallery: Matrix<'_>,
    gallery_labels: &[usize],
    recall_at: &[usize],
) -> Result<RetrievalReport> {
    let stop = &stop::NEVER;
    retrieval_until(
        queries,
        query_labels,
        gallery,
        gallery_labels,
        recall_at,
        stop,
    )
}

/// [`retrieval`] that ends soon after `stop` is set.
///
/// # Errors
/// Those of [`retrieval`], and [`Error::Stopped`].
pub fn retrieval_until(
    queries: Matrix<'_>,
    query_labels: &[usize],
    gallery: Matrix<'_>,
    gallery_labels: &[usize],
    recall_at: &[usize],
    stop: &AtomicBool,
) -> Result<RetrievalReport> {
    check_labelled("query labels", queries, query_labels)?;
    check_rows("queries", queries)?;
    let (queries, gallery) = ((queries, query_labels), (gallery, gallery_labels));
    report(queries, gallery, recall_at, false, stop)
}

/// Retrieval of each row of `embeddings` `[row, column]` among all others. Like [`retrieval`] with
/// the same array on both sides, except that no row is a candidate for itself.
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
    retrieval_leave_one_out_until(embeddings, labels, recall_at, &stop::NEVER)
}

/// [`retrieval_leave_one_out`] that ends soon after `stop` is set.
///
/// # Errors
/// Those of [`retrieval`], and [`Error::Stopped`].
pub fn retrieval_leave_one_out_until(
    embeddings: Matrix<'_>,
    labels: &[usize],
    recall_at: &[usize],
    stop: &AtomicBool,
) -> Result<RetrievalReport> {
    let rows = (embeddings, labels);
    report(rows, rows, recall_at, true, stop)
}

/// Rows and their labels.
type Labelled<'a> = (Matrix<'a>, &'a [usize]);

fn report(
    (queries, query_labels): Labelled<'_>,
    (gallery, gallery_labels): Labelled<'_>,
    recall_at: &[usize],
    leave_one_out: bool,
    stop: &AtomicBool,
) -> Result<RetrievalReport> {
    check_labelled("labels", gallery, gallery_labels)?;
    check_columns("gallery", gallery, queries.columns())?;
    check_rows("gallery", gallery)?;
    if recall_at.contains(&0) {
        return Err(Error::RecallAt);
    }
    let references = References::new(gallery_labels, leave_one_out);
    let ranked = each_query(queries, query_labels, gallery, &references, stop)?;
    if ranked.is_empty() {
        return Err(Error::NoSamples { what: "retrieval" });
    }
    let count = ranked.len() as f64;
    // In the order of the queries, independent of the threads.
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

/// Checks that a matrix has columns, one label per row, and rows that a `u32` can index.
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
