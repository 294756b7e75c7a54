//! The pictures of a report as files of their own.

use crate::curves::{self, Quantity};
use crate::group::{distinct, labels};
use crate::histogram::{self, Angles};
use crate::model::{FeaturePicture, Histogram, Report, RunDetail};
use crate::{boundary_plot, confusion, feature, open_set};

/// 2-D features and class weights as an SVG file.
pub fn feature_svg(picture: &FeaturePicture, class_names: &[String]) -> String {
    feature::draw(picture, class_names, None, true).standalone()
}

/// Histograms of angles, overlaid and named, as an SVG file.
pub fn histogram_svg(title: &str, series: &[(String, Histogram)]) -> String {
    histogram::draw(title, series, true).standalone()
}

/// One logged quantity of several runs as an SVG file; runs of equal label share a colour.
pub fn curve_svg(quantity: Quantity, runs: &[RunDetail]) -> String {
    let labels = distinct(runs.iter().map(|run| run.label.as_str()));
    curves::draw(quantity, runs, &labels, true).standalone()
}

/// A confusion matrix (row = true class, column = answer) as an SVG file.
pub fn confusion_svg(title: &str, matrix: &[Vec<u64>], class_names: &[String]) -> String {
    confusion::draw(title, matrix, class_names, None).standalone()
}

/// Every picture of the page as (file name, SVG), with the colours of the page.
pub fn pictures(report: &Report) -> Vec<(String, String)> {
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
    for picture in &report.pictures {
        let name = format!("features-{}-seed-{}", slug(&picture.label), picture.seed);
        add(name, feature_svg(picture, &report.class_names));
    }
    for angles in Angles::ALL {
        let series = angles.merged(&report.runs, &labels);
        if series.iter().any(|(_, histogram)| histogram.total() > 0) {
            add(
                angles.file().to_owned(),
                histogram_svg(angles.title(), &series),
            );
        }
    }
    for quantity in Quantity::ALL {
        if quantity.is_worth_a_picture(&report.runs) {
            let svg = curves::draw(quantity, &report.runs, &labels, true).standalone();
            add(format!("curve-{}", quantity.file()), svg);
        }
    }
    for run in &report.runs {
        if let Some(matrix) = &run.confusion {
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

/// A label as a part of a file name.
pub(crate) fn slug(label: &str) -> String {
    let lower = label.to_lowercase();
    let words = lower
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("-");
    if slug.is_empty() {
        "run".to_owned()
    } else {
        slug.chars().take(60).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_plain_and_distinct() {
        assert_eq!(slug("L-Softmax m = 4"), "l-softmax-m-4");
        assert_eq!(slug("../../etc"), "etc");
        assert_eq!(slug("λ"), "run");
        let picture = FeaturePicture {
            label: "a".to_owned(),
            ..FeaturePicture::default()
        };
        let report = Report {
            pictures: vec![picture.clone(), picture],
            ..Report::default()
        };
        let names: Vec<_> = pictures(&report)
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["features-a-seed-0.svg", "features-a-seed-0-2.svg"]);
    }
}
