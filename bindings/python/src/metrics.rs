//! Metrics of embeddings. Results that consist of a few numbers are returned as JSON, which the
//! Python side converts to dataclasses.

use crate::arrays::{List, Rows, labels};
use crate::errors::value_error;
use crate::work::{beside, detached};
use lsoftmax_metrics::{
    Error, Matrix, Roc, Search, SearchOptions, adjusted_mutual_information, identify_until,
    k_fold_embeddings_until, k_fold_until, k_means_until, normalized_mutual_information,
    retrieval_leave_one_out_until, retrieval_until,
};
use numpy::{PyArray1, PyArray2, PyArrayMethods as _};
use pyo3::prelude::*;
use serde_json::json;
use std::sync::atomic::AtomicBool;

/// Number of multiplications between two checks for Ctrl-C, less than a second of work. Blocks of
/// fewer gallery rows than the minimum would be slower for no benefit.
const MULTIPLICATIONS: usize = 1 << 35;
const LEAST_ROWS: usize = 1_024;

type Matrix32<'py> = Bound<'py, PyArray2<f32>>;

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(unit_rows, module)?)?;
    module.add_function(wrap_pyfunction!(cosine_scores, module)?)?;
    module.add_function(wrap_pyfunction!(roc, module)?)?;
    module.add_function(wrap_pyfunction!(roc_points, module)?)?;
    module.add_function(wrap_pyfunction!(cross_validated, module)?)?;
    module.add_function(wrap_pyfunction!(cross_validated_embeddings, module)?)?;
    module.add_function(wrap_pyfunction!(ranked, module)?)?;
    module.add_function(wrap_pyfunction!(ranked_in, module)?)?;
    module.add_function(wrap_pyfunction!(identification, module)?)?;
    module.add_function(wrap_pyfunction!(clusters, module)?)?;
    module.add_function(wrap_pyfunction!(nmi, module)?)?;
    module.add_function(wrap_pyfunction!(ami, module)?)?;
    module.add_function(wrap_pyfunction!(nearest, module)?)?;
    Ok(())
}

/// Runs long work that Ctrl-C can stop.
fn stoppable<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&AtomicBool) -> Result<T, Error> + Send,
) -> PyResult<T> {
    let stop = AtomicBool::new(false);
    let (found, failed) = beside(py, &stop, || work(&stop), |_| Ok(()))?;
    failed.map_or(Ok(()), Err)?;
    found.map_err(value_error)
}

fn text(value: &impl serde::Serialize) -> PyResult<String> {
    serde_json::to_string(value).map_err(value_error)
}

fn matrix(py: Python<'_>, values: Vec<f32>, shape: [usize; 2]) -> PyResult<Matrix32<'_>> {
    PyArray1::from_vec(py, values).reshape(shape)
}

#[pyfunction]
fn unit_rows<'py>(py: Python<'py>, rows: &Bound<'py, PyAny>) -> PyResult<Matrix32<'py>> {
    let rows = Rows::<f32>::new(rows, "embeddings")?;
    let input = rows.matrix()?;
    let units = detached(py, || lsoftmax_metrics::unit_rows(input))?;
    matrix(py, units.map_err(value_error)?, rows.shape())
}

#[pyfunction]
fn cosine_scores<'py>(
    py: Python<'py>,
    left: &Bound<'py, PyAny>,
    right: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyArray1<f32>>> {
    let left = Rows::<f32>::new(left, "left")?;
    let right = Rows::<f32>::new(right, "right")?;
    let (left, right) = (left.matrix()?, right.matrix()?);
    let scores = detached(py, || lsoftmax_metrics::cosine_scores(left, right))?;
    Ok(PyArray1::from_vec(py, scores.map_err(value_error)?))
}

fn roc_of(scores: &Bound<'_, PyAny>, same: &Bound<'_, PyAny>) -> PyResult<Roc> {
    let scores = List::<f32>::new(scores, "scores")?;
    let same = List::<bool>::new(same, "same")?;
    Roc::new(scores.values()?, same.values()?).map_err(value_error)
}

#[pyfunction]
fn roc(scores: &Bound<'_, PyAny>, same: &Bound<'_, PyAny>, fars: Vec<f64>) -> PyResult<String> {
    let roc = roc_of(scores, same)?;
    let tars = fars.into_iter().map(|far| roc.tar_at_far(far));
    let tars: Vec<_> = tars.collect::<Result<_, _>>().map_err(value_error)?;
    text(&json!({
        "auc": roc.auc(),
        "eer": roc.eer(),
        "best_threshold": roc.best_threshold(),
        "tar_at_far": tars,
        "same_pairs": roc.same_pairs(),
        "different_pairs": roc.different_pairs(),
    }))
}

#[pyfunction]
fn roc_points<'py>(
    py: Python<'py>,
    scores: &Bound<'py, PyAny>,
    same: &Bound<'py, PyAny>,
    most: usize,
) -> PyResult<Bound<'py, PyArray2<f64>>> {
    let points = roc_of(scores, same)?.points(most);
    let rows = points.len();
    let values = points
        .iter()
        .flat_map(|p| [p.far, p.tar, f64::from(p.threshold)]);
    PyArray1::from_vec(py, values.collect()).reshape([rows, 3])
}

#[pyfunction]
fn cross_validated(
    py: Python<'_>,
    scores: &Bound<'_, PyAny>,
    same: &Bound<'_, PyAny>,
    folds: &Bound<'_, PyAny>,
) -> PyResult<String> {
    let scores = List::<f32>::new(scores, "scores")?;
    let same = List::<bool>::new(same, "same")?;
    let folds = labels(folds, "folds")?;
    let (scores, same) = (scores.values()?, same.values()?);
    let found = stoppable(py, |stop| k_fold_until(scores, same, &folds, stop))?;
    text(&found)
}

#[pyfunction]
fn cross_validated_embeddings(
    py: Python<'_>,
    left: &Bound<'_, PyAny>,
    right: &Bound<'_, PyAny>,
    same: &Bound<'_, PyAny>,
    folds: &Bound<'_, PyAny>,
    centred: bool,
) -> PyResult<String> {
    let left = Rows::<f32>::new(left, "left")?;
    let right = Rows::<f32>::new(right, "right")?;
    let same = List::<bool>::new(same, "same")?;
    let folds = labels(folds, "folds")?;
    let (left, right, same) = (left.matrix()?, right.matrix()?, same.values()?);
    let found = stoppable(py, |stop| {
        k_fold_embeddings_until(left, right, same, &folds, centred, stop)
    })?;
    text(&found)
}

/// Embeddings `[row, column]` and their labels `[row]`.
fn labelled<'py>(
    rows: &Bound<'py, PyAny>,
    classes: &Bound<'py, PyAny>,
    [rows_name, classes_name]: [&'static str; 2],
) -> PyResult<(Rows<'py, f32>, Vec<usize>)> {
    Ok((Rows::new(rows, rows_name)?, labels(classes, classes_name)?))
}

#[pyfunction]
fn ranked(
    py: Python<'_>,
    embeddings: &Bound<'_, PyAny>,
    classes: &Bound<'_, PyAny>,
    recall_at: Vec<usize>,
) -> PyResult<String> {
    let (embeddings, classes) = labelled(embeddings, classes, ["embeddings", "labels"])?;
    let embeddings = embeddings.matrix()?;
    let found = stoppable(py, |stop| {
        retrieval_leave_one_out_until(embeddings, &classes, &recall_at, stop)
    })?;
    text(&found)
}

#[pyfunction]
fn ranked_in(
    py: Python<'_>,
    queries: &Bound<'_, PyAny>,
    query_classes: &Bound<'_, PyAny>,
    gallery: &Bound<'_, PyAny>,
    gallery_classes: &Bound<'_, PyAny>,
    recall_at: Vec<usize>,
) -> PyResult<String> {
    let (queries, query_classes) = labelled(queries, query_classes, ["queries", "query_labels"])?;
    let (gallery, gallery_classes) =
        labelled(gallery, gallery_classes, ["gallery", "gallery_labels"])?;
    let (queries, gallery) = (queries.matrix()?, gallery.matrix()?);
    let found = stoppable(py, |stop| {
        retrieval_until(
            queries,
            &query_classes,
            gallery,
            &gallery_classes,
            &recall_at,
            stop,
        )
    })?;
    text(&found)
}

#[pyfunction]
fn identification(
    py: Python<'_>,
    probes: &Bound<'_, PyAny>,
    probe_classes: &Bound<'_, PyAny>,
    gallery: &Bound<'_, PyAny>,
    gallery_classes: &Bound<'_, PyAny>,
    ranks: usize,
    fpirs: Vec<f64>,
) -> PyResult<String> {
    let (probes, probe_classes) = labelled(probes, probe_classes, ["probes", "probe_labels"])?;
    let (gallery, gallery_classes) =
        labelled(gallery, gallery_classes, ["gallery", "gallery_labels"])?;
    let (probes, gallery) = (probes.matrix()?, gallery.matrix()?);
    let found = stoppable(py, |stop| {
        identify_until(probes, &probe_classes, gallery, &gallery_classes, stop)
    })?;
    // The rates are shares of the mated probes.
    let cmc = if found.mated.is_empty() {
        Vec::new()
    } else {
        found.cmc_curve(ranks).map_err(value_error)?
    };
    let is_open = !found.mated.is_empty() && !found.non_mated.is_empty();
    let fpirs = if is_open { fpirs } else { Vec::new() };
    let rates = fpirs.into_iter().map(|fpir| found.tpir_at_fpir(fpir));
    let rates: Vec<_> = rates.collect::<Result<_, _>>().map_err(value_error)?;
    text(&json!({
        "identities": found.identities,
        "mated": found.mated.len(),
        "non_mated": found.non_mated.len(),
        "cmc": cmc,
        "tpir_at_fpir": rates,
    }))
}

type Clusters<'py> = (Bound<'py, PyArray1<i64>>, Matrix32<'py>, f64, usize, bool);

#[pyfunction]
fn clusters<'py>(
    py: Python<'py>,
    embeddings: &Bound<'py, PyAny>,
    k: usize,
    seed: u64,
    iterations: usize,
) -> PyResult<Clusters<'py>> {
    let rows = Rows::<f32>::new(embeddings, "embeddings")?;
    let points = rows.matrix()?;
    let found = stoppable(py, |stop| k_means_until(points, k, seed, iterations, stop))?;
    let numbers = found.clusters.iter().map(|&cluster| cluster as i64);
    let columns = rows.shape()[1];
    Ok((
        PyArray1::from_vec(py, numbers.collect()),
        matrix(py, found.centroids, [k, columns])?,
        found.inertia,
        found.iterations,
        found.converged,
    ))
}

#[pyfunction]
fn nmi(first: &Bound<'_, PyAny>, second: &Bound<'_, PyAny>) -> PyResult<f64> {
    let (first, second) = (labels(first, "labels")?, labels(second, "clusters")?);
    normalized_mutual_information(&first, &second).map_err(value_error)
}

#[pyfunction]
fn ami(first: &Bound<'_, PyAny>, second: &Bound<'_, PyAny>) -> PyResult<f64> {
    let (first, second) = (labels(first, "labels")?, labels(second, "clusters")?);
    adjusted_mutual_information(&first, &second).map_err(value_error)
}

type Neighbours<'py> = (Bound<'py, PyArray2<u32>>, Matrix32<'py>);

/// Ctrl-C stops the search between blocks of the gallery.
#[pyfunction]
#[pyo3(signature = (queries, gallery, k, leave_out=None))]
fn nearest<'py>(
    py: Python<'py>,
    queries: &Bound<'py, PyAny>,
    gallery: &Bound<'py, PyAny>,
    k: usize,
    leave_out: Option<&Bound<'py, PyAny>>,
) -> PyResult<Neighbours<'py>> {
    let queries = Rows::<f32>::new(queries, "queries")?;
    let gallery = Rows::<f32>::new(gallery, "gallery")?;
    let leave_out = leave_out.map(|rows| List::<u32>::new(rows, "leave_out"));
    let leave_out = leave_out.transpose()?;
    let options = SearchOptions {
        leave_out: leave_out.as_ref().map(List::values).transpose()?,
        ..SearchOptions::default()
    };
    let [rows, columns] = gallery.shape();
    let values = gallery.values()?;
    let mut search = Search::new(queries.matrix()?, k, options).map_err(value_error)?;
    let row = queries.shape()[0].saturating_mul(columns).max(1);
    let most = (MULTIPLICATIONS / row).max(LEAST_ROWS);
    let mut start = 0;
    while start < rows {
        let count = most.min(rows - start);
        let block = &values[start * columns..(start + count) * columns];
        let block = Matrix::new(block, count, columns).map_err(value_error)?;
        detached(py, || search.push(block))?.map_err(value_error)?;
        py.check_signals()?;
        start += count;
    }
    let found = search.finish().map_err(value_error)?;
    let shape = [queries.shape()[0], found.k];
    Ok((
        PyArray1::from_vec(py, found.indices).reshape(shape)?,
        matrix(py, found.scores, shape)?,
    ))
}
