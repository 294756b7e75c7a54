//! The figures of an open set as a table.

use crate::output;
use lsoftmax_data::Dataset;
use lsoftmax_record::{Mistake, Neighbourhood, Verification};
use lsoftmax_report::{
    ImageStrip, OpenSetRow, OpenSetSection, RocCurve, ScoreHistogram, StripRow, Thumbnail,
};
use lsoftmax_train::OpenSetEvaluation;
use std::fmt::Write as _;

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

/// The columns from the third on; none where it was not measured.
fn values(found: &OpenSetEvaluation) -> [Option<f64>; 8] {
    let verification = &found.verification;
    let recall = found.retrieval.recall_at.first().map(|&(_, share)| share);
    [
        Some(verification.accuracy_percent),
        verification.tar_percent(1e-2),
        verification.tar_percent(1e-3),
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
    let mut text = format!(
        "{} images of {} classes never trained on; {} same and {} different pairs in {} folds",
        found.images,
        found.classes,
        verification.same_pairs,
        verification.different_pairs,
        verification.folds
    );
    if let Some(label) = label(found) {
        write!(text, "; {label}").ok();
    }
    text
}

/// What is not certain about classes never trained on.
pub(crate) fn label(found: &OpenSetEvaluation) -> Option<String> {
    let names = (found.same_names > 0).then(|| same_names(found.same_names));
    let images = (!found.images_compared).then(|| {
        "only the names of the classes were compared with those of the training: the list of its \
         images is not beside the model"
            .to_owned()
    });
    let both: Vec<String> = [names, images].into_iter().flatten().collect();
    (!both.is_empty()).then(|| both.join("; "))
}

/// What is said of classes that share their names with trained ones.
pub(crate) fn same_names(count: usize) -> String {
    let which = match count {
        1 => "1 of the classes has the name of a trained class and is",
        _ => &format!("{count} of the classes have names of trained classes and are"),
    };
    format!("{which} said to be different")
}

/// Identification in a sentence, where it was measured.
pub(crate) fn identification(found: &OpenSetEvaluation) -> Option<String> {
    let rates = found.identification.as_ref()?;
    let mut text = format!(
        "identification: {} classes enrolled with one image each, {} images of them searched for: ",
        rates.enrolled, rates.mated_probes
    );
    let ranks = rates.cmc.iter();
    let ranks: Vec<String> = ranks
        .map(|(rank, share)| format!("{:.2} % within rank {rank}", 100.0 * share))
        .collect();
    text.push_str(&ranks.join(", "));
    for tpir in &rates.tpir_at_fpir {
        if let Some(point) = tpir.measured {
            write!(
                text,
                "; {:.2} % first and reported where {:.2} % of {} strangers are (cosine {:.4})",
                100.0 * point.tpir,
                100.0 * point.fpir,
                rates.non_mated_probes,
                point.threshold
            )
            .ok();
        }
    }
    Some(text)
}

/// The figures of pairs for the page; those that need whole classes are missing.
fn pairs_row(label: &str, seed: u64, found: &Verification) -> OpenSetRow {
    OpenSetRow {
        label: label.to_owned(),
        seed,
        accuracy_percent: found.accuracy_percent,
        standard_error_percent: found.standard_error_percent,
        tar_at_1e2_percent: found.tar_percent(1e-2).unwrap_or(f64::NAN),
        tar_at_1e3_percent: found.tar_percent(1e-3).unwrap_or(f64::NAN),
        eer_percent: found.eer_percent,
        recall_at_1_percent: f64::NAN,
        map_at_r_percent: f64::NAN,
        rank_1_percent: f64::NAN,
        tpir_at_1e2_percent: f64::NAN,
        nmi: f64::NAN,
        ami: f64::NAN,
    }
}

/// The figures of a run for the page.
fn row(&(label, seed, found): &Entry) -> OpenSetRow {
    let percent = |share: Option<f64>| 100.0 * share.unwrap_or(f64::NAN);
    let identification = found.identification.as_ref();
    let tpir = identification.and_then(|rates| {
        let point = rates.tpir_at_fpir.iter().find(|tpir| tpir.asked == 1e-2)?;
        point.measured.map(|point| point.tpir)
    });
    let first = |shares: &[(usize, f64)]| shares.first().map(|&(_, share)| share);
    OpenSetRow {
        recall_at_1_percent: percent(first(&found.retrieval.recall_at)),
        map_at_r_percent: 100.0 * found.retrieval.map_at_r,
        rank_1_percent: percent(identification.and_then(|rates| first(&rates.cmc))),
        tpir_at_1e2_percent: percent(tpir),
        nmi: found.nmi.unwrap_or(f64::NAN),
        ami: found.ami.unwrap_or(f64::NAN),
        ..pairs_row(label, seed, &found.verification)
    }
}

fn curve(label: &str, seed: u64, found: &Verification) -> RocCurve {
    RocCurve {
        label: label.to_owned(),
        seed,
        smallest_far: found.smallest_far,
        points: found.points.iter().map(|p| (p.far, p.tar)).collect(),
    }
}

fn scores(label: &str, seed: u64, found: &Verification) -> ScoreHistogram {
    ScoreHistogram {
        label: label.to_owned(),
        seed,
        edges: found.score_edges.clone(),
        same: found.same_counts.clone(),
        different: found.different_counts.clone(),
        threshold: Some(found.threshold.into()),
    }
}

/// The part of the page; images come from the data set that the figures are of, if it is there.
pub(crate) fn section(entries: &[Entry], data: Option<&Dataset>) -> Option<OpenSetSection> {
    let about = about(entries.first()?.2);
    let each = entries
        .iter()
        .map(|&(label, seed, found)| (label, seed, &found.verification));
    // Pictures of the first and the last loss: what is compared, and with what.
    let mut shown = vec![entries.first()?];
    shown.extend(entries.iter().rfind(|entry| entry.0 != shown[0].0));
    Some(OpenSetSection {
        about: format!("{about}."),
        rows: entries.iter().map(row).collect(),
        curves: each.clone().map(|(a, b, c)| curve(a, b, c)).collect(),
        scores: each.map(|(a, b, c)| scores(a, b, c)).collect(),
        strips: shown
            .iter()
            .flat_map(|(label, _, found)| {
                data.into_iter().flat_map(|data| {
                    [
                        mistakes(label, &found.mistakes, data),
                        neighbours(label, &found.neighbourhoods, data),
                    ]
                })
            })
            .collect(),
    })
}

/// The part of the page on pairs that somebody brought.
pub(crate) fn pairs_section(
    label: &str,
    about: String,
    found: &Verification,
    worst: &[Mistake],
    data: &Dataset,
) -> OpenSetSection {
    OpenSetSection {
        about,
        rows: vec![pairs_row(label, 0, found)],
        curves: vec![curve(label, 0, found)],
        scores: vec![scores(label, 0, found)],
        strips: vec![mistakes(label, worst, data)],
    }
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

fn class_name(data: &Dataset, index: u32) -> String {
    let label = data.labels().get(index as usize);
    let name = label.and_then(|&label| data.class_names.get(label as usize));
    name.cloned().unwrap_or_default()
}

fn mistakes(label: &str, mistakes: &[Mistake], data: &Dataset) -> ImageStrip {
    let image = |index: u32| thumbnail(data, index, class_name(data, index), None);
    let rows = mistakes.iter().map(|mistake| StripRow {
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
    ImageStrip {
        title: format!("Worst mistakes of {label}"),
        about:
            "Pairs of different classes with the largest cosines, and pairs of one class with the \
                smallest, among the pairs that were judged."
                .into(),
        rows: rows.collect(),
    }
}

fn neighbours(label: &str, neighbourhoods: &[Neighbourhood], data: &Dataset) -> ImageStrip {
    let rows = neighbourhoods.iter().map(|near| {
        let own = class_name(data, near.probe);
        let mut images = vec![thumbnail(data, near.probe, own.clone(), None)];
        images.extend(near.nearest.iter().map(|&(index, score)| {
            let class = class_name(data, index);
            let right = class == own;
            thumbnail(data, index, format!("{score:.3} {class}"), Some(right))
        }));
        StripRow {
            caption: own,
            images,
        }
    });
    ImageStrip {
        title: format!("Nearest neighbours by {label}"),
        about:
            "An image, and the images nearest to it among all others: ✓ of its class, ✗ of another."
                .into(),
        rows: rows.collect(),
    }
}
