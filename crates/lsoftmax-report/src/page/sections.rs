//! The parts of the page that have pictures.

use super::paragraphs;
use super::table::series_mark;
use crate::curves::{self, Quantity, end_value};
use crate::escape::{escape, put};
use crate::feature::{self, MAX_LEGEND, class_name};
use crate::group::labels;
use crate::histogram::{self, Angles, quantile};
use crate::model::{FeaturePicture, Report, RunDetail};
use crate::number::{MISSING, fixed, grouped};
use crate::svg::{Svg, shape};
use crate::theme;
use crate::{boundary, confusion};

fn figure(svg: &Svg) -> String {
    format!("<figure class=\"card\">{}</figure>\n", svg.inline())
}

/// The names of the losses with their colours; nothing for a single one.
fn series_legend(labels: &[&str]) -> String {
    if labels.len() < 2 {
        return String::new();
    }
    let mut entries = String::new();
    for (index, label) in labels.iter().enumerate() {
        put!(entries, "<li>{}{}</li>", series_mark(index), escape(label));
    }
    format!("<ul class=\"legend\" aria-label=\"Losses\">{entries}</ul>\n")
}

pub(super) fn features(report: &Report) -> String {
    if report.pictures.is_empty() {
        return String::new();
    }
    let classes = report
        .pictures
        .iter()
        .map(feature::class_count)
        .max()
        .unwrap_or(0);
    let shared = report
        .pictures
        .iter()
        .map(feature::own_reach)
        .fold(0.0, f64::max);
    let draw = |picture: &FeaturePicture| {
        figure(&feature::draw(
            picture,
            &report.class_names,
            Some(shared),
            false,
        ))
    };
    let mut first_seeds = String::new();
    let mut other_seeds = String::new();
    let mut seen: Vec<&str> = Vec::new();
    for picture in &report.pictures {
        if seen.contains(&picture.label.as_str()) {
            other_seeds.push_str(&draw(picture));
        } else {
            seen.push(&picture.label);
            first_seeds.push_str(&draw(picture));
        }
    }
    let mut html = String::from(
        "<p>Test samples in the plane of a 2-D feature; the rays are the directions of the class \
         weights.",
    );
    if classes <= MAX_LEGEND {
        html.push_str(" Choose a class to light it up in every picture.");
    }
    html.push_str("</p>\n<div class=\"pictures\">\n<div class=\"tools\">");
    if classes <= MAX_LEGEND {
        html.push_str("<div class=\"classes\" role=\"group\" aria-label=\"Classes\">");
        for label in 0..classes {
            put!(
                html,
                "<button type=\"button\" data-class=\"{label}\" aria-pressed=\"false\">\
                 <svg class=\"lsr swatch {}\" viewBox=\"0 0 12 12\" aria-hidden=\"true\">\
                 <path class=\"mark\" d=\"{}\"/></svg>{}</button>",
                theme::class(label),
                shape(label / theme::CLASSES, (6.0, 6.0), 4.6),
                escape(&class_name(&report.class_names, label))
            );
        }
        html.push_str("</div>");
    }
    if report.pictures.len() > 1 {
        html.push_str(
            "<div class=\"scale\" role=\"group\" aria-label=\"Scale of the pictures\" hidden=\"\">\
             <button type=\"button\" data-scale=\"own\" aria-pressed=\"true\">Own scale</button>\
             <button type=\"button\" data-scale=\"shared\" aria-pressed=\"false\">Same scale</button>\
             </div>",
        );
    }
    html.push_str(&slider(report));
    put!(
        html,
        "</div>\n<div class=\"grid four\">\n{first_seeds}</div>\n"
    );
    if !other_seeds.is_empty() {
        put!(
            html,
            "<details><summary>Other seeds</summary><div class=\"grid four\">\n{other_seeds}</div>\
             </details>\n"
        );
    }
    html.push_str("</div>\n");
    html
}

/// A slider over the steps of the pictures, where there is more than one. It needs the script, which
/// shows it.
fn slider(report: &Report) -> String {
    let longest = report.pictures.iter().max_by_key(|p| p.earlier.len());
    let Some(picture) = longest.filter(|picture| !picture.earlier.is_empty()) else {
        return String::new();
    };
    let earlier = picture.earlier.iter().map(|frame| frame.step);
    let steps: Vec<String> = earlier
        .chain([picture.step])
        .map(|step| grouped(step as u64))
        .collect();
    let last = steps.len() - 1;
    format!(
        "<label class=\"way\" hidden=\"\">After <output>{}</output> steps <input type=\"range\" \
         min=\"0\" max=\"{last}\" value=\"{last}\" step=\"1\" data-steps=\"{}\" \
         aria-label=\"Steps of training\"/></label>",
        steps[last],
        steps.join(";")
    )
}

/// What a margin does in the plane of two classes.
pub(super) fn boundaries(report: &Report) -> String {
    if report.boundaries.is_empty() {
        return String::new();
    }
    format!(
        "<p>Two class weights and the plane they span. A sample counts as right in training within \
         the sectors; what lies between them is the margin. Plain softmax, and every test, divides \
         at the dashed line, which lies nearer to the shorter class weight.</p>\n{}",
        figure(&boundary::draw(&report.boundaries))
    )
}

pub(super) fn angles(report: &Report) -> String {
    let labels = labels(report);
    let mut pictures = String::new();
    let mut rows = String::new();
    for angles in Angles::ALL {
        let series = angles.merged(&report.runs, &labels);
        if series.iter().all(|(_, histogram)| histogram.total() == 0) {
            continue;
        }
        pictures.push_str(&figure(&histogram::draw(angles.title(), &series, false)));
        for (label, histogram) in series.iter().filter(|(_, histogram)| histogram.total() > 0) {
            put!(
                rows,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td>",
                escape(label),
                escape(angles.title()),
                grouped(histogram.total()),
                fixed(histogram.mean().unwrap_or(f64::NAN), 1)
            );
            for share in [0.05, 0.5, 0.95] {
                let angle = quantile(histogram, share).unwrap_or(f64::NAN);
                put!(rows, "<td>{}</td>", fixed(angle, 1));
            }
            rows.push_str("</tr>\n");
        }
    }
    if pictures.is_empty() {
        return String::new();
    }
    format!(
        "<p>How near the features come to the weight of their own class. Further left is \
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

/// A table of what the pictures above it show.
fn numbers(head: &str, rows: &str) -> String {
    format!(
        "<details><summary>In numbers</summary><div class=\"scroll\" tabindex=\"0\" \
         role=\"region\" aria-label=\"The pictures above in numbers\"><table><thead><tr>{head}\
         </tr></thead><tbody>\n{rows}</tbody></table></div></details>\n"
    )
}

/// How many rows a run has in the table of its curves.
const TABLE_STEPS: usize = 10;

pub(super) fn curves(report: &Report) -> String {
    let labels = labels(report);
    let worth: Vec<Quantity> = Quantity::ALL
        .into_iter()
        .filter(|quantity| quantity.is_worth_a_picture(&report.runs))
        .collect();
    if worth.is_empty() {
        return String::new();
    }
    let pictures: String = worth
        .iter()
        .map(|quantity| figure(&curves::draw(*quantity, &report.runs, &labels, false)))
        .collect();
    let mut head = String::from("<th scope=\"col\">Run</th><th scope=\"col\">Step</th>");
    for quantity in &worth {
        put!(head, "<th scope=\"col\">{}</th>", quantity.title());
    }
    let mut rows = String::new();
    let mut seen: Vec<&str> = Vec::new();
    for run in &report.runs {
        if seen.contains(&run.label.as_str()) || seen.len() >= 12 {
            continue;
        }
        seen.push(&run.label);
        rows.push_str(&curve_rows(run, &worth));
    }
    let seeds = if report.runs.len() > seen.len() {
        " One thin line is one seed."
    } else {
        ""
    };
    format!(
        "<p>What was logged, against the step (iteration). Losses with different margins are \
         different functions: compare their shapes, not their values.{seeds}</p>\n{}\
         <div class=\"grid three\">\n{pictures}</div>\n{}",
        series_legend(&labels),
        numbers(&head, &rows)
    )
}

/// Some steps of a run, evenly chosen, the last among them. A cell has the last value that
/// was measured up to its step.
fn curve_rows(run: &RunDetail, worth: &[Quantity]) -> String {
    let mut rows = String::new();
    let count = run.curve.len();
    let shown = count.min(TABLE_STEPS);
    let mut from = 0;
    for row in 1..=shown {
        let until = row * count / shown;
        let last = &run.curve[until - 1];
        put!(
            rows,
            "<tr><th scope=\"row\">{}, seed {}</th><td>{}</td>",
            escape(&run.label),
            run.seed,
            grouped(last.step as u64)
        );
        for quantity in worth {
            let value = run.curve[from..until]
                .iter()
                .rev()
                .find_map(|point| quantity.of(point));
            let text = value.map_or(MISSING.to_owned(), |value| end_value(*quantity, value));
            put!(rows, "<td>{text}</td>");
        }
        rows.push_str("</tr>\n");
        from = until;
    }
    rows
}

pub(super) fn confusion(report: &Report) -> String {
    let matrices = report
        .runs
        .iter()
        .filter_map(|run| run.confusion.as_deref());
    let most_wrong = matrices.map(confusion::worst_share).fold(0.0, f64::max);
    let mut pictures = String::new();
    let mut rows = String::new();
    let mut seen: Vec<&str> = Vec::new();
    for run in &report.runs {
        let Some(matrix) = &run.confusion else {
            continue;
        };
        if seen.contains(&run.label.as_str()) {
            continue;
        }
        seen.push(&run.label);
        let title = if report
            .runs
            .iter()
            .filter(|other| other.label == run.label)
            .count()
            > 1
        {
            format!("{}, seed {}", run.label, run.seed)
        } else {
            run.label.clone()
        };
        pictures.push_str(&figure(&confusion::draw(
            &title,
            matrix,
            &report.class_names,
            Some(most_wrong),
        )));
        for cell in confusion::worst(matrix, 8) {
            put!(
                rows,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                escape(&run.label),
                escape(&class_name(&report.class_names, cell.truth)),
                escape(&class_name(&report.class_names, cell.answer)),
                grouped(cell.count)
            );
        }
    }
    if pictures.is_empty() {
        return String::new();
    }
    format!(
        "<p>Test samples by true class (row) and answer (column). Right answers are blue; wrong \
         ones are orange, on a scale of their own, the same in all pictures, so that they can be seen.</p>\n\
         <div class=\"grid two\">\n{pictures}</div>\n{}",
        numbers(
            "<th scope=\"col\">Loss</th><th scope=\"col\">True class</th>\
             <th scope=\"col\">Answer</th><th scope=\"col\">Count</th>",
            &rows
        )
    )
}

pub(super) fn notes(report: &Report) -> String {
    let text: String = report.notes.iter().map(|note| paragraphs(note)).collect();
    if text.is_empty() {
        text
    } else {
        format!("<div class=\"prose\">{text}</div>\n")
    }
}
