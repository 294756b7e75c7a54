//! What was compared, on what, by which command, and what came out.

use crate::doubt::doubts;
use crate::escape::{escape, put, unbroken};
use crate::group::{distinct, groups, labels};
use crate::headline::headline;
use crate::model::{Report, RunSummary};
use crate::number::grouped;
use crate::open_set;

/// The title; there always is one.
pub(super) fn title(report: &Report) -> &str {
    let title = report.title.trim();
    if title.is_empty() {
        "A run of lsoftmax"
    } else {
        title
    }
}

/// What came out, on known classes and on others.
fn lead(report: &Report) -> String {
    let unseen = report.open_set.as_ref().map(open_set::headline);
    let mut parts = vec![headline(report)];
    parts.extend(doubts(&report.rows));
    parts.extend(unseen);
    parts.join(" ").trim().to_owned()
}

pub(super) fn head(report: &Report) -> String {
    let labels = labels(report);
    let kind = if labels.len() > 1 {
        "Comparison"
    } else {
        "Run"
    };
    let mut html = format!(
        "<header>\n<p class=\"kind\">lsoftmax · {kind}</p>\n<h1>{}</h1>\n<p class=\"lead\">{}</p>\n",
        unbroken(title(report)),
        unbroken(&lead(report))
    );
    html.push_str("<dl class=\"facts\">");
    if labels.len() > 1 {
        fact(&mut html, "Compared", &labels.join(", "));
    }
    fact(&mut html, "Data", &report.data);
    for (name, value) in common(&report.rows) {
        fact(&mut html, name, &value);
    }
    let seeds = groups(&report.rows)
        .iter()
        .map(|group| group.rows.len())
        .max()
        .unwrap_or(0);
    if seeds > 1 {
        fact(&mut html, "Seeds", &format!("{seeds} for each"));
    }
    fact(&mut html, "Made", &report.created);
    html.push_str("</dl>\n");
    if !report.command.trim().is_empty() {
        put!(
            html,
            "<pre class=\"command\"><code>{}</code></pre>\n",
            escape(report.command.trim())
        );
    }
    html.push_str("</header>\n");
    html
}

fn fact(html: &mut String, name: &str, value: &str) {
    if !value.trim().is_empty() {
        put!(
            *html,
            "<div><dt>{name}</dt><dd>{}</dd></div>",
            unbroken(value.trim())
        );
    }
}

/// A setting of a run and how it is written.
type Setting = (&'static str, fn(&RunSummary) -> String);

/// What all rows have in common is said once, and not in the table.
pub(super) fn common(rows: &[RunSummary]) -> Vec<(&'static str, String)> {
    let columns: [Setting; 3] = [
        ("Network", |row| row.network.clone()),
        ("Feature", |row| match row.feature {
            0 => String::new(),
            size => format!("{size}-D"),
        }),
        ("Iterations", |row| match row.iterations {
            0 => String::new(),
            iterations => grouped(iterations as u64),
        }),
    ];
    columns
        .into_iter()
        .filter_map(|(name, column)| {
            let values: Vec<String> = rows.iter().map(column).collect();
            match distinct(values.iter().map(String::as_str)).as_slice() {
                [value] if !value.is_empty() => Some((name, (*value).to_owned())),
                _ => None,
            }
        })
        .collect()
}
