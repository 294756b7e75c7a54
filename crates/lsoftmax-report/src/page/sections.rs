//! The parts of the page with pictures of several runs.

use super::swatch;
use crate::class_name::class_name;
use crate::curves::{self, Quantity};
use crate::escape::{escape, paragraphs, put};
use crate::group::{first_of_each, labels};
use crate::histogram::{self, Angles};
use crate::model::{Report, Run};
use crate::number::{MISSING, fixed, grouped};
use crate::svg::Svg;
use crate::{boundary, confusion};

fn figure(svg: &Svg) -> String {
    format!("<figure class=\"card\">{}</figure>\n", svg.inline())
}

/// The names of the losses with their colours, or nothing for a single loss.
fn series_legend(labels: &[&str]) -> String {
    if labels.len() < 2 {
        return String::new();
    }
    let mut entries = String::new();
    for (index, label) in labels.iter().enumerate() {
        put!(
            entries,
            "<li>{}{}</li>",
            swatch::series(index),
            escape(label)
        );
    }
    format!("<ul class=\"legend\" aria-label=\"Losses\">{entries}</ul>\n")
}

/// The effect of a margin in the plane of two classes.
pub(super) fn boundaries(report: &Report<'_>) -> String {
    if report.boundaries.is_empty() {
        return String::new();
    }
    format!(
        "<p>Two class weights and the plane they span. In training, a sample counts as correct \
         within the sector of its class; the gap between the sectors is the margin. Plain softmax, \
         and every test, separates the classes at the dashed line, which lies nearer to the shorter \
         class weight.</p>\n{}",
        figure(&boundary::draw(&report.boundaries))
    )
}

pub(super) fn angles(report: &Report<'_>) -> String {
    let labels = labels(report);
    let mut pictures = String::new();
    let mut rows = String::new();
    for angles in Angles::ALL {
        let series = angles.merged(&report.runs, &labels);
        if series.iter().all(|(_, histogram)| histogram.is_empty()) {
            continue;
        }
        pictures.push_str(&figure(&histogram::draw(angles.title, &series, false)));
        for (label, histogram) in series.iter().filter(|(_, histogram)| !histogram.is_empty()) {
            put!(
                rows,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td>",
                escape(label),
                escape(angles.title),
                grouped(histogram.total()),
                fixed(histogram.mean().unwrap_or(f64::NAN), 1)
            );
            for share in [0.05, 0.5, 0.95] {
                let angle = histogram.quantile(share).unwrap_or(f64::NAN);
                put!(rows, "<td>{}</td>", fixed(angle, 1));
            }
            rows.push_str("</tr>\n");
        }
    }
    if pictures.is_empty() {
        return String::new();
    }
    format!(
        "<p>The angles between features and the weight of their true class. Further left is \
         tighter.</p>\n{}<div class=\"grid three\">\n{pictures}</div>\n{}",
        series_legend(&labels),
        numbers(
            "<th scope=\"col\">Loss</th><th scope=\"col\">Angle</th><th scope=\"col\">Count</th>\
             <th scope=\"col\">Mean°</th><th scope=\"col\">5 %</th><th scope=\"col\">Median</th>\
             <th scope=\"col\">95 %</th>",
            &rows
        )
    )
}

/// A table of the values in the pictures above it.
fn numbers(head: &str, rows: &str) -> String {
    format!(
        "<details><summary>In numbers</summary><div class=\"scroll\" tabindex=\"0\" \
         role=\"region\" aria-label=\"The pictures above in numbers\"><table><thead><tr>{head}\
         </tr></thead><tbody>\n{rows}</tbody></table></div></details>\n"
    )
}

/// Number of rows per run in the table of the curves.
const TABLE_STEPS: usize = 10;

/// Number of labels whose first runs are in the table of the curves.
const TABLE_RUNS: usize = 12;

pub(super) fn curves(report: &Report<'_>) -> String {
    let labels = labels(report);
    let shown: Vec<Quantity> = Quantity::ALL
        .into_iter()
        .filter(|quantity| quantity.is_shown(&report.runs))
        .collect();
    if shown.is_empty() {
        return String::new();
    }
    let pictures: String = shown
        .iter()
        .map(|quantity| figure(&curves::draw(quantity, &report.runs, &labels, false)))
        .collect();
    let mut head = String::from("<th scope=\"col\">Run</th><th scope=\"col\">Step</th>");
    for quantity in &shown {
        put!(head, "<th scope=\"col\">{}</th>", quantity.title);
    }
    let mut first = first_of_each(report.runs.iter().copied());
    first.truncate(TABLE_RUNS);
    let rows: String = first.iter().map(|run| curve_rows(run, &shown)).collect();
    let seeds = if report.runs.len() > first.len() {
        " Each thin line is one seed."
    } else {
        ""
    };
    format!(
        "<p>The logged values over the training steps (iterations). Losses with different margins are \
         different functions: compare their shapes, not their values.{seeds}</p>\n{}\
         <div class=\"grid three\">\n{pictures}</div>\n{}",
        series_legend(&labels),
        numbers(&head, &rows)
    )
}

/// Some steps of a run, evenly spaced and including the last. A cell shows the last value measured
/// up to its step.
fn curve_rows(run: &Run, shown: &[Quantity]) -> String {
    let mut rows = String::new();
    let curve = &run.outcome.curve;
    let count = curve.len();
    let steps = count.min(TABLE_STEPS);
    let mut from = 0;
    for row in 1..=steps {
        let until = row * count / steps;
        let last = &curve[until - 1];
        put!(
            rows,
            "<tr><th scope=\"row\">{}, seed {}</th><td>{}</td>",
            escape(&run.label),
            run.seed,
            grouped(last.step)
        );
        for quantity in shown {
            let mut points = curve[from..until].iter().rev();
            let value = points.find_map(|point| quantity.of(point));
            let text = value.map_or(MISSING.to_owned(), |value| quantity.written(value));
            put!(rows, "<td>{text}</td>");
        }
        rows.push_str("</tr>\n");
        from = until;
    }
    rows
}

pub(super) fn confusion(report: &Report<'_>) -> String {
    let runs = report.runs.iter().copied();
    let runs: Vec<&Run> = runs
        .filter(|run| run.outcome.evaluation.confusion.is_some())
        .collect();
    let most_wrong = runs
        .iter()
        .filter_map(|run| run.outcome.evaluation.confusion.as_deref())
        .map(confusion::worst_share)
        .fold(0.0, f64::max);
    let mut pictures = String::new();
    let mut rows = String::new();
    let names = &report.class_names;
    for run in first_of_each(runs) {
        let Some(matrix) = &run.outcome.evaluation.confusion else {
            continue;
        };
        let of_label = report.runs.iter().filter(|other| other.label == run.label);
        let title = if of_label.count() > 1 {
            format!("{}, seed {}", run.label, run.seed)
        } else {
            run.label.clone()
        };
        let svg = confusion::draw(&title, matrix, names, Some(most_wrong));
        pictures.push_str(&figure(&svg));
        for cell in confusion::worst(matrix, 8) {
            put!(
                rows,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                escape(&run.label),
                escape(&class_name(names, cell.truth)),
                escape(&class_name(names, cell.answer)),
                grouped(cell.count)
            );
        }
    }
    if pictures.is_empty() {
        return String::new();
    }
    format!(
        "<p>Test samples by true class (row) and predicted class (column). Correct predictions are \
         blue. Wrong ones are orange, on a separate scale that is the same in all pictures, so that \
         they remain visible.</p>\n\
         <div class=\"grid two\">\n{pictures}</div>\n{}",
        numbers(
            "<th scope=\"col\">Loss</th><th scope=\"col\">True class</th>\
             <th scope=\"col\">Predicted</th><th scope=\"col\">Count</th>",
            &rows
        )
    )
}

pub(super) fn notes(report: &Report<'_>) -> String {
    let text: String = report.notes.iter().map(|note| paragraphs(note)).collect();
    if text.is_empty() {
        text
    } else {
        format!("<div class=\"prose\">{text}</div>\n")
    }
}
