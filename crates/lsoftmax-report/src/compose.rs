//! Pages of runs, composed from their experiments and results.

use crate::boundaries::boundaries;
use crate::model::{OpenSetRow, OpenSetSection, Report, Run};
use crate::open_set::open_set_about;
use crate::page::page;
use crate::slug::slug;
use crate::standalone::{confusion_svg, feature_svg, pictures};
use lsoftmax_data::{DataError, Dataset, atomic_write};
use lsoftmax_record::{Comparison, DataSummary, Experiment, REPORT_FILE};
use std::path::Path;

/// The page kind of a run.
pub const RUN: &str = "run";
/// The page kind of a comparison.
pub const COMPARISON: &str = "compare";
/// The folder with the pictures of a page, next to it.
pub const FIGURES: &str = "figures";

/// The rows of the runs that were evaluated on classes they were not trained on.
pub fn open_set_rows<'a>(runs: &[&'a Run]) -> Vec<OpenSetRow<'a>> {
    runs.iter()
        .filter_map(|run| OpenSetRow::of_run(run))
        .collect()
}

fn created() -> String {
    format!("lsoftmax {}", env!("CARGO_PKG_VERSION"))
}

impl<'a> Report<'a> {
    /// A page without runs. `command` is the command that made it, and `experiment` one of its
    /// experiments.
    pub fn of_experiment(
        kind: &str,
        title: String,
        command: String,
        experiment: &Experiment,
        data: &DataSummary,
    ) -> Self {
        Self {
            title,
            kind: kind.to_owned(),
            command,
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
            ..Self::default()
        }
    }

    /// The page of one run. Pictures of unseen classes require their images.
    pub fn of_run(
        command: String,
        experiment: &Experiment,
        run: &'a Run,
        data: &DataSummary,
        open_set: Option<&Dataset>,
    ) -> Self {
        let title = format!("{} on {}", run.label, experiment.data);
        Self {
            runs: vec![run],
            pictures: vec![run],
            boundaries: boundaries(&[experiment.loss]),
            ..Self::of_experiment(RUN, title, command, experiment, data)
        }
        .with_open_set(&[run], open_set)
    }

    /// The page of a comparison, with its runs in the order of [`Comparison::all`].
    pub fn of_comparison(
        command: String,
        comparison: &Comparison,
        runs: &'a [Run],
        data: &DataSummary,
        open_set: Option<&Dataset>,
    ) -> Self {
        let (table, pictures) = runs.split_at(comparison.table.len().min(runs.len()));
        let (table, pictures): (Vec<_>, Vec<_>) =
            (table.iter().collect(), pictures.iter().collect());
        let losses: Vec<_> = comparison.all().map(|it| it.loss).collect();
        let first = comparison.first();
        let title = format!("Losses compared on {}", first.data);
        Self {
            runs: if table.is_empty() {
                pictures.clone()
            } else {
                table.clone()
            },
            pictures,
            boundaries: boundaries(&losses),
            notes: comparison.note().into_iter().collect(),
            ..Self::of_experiment(COMPARISON, title, command, first, data)
        }
        .with_open_set(&table, open_set)
    }

    /// The page of a trained model evaluated on images of possibly unseen classes.
    pub fn of_model(kind: &str, title: String, command: String, part: OpenSetSection<'a>) -> Self {
        Self {
            title,
            kind: kind.to_owned(),
            command,
            created: created(),
            open_set: Some(part),
            ..Self::default()
        }
    }

    /// Adds the results of the runs on classes that were not trained on.
    #[must_use]
    pub fn with_open_set(mut self, runs: &[&'a Run], data: Option<&Dataset>) -> Self {
        let rows = open_set_rows(runs);
        self.open_set = rows.first().and_then(|row| row.classes).map(|first| {
            let about = format!("{}.", open_set_about(first));
            OpenSetSection::new(about, rows, data)
        });
        self
    }

    /// The figures of a table, each with a name and a title: one picture of 2-D features per label,
    /// or otherwise the confusion matrices of the first and the last row.
    pub fn figures(&self) -> Vec<(String, String, String)> {
        let names = &self.class_names;
        let mut figures = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        let pictures = &self.pictures;
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
        let runs = &self.runs;
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

    /// Writes the page and its pictures to a folder.
    ///
    /// # Errors
    /// A folder cannot be created, or a file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), DataError> {
        let figures = folder.join(FIGURES);
        let failed = |source| DataError::file("make the folder", &figures, source);
        std::fs::create_dir_all(&figures).map_err(failed)?;
        for (name, svg) in pictures(self) {
            atomic_write(&figures.join(name), svg.as_bytes())?;
        }
        atomic_write(&folder.join(REPORT_FILE), page(self).as_bytes())
    }
}
