//! The page: one HTML document with everything in it.

mod head;
mod reading;
mod sections;
mod table;

use crate::escape::{escape, put};
use crate::group::labels;
use crate::model::Report;
use crate::open_set;
use crate::theme;

const PAGE_CSS: &str = include_str!("../assets/page.css");
const PAGE_JS: &str = include_str!("../assets/page.js");

/// A run, or several compared, as one HTML document.
pub fn page(report: &Report) -> String {
    let parts = [
        Part {
            id: "results",
            name: "Results",
            html: table::results(report),
        },
        Part {
            id: "open-set",
            name: "Unseen classes",
            html: open_set::section(report, &labels(report)),
        },
        Part {
            id: "features",
            name: "2-D features",
            html: sections::features(report),
        },
        Part {
            id: "angles",
            name: "Angles",
            html: sections::angles(report),
        },
        Part {
            id: "curves",
            name: "Training",
            html: sections::curves(report),
        },
        Part {
            id: "confusion",
            name: "Confusion",
            html: sections::confusion(report),
        },
        Part {
            id: "boundaries",
            name: "Two classes",
            html: sections::boundaries(report),
        },
        Part {
            id: "notes",
            name: "Notes",
            html: sections::notes(report),
        },
        Part {
            id: "reading",
            name: "How to read this",
            html: reading::reading(),
        },
    ];
    let parts: Vec<Part> = parts
        .into_iter()
        .filter(|part| !part.html.is_empty())
        .collect();
    let mut links = String::new();
    let mut body = String::new();
    for Part { id, name, html } in &parts {
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

struct Part {
    id: &'static str,
    name: &'static str,
    html: String,
}

/// One picture with a paragraph under it as a page: for `plot margin` and the like. The
/// explanation is plain text; an empty line starts a new paragraph.
pub fn figure_page(title: &str, svg: &str, explanation: &str) -> String {
    // Within the page the picture follows the page's colours.
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

fn paragraphs(text: &str) -> String {
    let mut html = String::new();
    for paragraph in text
        .split("\n\n")
        .filter(|paragraph| !paragraph.trim().is_empty())
    {
        put!(html, "<p>{}</p>", escape(paragraph.trim()));
    }
    html
}

/// Where a page says what it is about.
pub const KIND_META: &str = "<meta name=\"lsoftmax-page\"";

/// What stands in the head of a page of this [kind](Report::kind).
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
