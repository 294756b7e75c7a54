//! Histograms of angles, one outline per loss.

use crate::chart::{Area, Plot, legend, legend_height, series_entries};
use crate::model::Run;
use crate::number::fixed;
use crate::scale::Scale;
use crate::svg::Svg;
use crate::theme;
use lsoftmax_record::{Evaluation, Outcome};

/// Counts of angles in bins, with their mean.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AngleHistogram {
    edges_deg: Vec<f64>,
    counts: Vec<u64>,
    mean_deg: f64,
}

impl AngleHistogram {
    /// The target angles of an evaluation. The histogram is empty if there are no counts, or if the
    /// edges do not rise or do not fit the counts.
    pub fn new(evaluation: &Evaluation) -> Self {
        let edges = &evaluation.target_angle_edges_deg;
        let counts = &evaluation.target_angle_counts;
        let is_sound = edges.len() == counts.len() + 1
            && edges.iter().all(|edge| edge.is_finite())
            && edges.windows(2).all(|edge| edge[0] < edge[1]);
        if !is_sound || counts.iter().all(|&count| count == 0) {
            return Self::default();
        }
        let mut histogram = Self {
            edges_deg: edges.clone(),
            counts: counts.clone(),
            mean_deg: evaluation.mean_target_angle_deg,
        };
        if !histogram.mean_deg.is_finite() {
            histogram.mean_deg = histogram.mean_of_bins();
        }
        histogram
    }

    /// Number of angles.
    pub fn total(&self) -> u64 {
        self.counts
            .iter()
            .fold(0, |sum, &count| sum.saturating_add(count))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.total() == 0
    }

    /// The mean angle in degrees: the recorded one, or that of the bin centres; `None` for an empty
    /// histogram.
    pub fn mean(&self) -> Option<f64> {
        (!self.is_empty()).then_some(self.mean_deg)
    }

    fn mean_of_bins(&self) -> f64 {
        let edges = self.edges_deg.windows(2);
        let middles = edges.map(|edge| f64::midpoint(edge[0], edge[1]));
        let sum: f64 = middles
            .zip(&self.counts)
            .map(|(middle, &count)| middle * count as f64)
            .sum();
        sum / self.total() as f64
    }

    /// The angle in degrees below which this share (0 to 1) of all angles lies, estimated from the
    /// bins.
    pub(crate) fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = share * self.total() as f64;
        let mut below = 0.0;
        for (edge, &count) in self.edges_deg.windows(2).zip(&self.counts) {
            let count = count as f64;
            if count > 0.0 && below + count >= wanted {
                return Some(edge[0] + (edge[1] - edge[0]) * (wanted - below) / count);
            }
            below += count;
        }
        self.edges_deg.last().copied()
    }

    /// The edges of the bins that are not empty, and the share of all angles in each, in per cent.
    fn shares(&self) -> impl Iterator<Item = (&[f64], f64)> {
        let total = self.total() as f64;
        let bins = self.edges_deg.windows(2).zip(&self.counts);
        bins.filter(|(_, count)| **count > 0)
            .map(move |(edge, &count)| (edge, 100.0 * count as f64 / total))
    }

    /// Adds the counts of another histogram. Histograms with other bins are ignored.
    fn add(&mut self, other: &Self) {
        if self.edges_deg != other.edges_deg {
            return;
        }
        let (a, b) = (self.total() as f64, other.total() as f64);
        self.mean_deg = (self.mean_deg * a + other.mean_deg * b) / (a + b);
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum = sum.saturating_add(*count);
        }
    }
}

/// A figure of angles. A new figure is one entry of [`ALL`](Self::ALL).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Angles {
    pub(crate) title: &'static str,
    /// The file name of the figure.
    pub(crate) file: &'static str,
    of: fn(&Outcome) -> &Evaluation,
}

impl Angles {
    pub(crate) const ALL: [Self; 2] = [
        Self {
            title: "Target angle, test set",
            file: "target-angle-test",
            of: |outcome| &outcome.evaluation,
        },
        Self {
            title: "Target angle, training set",
            file: "target-angle-train",
            of: |outcome| &outcome.train_evaluation,
        },
    ];

    /// One histogram per label, over all seeds whose bins agree with those of the first; empty for
    /// a label without angles.
    pub(crate) fn merged(&self, runs: &[&Run], labels: &[&str]) -> Vec<(String, AngleHistogram)> {
        let merge = |label: &str| {
            let of_label = runs.iter().filter(|run| run.label == label);
            let histograms = of_label.map(|run| AngleHistogram::new((self.of)(&run.outcome)));
            let mut histograms = histograms.filter(|histogram| !histogram.is_empty());
            let mut merged = histograms.next().unwrap_or_default();
            histograms.for_each(|histogram| merged.add(&histogram));
            merged
        };
        labels
            .iter()
            .map(|label| ((*label).to_owned(), merge(label)))
            .collect()
    }
}

const WIDTH: f64 = 360.0;

/// Overlaid outlines. An empty histogram keeps its colour but is not drawn.
pub(crate) fn draw(title: &str, series: &[(String, AngleHistogram)], with_legend: bool) -> Svg {
    let entries = if with_legend {
        series_entries(series.iter().map(|(name, _)| name.as_str()))
    } else {
        Vec::new()
    };
    let top = 40.0 + legend_height(&entries, WIDTH);
    let means: Vec<String> = series
        .iter()
        .filter_map(|(name, histogram)| {
            Some(format!("{name}: mean {}°", fixed(histogram.mean()?, 1)))
        })
        .collect();
    let mut svg = Svg::new(WIDTH, top + 210.0, title, &means.join("; "));
    svg.heading(title, "per cent of all in each bin · dashed: mean");
    legend(&mut svg, &entries, (2.0, 38.0), WIDTH);
    let drawn: Vec<(usize, &AngleHistogram)> = series
        .iter()
        .map(|(_, histogram)| histogram)
        .enumerate()
        .filter(|(_, histogram)| !histogram.is_empty())
        .collect();
    if drawn.is_empty() {
        svg.sentence("No angles were recorded.");
        return svg;
    }
    let (x, y) = scales(&drawn);
    let area = Area {
        left: 0.0,
        top: top + 6.0,
        width: WIDTH,
        height: 202.0,
    };
    let plot = Plot::new(&mut svg, area, x, y, "angle in degrees");
    for &(index, histogram) in &drawn {
        let total = histogram.total() as f64;
        let counts = histogram.counts.iter();
        let shares: Vec<f64> = counts.map(|&count| 100.0 * count as f64 / total).collect();
        svg.open(&theme::series(index));
        plot.steps(&mut svg, &histogram.edges_deg, &shares);
        svg.close();
    }
    for &(index, histogram) in &drawn {
        svg.open(&theme::series(index));
        plot.upright(&mut svg, index, histogram.mean_deg);
        svg.close();
    }
    svg
}

/// The axes that hold all histograms.
fn scales(drawn: &[(usize, &AngleHistogram)]) -> (Scale, Scale) {
    let mut extent = (f64::INFINITY, f64::NEG_INFINITY);
    let mut most: f64 = 0.0;
    for (_, histogram) in drawn {
        for (edge, share) in histogram.shares() {
            extent = (extent.0.min(edge[0]), extent.1.max(edge[1]));
            most = most.max(share);
        }
    }
    // Multiples of ten, from zero unless that would leave half of the axis empty.
    let high = ((extent.1 / 10.0).ceil() * 10.0).min(extent.1.max(180.0));
    let low = if extent.0 > 0.5 * high {
        (extent.0 / 10.0).floor() * 10.0
    } else {
        0.0
    };
    let x = Scale::Linear {
        low: low.min(extent.0),
        high,
    };
    // Space at the top for the marks of the means.
    (x, Scale::linear([0.0, most * 1.04], true))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{angles, run};

    #[test]
    fn seeds_are_summed() {
        let with_angles = |deg: &[f64]| {
            let mut run = run("a");
            run.outcome.evaluation = angles(deg, 18);
            run
        };
        let runs = [with_angles(&[10.0, 20.0]), with_angles(&[60.0])];
        let runs: Vec<&Run> = runs.iter().collect();
        let [test, train] = Angles::ALL;
        let merged = test.merged(&runs, &["a", "b"]);
        assert_eq!(merged[0].1.total(), 3);
        assert_eq!(merged[0].1.mean(), Some(30.0));
        assert_eq!(merged[1].1.total(), 0);
        assert_eq!(train.merged(&runs, &["a"])[0].1.total(), 0);
    }

    #[test]
    fn broken_bins_are_not_drawn() {
        assert!(draw("t", &[], true).inline().contains("No angles"));
        let broken = AngleHistogram::new(&Evaluation {
            mean_target_angle_deg: f64::INFINITY,
            target_angle_edges_deg: vec![0.0, f64::NAN, 2.0],
            target_angle_counts: vec![1, 2],
            ..Evaluation::default()
        });
        assert_eq!((broken.total(), broken.mean()), (0, None));
        let svg = draw("t", &[("x".to_owned(), broken)], true).inline();
        assert!(svg.contains("No angles"));
    }

    #[test]
    fn a_mean_that_is_not_known_comes_from_the_bins() {
        let mut found = angles(&[10.0, 20.0], 18);
        found.mean_target_angle_deg = f64::NAN;
        assert_eq!(AngleHistogram::new(&found).mean(), Some(20.0));
    }

    #[test]
    fn quantiles_follow_the_bins() {
        let degrees: Vec<f64> = (0..180).map(f64::from).collect();
        let histogram = AngleHistogram::new(&angles(&degrees, 180));
        assert!((histogram.quantile(0.5).unwrap() - 90.0).abs() < 1.5);
        assert_eq!(AngleHistogram::default().quantile(0.5), None);
    }
}
