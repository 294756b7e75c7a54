//! Trained runs as rows of a table and as a page.

use crate::output;
use lsoftmax_data::Split;
use lsoftmax_report::{
    CurvePoint, FeaturePicture, Histogram, Report, RunDetail, RunSummary, page, write,
};
use lsoftmax_train::{Divergence, Evaluation, Experiment, Trained};
use serde::Serialize;
use std::path::Path;

/// One line of the table, and one object of `--json`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    loss: &'static str,
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
    #[serde(skip)]
    label: String,
}

impl Row {
    pub(crate) fn new(experiment: &Experiment, trained: &Trained) -> Self {
        let found = &trained.evaluation;
        let last = trained.curve.last();
        Self {
            loss: experiment.loss.name(),
            m: experiment.loss.multiplier(),
            seed: experiment.seed,
            iterations: last.map_or(0, |progress| progress.step),
            test_error_percent: found.error_percent,
            mean_target_angle_deg: found.mean_target_angle_deg,
            min_class_angle_deg: found.min_class_angle_deg,
            mean_feature_norm: found.mean_feature_norm,
            seconds: trained.seconds,
            images_per_second: trained.images_per_second,
            diverged: trained.divergence.is_some(),
            divergence: trained.divergence,
            network: experiment.network.name.clone(),
            feature: experiment.network.feature,
            train_error_percent: last.map(|progress| progress.train_error_percent),
            lambda: last.and_then(|progress| progress.lambda),
            label: experiment.loss.to_string(),
        }
    }

    fn summary(&self) -> RunSummary {
        RunSummary {
            loss: self.loss.to_owned(),
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
            remark: match self.divergence {
                None => String::new(),
                Some(Divergence::NotFinite) => "the loss was no finite number".into(),
                Some(Divergence::Chance) => "no better than guessing".into(),
            },
        }
    }
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
                format!("{:.2} %", row.test_error_percent),
                format!("{:.1}°", row.mean_target_angle_deg),
                format!("{:.1}°", row.min_class_angle_deg),
                format!("{:.2}", row.mean_feature_norm),
                row.lambda
                    .map_or("-".into(), |lambda| format!("{lambda:.3}")),
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

/// A page in the making.
pub(crate) struct Page(Report);

impl Page {
    pub(crate) fn new(title: String, experiment: &Experiment, split: &Split) -> Self {
        let (train, test) = (&split.train, &split.test);
        Self(Report {
            title,
            command: std::env::args().collect::<Vec<_>>().join(" "),
            data: format!(
                "{}: {} training and {} test images, {}x{}, {} classes; network {}, {} iterations of {} images",
                experiment.data,
                train.len(),
                test.len(),
                train.width,
                train.height,
                train.num_classes(),
                experiment.network.name,
                experiment.iterations,
                experiment.batch,
            ),
            created: format!("lsoftmax {}", env!("CARGO_PKG_VERSION")),
            class_names: train.class_names.clone(),
            ..Report::default()
        })
    }

    /// Adds a run to table, curves, histograms and confusion matrices.
    pub(crate) fn with_run(mut self, row: &Row, trained: &Trained) -> Self {
        self.0.runs.push(detail(row, trained));
        self.0.rows.push(row.summary());
        self
    }

    /// Adds the picture of a run whose feature has two dimensions.
    pub(crate) fn with_picture(mut self, row: &Row, trained: &Trained) -> Self {
        let found = &trained.evaluation;
        let weights = trained.model.head.weight.val().into_data();
        let weights: Vec<f32> = weights.iter::<f32>().collect();
        self.0.pictures.push(FeaturePicture {
            label: row.label.clone(),
            seed: row.seed,
            test_error_percent: found.error_percent,
            mean_target_angle_deg: found.mean_target_angle_deg,
            points: found.points.clone(),
            labels: found.point_labels.clone(),
            class_weights: weights.chunks_exact(2).map(|w| [w[0], w[1]]).collect(),
        });
        self
    }

    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        Ok(write(path, &page(&self.0))?)
    }
}

fn detail(row: &Row, trained: &Trained) -> RunDetail {
    let curve = trained
        .curve
        .iter()
        .map(|p| CurvePoint {
            step: p.step as usize,
            loss: Some(p.loss),
            lambda: p.lambda,
            learning_rate: Some(p.learning_rate),
            train_error_percent: Some(p.train_error_percent),
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
        target_angle_test: Some(histogram(&trained.evaluation)),
        confusion: trained.evaluation.confusion.clone(),
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
