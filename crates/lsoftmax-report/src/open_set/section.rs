//! The section: a table, pictures, images.

use super::curve::{self, Rates};
use super::{scores, strip};
use crate::column::OPEN_SET_COLUMNS;
use crate::escape::{escape, put, unbroken};
use crate::model::{OpenSetSection, Report, by_label};
use crate::svg::Svg;

fn figure(svg: &Svg) -> String {
    format!("<figure class=\"card\">{}</figure>\n", svg.inline())
}

pub(crate) fn section(report: &Report<'_>, labels: &[&str]) -> String {
    let Some(open_set) = &report.open_set else {
        return String::new();
    };
    let mut html = format!("<p>{}</p>\n", escape(&open_set.about));
    html.push_str(&table(open_set));
    if !open_set.rows.is_empty() {
        html.push_str(
            "<p class=\"small\">Two images count as the same class if the cosine of their embeddings \
             reaches a threshold. Each threshold accepts a share of the different pairs (false \
             accept rate, FAR) and of the same pairs (true accept rate, TAR); the ROC curve shows \
             both for all thresholds. The DET curve shows the errors on axes that spread small \
             rates; FRR is 1 - TAR. Each line is the first seed of a loss.</p>\n\
             <div class=\"grid two\">\n",
        );
        for rates in Rates::ALL {
            html.push_str(&figure(&curve::draw(rates, &open_set.rows, labels, true)));
        }
        html.push_str("</div>\n");
    }
    let first: Vec<_> = labels
        .iter()
        .filter_map(|label| open_set.rows.iter().find(|row| row.label == *label))
        .collect();
    if !first.is_empty() {
        html.push_str("<h3>Cosines of pairs</h3>\n<div class=\"grid three\">\n");
        for row in first {
            html.push_str(&figure(&scores::draw(row)));
        }
        html.push_str("</div>\n");
    }
    for images in &open_set.strips {
        html.push_str(&strip::strip(images));
    }
    html
}

fn table(open_set: &OpenSetSection<'_>) -> String {
    if open_set.rows.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table of the open set\">\
         <table class=\"results\"><thead><tr><th scope=\"col\">Loss</th>",
    );
    for column in &OPEN_SET_COLUMNS {
        if let Some((hint, _)) = column.page {
            let name = column.name;
            put!(html, "<th scope=\"col\">{name}<small>{hint}</small></th>");
        }
    }
    html.push_str("</tr></thead><tbody>\n");
    for (label, rows) in by_label(&open_set.rows) {
        put!(html, "<tr><th scope=\"row\">{}</th>", unbroken(label));
        for column in &OPEN_SET_COLUMNS {
            if column.page.is_some() {
                put!(html, "<td>{}</td>", column.written(column.stat(&rows)));
            }
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    html
}
