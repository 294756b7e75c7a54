//! The head of the page: title, result, settings and command.

use super::setting;
use crate::doubt::doubts;
use crate::escape::{escape, put, unbroken};
use crate::group::{groups, labels};
use crate::headline::headline;
use crate::model::Report;
use crate::open_set;

/// The title of the report, or a generic one.
pub(super) fn title<'a>(report: &'a Report<'_>) -> &'a str {
    let title = report.title.trim();
    if title.is_empty() {
        "A run of lsoftmax"
    } else {
        title
    }
}

/// The results on trained and on unseen classes.
fn lead(report: &Report<'_>) -> String {
    let unseen = report.open_set.as_ref().map(open_set::headline);
    let mut parts = vec![headline(report)];
    parts.extend(doubts(&report.runs));
    parts.extend(unseen);
    parts.join(" ").trim().to_owned()
}

pub(super) fn head(report: &Report<'_>) -> String {
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
    for (name, value) in setting::common(&report.runs) {
        fact(&mut html, name, &value);
    }
    let seeds = groups(&report.runs)
        .iter()
        .map(|group| group.runs.len())
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
