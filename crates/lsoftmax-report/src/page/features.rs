//! The section of the page with 2-D features.

use super::swatch;
use crate::class_name::class_name;
use crate::escape::{escape, put};
use crate::feature::{self, MAX_LEGEND};
use crate::group::first_of_each;
use crate::model::{Report, Run};
use crate::number::grouped;
use lsoftmax_record::Frame;

/// The pictures with their controls; empty if there are no frames.
pub(super) fn features(report: &Report<'_>) -> String {
    let has_frame = |run: &&Run| !run.outcome.frames.is_empty();
    let runs: Vec<&Run> = report.pictures.iter().copied().filter(has_frame).collect();
    let last: Vec<&Frame> = runs
        .iter()
        .filter_map(|run| run.outcome.frames.last())
        .collect();
    if last.is_empty() {
        return String::new();
    }
    let classes = last.iter().map(|frame| feature::class_count(frame)).max();
    let classes = classes.unwrap_or(0);
    let reaches = last.iter().map(|frame| feature::own_reach(frame));
    let shared = reaches.fold(0.0, f64::max);
    let has_classes = classes <= MAX_LEGEND;
    let mut html = String::from(
        "<p>Test samples in the plane of a 2-D feature; the rays are the directions of the class \
         weights.",
    );
    if has_classes {
        html.push_str(" Choose a class to highlight it in every picture.");
    }
    html.push_str("</p>\n<div class=\"pictures\">\n<div class=\"tools\">");
    if has_classes {
        html.push_str(&class_buttons(classes, &report.class_names));
    }
    if runs.len() > 1 {
        html.push_str(
            "<div class=\"scale\" role=\"group\" aria-label=\"Scale of the pictures\" hidden=\"\">\
             <button type=\"button\" data-scale=\"own\" aria-pressed=\"true\">Own scale</button>\
             <button type=\"button\" data-scale=\"shared\" aria-pressed=\"false\">Same scale</button>\
             </div>",
        );
    }
    html.push_str(&slider(&runs));
    put!(
        html,
        "</div>\n{}</div>\n",
        pictures(&runs, &report.class_names, shared)
    );
    html
}

/// The first run of each label, followed by the others in a collapsed element.
fn pictures(runs: &[&Run], class_names: &[String], shared_reach: f64) -> String {
    let first = first_of_each(runs.iter().copied());
    let draw = |run: &Run| {
        let svg = feature::draw(run, class_names, Some(shared_reach), false);
        format!("<figure class=\"card\">{}</figure>\n", svg.inline())
    };
    let first_seeds: String = first.iter().map(|run| draw(run)).collect();
    let is_first = |run: &Run| first.iter().any(|other| std::ptr::eq(*other, run));
    let others = runs.iter().filter(|run| !is_first(run));
    let other_seeds: String = others.map(|run| draw(run)).collect();
    let mut html = format!("<div class=\"grid four\">\n{first_seeds}</div>\n");
    if !other_seeds.is_empty() {
        put!(
            html,
            "<details><summary>Other seeds</summary><div class=\"grid four\">\n{other_seeds}</div>\
             </details>\n"
        );
    }
    html
}

fn class_buttons(classes: usize, class_names: &[String]) -> String {
    let mut html = String::from("<div class=\"classes\" role=\"group\" aria-label=\"Classes\">");
    for label in 0..classes {
        put!(
            html,
            "<button type=\"button\" data-class=\"{label}\" aria-pressed=\"false\">{}{}</button>",
            swatch::class(label),
            escape(&class_name(class_names, label))
        );
    }
    html.push_str("</div>");
    html
}

/// A slider over the steps of the pictures, if there is more than one. It needs the script, which
/// makes it visible.
fn slider(runs: &[&Run]) -> String {
    let longest = runs.iter().max_by_key(|run| run.outcome.frames.len());
    let Some(run) = longest.filter(|run| run.outcome.frames.len() > 1) else {
        return String::new();
    };
    let frames = run.outcome.frames.iter();
    let steps: Vec<String> = frames.map(|frame| grouped(frame.step)).collect();
    let last = steps.len() - 1;
    format!(
        "<label class=\"way\" hidden=\"\">After <output>{}</output> steps <input type=\"range\" \
         min=\"0\" max=\"{last}\" value=\"{last}\" step=\"1\" data-steps=\"{}\" \
         aria-label=\"Steps of training\"/></label>",
        steps[last],
        steps.join(";")
    )
}
