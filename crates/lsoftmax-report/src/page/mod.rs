//! The page: one self-contained HTML document.

mod features;
mod head;
mod reading;
mod sections;
mod setting;
mod swatch;
mod table;

use crate::escape::{escape, paragraphs, put};
use crate::group::labels;
use crate::model::Report;
use crate::open_set;
use crate::theme;

const PAGE_CSS: &str = include_str!("../assets/page.css");
const PAGE_JS: &str = include_str!("../assets/page.js");

/// A run, or several compared, as one HTML document.
pub fn page(report: &Report<'_>) -> String {
    let parts = parts(report);
    let mut links = String::new();
    let mut body = String::new();
    for (id, name, html) in parts.iter().filter(|(.., html)| !html.is_empty()) {
        put!(links, "<a href=\"#{id}\">{name}</a>");
        put!(
            body,
            "<section id=\"{id}\"><h2>{name}</h2>\n{html}</section>\n"
        );
    }
    let head = head::head(report);
    document(
        head::title(report),
        &report.kind,
        if labels(report).len() == 1 {
            " class=\"single\""
        } else {
            ""
        },
        &format!("{head}<nav aria-label=\"Parts of this page\">{links}</nav>\n{body}"),
    )
}

/// The sections of the page as (id, heading, HTML). Sections without HTML are left out.
fn parts(report: &Report<'_>) -> [(&'static str, &'static str, String); 9] {
    [
        ("results", "Results", table::results(report)),
        (
            "open-set",
            "Unseen classes",
            open_set::section(report, &labels(report)),
        ),
        ("features", "2-D features", features::features(report)),
        ("angles", "Angles", sections::angles(report)),
        ("curves", "Training", sections::curves(report)),
        ("confusion", "Confusion", sections::confusion(report)),
        ("boundaries", "Two classes", sections::boundaries(report)),
        ("notes", "Notes", sections::notes(report)),
        ("reading", "How to read this", reading::reading()),
    ]
}

/// A page with one picture and an explanation below it, for `plot margin` and similar commands. The
/// explanation is plain text; an empty line starts a new paragraph.
pub fn figure_page(title: &str, svg: &str, explanation: &str) -> String {
    // Within the page, the picture uses the colours of the page.
    let svg = svg.replacen(&theme::standalone_style(), "", 1);
    let paragraphs = paragraphs(explanation);
    document(
        title,
        "",
        "",
        &format!(
            "<header><h1>{}</h1></header>\n<section><figure class=\"card alone\">{svg}</figure>\n\
             <div class=\"prose\">{paragraphs}</div></section>\n",
            escape(title)
        ),
    )
}

/// The start of the element that contains the [kind](Report::kind) of a page.
pub const KIND_META: &str = "<meta name=\"lsoftmax-page\"";

/// The element in the head of a page of this [kind](Report::kind).
pub fn kind_mark(kind: &str) -> String {
    format!("{KIND_META} content=\"{}\">", escape(kind))
}

fn document(title: &str, kind: &str, main: &str, body: &str) -> String {
    let kind = if kind.is_empty() {
        String::new()
    } else {
        kind_mark(kind) + "\n"
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta name=\"generator\" content=\"lsoftmax {version}\">\n{kind}\
         <title>{title}</title>\n<style>\n{properties}{chart}{page}</style>\n</head>\n<body>\n\
         <button id=\"theme\" type=\"button\" aria-label=\"Switch between light and dark\" \
         title=\"Light or dark\" hidden=\"\">◐</button>\n<main{main}>\n{body}</main>\n\
         <footer>Made by lsoftmax {version}.</footer>\n<script>\n{script}</script>\n</body>\n\
         </html>\n",
        version = env!("CARGO_PKG_VERSION"),
        title = escape(title),
        properties = theme::properties(),
        chart = theme::CHART_CSS,
        page = PAGE_CSS,
        script = PAGE_JS,
    )
}
