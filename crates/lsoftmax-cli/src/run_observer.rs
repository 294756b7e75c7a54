//! The observer of a training: shows progress, and stops on Ctrl-C.

use crate::interrupt;
use crate::output::{note, printable};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lsoftmax_train::{Observer, Progress, TrainError};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

/// Shows a training as it goes: a bar on a terminal, plain lines elsewhere.
pub(crate) struct Display {
    name: String,
    iterations: u64,
    /// The command that resumes the training.
    command: String,
    bar: Option<ProgressBar>,
    quiet: bool,
    last_line: Instant,
    started: Instant,
    /// Number of steps done before this start.
    before: u64,
}

/// Minimum time between two plain lines.
const LINE_EVERY: Duration = Duration::from_secs(10);

impl Display {
    pub(crate) fn new(
        name: &str,
        before: u64,
        iterations: u64,
        command: &str,
        quiet: bool,
    ) -> Self {
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
            command: command.to_owned(),
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

impl Observer for Display {
    fn step(&mut self, step: u64, images_per_second: f64) {
        if let Some(bar) = &self.bar {
            bar.set_position(step);
            bar.set_message(format!("{images_per_second:.0} images/s"));
        } else if !self.quiet && (step == self.iterations || self.last_line.elapsed() >= LINE_EVERY)
        {
            self.last_line = Instant::now();
            // A recovery may return to a step before the one at which this process started.
            let done = step.saturating_sub(self.before).max(1);
            let left = self.started.elapsed().as_secs_f64() / done as f64
                * (self.iterations - step) as f64;
            note(&format!(
                "{}: step {step} of {}, {images_per_second:.0} images/s, {left:.0} s left",
                self.name, self.iterations
            ));
        }
    }

    fn rewind(&mut self, message: &str, _: u64, _: &[Progress]) -> Result<(), TrainError> {
        let text = format!("{}: {message}", self.name);
        match &self.bar {
            Some(bar) => bar.suspend(|| note(&text)),
            None => note(&text),
        }
        Ok(())
    }

    fn evaluates(&mut self, step: u64) {
        interrupt::leave_with(Some(format!(
            "lsoftmax: stopped after step {step} of {}, in the last evaluation; continue with `{}`",
            self.iterations, self.command
        )));
    }

    fn stops(&self) -> bool {
        interrupt::asked()
    }
}
