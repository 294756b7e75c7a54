//! The figures of an open set as a table.

use crate::output;
use lsoftmax_data::Dataset;
use lsoftmax_report::{
    ImageStrip, OpenSetRow, OpenSetSection, RocCurve, ScoreHistogram, StripRow, Thumbnail,
};
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

/// The figures of a run for the page.
fn row(&(label, seed, found): &Entry) -> OpenSetRow {
    let value = |column: usize| values(found)[column].unwrap_or(f64::NAN);
    OpenSetRow {
        label: label.to_owned(),
        seed,
        accuracy_percent: value(0),
        tar_at_1e2_percent: value(1),
        tar_at_1e3_percent: value(2),
        eer_percent: value(3),
        recall_at_1_percent: value(5),
        map_at_r_percent: value(6),
        nmi: value(7),
    }
}

/// The part of the page; images come from the data set that the figures are of.
pub(crate) fn section(entries: &[Entry], data: &Dataset) -> Option<OpenSetSection> {
    let about = about(entries.first()?.2);
    let curve = |&(label, seed, found): &Entry| RocCurve {
        label: label.to_owned(),
        seed,
        smallest_far: found.verification.smallest_far,
        points: found
            .verification
            .points
            .iter()
            .map(|point| (point.far, point.tar))
            .collect(),
    };
    let scores = |&(label, seed, found): &Entry| ScoreHistogram {
        label: label.to_owned(),
        seed,
        edges: found.verification.score_edges.clone(),
        same: found.verification.same_counts.clone(),
        different: found.verification.different_counts.clone(),
        threshold: Some(found.verification.threshold.into()),
    };
    // Pictures of the first and the last loss: what is compared, and with what.
    let mut shown = vec![entries.first()?];
    shown.extend(entries.iter().rfind(|entry| entry.0 != shown[0].0));
    Some(OpenSetSection {
        about: format!("{about}."),
        rows: entries.iter().map(row).collect(),
        curves: entries.iter().map(curve).collect(),
        scores: entries.iter().map(scores).collect(),
        strips: shown.iter().flat_map(|entry| strips(entry, data)).collect(),
    })
}

fn thumbnail(data: &Dataset, index: u32, caption: String, right: Option<bool>) -> Thumbnail {
    let known = (index as usize) < data.len();
    Thumbnail {
        width: data.width,
        height: data.height,
        channels: data.channels,
        bytes: if known {
            data.image(index as usize).to_vec()
        } else {
            Vec::new()
        },
        caption,
        right,
    }
}

/// The worst mistakes of a run, and the neighbours of a few images.
fn strips(&(label, _, found): &Entry, data: &Dataset) -> [ImageStrip; 2] {
    let class = |index: u32| -> String {
        let label = data.labels().get(index as usize);
        let name = label.and_then(|&label| data.class_names.get(label as usize));
        name.cloned().unwrap_or_default()
    };
    let image = |index: u32| thumbnail(data, index, class(index), None);
    let mistakes = found.mistakes.iter().map(|mistake| StripRow {
        caption: format!(
            "{}, cosine {:.3}",
            if mistake.same {
                "the same"
            } else {
                "different"
            },
            mistake.score
        ),
        images: vec![image(mistake.left), image(mistake.right)],
    });
    let neighbours = found.neighbourhoods.iter().map(|near| {
        let mut images = vec![image(near.probe)];
        images.extend(near.nearest.iter().map(|&(index, score)| {
            let caption = format!("{score:.3} {}", class(index));
            let right = class(index) == class(near.probe);
            thumbnail(data, index, caption, Some(right))
        }));
        StripRow {
            caption: class(near.probe),
            images,
        }
    });
    [
        ImageStrip {
            title: format!("Worst mistakes of {label}"),
            about:
                "Pairs of different classes with the largest cosines, and pairs of one class with \
                    the smallest, among the pairs that were drawn."
                    .into(),
            rows: mistakes.collect(),
        },
        ImageStrip {
            title: format!("Nearest neighbours by {label}"),
            about: "An image, and the images nearest to it among all others: ✓ of its class, ✗ of \
                    another."
                .into(),
            rows: neighbours.collect(),
        },
    ]
}
