//! Pairs as a CSV table.

use super::{FacePair, PairsFile};
use crate::error::DataError;
use crate::table::Table;
use std::collections::BTreeSet;
use std::path::Path;

pub(super) fn parse(path: &Path, text: &str) -> Result<PairsFile, DataError> {
    let table = Table::parse(path, text)?;
    let left = table.column(&["left"])?;
    let right = table.column(&["right"])?;
    let same = table.column(&["same"])?;
    let fold = table.find(&["fold"])?;
    let (mut pairs, mut numbers) = (Vec::new(), BTreeSet::new());
    for row in table.rows() {
        let row = row?;
        let fold = match fold.map(|fold| row.get(fold)) {
            None => 0,
            Some(text) => text
                .parse()
                .map_err(|_| row.wrong("fold", "a whole number", text))?,
        };
        numbers.insert(fold);
        let text = row.get(same);
        pairs.push(FacePair {
            left: row.relative_path(left, "left")?,
            right: row.relative_path(right, "right")?,
            same: match &*text.to_lowercase() {
                "1" | "true" => true,
                "0" | "false" => false,
                _ => return Err(row.wrong("same", "1, true, 0 or false", text)),
            },
            fold,
        });
    }
    if pairs.is_empty() {
        return Err(DataError::format(
            path,
            "at least one pair",
            "a header only",
        ));
    }
    let numbers: Vec<usize> = numbers.into_iter().collect();
    for pair in &mut pairs {
        // Every fold is one of these numbers.
        pair.fold = numbers.partition_point(|&number| number < pair.fold);
    }
    Ok(PairsFile {
        folds: numbers.len(),
        pairs,
    })
}
