//! The cosines of same and of different pairs.

use super::ScoreHistogram;
use crate::chart::{Area, Plot, legend, series_entries};
use crate::number::fixed;
use crate::scale::Scale;
use crate::svg::Svg;
use crate::theme;

const NAMES: [&str; 2] = ["same class", "different classes"];

/// Both kinds over one axis, each as per cent of its own pairs.
pub(crate) fn draw(scores: &ScoreHistogram) -> Svg {
    let width = 360.0;
    let bins = scores.edges.len().saturating_sub(1);
    let shares = |counts: &[u64]| -> Option<Vec<f64>> {
        let total: u64 = counts
            .iter()
            .fold(0, |sum, &count| sum.saturating_add(count));
        let sound = counts.len() == bins && total > 0;
        sound.then(|| {
            counts
                .iter()
                .map(|&c| 100.0 * c as f64 / total as f64)
                .collect()
        })
    };
    let both = [shares(&scores.same), shares(&scores.different)];
    let threshold = scores.threshold.filter(|threshold| threshold.is_finite());
    let about = match threshold {
        Some(threshold) => format!("threshold at a cosine of {}", fixed(threshold, 3)),
        None => "no threshold".to_owned(),
    };
    let mut svg = Svg::new(width, 270.0, &scores.label, &about);
    svg.heading(
        &scores.label,
        "per cent of the pairs of a kind in each bin · dashed: threshold",
    );
    legend(&mut svg, &series_entries(NAMES), (2.0, 38.0), width);
    let increasing = scores.edges.windows(2).all(|pair| pair[0] < pair[1]);
    let [Some(same), Some(different)] = both else {
        svg.sentence("No pairs were scored.");
        return svg;
    };
    if !increasing {
        svg.sentence("No pairs were scored.");
        return svg;
    }
    let most = same
        .iter()
        .chain(&different)
        .fold(0.0, |most: f64, &share| most.max(share));
    let x = Scale::Linear {
        low: -1.0,
        high: 1.0,
    };
    let area = Area {
        left: 0.0,
        top: 62.0,
        width,
        height: 202.0,
    };
    let plot = Plot::new(
        &mut svg,
        area,
        x,
        Scale::linear([0.0, most * 1.04], true),
        "cosine",
    );
    for (index, shares) in [same, different].iter().enumerate() {
        svg.open(&theme::series(index));
        plot.steps(&mut svg, &scores.edges, shares);
        svg.close();
    }
    if let Some(threshold) = threshold {
        svg.open(&theme::series(0));
        plot.upright(&mut svg, 0, threshold);
        svg.close();
    }
    svg
}
