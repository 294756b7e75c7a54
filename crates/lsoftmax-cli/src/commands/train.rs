use super::{Manner, Unfinished, complete, data_of, run_path, say_what_is_trained_on, short_name};
use crate::args;
use crate::interrupt;
use crate::output;
use crate::pages;
use anyhow::{Context as _, bail};
use lsoftmax_data::Split;
use lsoftmax_train::{Experiment, REPORT_FILE, RunFolder, Saved, Settings};
use std::path::{Path, PathBuf};

pub(super) fn run(args: args::TrainOrResume, manner: Manner) -> anyhow::Result<()> {
    let (folder, experiment, saved, split) = match &args.resume {
        Some(run) => open(run, args.train.settings, manner)?,
        None => start(args.train, manner)?,
    };
    let path = folder.path().to_owned();
    if let Some(threads) = saved.as_ref().map(|saved| saved.last.threads())
        && threads != rayon::current_num_threads()
        && !manner.quiet
    {
        output::note(&format!(
            "begun with {threads} threads, gone on with {}: the last bits will differ",
            rayon::current_num_threads()
        ));
    }
    say_what_is_trained_on(&split);
    interrupt::listen()?;
    let result = complete(folder, &experiment, &split, saved, manner);
    let (row, _) = result.map_err(|error| {
        if path.is_dir() {
            let command = format!("lsoftmax train --resume {}", path.display());
            Unfinished::error(error, command)
        } else {
            error
        }
    })?;
    let report = path.join(REPORT_FILE);
    if manner.json {
        let answer = serde_json::json!({ "run": path, "report": report, "row": row });
        output::line(&answer.to_string())
    } else {
        output::line(&pages::table(std::slice::from_ref(&row)))?;
        if let Some(table) = pages::open_set_table(std::slice::from_ref(&row)) {
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

fn start(args: args::Train, manner: Manner) -> anyhow::Result<Start> {
    let file = args.file()?;
    let experiment = Experiment::resolve(args.settings, file)?;
    // Before a folder is made for it.
    let split = data_of(&experiment, manner)?;
    let name = format!(
        "{}-{}",
        experiment.data.replace(':', "-"),
        short_name(&experiment)
    );
    let mut folder = RunFolder::create(&run_path(args.out, &name), &experiment, &split)?;
    if args.tensorboard {
        folder = folder.with_events()?;
    }
    Ok((folder, experiment, None, split))
}

/// A run by its folder, or by one of its checkpoints.
fn open(run: &Path, mut settings: Settings, manner: Manner) -> anyhow::Result<Start> {
    let data_dir = settings.data_dir.take();
    if settings != Settings::default() {
        bail!(super::Misuse(
            "--resume goes on with the run's own settings; only --data-dir may be given anew"
                .into()
        ));
    }
    let (folder, file) = if run.is_dir() {
        (run.to_owned(), None)
    } else {
        let folder = run.parent().and_then(Path::parent).map(PathBuf::from);
        let folder = folder.with_context(|| {
            format!("{} is neither a run nor a checkpoint of one", run.display())
        })?;
        (folder, Some(run))
    };
    let (mut folder, experiment, saved) = RunFolder::open(&folder, file, data_dir)?;
    let split = data_of(&experiment, manner)?;
    let step = saved.as_ref().map_or(0, |saved| saved.last.step());
    if let Some(remark) = folder.check_images(&experiment, &split, step)? {
        output::note(&remark);
    }
    Ok((folder, experiment, saved, split))
}
