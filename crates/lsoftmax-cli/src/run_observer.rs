//! The observer of a training: keeps the run folder, shows progress, and stops on Ctrl-C.

use crate::interrupt;
use crate::output::{note, printable};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lsoftmax_train::{Checkpoint, Observer, Progress, RunFolder, Snapshot, TrainError};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

/// Shows a training as it goes: a bar on a terminal, plain lines elsewhere.
pub(crate) struct Display {
    name: String,
    iterations: u64,
    bar: Option<ProgressBar>,
    quiet: bool,
    last_line: Instant,
    started: Instant,
    /// Steps that were done before.
    before: u64,
}

/// How often a plain line is printed at most.
const LINE_EVERY: Duration = Duration::from_secs(10);

impl Display {
    pub(crate) fn new(name: &str, before: u64, iterations: u64, quiet: bool) -> Self {
        let name = printable::one_line(name);
        let bar = (!quiet && std::io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(Some(iterations), ProgressDrawTarget::stderr());
            let template = "{prefix} [{bar:30}] {pos}/{len} {msg} {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars("=> "));
            }
            bar.set_prefix(name.clone());
            bar
        });
        let now = Instant::now();
        Self {
            name,
            iterations,
            bar,
            quiet,
            last_line: now,
            started: now,
            before,
        }
    }

    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// A training that is shown and written down.
pub(crate) struct RunObserver<'a> {
    pub(crate) display: Display,
    pub(crate) folder: &'a mut RunFolder,
    /// Goes on with the training.
    pub(crate) command: &'a str,
}

impl Observer for RunObserver<'_> {
    fn step(&mut self, step: u64, images_per_second: f64) {
        let display = &mut self.display;
        if let Some(bar) = &display.bar {
            bar.set_position(step);
            bar.set_message(format!("{images_per_second:.0} images/s"));
        } else if !display.quiet
            && (step == display.iterations || display.last_line.elapsed() >= LINE_EVERY)
        {
            display.last_line = Instant::now();
            // A recovery may go back beyond where we came in.
            let done = step.saturating_sub(display.before).max(1);
            let left = display.started.elapsed().as_secs_f64() / done as f64
                * (display.iterations - step) as f64;
            note(&format!(
                "{}: step {step} of {}, {images_per_second:.0} images/s, {left:.0} s left",
                display.name, display.iterations
            ));
        }
    }

    fn progress(&mut self, progress: &Progress) -> Result<(), TrainError> {
        self.folder.progress(progress)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        self.folder.checkpoint(checkpoint)
    }

    fn best(&mut self, model: &Snapshot) -> Result<(), TrainError> {
        self.folder.best(model)
    }

    fn rewind(&mut self, message: &str, step: u64, curve: &[Progress]) -> Result<(), TrainError> {
        let text = format!("{}: {message}", self.display.name);
        match &self.display.bar {
            Some(bar) => bar.suspend(|| note(&text)),
            None => note(&text),
        }
        self.folder.rewind(message, step, curve)
    }

    fn dies(&mut self, message: &str, step: u64, curve: &[Progress]) -> Result<(), TrainError> {
        self.folder.dies(message, step, curve)
    }

    fn evaluates(&mut self, step: u64) {
        interrupt::leave_with(Some(format!(
            "lsoftmax: stopped after step {step} of {}, in the last evaluation; go on with `{}`",
            self.display.iterations, self.command
        )));
    }

    fn stops(&self) -> bool {
        interrupt::asked()
    }
}
