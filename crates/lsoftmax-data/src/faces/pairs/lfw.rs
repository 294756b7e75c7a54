//! `pairs.txt` of Labeled Faces in the Wild.

use super::{FacePair, PairsFile, shorten};
use crate::error::DataError;
use crate::identities::{is_folder_name, lfw_image};
use std::path::Path;

/// The first line.
#[derive(Clone, Copy)]
pub(super) struct Header {
    folds: usize,
    /// Pairs of the same person per fold, and as many pairs of two people.
    pairs: usize,
}

impl Header {
    /// Parses one or two integers; `None` for any other line.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let numbers: Option<Vec<usize>> = fields(line).map(|field| field.parse().ok()).collect();
        let (folds, pairs) = match numbers?[..] {
            [pairs] => (1, pairs),
            [folds, pairs] => (folds, pairs),
            _ => return None,
        };
        Some(Self { folds, pairs })
    }
}

/// The fields between tabs, or between blanks if there are no tabs.
fn fields(line: &str) -> impl Iterator<Item = &str> {
    let line = line.trim();
    let tabs = line.contains('\t');
    line.split(move |c: char| if tabs { c == '\t' } else { c.is_whitespace() })
        .map(str::trim)
        // Skips repeated blanks. Repeated tabs leave an empty field, which is not a valid name.
        .filter(move |field| tabs || !field.is_empty())
}

pub(super) fn parse(path: &Path, text: &str, header: Header) -> Result<PairsFile, DataError> {
    let Header { folds, pairs: each } = header;
    let wrong = |expected: String, found: String| Err(DataError::format(path, expected, found));
    let lines: Vec<&str> = text.trim_end().lines().skip(1).collect();
    let count = each
        .checked_mul(2)
        .and_then(|count| count.checked_mul(folds));
    if count == Some(0) {
        return wrong(
            "at least one fold and one pair in line 1".into(),
            format!("{folds} folds of {each} pairs a kind"),
        );
    }
    let mut pairs = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        if count.is_some_and(|count| index >= count) {
            break; // Too many pairs; reported below.
        }
        let kind = index / each;
        pairs.push(pair(path, index + 2, line, kind / 2, kind % 2 == 0)?);
    }
    if count != Some(lines.len()) {
        return wrong(
            format!(
                "2 x {each} pairs in each of {folds} folds, as in line 1, one per line{}",
                count.map_or_else(String::new, |count| format!(" up to line {}", count + 1))
            ),
            format!("{} lines after it", lines.len()),
        );
    }
    Ok(PairsFile { folds, pairs })
}

fn pair(
    path: &Path,
    number: usize,
    line: &str,
    fold: usize,
    same: bool,
) -> Result<FacePair, DataError> {
    let wrong = |expected: &str, found: String| {
        DataError::format(path, format!("{expected} in line {number}"), found)
    };
    let fields: Vec<&str> = fields(line).collect();
    let (left, i, right, j) = match (same, &fields[..]) {
        (true, &[name, i, j]) => (name, i, name, j),
        (false, &[left, i, right, j]) => (left, i, right, j),
        _ => {
            let expected = if same {
                "name, i, j (a pair of one person)"
            } else {
                "name, i, name, j (a pair of two people)"
            };
            let found = format!("{} fields: {}", fields.len(), shorten(line));
            return Err(wrong(expected, found));
        }
    };
    if !same && left == right {
        return Err(wrong("two people", format!("{left:?} twice")));
    }
    let image = |name: &str, index: &str| {
        if !is_folder_name(name) {
            return Err(wrong("the name of a person's folder", format!("{name:?}")));
        }
        match index.parse() {
            Ok(index @ 1..) => Ok(lfw_image(name, index)),
            _ => Err(wrong(
                "the number of an image, from 1,",
                format!("{index:?}"),
            )),
        }
    };
    Ok(FacePair {
        left: image(left, i)?,
        right: image(right, j)?,
        same,
        fold,
    })
}
