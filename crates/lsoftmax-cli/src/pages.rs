//! Trained runs as tables and as a page.

use crate::boundary::boundaries;
use crate::open_set;
use crate::output;
use crate::output_options::OutputOptions;
use anyhow::Context as _;
use lsoftmax_data::shell::quoted;
use lsoftmax_data::{Dataset, atomic_write};
use lsoftmax_record::{Best, DataSummary, Divergence, OpenSetEvaluation};
use lsoftmax_report::{
    Boundary, COLUMNS, Column, OpenSetRow, OpenSetSection, Report, Run, TerminalColumn,
    confusion_svg, feature_svg, page, pictures, slug,
};
use lsoftmax_train::{Experiment, REPORT_FILE};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// A run as one object of `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct Row<'a> {
    loss: &'a str,
    m: u32,
    seed: u64,
    iterations: u64,
    network: &'a str,
    feature: usize,
    /// The metrics of the table.
    #[serde(flatten)]
    metrics: BTreeMap<&'static str, f64>,
    held_out_error_percent: Option<f64>,
    diverged: bool,
    divergence: Option<Divergence>,
    best: Option<&'a Best>,
    remarks: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    open_set: Option<&'a OpenSetEvaluation>,
}

impl<'a> Row<'a> {
    pub(crate) fn new(run: &'a Run) -> Self {
        let outcome = &run.outcome;
        let last = outcome.curve.last();
        Self {
            loss: &run.loss,
            m: run.m,
            seed: run.seed,
            iterations: outcome.steps(),
            network: &run.network,
            feature: run.feature,
            metrics: COLUMNS
                .iter()
                .map(|column| (column.key, (column.number)(run)))
                .collect(),
            held_out_error_percent: last.and_then(|progress| progress.held_out_error_percent),
            diverged: run.diverged(),
            divergence: outcome.divergence,
            best: outcome.best.as_ref(),
            remarks: &outcome.remarks,
            open_set: outcome.open_set.as_ref(),
        }
    }
}

/// The rows of the runs that were evaluated on classes they were not trained on.
fn open_set_rows<'a>(runs: &[&'a Run]) -> Vec<OpenSetRow<'a>> {
    runs.iter()
        .filter_map(|run| OpenSetRow::of_run(run))
        .collect()
}

/// The table of the figures on classes that were not trained on; `None` without any.
pub(crate) fn open_set_table(runs: &[&Run]) -> Option<String> {
    let rows = open_set_rows(runs);
    let about = open_set::about(rows.first()?.classes?);
    Some(format!("\n{about}\n{}", open_set::table(&rows)))
}

/// The runs for a terminal.
pub(crate) fn table(runs: &[&Run]) -> String {
    let shown = |column: &'static Column| Some((column, column.terminal?));
    let columns: Vec<(&Column, TerminalColumn)> = COLUMNS.iter().filter_map(shown).collect();
    let headings = columns.iter().map(|(_, terminal)| terminal.heading);
    let mut header = vec!["loss", "seed"];
    header.extend(headings);
    header.push("");
    let cells: Vec<Vec<String>> = runs
        .iter()
        .map(|run| {
            let mut cells = vec![run.label.clone(), run.seed.to_string()];
            cells.extend(columns.iter().map(|(column, terminal)| {
                output::number((column.number)(run), terminal.digits, terminal.unit)
            }));
            cells.push(if run.diverged() { "diverged" } else { "" }.to_owned());
            cells
        })
        .collect();
    output::table(&header, &cells)
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

/// Prints the path of the page in a folder, if one was written.
pub(crate) fn print_page_path(
    folder: Option<&Path>,
    output_options: OutputOptions,
) -> anyhow::Result<()> {
    match folder {
        Some(folder) if !output_options.quiet => {
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
pub(crate) struct Page<'a>(Report<'a>);

impl<'a> Page<'a> {
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
                experiment.network.name(),
                experiment.iterations,
                experiment.batch,
            ),
            created: created(),
            class_names: data.class_names.clone(),
            ..Report::default()
        })
    }

    /// The page of one run; pictures of unseen classes only with the images of them.
    pub(crate) fn of_run(
        experiment: &Experiment,
        run: &'a Run,
        data: &DataSummary,
        open_set: Option<&Dataset>,
    ) -> Self {
        let title = format!("{} on {}", run.label, experiment.data);
        Self::new(RUN, title, experiment, data)
            .with_runs([run])
            .with_pictures([run])
            .with_open_set(&[run], open_set)
            .with_boundaries(boundaries(&[experiment.loss]))
    }

    /// The page of a trained model on images of classes that it may never have seen.
    pub(crate) fn of_model(kind: &str, title: String, part: OpenSetSection<'a>) -> Self {
        Self(Report {
            title,
            kind: kind.to_owned(),
            command: command(),
            created: created(),
            open_set: Some(part),
            ..Report::default()
        })
    }

    /// Adds runs to table, curves, histograms and confusion matrices.
    pub(crate) fn with_runs(mut self, runs: impl IntoIterator<Item = &'a Run>) -> Self {
        self.0.runs.extend(runs);
        self
    }

    /// Adds the pictures of runs whose feature has two dimensions; other runs have no frames.
    pub(crate) fn with_pictures(mut self, runs: impl IntoIterator<Item = &'a Run>) -> Self {
        self.0.pictures.extend(runs);
        self
    }

    /// Adds remarks, a paragraph each.
    pub(crate) fn with_notes(mut self, notes: impl IntoIterator<Item = String>) -> Self {
        self.0.notes.extend(notes);
        self
    }

    /// Adds the figures of the runs on classes that were not trained on.
    pub(crate) fn with_open_set(mut self, runs: &[&'a Run], data: Option<&Dataset>) -> Self {
        let rows = open_set_rows(runs);
        self.0.open_set = rows.first().and_then(|row| row.classes).map(|first| {
            let about = format!("{}.", open_set::about(first));
            OpenSetSection::new(about, rows, data)
        });
        self
    }

    /// Adds the plane of two classes.
    pub(crate) fn with_boundaries(mut self, boundaries: Vec<Boundary>) -> Self {
        self.0.boundaries = boundaries;
        self
    }

    /// The figures that go with a table: features in the plane, one a label, or else the confusion
    /// of its first and its last row; each with a name and a title.
    pub(crate) fn figures(&self) -> Vec<(String, String, String)> {
        let names = &self.0.class_names;
        let mut figures = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        let pictures = &self.0.pictures;
        for run in pictures.iter().filter(|run| !run.outcome.frames.is_empty()) {
            if !seen.contains(&run.label.as_str()) {
                seen.push(&run.label);
                let name = format!("features-{}", slug(&run.label));
                figures.push((name, run.label.clone(), feature_svg(run, names)));
            }
        }
        if !figures.is_empty() {
            return figures;
        }
        let runs = &self.0.runs;
        let last = runs.last();
        let last = runs
            .iter()
            .find(|run| last.is_some_and(|last| last.label == run.label));
        for run in runs.first().into_iter().chain(last) {
            if let Some(matrix) = &run.outcome.evaluation.confusion {
                let name = format!("confusion-{}", slug(&run.label));
                let svg = confusion_svg(&run.label, matrix, names);
                figures.push((name, format!("{}, seed {}", run.label, run.seed), svg));
            }
        }
        figures
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
