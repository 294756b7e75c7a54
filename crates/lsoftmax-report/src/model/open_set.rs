//! Results on classes that were not trained on.

use super::images::ImageStrip;
use super::run::Run;
use crate::distinct::distinct;
use lsoftmax_data::Dataset;
use lsoftmax_record::{OpenSetEvaluation, Verification};

/// The part of a page on classes that were not trained on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OpenSetSection<'a> {
    /// The test data, in a sentence.
    pub about: String,
    /// The results, one row per run.
    pub rows: Vec<OpenSetRow<'a>>,
    /// Images in rows: worst mistakes, nearest neighbours.
    pub strips: Vec<ImageStrip>,
}

impl<'a> OpenSetSection<'a> {
    /// The section for these rows. If the images of the open set are given, it shows the mistakes
    /// and neighbourhoods of the first and the last loss.
    pub fn new(about: String, rows: Vec<OpenSetRow<'a>>, data: Option<&Dataset>) -> Self {
        let first = rows.first();
        let last = first.and_then(|first| rows.iter().rfind(|row| row.label != first.label));
        let mut strips = Vec::new();
        for row in first.into_iter().chain(last) {
            if let (Some(found), Some(data)) = (row.classes, data) {
                strips.push(ImageStrip::mistakes(row.label, &found.mistakes, data));
                let near = &found.neighbourhoods;
                strips.push(ImageStrip::neighbours(row.label, near, data));
            }
        }
        Self {
            about,
            rows,
            strips,
        }
    }
}

/// The results of one model on classes that it was not trained on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpenSetRow<'a> {
    /// The label of the run.
    pub label: &'a str,
    /// The seed of the run.
    pub seed: u64,
    /// The results on pairs of images.
    pub verification: &'a Verification,
    /// The results that require whole classes; `None` if only pairs are known.
    pub classes: Option<&'a OpenSetEvaluation>,
}

impl<'a> OpenSetRow<'a> {
    /// The row of a run; `None` if the run was not evaluated on other classes.
    pub fn of_run(run: &'a Run) -> Option<Self> {
        let found = run.outcome.open_set.as_ref()?;
        Some(Self {
            seed: run.seed,
            ..Self::of_classes(&run.label, found)
        })
    }

    /// The row of a model evaluated on a set of classes, with seed 0.
    pub fn of_classes(label: &'a str, found: &'a OpenSetEvaluation) -> Self {
        Self {
            classes: Some(found),
            ..Self::of_pairs(label, &found.verification)
        }
    }

    /// The row of a model evaluated on pairs of images, with seed 0.
    pub fn of_pairs(label: &'a str, verification: &'a Verification) -> Self {
        Self {
            label,
            seed: 0,
            verification,
            classes: None,
        }
    }
}

/// The rows of each label, in the order of first appearance.
pub fn by_label<'r, 'a>(rows: &'r [OpenSetRow<'a>]) -> Vec<(&'a str, Vec<&'r OpenSetRow<'a>>)> {
    let labels = distinct(rows.iter().map(|row| row.label));
    let of_label = |label| rows.iter().filter(|row| row.label == label).collect();
    labels
        .into_iter()
        .map(|label| (label, of_label(label)))
        .collect()
}
