//! Terminal output: progress on stderr, results on stdout. Names from files pass through
//! [`printable`] first.

mod answer;
pub(crate) mod printable;

pub(crate) use answer::{Answer, json};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

/// Prints one or more lines on stdout.
///
/// # Errors
/// stdout is closed.
pub(crate) fn line(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", printable::printable(text))?;
    Ok(out.flush()?)
}

/// Prints one line on stderr. A closed stderr is ignored.
pub(crate) fn note(text: &str) {
    writeln!(std::io::stderr().lock(), "{}", printable::one_line(text)).ok();
}

/// Prints an error with its causes on one line.
pub(crate) fn error(error: &anyhow::Error) {
    note(&format!("lsoftmax: {}", causes(error)));
}

/// Prints a usage error, or the requested help.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    let typed = std::env::args_os().collect::<Vec<_>>();
    let text = |word: &OsString| printable::one_line(&word.to_string_lossy());
    if typed
        .iter()
        .all(|word| text(word) == word.to_string_lossy())
    {
        error.print().ok();
    } else {
        // No colours, so that escape codes in the user's input do not pass as ours.
        write!(
            std::io::stderr().lock(),
            "{}",
            printable::printable(&error.to_string())
        )
        .ok();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
}

/// The error, followed by those causes that it does not already quote.
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

/// Formats a number with `digits` decimals and its unit, or `-` if it is not finite.
pub(crate) fn number(value: f64, digits: usize, unit: &str) -> String {
    if value.is_finite() {
        format!("{value:.digits$}{unit}")
    } else {
        "-".to_owned()
    }
}

/// Rows of text in aligned columns: the first left-aligned, the others right-aligned.
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

/// Shows a download: a progress bar on a terminal, otherwise one line per file.
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
                note(&format!("{name}: {done} of {total} bytes downloaded"));
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
