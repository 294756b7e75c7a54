//! The cosines of same and of different pairs.

use crate::chart::{Area, Plot, legend, series_entries};
use crate::model::OpenSetRow;
use crate::number::fixed;
use crate::scale::Scale;
use crate::svg::Svg;
use crate::theme;

const NAMES: [&str; 2] = ["same class", "different classes"];

const WIDTH: f64 = 360.0;

/// Both kinds of pairs on one axis, each as a percentage of its own pairs.
pub(crate) fn draw(row: &OpenSetRow<'_>) -> Svg {
    let found = row.verification;
    let threshold = f64::from(found.threshold);
    let about = if threshold.is_finite() {
        format!("threshold at a cosine of {}", fixed(threshold, 3))
    } else {
        "no threshold".to_owned()
    };
    let mut svg = Svg::new(WIDTH, 270.0, row.label, &about);
    svg.heading(
        row.label,
        "per cent of the pairs of a kind in each bin · dashed: threshold",
    );
    legend(&mut svg, &series_entries(NAMES), (2.0, 38.0), WIDTH);
    let edges = &found.score_edges;
    let bins = edges.len().saturating_sub(1);
    let is_rising = edges.windows(2).all(|pair| pair[0] < pair[1]);
    let both = shares(&found.same_counts, bins).zip(shares(&found.different_counts, bins));
    let Some((same, different)) = both.filter(|_| is_rising) else {
        svg.sentence("No pairs were scored.");
        return svg;
    };
    let most = same
        .iter()
        .chain(&different)
        .fold(0.0, |most: f64, &share| most.max(share));
    let x = Scale::Linear {
        low: -1.0,
        high: 1.0,
    };
    let y = Scale::linear([0.0, most * 1.04], true);
    let area = Area {
        left: 0.0,
        top: 62.0,
        width: WIDTH,
        height: 202.0,
    };
    let plot = Plot::new(&mut svg, area, x, y, "cosine");
    for (index, shares) in [same, different].iter().enumerate() {
        svg.open(&theme::series(index));
        plot.steps(&mut svg, edges, shares);
        svg.close();
    }
    if threshold.is_finite() {
        svg.open(&theme::series(0));
        plot.upright(&mut svg, 0, threshold);
        svg.close();
    }
    svg
}

/// Each count as a percentage of the total; `None` without pairs, or if there is not one count per
/// bin.
fn shares(counts: &[u64], bins: usize) -> Option<Vec<f64>> {
    let total = counts
        .iter()
        .fold(0_u64, |sum, &count| sum.saturating_add(count));
    let share = |&count: &u64| 100.0 * count as f64 / total as f64;
    (counts.len() == bins && total > 0).then(|| counts.iter().map(share).collect())
}
