//! Open-set results as a table and as sentences.

use crate::output;
use lsoftmax_record::OpenSetEvaluation;
use lsoftmax_report::{
    MeanStd, OPEN_SET_COLUMNS, OpenSetColumn, OpenSetRow, TerminalColumn, by_label,
};
use std::fmt::Write as _;

/// One line per run, then one line per loss with mean and standard deviation if a loss has several
/// seeds.
pub(crate) fn table(rows: &[OpenSetRow<'_>]) -> String {
    let shown = |column: &'static OpenSetColumn| Some((column, column.terminal?));
    let columns: Vec<_> = OPEN_SET_COLUMNS.iter().filter_map(shown).collect();
    let headings = columns.iter().map(|(_, terminal)| terminal.heading);
    let mut header = vec!["loss", "seed"];
    header.extend(headings);
    let line = |name: &str, seed: String, rows: &[&OpenSetRow<'_>]| {
        let mut line = vec![name.to_owned(), seed];
        line.extend(columns.iter().map(|(column, terminal)| {
            // A mean over only some of the seeds would be mistaken for one over all.
            let stat = column.stat(rows).filter(|stat| stat.count == rows.len());
            cell(*terminal, stat)
        }));
        line
    };
    let mut lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| line(row.label, row.seed.to_string(), &[row]))
        .collect();
    let groups = by_label(rows);
    if groups.len() < rows.len() {
        for (label, rows) in groups {
            lines.push(line(label, format!("all {}", rows.len()), &rows));
        }
    }
    output::table(&header, &lines)
}

/// Formats a mean for the terminal, with its standard deviation if there is one.
fn cell(column: TerminalColumn, stat: Option<MeanStd>) -> String {
    let TerminalColumn { digits, unit, .. } = column;
    match stat {
        None => "-".to_owned(),
        Some(MeanStd {
            mean,
            deviation: None,
            ..
        }) => output::number(mean, digits, unit),
        Some(MeanStd {
            mean,
            deviation: Some(deviation),
            ..
        }) => format!("{mean:.digits$} ± {deviation:.digits$}{unit}"),
    }
}

/// The identification rates as a sentence, if they were measured.
pub(crate) fn identification(found: &OpenSetEvaluation) -> Option<String> {
    let rates = found.identification.as_ref()?;
    let mut text = format!(
        "identification: {} classes enrolled with one image each, {} other images of them as probes: ",
        rates.enrolled, rates.mated_probes
    );
    let ranks = rates.cmc.iter();
    let ranks: Vec<String> = ranks
        .map(|(rank, share)| format!("{:.2} % within rank {rank}", 100.0 * share))
        .collect();
    text.push_str(&ranks.join(", "));
    for tpir in &rates.tpir_at_fpir {
        if let Some(point) = tpir.measured {
            write!(
                text,
                "; {:.2} % found first and accepted where {:.2} % of {} unknown probes are (cosine {:.4})",
                100.0 * point.tpir,
                100.0 * point.fpir,
                rates.non_mated_probes,
                point.threshold
            )
            .ok();
        }
    }
    Some(text)
}
