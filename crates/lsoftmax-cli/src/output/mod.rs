//! What a person sees: progress on stderr, results on stdout. Names from files go through
//! [`printable`] on their way out.

mod answer;
mod printable;

pub(crate) use answer::{Answer, json};

use crate::interrupt;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use lsoftmax_train::{Checkpoint, Observer, Progress, RunFolder, Snapshot, TrainError};
use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Text on stdout, of one line or several.
///
/// # Errors
/// Nobody reads it any more.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", printable::printable(text))?;
    Ok(out.flush()?)
}

/// One line on stderr, for a person; if stderr is gone there is nobody to tell.
pub(crate) fn note(text: &str) {
    writeln!(std::io::stderr().lock(), "{}", printable::one_line(text)).ok();
}

/// The error with its causes, in one line.
pub(crate) fn error(error: &anyhow::Error) {
    note(&format!("lsoftmax: {}", causes(error)));
}

/// What is wrong with the words that were typed, or the help that was asked for.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let typed = std::env::args_os().collect::<Vec<_>>();
    let text = |word: &OsString| printable::one_line(&word.to_string_lossy());
    if typed
        .iter()
        .all(|word| text(word) == word.to_string_lossy())
    {
        error.print().ok();
    } else {
        // Without colours, which could not be told from what was typed.
        write!(
            std::io::stderr().lock(),
            "{}",
            printable::printable(&error.to_string())
        )
        .ok();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
}

/// The error with those of its causes that it does not quote itself.
pub(crate) fn causes(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// A number with `digits` decimals and its unit; `-` if it is not finite.
pub(crate) fn number(value: f64, digits: usize, unit: &str) -> String {
    if value.is_finite() {
        format!("{value:.digits$}{unit}")
    } else {
        "-".to_owned()
    }
}

/// Rows of text in aligned columns; the first column left, the others right.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let header: Vec<String> = header
        .iter()
        .map(|cell| printable::one_line(cell))
        .collect();
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| printable::one_line(cell)).collect())
        .collect();
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column).map(String::as_str));
        cells
            .chain(header.get(column).map(String::as_str))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let format_row = |cells: &[String]| {
        let mut text = String::new();
        for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            let cell = if column == 0 {
                format!("{cell}{pad}")
            } else {
                format!("  {pad}{cell}")
            };
            text.push_str(&cell);
        }
        text.trim_end().to_owned()
    };
    let rule = "-".repeat(widths.iter().sum::<usize>() + 2 * (widths.len() - 1));
    let mut lines = vec![format_row(&header), rule];
    lines.extend(rows.iter().map(|row| format_row(row)));
    lines.join("\n")
}

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

/// Shows a file as it comes: a bar on a terminal, a line a file elsewhere.
pub(crate) struct Bytes {
    quiet: bool,
    name: String,
    bar: Option<ProgressBar>,
}

impl Bytes {
    pub(crate) fn new(quiet: bool) -> Self {
        Self {
            quiet,
            name: String::new(),
            bar: None,
        }
    }

    pub(crate) fn show(&mut self, name: &str, done: u64, total: u64) {
        if self.quiet {
            return;
        }
        if self.name != name {
            self.finish();
            name.clone_into(&mut self.name);
            if std::io::stderr().is_terminal() {
                let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
                let template =
                    "{prefix} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta} left";
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style.progress_chars("=> "));
                }
                bar.set_prefix(name.to_owned());
                self.bar = Some(bar);
            } else {
                note(&format!("{name}: {done} of {total} bytes are here"));
            }
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    pub(crate) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// A training that is shown and written down.
pub(crate) struct Watch<'a> {
    pub(crate) display: Display,
    pub(crate) folder: &'a mut RunFolder,
    /// Goes on with the training.
    pub(crate) command: &'a str,
}

impl Observer for Watch<'_> {
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
