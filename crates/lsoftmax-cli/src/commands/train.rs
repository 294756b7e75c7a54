use super::{
    check, complete, data_of, death, report, resume_command, run_path, say_what_is_trained_on,
};
use crate::args;
use crate::interrupt;
use crate::output;
use crate::output_options::OutputOptions;
use crate::outputs::{self, Inputs, Outputs};
use crate::pages;
use anyhow::bail;
use lsoftmax_data::Split;
use lsoftmax_report::{Row, Run};
use lsoftmax_train::{Experiment, REPORT_FILE, RunFolder, Saved, Settings};
use std::path::Path;

pub(super) fn run(args: args::TrainOrResume, output_options: OutputOptions) -> anyhow::Result<()> {
    if let Some(run) = &args.resume
        && report::is_missing(run)
    {
        // The run was killed after training, so only its last files are missing.
        return tell(run, &report::make(run, output_options)?, output_options);
    }
    let (folder, experiment, saved, split) = match &args.resume {
        Some(run) => open(run, args.train.settings, output_options)?,
        None => start(args.train, output_options)?,
    };
    let path = folder.path().to_owned();
    if let Some(threads) = saved.as_ref().map(|saved| saved.last.threads())
        && threads != rayon::current_num_threads()
        && !output_options.quiet
    {
        output::note(&format!(
            "started with {threads} threads, resumed with {}: the last bits will differ",
            rayon::current_num_threads()
        ));
    }
    say_what_is_trained_on(&split);
    interrupt::listen()?;
    let command = resume_command(&path);
    let run = complete(folder, &experiment, &split, saved, &command, output_options)?;
    tell(&path, &run, output_options)
}

/// Prints the table of a run and its path.
///
/// # Errors
/// The training diverged.
fn tell(path: &Path, run: &Run, output_options: OutputOptions) -> anyhow::Result<()> {
    if let Some(death) = death(&run.outcome, path) {
        bail!(death);
    }
    let report = path.join(REPORT_FILE);
    if output_options.json {
        output::Answer::new(serde_json::json!({ "row": Row::new(run) }))
            .path("run", path)
            .path("report", &report)
            .print()
    } else {
        output::line(&pages::table(&[run]))?;
        if let Some(table) = pages::open_set_table(&[run]) {
            output::line(&table)?;
        }
        output::line(&format!(
            "\nrun:    {}\nreport: {}",
            path.display(),
            report.display()
        ))
    }
}

type Start = (RunFolder, Experiment, Option<Saved>, Split);

fn start(args: args::Train, output_options: OutputOptions) -> anyhow::Result<Start> {
    let file = args.file()?;
    let experiment = Experiment::resolve(args.settings, file)?;
    let name = format!(
        "{}-{}",
        experiment.data.replace(':', "-"),
        experiment.short_name()
    );
    let path = run_path(args.out, &name);
    // Before the folder is created.
    outputs::new_folder(&path)?;
    experiment.to_toml()?;
    let split = data_of(&experiment, output_options)?;
    check(&experiment, &split, output_options)?;
    let mut folder = RunFolder::create(&path, &experiment, &split)?;
    if args.tensorboard {
        folder = folder.with_events()?;
    }
    Ok((folder, experiment, None, split))
}

/// Opens a run by its folder or one of its checkpoints.
fn open(
    run: &Path,
    mut settings: Settings,
    output_options: OutputOptions,
) -> anyhow::Result<Start> {
    let data_dir = settings.data_dir.take();
    if settings != Settings::default() {
        bail!(super::Misuse(
            "--resume uses the run's own settings; only --data-dir may be changed".into()
        ));
    }
    let (folder, file) = RunFolder::locate(run)?;
    let inputs = Inputs::default();
    Outputs::new(&inputs, false).run_page(&folder)?;
    let (mut folder, experiment, saved) = RunFolder::open(&folder, file, data_dir)?;
    let split = data_of(&experiment, output_options)?;
    let step = saved.as_ref().map_or(0, |saved| saved.last.step());
    if let Some(remark) = folder.check_images(&experiment, &split, step)? {
        output::note(&remark);
    }
    Ok((folder, experiment, saved, split))
}
