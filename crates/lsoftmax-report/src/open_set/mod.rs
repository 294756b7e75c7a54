//! The section of the page on classes that were not trained on.

mod about;
mod curve;
mod headline;
mod scores;
mod section;
mod strip;

use crate::model::Report;
use crate::slug::slug;
pub use about::{open_set_about, open_set_caveats, same_names_clause};
pub(crate) use headline::headline;
pub(crate) use section::section;

/// The pictures of the section as (file name, SVG).
pub(crate) fn pictures(report: &Report<'_>, labels: &[&str]) -> Vec<(String, String)> {
    let Some(open_set) = report.open_set.as_ref() else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for rates in curve::Rates::ALL {
        if !open_set.rows.is_empty() {
            let svg = curve::draw(rates, &open_set.rows, labels, true);
            files.push((rates.file().to_owned(), svg.standalone()));
        }
    }
    for row in &open_set.rows {
        let name = format!("scores-{}-seed-{}", slug(row.label), row.seed);
        files.push((name, scores::draw(row).standalone()));
    }
    files
}
