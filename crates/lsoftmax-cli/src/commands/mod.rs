//! The commands, one file for each.

mod compare;
mod data;
mod embed;
mod eval;
mod export;
mod gallery;
mod loss;
mod plot;
mod report;
mod reproduce;
mod train;
mod verify;

use crate::args::{Args, Command};
use crate::interrupt;
use crate::misuse::Misuse;
use crate::output;
use crate::output_options::OutputOptions;
use crate::pages;
use crate::run_observer::Display;
use anyhow::{Context as _, bail};
use lsoftmax_data::images::ClassFolders;
use lsoftmax_data::shell::quoted_path;
use lsoftmax_data::{DataError, Split};
use lsoftmax_networks::is_graphics;
use lsoftmax_record::{DataSummary, RecordError};
use lsoftmax_report::{Report, Run};
use lsoftmax_train::{
    DeviceChoice, DeviceError, Experiment, Outcome, RunFolder, Saved, TrainError, check_precision,
    train_recorded,
};
use std::path::{Path, PathBuf};

pub(crate) fn run(args: Args) -> anyhow::Result<()> {
    start_threads(args.threads)?;
    // Run on a thread of the pool. Otherwise each of the many small parallel loops would put this
    // thread to sleep and wake it again (6 % of the time of a training of the compact network).
    rayon::scope(|_| run_command(args))
}

/// Starts the thread pool now instead of on first use, so that a system that refuses to start
/// threads gives an error instead of a panic.
fn start_threads(count: Option<usize>) -> anyhow::Result<()> {
    if let Some(count) = count.filter(|count| !(1..=1024).contains(count)) {
        bail!(Misuse(format!(
            "--threads must be from 1 to 1024, found {count}"
        )));
    }
    let threads = count
        .or_else(|| std::env::var("RAYON_NUM_THREADS").ok()?.parse().ok())
        .filter(|&threads| threads > 0)
        .or_else(|| std::thread::available_parallelism().ok().map(usize::from))
        .unwrap_or(1);
    // While threads start, running out of memory in any small allocation would abort the program.
    // Reserve all the memory first, and release it again.
    let room = threads.saturating_mul(STACK).saturating_add(BESIDE_STACKS);
    let mut probe = Vec::<u8>::new();
    let found = probe.try_reserve_exact(room);
    // Prevents the compiler from removing the reservation.
    drop(std::hint::black_box(probe));
    let started = match found {
        Ok(()) => {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build_global().map_err(anyhow::Error::from)
        }
        Err(error) => Err(error.into()),
    };
    started.context(
        "cannot start the threads to compute with (a process or memory limit?); use fewer with \
         --threads",
    )
}

/// Stack size of a thread in bytes, the default of the standard library.
const STACK: usize = 2 << 20;
/// Bytes of memory that the program needs besides the stacks while its threads start.
const BESIDE_STACKS: usize = 64 << 20;

fn run_command(args: Args) -> anyhow::Result<()> {
    let output_options = OutputOptions {
        json: args.json,
        quiet: args.quiet,
        device: device(&args)?,
    };
    match args.command {
        Command::Train(args) => train::run(args, output_options),
        Command::Compare(args) => compare::run(&args, output_options),
        Command::Reproduce(args) => reproduce::run(&args, output_options),
        Command::Report(args) => report::run(&args, output_options),
        Command::Data(args) => data::run(&args, output_options),
        Command::Eval(args) => eval::run(&args, output_options),
        Command::Embed(args) => embed::run(args, output_options),
        Command::Export(args) => export::run(&args, output_options),
        Command::Verify(args) => verify::run(args, output_options),
        Command::Index(args) => gallery::index(args, output_options),
        Command::Search(args) => gallery::search(args, output_options),
        Command::Plot(args) => plot::run(&args, output_options),
        Command::Loss(args) => loss::run(&args, output_options),
    }
}

/// The requested device, tested before anything is written.
fn device(args: &Args) -> anyhow::Result<DeviceChoice> {
    let Some(asked) = args.device else {
        return Ok(DeviceChoice::CPU);
    };
    if matches!(
        args.command,
        Command::Data(_) | Command::Plot(_) | Command::Loss(_) | Command::Report(_)
    ) {
        bail!(Misuse(
            "--device is for commands that compute with a model; this one does not".into()
        ));
    }
    let device = asked.resolve();
    device.open()?;
    if asked.is_auto() && !args.quiet {
        output::note(&format!("computing on {device}"));
    }
    Ok(device)
}

/// Whether the user can fix the error by changing the command line.
pub(crate) fn is_misuse(error: &anyhow::Error) -> bool {
    let head = |error: &lsoftmax::Error| {
        matches!(
            error,
            lsoftmax::Error::Margin(_)
                | lsoftmax::Error::Annealing(_)
                | lsoftmax::Error::NoAnnealing(_)
        )
    };
    let data = |error: &DataError| {
        matches!(
            error,
            DataError::UnknownSource { .. }
                | DataError::NoFolder { .. }
                | DataError::OutOfRange { .. }
        )
    };
    let device = |error: &DeviceError| !matches!(error, DeviceError::Broken { .. });
    let record = |error: &RecordError| match error {
        RecordError::Data(error) => data(error),
        _ => true,
    };
    let train = |error: &TrainError| match error {
        TrainError::RunExists(_)
        | TrainError::Finished(_)
        | TrainError::NotFinished(_)
        | TrainError::Running(_)
        | TrainError::OpenSet { .. }
        | TrainError::Network(_) => true,
        TrainError::Head(error) => head(error),
        TrainError::Data(error) => data(error),
        TrainError::Device(error) => device(error),
        TrainError::Record(error) => record(error),
        _ => false,
    };
    if let Some(unfinished) = error.downcast_ref::<Unfinished>() {
        return is_misuse(&unfinished.error);
    }
    error.is::<Misuse>()
        || error.downcast_ref().is_some_and(head)
        || error.downcast_ref().is_some_and(data)
        || error.downcast_ref().is_some_and(device)
        || error.downcast_ref().is_some_and(record)
        || error.downcast_ref().is_some_and(train)
}

/// An error in unfinished work, with the command that continues it.
#[derive(Debug)]
pub(crate) struct Unfinished {
    error: anyhow::Error,
    hint: String,
}

impl Unfinished {
    pub(crate) fn error(error: anyhow::Error, command: &str) -> anyhow::Error {
        // The underlying error may already contain a hint.
        if error.is::<Self>() {
            return error;
        }
        let hint = format!("continue with `{command}`");
        Self { error, hint }.into()
    }

    /// An error of an unfinished training or of its last evaluation.
    fn run(error: anyhow::Error, path: &Path, command: &str) -> anyhow::Error {
        if path.is_dir() {
            Self::error(error, command)
        } else {
            error
        }
    }

    /// The run is trained, but its page cannot be written.
    fn page(error: anyhow::Error, path: &Path) -> anyhow::Error {
        let hint = format!(
            "the run is trained and saved; write its page with `lsoftmax report {}`",
            quoted_path(path)
        );
        Self { error, hint }.into()
    }
}

/// The command that resumes a run.
fn resume_command(run: &Path) -> String {
    format!("lsoftmax train --resume {}", quoted_path(run))
}

impl std::fmt::Display for Unfinished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", output::causes(&self.error), self.hint)
    }
}

impl std::error::Error for Unfinished {}

/// Whether the training was stopped on request.
pub(crate) fn is_interruption(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<Unfinished>() {
        Some(unfinished) => is_interruption(&unfinished.error),
        None => matches!(error.downcast_ref(), Some(TrainError::Interrupted { .. })),
    }
}

/// The requested folder, or the first free one of `runs/NAME`, `runs/NAME-2`, ...
fn run_path(asked: Option<PathBuf>, name: &str) -> PathBuf {
    let numbered = |n: u32| {
        let suffix = if n == 1 {
            String::new()
        } else {
            format!("-{n}")
        };
        Path::new("runs").join(format!("{name}{suffix}"))
    };
    asked.unwrap_or_else(|| {
        let free = (1..=u32::MAX).map(numbered).find(|path| !path.exists());
        free.unwrap_or_else(|| numbered(1))
    })
}

/// # Errors
/// λ is negative or NaN.
fn check_lambda(lambda: f64) -> anyhow::Result<()> {
    if lambda >= 0.0 {
        Ok(())
    } else {
        bail!(Misuse(format!(
            "--lambda must be at least 0, found {lambda}"
        )))
    }
}

/// Loads the data of an experiment for the device. Prints remarks to stderr, and warnings even with
/// `--quiet`.
fn data_of(experiment: &Experiment, output_options: OutputOptions) -> anyhow::Result<Split> {
    check_precision(experiment.precision, &output_options.device.open()?)?;
    let split = lsoftmax_train::load_data(experiment)?;
    lsoftmax_train::check_fit(experiment, &split, &output_options.device.open()?)?;
    if !output_options.quiet {
        split.remarks.iter().for_each(|remark| output::note(remark));
    }
    let device = output_options.device.open()?;
    if !output_options.quiet && is_graphics(&device) && !experiment.augmentation.is_view() {
        output::note("the CPU augments the images: the device can only crop and mirror");
    }
    for warning in &split.warnings {
        output::note(&format!("warning: {warning}"));
    }
    Ok(split)
}

/// Prints the parts and classes that were found, even with `--quiet`, since a wrong guess would not
/// show anywhere else.
fn say_what_is_trained_on(split: &Split) {
    if let Some(summary) = &split.summary {
        output::note(summary);
    }
}

/// The class folders that a flag selects.
fn class_folders_of(flag: Option<&str>) -> ClassFolders {
    match flag {
        None | Some("auto") => ClassFolders::Auto,
        Some("top") => ClassFolders::Top,
        Some(_) => ClassFolders::Each,
    }
}

/// Checks that a run can be trained, before its folder is created.
fn check(
    experiment: &Experiment,
    split: &Split,
    output_options: OutputOptions,
) -> anyhow::Result<()> {
    Ok(lsoftmax_train::check(
        experiment,
        split,
        &output_options.device.open()?,
    )?)
}

/// A one-line message about a diverged training.
fn death(outcome: &Outcome, run: &Path) -> Option<String> {
    let death = outcome.death()?;
    let run = run.display();
    let left = if outcome.has_model() {
        format!("its model of that step and its page are in {run}")
    } else {
        format!("it leaves no model; its page is in {run}")
    };
    Some(format!("the training diverged: {death}; {left}"))
}

/// Trains a run, shows its progress, and writes the run folder with its page.
fn train_into(
    path: &Path,
    experiment: &Experiment,
    split: &Split,
    tensorboard: bool,
    output_options: OutputOptions,
) -> anyhow::Result<Run> {
    let mut folder = RunFolder::create(path, experiment, split)?;
    if tensorboard {
        folder = folder.with_events()?;
    }
    let command = resume_command(path);
    let run = complete(folder, experiment, split, None, &command, output_options)?;
    if let Some(death) = death(&run.outcome, path)
        && !output_options.quiet
    {
        output::note(&death);
    }
    Ok(run)
}

/// Trains a run to its end, from the start or from its saved state. `command` continues it if it is
/// stopped.
fn complete(
    folder: RunFolder,
    experiment: &Experiment,
    split: &Split,
    saved: Option<Saved>,
    command: &str,
    output_options: OutputOptions,
) -> anyhow::Result<Run> {
    let path = folder.path().to_owned();
    let outcome = trained(folder, experiment, split, saved, command, output_options)
        .map_err(|error| Unfinished::run(error, &path, command))?;
    let run = Run::new(experiment, outcome);
    let (summary, unseen) = (DataSummary::new(split), split.open_set.as_ref());
    Report::of_run(pages::command(), experiment, &run, &summary, unseen)
        .write(&path)
        .map_err(|error| Unfinished::page(error.into(), &path))?;
    Ok(run)
}

/// Trains a run and writes everything except the page.
fn trained(
    mut folder: RunFolder,
    experiment: &Experiment,
    split: &Split,
    saved: Option<Saved>,
    command: &str,
    output_options: OutputOptions,
) -> anyhow::Result<Outcome> {
    let name = format!(
        "{} ({})",
        experiment.loss_label(),
        experiment.network.name()
    );
    let before = saved.as_ref().map_or(0, |saved| saved.last.step());
    let iterations = experiment.iterations;
    let mut display = Display::new(&name, before, iterations, command, output_options.quiet);
    let device = output_options.device.open()?;
    let trained = train_recorded(&mut folder, experiment, split, saved, &device, &mut display);
    display.finish();
    interrupt::leave_with(None);
    Ok(trained?.outcome)
}
