//! Recognises, from its contents, whether a file was written by the command that is about to
//! replace it. These functions do not fail: a file that cannot be read counts as written by
//! something else.

use lsoftmax_data::npy;
use lsoftmax_data::parquet_file::is_embeddings;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Number of bytes of a page or picture to look at. Ours are far smaller.
const MOST: u64 = 16 << 20;

/// The beginning of a file as text.
fn start(file: &Path, bytes: u64) -> String {
    let mut text = Vec::new();
    if file.is_file()
        && let Ok(file) = File::open(file)
    {
        file.take(bytes).read_to_end(&mut text).ok();
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Whether the file is a page of this kind.
pub(crate) fn is_page(file: &Path, kind: &str) -> bool {
    let head = start(file, 2_000);
    is_ours(&head) && head.contains(&lsoftmax_report::kind_mark(kind))
}

fn is_ours(head: &str) -> bool {
    head.contains("<meta name=\"generator\" content=\"lsoftmax ")
}

/// Whether the file is a picture of this program.
pub(crate) fn is_picture(file: &Path) -> bool {
    start(file, 100).starts_with(SVG)
}

const SVG: &str = "<svg class=\"lsr\"";

/// Whether the file is a picture, or a page with a picture, with the same title as this one.
pub(crate) fn is_plot(file: &Path, svg: &str) -> bool {
    let text = start(file, MOST);
    let title = svg
        .split_once("<title>")
        .and_then(|(_, rest)| rest.split_once("</title>"));
    let Some((title, _)) = title else {
        return false;
    };
    let head: String = text.chars().take(2_000).collect();
    let is_plot =
        text.starts_with(SVG) || is_ours(&head) && !head.contains(lsoftmax_report::KIND_META);
    is_plot && text.contains(&format!("<title>{title}</title>"))
}

/// Whether the file holds the tables of `reproduce`.
pub(crate) fn is_results(file: &Path) -> bool {
    start(file, 100).starts_with("# Results\n\nWritten by `lsoftmax ")
}

/// Whether the files are an array of embeddings and the list of its images.
pub(crate) fn is_array_with_names(array: &Path, names: &Path) -> bool {
    let Ok(npy::Header { descr, shape, .. }) = npy::header(array) else {
        return false;
    };
    let [rows, _] = shape[..] else {
        return false;
    };
    descr == "<f4" && start(names, 11) == "path,label\n" && rows_of(names) == Some(rows)
}

fn rows_of(table: &Path) -> Option<usize> {
    let mut table = csv::Reader::from_path(table).ok()?;
    let mut record = csv::ByteRecord::new();
    let mut rows = 0;
    while table.read_byte_record(&mut record).ok()? {
        rows += 1;
    }
    Some(rows)
}

/// Whether the file is a model written by `export`.
pub(crate) fn is_onnx(file: &Path) -> bool {
    let mut bytes = Vec::new();
    if file.is_file()
        && let Ok(file) = File::open(file)
    {
        file.take(64).read_to_end(&mut bytes).ok();
    }
    lsoftmax_onnx::is_own(&bytes)
}

/// Whether the file is a table of embeddings.
pub(crate) fn is_table(file: &Path) -> bool {
    is_embeddings(file)
}

/// Whether the files are the four arrays of `loss`.
pub(crate) fn are_arrays_of_loss([logits, d_features, d_weights, loss]: [&Path; 4]) -> bool {
    let header = |file: &Path| npy::header(file).ok();
    let all = [logits, d_features, d_weights, loss].map(header);
    let [Some(logits), Some(d_features), Some(d_weights), Some(loss)] = all else {
        return false;
    };
    let kinds = [&logits, &d_features, &d_weights].map(|array| &array.descr);
    let (&[batch, classes], &[rows, size], &[columns, length]) = (
        &logits.shape[..],
        &d_features.shape[..],
        &d_weights.shape[..],
    ) else {
        return false;
    };
    loss.shape.is_empty()
        && kinds.iter().all(|kind| **kind == loss.descr)
        && (batch, classes, size) == (rows, columns, length)
}
