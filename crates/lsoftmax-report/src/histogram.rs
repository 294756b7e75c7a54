//! Histograms of angles, one outline a loss.

use crate::chart::{Area, Plot, legend, legend_height, series_entries};
use crate::model::{Histogram, RunDetail};
use crate::number::fixed;
use crate::scale::Scale;
use crate::svg::Svg;
use crate::theme;

/// Which histogram of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Angles {
    TargetTest,
    TargetTrain,
    Class,
}

impl Angles {
    pub(crate) const ALL: [Self; 3] = [Self::TargetTest, Self::TargetTrain, Self::Class];

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::TargetTest => "Target angle, test set",
            Self::TargetTrain => "Target angle, training set",
            Self::Class => "Angle between class centres",
        }
    }

    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::TargetTest => "target-angle-test",
            Self::TargetTrain => "target-angle-train",
            Self::Class => "class-angle",
        }
    }

    fn of(self, run: &RunDetail) -> Option<&Histogram> {
        match self {
            Self::TargetTest => run.target_angle_test.as_ref(),
            Self::TargetTrain => run.target_angle_train.as_ref(),
            Self::Class => run.class_angle.as_ref(),
        }
    }

    /// One histogram a label, over all seeds whose bins agree with the first's.
    pub(crate) fn merged(self, runs: &[RunDetail], labels: &[&str]) -> Vec<(String, Histogram)> {
        let merge = |label: &&str| {
            let of_label = runs.iter().filter(|run| run.label == **label);
            let mut histograms = of_label
                .filter_map(|run| self.of(run))
                .filter(|h| h.is_sound());
            let mut merged = histograms.next().cloned().unwrap_or_default();
            for other in histograms.filter(|other| other.edges_deg == merged.edges_deg) {
                let (a, b) = (merged.total() as f64, other.total() as f64);
                let both = merged.mean().zip(other.mean());
                merged.mean_deg = match both {
                    Some((left, right)) if a + b > 0.0 => Some((left * a + right * b) / (a + b)),
                    _ => merged.mean().or(other.mean()),
                };
                for (sum, count) in merged.counts.iter_mut().zip(&other.counts) {
                    *sum = sum.saturating_add(*count);
                }
            }
            (merged.total() > 0).then(|| ((*label).to_owned(), merged))
        };
        labels
            .iter()
            .map(|label| {
                merge(label).unwrap_or_else(|| ((*label).to_owned(), Histogram::default()))
            })
            .collect()
    }
}

/// The angle below which this share of all angles lies, from the bins.
pub(crate) fn quantile(histogram: &Histogram, share: f64) -> Option<f64> {
    let total = histogram.total() as f64;
    if total == 0.0 || !histogram.is_sound() {
        return None;
    }
    let mut below = 0.0;
    for (edge, &count) in histogram.edges_deg.windows(2).zip(&histogram.counts) {
        let count = count as f64;
        if count > 0.0 && below + count >= share * total {
            return Some(edge[0] + (edge[1] - edge[0]) * (share * total - below) / count);
        }
        below += count;
    }
    histogram.edges_deg.last().copied()
}

/// Overlaid outlines; a histogram without counts keeps its colour and is not drawn.
pub(crate) fn draw(title: &str, series: &[(String, Histogram)], with_legend: bool) -> Svg {
    let sound = |histogram: &Histogram| histogram.is_sound() && histogram.total() > 0;
    let names = series.iter().map(|(name, _)| name.as_str());
    let entries = if with_legend {
        series_entries(names)
    } else {
        Vec::new()
    };
    let width = 360.0;
    let top = 40.0 + legend_height(&entries, width);
    let means: Vec<String> = series
        .iter()
        .filter_map(|(name, histogram)| {
            Some(format!("{name}: mean {}°", fixed(histogram.mean()?, 1)))
        })
        .collect();
    let mut svg = Svg::new(width, top + 210.0, title, &means.join("; "));
    svg.heading(title, "per cent of all in each bin · dashed: mean");
    legend(&mut svg, &entries, (2.0, 38.0), width);
    if !series.iter().any(|(_, histogram)| sound(histogram)) {
        svg.sentence("No angles were recorded.");
        return svg;
    }

    let mut extent = (f64::INFINITY, f64::NEG_INFINITY);
    let mut most: f64 = 0.0;
    for (_, histogram) in series.iter().filter(|(_, histogram)| sound(histogram)) {
        let total = histogram.total() as f64;
        for (edge, &count) in histogram.edges_deg.windows(2).zip(&histogram.counts) {
            if count > 0 {
                extent = (extent.0.min(edge[0]), extent.1.max(edge[1]));
                most = most.max(100.0 * count as f64 / total);
            }
        }
    }
    // Whole tens, from zero unless that would leave half the axis empty.
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
    // Room at the top for the marks of the means.
    let y = Scale::linear([0.0, most * 1.04], true);
    let area = Area {
        left: 0.0,
        top: top + 6.0,
        width,
        height: 202.0,
    };
    let plot = Plot::new(&mut svg, area, x, y, "angle in degrees");
    for (index, (_, histogram)) in series.iter().enumerate().filter(|(_, (_, h))| sound(h)) {
        let total = histogram.total() as f64;
        let shares: Vec<f64> = histogram
            .counts
            .iter()
            .map(|&count| 100.0 * count as f64 / total)
            .collect();
        svg.open(&theme::series(index));
        plot.steps(&mut svg, &histogram.edges_deg, &shares);
        svg.close();
    }
    for (index, (_, histogram)) in series.iter().enumerate().filter(|(_, (_, h))| sound(h)) {
        if let Some(mean) = histogram.mean() {
            svg.open(&theme::series(index));
            plot.upright(&mut svg, index, mean);
            svg.close();
        }
    }
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_summed() {
        let run = |angles: &[f64]| RunDetail {
            label: "a".to_owned(),
            target_angle_test: Some(Histogram::from_degrees(angles.iter().copied(), 18)),
            ..RunDetail::default()
        };
        let runs = [run(&[10.0, 20.0]), run(&[60.0])];
        let merged = Angles::TargetTest.merged(&runs, &["a", "b"]);
        assert_eq!(merged[0].1.total(), 3);
        assert_eq!(merged[0].1.mean(), Some(30.0));
        assert_eq!(merged[1].1.total(), 0);
        assert_eq!(Angles::Class.merged(&runs, &["a"])[0].1.total(), 0);
    }

    #[test]
    fn nothing_is_said_and_nonsense_survived() {
        assert!(draw("t", &[], true).inline().contains("No angles"));
        let nonsense = Histogram {
            edges_deg: vec![0.0, f64::NAN, 2.0],
            counts: vec![1, 2],
            mean_deg: Some(f64::INFINITY),
        };
        assert_eq!(nonsense.mean(), None);
        assert!(
            draw("t", &[("x".to_owned(), nonsense)], true)
                .inline()
                .contains("No angles")
        );
        let nan = Histogram::from_degrees([f64::NAN, f64::INFINITY], 0);
        assert_eq!((nan.total(), nan.mean()), (0, None));
    }

    #[test]
    fn quantiles_follow_the_bins() {
        let histogram = Histogram::from_degrees((0..180).map(f64::from), 180);
        assert!((quantile(&histogram, 0.5).unwrap() - 90.0).abs() < 1.5);
        assert_eq!(quantile(&Histogram::default(), 0.5), None);
    }
}
