//! Trained runs as rows of a table and as a page.

use crate::boundary::boundaries;
use crate::commands::Manner;
use crate::open_set;
use crate::output;
use anyhow::Context as _;
use lsoftmax_data::shell::quoted;
use lsoftmax_data::{Dataset, atomic_write};
use lsoftmax_record::{Best, DataSummary};
use lsoftmax_report::{
    Boundary, CurvePoint, FeatureFrame, FeaturePicture, Histogram, OpenSetSection, Report,
    RunDetail, RunSummary, confusion_svg, feature_svg, page, pictures,
};
use lsoftmax_train::{Divergence, Evaluation, Experiment, OpenSetEvaluation, Outcome, REPORT_FILE};
use serde::Serialize;
use std::path::Path;

/// One line of the table, and one object of `--json`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    loss: String,
    m: u32,
    seed: u64,
    iterations: u64,
    test_error_percent: f64,
    mean_target_angle_deg: f64,
    min_class_angle_deg: f64,
    mean_feature_norm: f64,
    seconds: f64,
    images_per_second: f64,
    diverged: bool,
    /// How, if it did.
    divergence: Option<Divergence>,
    network: String,
    feature: usize,
    train_error_percent: Option<f64>,
    lambda: Option<f64>,
    held_out_error_percent: Option<f64>,
    best: Option<Best>,
    remarks: Vec<String>,
    /// On classes that were not trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    open_set: Option<OpenSetEvaluation>,
    #[serde(skip)]
    label: String,
}

impl Row {
    pub(crate) fn new(experiment: &Experiment, outcome: &Outcome) -> Self {
        let found = &outcome.evaluation;
        let last = outcome.curve.last();
        Self {
            loss: experiment.loss_name(),
            m: experiment.loss.multiplier(),
            seed: experiment.seed,
            iterations: last.map_or(0, |progress| progress.step),
            test_error_percent: found.error_percent,
            mean_target_angle_deg: found.mean_target_angle_deg,
            min_class_angle_deg: found.min_class_angle_deg,
            mean_feature_norm: found.mean_feature_norm,
            seconds: outcome.seconds,
            images_per_second: outcome.images_per_second,
            diverged: outcome.divergence.is_some(),
            divergence: outcome.divergence,
            network: experiment.network.name.clone(),
            feature: experiment.network.feature,
            train_error_percent: Some(outcome.train_evaluation.error_percent),
            lambda: last.and_then(|progress| progress.lambda),
            held_out_error_percent: last.and_then(|progress| progress.held_out_error_percent),
            best: outcome.best.clone(),
            remarks: outcome.remarks.clone(),
            open_set: outcome.open_set.clone(),
            label: experiment.loss_label(),
        }
    }

    fn summary(&self) -> RunSummary {
        RunSummary {
            loss: self.loss.clone(),
            m: self.m,
            label: self.label.clone(),
            network: self.network.clone(),
            feature: self.feature,
            seed: self.seed,
            iterations: self.iterations as usize,
            train_error_percent: self.train_error_percent,
            test_error_percent: self.test_error_percent,
            mean_target_angle_deg: self.mean_target_angle_deg,
            min_class_angle_deg: self.min_class_angle_deg,
            mean_feature_norm: self.mean_feature_norm,
            final_lambda: self.lambda,
            seconds: self.seconds,
            images_per_second: self.images_per_second,
            diverged: self.diverged,
            remark: self.remark(),
        }
    }
}

impl Row {
    fn remark(&self) -> String {
        let mut remarks = self.remarks.clone();
        if self.divergence == Some(Divergence::Chance) {
            remarks.push("no better than guessing".into());
        }
        if let Some(best) = &self.best {
            let test = best.test_error_percent.unwrap_or(f64::NAN);
            remarks.push(format!(
                "best on the held-out part after step {}: {:.2} % there, {test:.2} % on the test set",
                best.step, best.held_out_error_percent
            ));
        }
        remarks.join("; ")
    }
}

/// The rows that have figures on classes that were not trained on.
fn open_set_entries(rows: &[Row]) -> Vec<open_set::Entry<'_>> {
    rows.iter()
        .filter_map(|row| Some((&*row.label, row.seed, row.open_set.as_ref()?)))
        .collect()
}

/// The figures of the rows on classes that were not trained on, if there are any.
pub(crate) fn open_set_table(rows: &[Row]) -> Option<String> {
    let entries = open_set_entries(rows);
    let about = open_set::about(entries.first()?.2);
    Some(format!("\n{about}\n{}", open_set::table(&entries)))
}

/// The rows for a terminal.
pub(crate) fn table(rows: &[Row]) -> String {
    let header = [
        "loss",
        "seed",
        "test error",
        "target angle",
        "class angle",
        "feature norm",
        "λ",
        "seconds",
        "images/s",
        "",
    ];
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            vec![
                row.label.clone(),
                row.seed.to_string(),
                output::number(row.test_error_percent, 2, " %"),
                output::number(row.mean_target_angle_deg, 1, "°"),
                output::number(row.min_class_angle_deg, 1, "°"),
                output::number(row.mean_feature_norm, 2, ""),
                output::number(row.lambda.unwrap_or(f64::NAN), 3, ""),
                format!("{:.1}", row.seconds),
                format!("{:.0}", row.images_per_second),
                if row.diverged {
                    "diverged".into()
                } else {
                    String::new()
                },
            ]
        })
        .collect();
    output::table(&header, &cells)
}

/// What to know before one of the rows is preferred to softmax, a sentence each.
pub(crate) fn doubts(rows: &[Row]) -> Vec<String> {
    let rows: Vec<RunSummary> = rows.iter().map(Row::summary).collect();
    lsoftmax_report::doubts(&rows)
}

/// The kind of the page of a run.
pub(crate) const RUN: &str = "run";
/// The folder of a page's pictures.
pub(crate) const FIGURES: &str = "figures";

/// Makes a folder, if it is not there.
pub(crate) fn create_folder(path: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(path)
        .with_context(|| format!("cannot make the folder {}", path.display()))
}

/// Says where a page lies, if one was asked for.
pub(crate) fn told_page(folder: Option<&Path>, manner: Manner) -> anyhow::Result<()> {
    match folder {
        Some(folder) if !manner.quiet => {
            output::line(&format!("page: {}", folder.join(REPORT_FILE).display()))
        }
        _ => Ok(()),
    }
}

/// The command as it was typed, for a shell.
pub(crate) fn command() -> String {
    let words = std::env::args_os().skip(1).map(|word| quoted(&word));
    std::iter::once("lsoftmax".to_owned())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}

fn created() -> String {
    format!("lsoftmax {}", env!("CARGO_PKG_VERSION"))
}

/// A page in the making.
pub(crate) struct Page(Report);

impl Page {
    pub(crate) fn new(
        kind: &str,
        title: String,
        experiment: &Experiment,
        data: &DataSummary,
    ) -> Self {
        Self(Report {
            title,
            kind: kind.to_owned(),
            command: command(),
            data: format!(
                "{}: {} training and {} test images, {}x{}, {} classes; network {}, {} iterations of {} images",
                experiment.data,
                data.train,
                data.test,
                data.width,
                data.height,
                data.class_names.len(),
                experiment.network.name,
                experiment.iterations,
                experiment.batch,
            ),
            created: created(),
            class_names: data.class_names.clone(),
            ..Report::default()
        })
    }

    /// The page of a trained model on images of classes that it may never have seen.
    pub(crate) fn of_model(kind: &str, title: String, part: OpenSetSection) -> Self {
        Self(Report {
            title,
            kind: kind.to_owned(),
            command: command(),
            created: created(),
            open_set: Some(part),
            ..Report::default()
        })
    }

    /// Adds a run to table, curves, histograms and confusion matrices.
    pub(crate) fn with_run(mut self, row: &Row, outcome: &Outcome) -> Self {
        self.0.runs.push(detail(row, outcome));
        self.0.rows.push(row.summary());
        self
    }

    /// Adds the picture of a run whose feature has two dimensions, on its way to the end.
    pub(crate) fn with_picture(mut self, row: &Row, outcome: &Outcome) -> Self {
        let Some((last, way)) = outcome.frames.split_last() else {
            return self;
        };
        let found = &outcome.evaluation;
        self.0.pictures.push(FeaturePicture {
            label: row.label.clone(),
            seed: row.seed,
            test_error_percent: found.error_percent,
            mean_target_angle_deg: found.mean_target_angle_deg,
            step: last.step as usize,
            points: last.points.clone(),
            labels: last.labels.clone(),
            class_weights: last.class_weights.clone(),
            earlier: way
                .iter()
                .map(|frame| FeatureFrame {
                    step: frame.step as usize,
                    points: frame.points.clone(),
                    class_weights: frame.class_weights.clone(),
                })
                .collect(),
        });
        self
    }

    /// The pictures that tell most of a table: features in the plane, or else the confusion of its
    /// first and its last row; each with a name and a title.
    pub(crate) fn figures(&self) -> Vec<(String, String, String)> {
        let names = &self.0.class_names;
        let mut figures = Vec::new();
        let slug = |label: &str| label.to_lowercase().replace(" = ", "").replace(' ', "-");
        let mut seen = Vec::new();
        for picture in &self.0.pictures {
            if !seen.contains(&&picture.label) {
                seen.push(&picture.label);
                let name = format!("features-{}", slug(&picture.label));
                figures.push((name, picture.label.clone(), feature_svg(picture, names)));
            }
        }
        let first = self.0.runs.first();
        let last = self.0.runs.iter().find(|run| {
            self.0
                .runs
                .last()
                .is_some_and(|last| last.label == run.label)
        });
        for run in first.into_iter().chain(last) {
            if let (Some(matrix), true) = (&run.confusion, self.0.pictures.is_empty()) {
                let name = format!("confusion-{}", slug(&run.label));
                let svg = confusion_svg(&run.label, matrix, names);
                figures.push((name, format!("{}, seed {}", run.label, run.seed), svg));
            }
        }
        figures
    }

    /// Adds what the rows found on classes that were not trained on.
    pub(crate) fn with_open_set(mut self, rows: &[Row], data: Option<&Dataset>) -> Self {
        self.0.open_set = open_set::section(&open_set_entries(rows), data);
        self
    }

    /// The page of one run; pictures of unseen classes only with the images of them.
    pub(crate) fn of_run(
        experiment: &Experiment,
        outcome: &Outcome,
        data: &DataSummary,
        open_set: Option<&Dataset>,
    ) -> Self {
        let row = Row::new(experiment, outcome);
        let title = format!("{} on {}", experiment.loss_label(), experiment.data);
        let page = Self::new(RUN, title, experiment, data)
            .with_run(&row, outcome)
            .with_open_set(std::slice::from_ref(&row), open_set)
            .with_boundaries(boundaries(&[experiment.loss]));
        if experiment.network.feature == 2 {
            page.with_picture(&row, outcome)
        } else {
            page
        }
    }

    /// Adds the plane of two classes.
    pub(crate) fn with_boundaries(mut self, boundaries: Vec<Boundary>) -> Self {
        self.0.boundaries = boundaries;
        self
    }

    /// Writes the page, and each of its pictures beside it.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let figures = folder.join(FIGURES);
        create_folder(&figures)?;
        for (name, svg) in pictures(&self.0) {
            atomic_write(&figures.join(name), svg.as_bytes())?;
        }
        Ok(atomic_write(
            &folder.join(REPORT_FILE),
            page(&self.0).as_bytes(),
        )?)
    }
}

fn detail(row: &Row, outcome: &Outcome) -> RunDetail {
    let curve = outcome
        .curve
        .iter()
        .map(|p| CurvePoint {
            step: p.step as usize,
            loss: Some(p.loss),
            lambda: p.lambda,
            learning_rate: Some(p.learning_rate),
            train_error_percent: p.train_error_percent,
            test_error_percent: p.test_error_percent,
            mean_target_angle_deg: Some(p.mean_target_angle_deg),
            feature_norm: Some(p.feature_norm),
            weight_norm: Some(p.weight_norm),
            m: Some(p.m),
        })
        .collect();
    RunDetail {
        label: row.label.clone(),
        seed: row.seed,
        curve,
        target_angle_train: Some(histogram(&outcome.train_evaluation)),
        target_angle_test: Some(histogram(&outcome.evaluation)),
        confusion: outcome.evaluation.confusion.clone(),
        ..RunDetail::default()
    }
}

fn histogram(found: &Evaluation) -> Histogram {
    Histogram {
        edges_deg: found.target_angle_edges_deg.clone(),
        counts: found.target_angle_counts.clone(),
        mean_deg: Some(found.mean_target_angle_deg),
    }
}
