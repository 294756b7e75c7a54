//! The part of the page on classes that were never trained on.

mod curve;
mod model;
mod scores;
mod section;
mod strip;

pub(crate) use curve::Rates;
pub use model::{
    ImageStrip, OpenSetRow, OpenSetSection, RocCurve, ScoreHistogram, StripRow, Thumbnail,
};
pub(crate) use section::{headline, section};

use crate::model::Report;

/// The pictures of the part as (file name, SVG).
pub(crate) fn pictures(report: &Report, labels: &[&str]) -> Vec<(String, String)> {
    let Some(open_set) = &report.open_set else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for rates in Rates::ALL {
        if !open_set.curves.is_empty() {
            let svg = curve::draw(rates, &open_set.curves, labels, true);
            files.push((rates.file().to_owned(), svg.standalone()));
        }
    }
    for scores in &open_set.scores {
        let name = format!(
            "scores-{}-seed-{}",
            crate::standalone::slug(&scores.label),
            scores.seed
        );
        files.push((name, scores::draw(scores).standalone()));
    }
    files
}
