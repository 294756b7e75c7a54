//! The pictures of a report as standalone files.

use crate::curves::{self, Quantity};
use crate::distinct::distinct;
use crate::group::labels;
use crate::histogram::{self, AngleHistogram, Angles};
use crate::model::{Report, Run};
use crate::slug::slug;
use crate::{boundary_plot, confusion, feature, open_set};

/// The 2-D features and class weights of the last frame of a run as a standalone SVG.
pub fn feature_svg(run: &Run, class_names: &[String]) -> String {
    feature::draw(run, class_names, None, true).standalone()
}

/// Histograms of angles, overlaid and named, as a standalone SVG.
pub fn histogram_svg(title: &str, series: &[(String, AngleHistogram)]) -> String {
    histogram::draw(title, series, true).standalone()
}

/// One quantity of the curves of several runs as a standalone SVG. Runs with the same label share a
/// colour.
pub fn curve_svg(quantity: &Quantity, runs: &[&Run]) -> String {
    let labels = distinct(runs.iter().map(|run| run.label.as_str()));
    curves::draw(quantity, runs, &labels, true).standalone()
}

/// A confusion matrix (row = true class, column = predicted class) as a standalone SVG.
pub fn confusion_svg(title: &str, matrix: &[Vec<u64>], class_names: &[String]) -> String {
    confusion::draw(title, matrix, class_names, None).standalone()
}

/// Every picture of the page as (file name, SVG), with the colours of the page.
pub fn pictures(report: &Report<'_>) -> Vec<(String, String)> {
    let labels = labels(report);
    let mut files: Vec<(String, String)> = Vec::new();
    let mut add = |name: String, svg: String| {
        let taken = |name: &str| files.iter().any(|(other, _)| other == name);
        let free = (2..).map(|i| format!("{name}-{i}.svg"));
        let name = std::iter::once(format!("{name}.svg"))
            .chain(free)
            .find(|name| !taken(name));
        files.extend(name.map(|name| (name, svg)));
    };
    for run in &report.pictures {
        if !run.outcome.frames.is_empty() {
            let name = format!("features-{}-seed-{}", slug(&run.label), run.seed);
            add(name, feature_svg(run, &report.class_names));
        }
    }
    for angles in Angles::ALL {
        let series = angles.merged(&report.runs, &labels);
        if series.iter().any(|(_, histogram)| !histogram.is_empty()) {
            add(angles.file.to_owned(), histogram_svg(angles.title, &series));
        }
    }
    for quantity in Quantity::ALL {
        if quantity.is_shown(&report.runs) {
            let svg = curves::draw(&quantity, &report.runs, &labels, true).standalone();
            add(format!("curve-{}", quantity.name), svg);
        }
    }
    for run in &report.runs {
        if let Some(matrix) = &run.outcome.evaluation.confusion {
            let name = format!("confusion-{}-seed-{}", slug(&run.label), run.seed);
            add(name, confusion_svg(&run.label, matrix, &report.class_names));
        }
    }
    for (name, svg) in open_set::pictures(report, &labels) {
        add(name, svg);
    }
    if !report.boundaries.is_empty() {
        let svg = boundary_plot(&report.boundaries);
        files.push(("boundaries.svg".to_owned(), svg));
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsoftmax_record::Frame;

    #[test]
    fn file_names_are_distinct() {
        let mut run = crate::testing::run("a");
        run.outcome.frames = vec![Frame::default()];
        let report = Report {
            pictures: vec![&run, &run],
            ..Report::default()
        };
        let names: Vec<_> = pictures(&report)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["features-a-seed-0.svg", "features-a-seed-0-2.svg"]);
    }
}
