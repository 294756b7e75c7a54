//! The figures of an open set as a table.

use crate::output;
use lsoftmax_train::{OpenSetEvaluation, Verification};

const HEADER: [&str; 10] = [
    "loss",
    "seed",
    "accuracy",
    "TAR at 1e-2",
    "TAR at 1e-3",
    "EER",
    "AUC",
    "Recall@1",
    "MAP@R",
    "NMI",
];

/// A run's label, seed and figures.
pub(crate) type Entry<'a> = (&'a str, u64, &'a OpenSetEvaluation);

/// TAR at a FAR in per cent, if it was measurable.
fn tar(found: &Verification, far: f64) -> Option<f64> {
    let point = found.tar_at_far.iter().find(|tar| tar.asked == far)?;
    point.measured.map(|point| 100.0 * point.tar)
}

/// The columns from the third on; none where it was not measured.
fn values(found: &OpenSetEvaluation) -> [Option<f64>; 8] {
    let verification = &found.verification;
    let recall = found.retrieval.recall_at.first().map(|&(_, share)| share);
    [
        Some(verification.accuracy_percent),
        tar(verification, 1e-2),
        tar(verification, 1e-3),
        Some(verification.eer_percent),
        Some(verification.auc),
        recall.map(|share| 100.0 * share),
        Some(100.0 * found.retrieval.map_at_r),
        found.nmi,
    ]
}

/// How each column is written.
fn cell(column: usize, value: Option<f64>, spread: Option<f64>) -> String {
    // AUC and NMI are shares, all others per cent.
    let digits = if column == 4 || column == 7 { 4 } else { 2 };
    let unit = if digits == 2 { " %" } else { "" };
    match (value, spread) {
        (None, _) => "-".into(),
        (Some(value), None) => format!("{value:.digits$}{unit}"),
        (Some(value), Some(spread)) => format!("{value:.digits$} ± {spread:.digits$}{unit}"),
    }
}

/// A line a run, then a line a loss with mean and standard deviation where there are several seeds.
pub(crate) fn table(entries: &[Entry]) -> String {
    let mut rows: Vec<Vec<String>> = entries
        .iter()
        .map(|&(label, seed, found)| {
            let values = values(found);
            let cells = values.iter().enumerate();
            let mut row = vec![label.to_owned(), seed.to_string()];
            row.extend(cells.map(|(column, &value)| cell(column, value, None)));
            row
        })
        .collect();
    let mut labels: Vec<&str> = Vec::new();
    for &(label, ..) in entries {
        if !labels.contains(&label) {
            labels.push(label);
        }
    }
    if labels.len() < entries.len() {
        for label in labels {
            let of_label: Vec<[Option<f64>; 8]> = entries
                .iter()
                .filter(|entry| entry.0 == label)
                .map(|entry| values(entry.2))
                .collect();
            let mut row = vec![label.to_owned(), format!("all {}", of_label.len())];
            row.extend((0..8).map(|column| {
                let measured: Option<Vec<f64>> =
                    of_label.iter().map(|values| values[column]).collect();
                match measured {
                    None => cell(column, None, None),
                    Some(values) => {
                        let (mean, deviation) = output::spread(&values);
                        cell(column, Some(mean), Some(deviation))
                    }
                }
            }));
            rows.push(row);
        }
    }
    output::table(&HEADER, &rows)
}

/// What the figures are of, in a sentence.
pub(crate) fn about(found: &OpenSetEvaluation) -> String {
    let verification = &found.verification;
    format!(
        "{} images of {} classes never trained on; {} same and {} different pairs in {} folds",
        found.images,
        found.classes,
        verification.same_pairs,
        verification.different_pairs,
        verification.folds
    )
}
