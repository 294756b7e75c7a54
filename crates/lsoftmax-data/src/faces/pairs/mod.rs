//! Pairs of images for verification.

mod lfw;
mod resolve;
mod table;
#[cfg(test)]
mod tests;

use crate::error::DataError;
use crate::file::read_text;
use crate::table::MAX_FILE_BYTES;
use std::path::Path;

pub use resolve::PairImages;

/// Two images, and whether they show the same person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacePair {
    /// The first image, relative to the image folder, with slashes.
    pub left: String,
    /// The second image.
    pub right: String,
    /// Whether both show the same person.
    pub same: bool,
    /// The fold of a cross-validation, from 0.
    pub fold: usize,
}

/// Pairs of images to verify. There is at least one pair, and every fold has some.
///
/// Reads two formats, distinguished by their first line.
///
/// **LFW's** (G. Huang et al., "Labeled Faces in the Wild", 2007, and its README). The first
/// line is `folds<TAB>n` in `pairs.txt` (`10<TAB>300`), or `n` alone in `pairsDevTrain.txt` and
/// `pairsDevTest.txt`, which are one fold. Each fold has n pairs of one person,
/// `name<TAB>i<TAB>j`, then n pairs of two people, `name<TAB>i<TAB>name<TAB>j`. Image i of a
/// person, counted from 1, is `name/name_%04d.jpg`. In a line without tabs, fields are separated by
/// blanks. Empty lines may follow the last pair.
///
/// **A CSV table** for other pairs, with the columns
///
/// | column | content |
/// |---|---|
/// | `left`, `right` | images, relative to the folder of images |
/// | `same` | 1 or `true` for one person, 0 or `false` for two |
/// | `fold` | optional; arbitrary integers: the smallest is fold 0, and so on |
///
/// in any order; other columns are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairsFile {
    /// Number of folds; 1 if the file has none.
    pub folds: usize,
    /// The pairs, in file order.
    pub pairs: Vec<FacePair>,
}

impl PairsFile {
    /// Reads a file in either format.
    ///
    /// # Errors
    /// The file cannot be read, is larger than 1 GiB, or has neither format; there are no pairs, or
    /// more or fewer than the first line specifies; or a field is invalid. The error names the
    /// line.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        Self::parse(path, &read_text(path, MAX_FILE_BYTES)?)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, DataError> {
        let first = text.lines().next().unwrap_or_default();
        if let Some(header) = lfw::Header::parse(first) {
            return lfw::parse(path, text, header);
        }
        let names = first.to_lowercase();
        let mut names = names.split(',').map(|name| name.trim().trim_matches('"'));
        if names.any(|name| name == "same") {
            return table::parse(path, text);
        }
        Err(DataError::format(
            path,
            "a first line with the number of folds and of pairs per fold (10<TAB>300), with the \
             number of pairs (1100), or the header left,right,same[,fold]",
            shorten(first),
        ))
    }
}

/// A quoted line of a file, truncated if long.
fn shorten(line: &str) -> String {
    let short: String = line.chars().take(60).collect();
    let more = if short.len() < line.len() { "..." } else { "" };
    format!("{short:?}{more}")
}
