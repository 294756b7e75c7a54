//! Tables and pages of trained runs.

use crate::open_set;
use crate::output;
use crate::output_options::OutputOptions;
use lsoftmax_data::shell::quoted;
use lsoftmax_report::{COLUMNS, Column, Run, TerminalColumn, open_set_about, open_set_rows};
use lsoftmax_train::{Embedded, REPORT_FILE};
use std::path::Path;

/// The table of open-set results, or `None` if there are none.
pub(crate) fn open_set_table(runs: &[&Run]) -> Option<String> {
    let rows = open_set_rows(runs);
    let about = open_set_about(rows.first()?.classes?);
    Some(format!("\n{about}\n{}", open_set::table(&rows)))
}

/// The table of runs for the terminal.
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

/// Reports the images that were skipped.
pub(crate) fn note_skipped(found: &Embedded, quiet: bool) {
    for warning in &found.warnings {
        output::note(&format!("warning: {warning}"));
    }
    if !quiet {
        for (path, reason) in &found.skipped {
            output::note(&format!("left out {}: {reason}", path.display()));
        }
    }
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

/// The command line of this process, quoted for a shell.
pub(crate) fn command() -> String {
    let words = std::env::args_os().skip(1).map(|word| quoted(&word));
    std::iter::once("lsoftmax".to_owned())
        .chain(words)
        .collect::<Vec<_>>()
        .join(" ")
}
