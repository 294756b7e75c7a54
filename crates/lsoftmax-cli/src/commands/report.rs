//! Writes the page of a run again, from the results in its folder.

use super::Unfinished;
use crate::args;
use crate::output::{self, Answer};
use crate::output_options::OutputOptions;
use crate::outputs::{Inputs, Outputs};
use crate::pages::command;
use anyhow::Context as _;
use lsoftmax_data::{Dataset, Split};
use lsoftmax_record::DataSummary;
use lsoftmax_report::{Report, Run};
use lsoftmax_train::{Experiment, OUTCOME_FILE, Outcome, REPORT_FILE, RunFolder, load_data};
use std::path::{Path, PathBuf};

pub(super) fn run(args: &args::Report, output_options: OutputOptions) -> anyhow::Result<()> {
    let inputs = Inputs::default();
    Outputs::new(&inputs, args.overwrite.force).run_page(&args.run)?;
    write(&args.run, args.data_dir.clone(), output_options)?;
    let report = args.run.join(REPORT_FILE);
    if output_options.json {
        return Answer::default().path("report", &report).print();
    }
    output::line(&format!("report: {}", report.display()))
}

/// Whether a trained run has no page, because it was killed or the page could not be written.
pub(super) fn is_missing(run: &Path) -> bool {
    run.join(OUTCOME_FILE).exists() && !run.join(REPORT_FILE).exists()
}

/// Writes the page of a run that has none, and removes leftover files.
pub(super) fn make(run: &Path, output_options: OutputOptions) -> anyhow::Result<Run> {
    let inputs = Inputs::default();
    Outputs::new(&inputs, false).run_page(run)?;
    write(run, None, output_options)
}

fn write(
    path: &Path,
    data_dir: Option<PathBuf>,
    output_options: OutputOptions,
) -> anyhow::Result<Run> {
    let (mut experiment, outcome) = RunFolder::outcome(path)?;
    RunFolder::tidy(path, &outcome)?;
    experiment.data_dir = data_dir.or(experiment.data_dir);
    let summary = match &outcome.data {
        Some(summary) => summary.clone(),
        // Recorded by an older version.
        None => DataSummary::new(&load_data(&experiment).with_context(|| {
            format!("the page of {} needs the data of the run", path.display())
        })?),
    };
    let unseen = unseen(&experiment, &outcome);
    if let Err(reason) = &unseen
        && !output_options.quiet
    {
        output::note(&format!(
            "the page has no pictures of unseen classes: {reason}"
        ));
    }
    let unseen = unseen.ok().flatten();
    let run = Run::new(&experiment, outcome);
    Report::of_run(command(), &experiment, &run, &summary, unseen.as_ref())
        .write(path)
        .map_err(|error| Unfinished::page(error.into(), path))?;
    Ok(run)
}

/// The images of unseen classes, if the run was evaluated on any.
///
/// # Errors
/// The reason why they are not available.
fn unseen(experiment: &Experiment, outcome: &Outcome) -> Result<Option<Dataset>, String> {
    let Some(found) = &outcome.open_set else {
        return Ok(None);
    };
    let split: Split = load_data(experiment).map_err(|error| error.to_string())?;
    match split.open_set {
        Some(data) if found.shows(&data) => Ok(Some(data)),
        _ => Err("the images are not those on which the run was evaluated".into()),
    }
}
