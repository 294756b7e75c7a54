//! ROC and DET: the trade between false accepts and false rejects.

use super::RocCurve;
use crate::chart::{Area, Plot, legend, legend_height, series_entries};
use crate::number::fixed;
use crate::scale::Scale;
use crate::svg::Svg;
use crate::theme;

/// Which picture of a ROC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rates {
    /// TAR over the logarithm of the FAR.
    Roc,
    /// FRR over FAR, both on axes on which normally distributed scores give a straight line.
    Det,
}

/// The least rate on the axes of a DET curve, unless fewer can be measured.
const LEAST: f64 = 1e-4;

impl Rates {
    pub(crate) const ALL: [Self; 2] = [Self::Roc, Self::Det];

    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Roc => "open-set-roc",
            Self::Det => "open-set-det",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Roc => "ROC",
            Self::Det => "DET",
        }
    }

    fn subtitle(self) -> &'static str {
        match self {
            Self::Roc => "same pairs accepted (TAR, %) · the higher the better",
            Self::Det => "same pairs rejected (FRR, %) · the lower the better",
        }
    }
}

/// One line a label: its first run's.
pub(crate) fn draw(rates: Rates, curves: &[RocCurve], labels: &[&str], with_legend: bool) -> Svg {
    let entries = if with_legend {
        series_entries(labels.iter().copied())
    } else {
        Vec::new()
    };
    let width = 360.0;
    let top = 40.0 + legend_height(&entries, width);
    let first = |label: &str| curves.iter().find(|curve| curve.label == label);
    let described: Vec<String> = labels
        .iter()
        .filter_map(|label| {
            let curve = first(label)?;
            let at = curve.points.iter().rfind(|point| point.0 <= 1e-2)?;
            Some(format!(
                "{label}: TAR {} % at FAR 1 %",
                fixed(100.0 * at.1, 1)
            ))
        })
        .collect();
    let mut svg = Svg::new(width, top + 290.0, rates.title(), &described.join("; "));
    svg.heading(rates.title(), rates.subtitle());
    legend(&mut svg, &entries, (2.0, 38.0), width);
    let measured = curves.iter().map(|curve| curve.smallest_far);
    let least = measured
        .filter(|far| *far > 0.0 && *far < 0.1)
        .fold(0.1, f64::min);
    if !curves.iter().any(|curve| curve.points.len() > 1) {
        svg.sentence("No pairs were scored.");
        return svg;
    }
    let (x, y) = match rates {
        Rates::Roc => (
            Scale::Log {
                low: least,
                high: 1.0,
            },
            Scale::Linear {
                low: 0.0,
                high: 100.0,
            },
        ),
        Rates::Det => {
            let axis = Scale::Probit {
                low: least.max(LEAST),
                high: 0.6,
            };
            (axis, axis)
        }
    };
    let area = Area {
        left: 0.0,
        top: top + 6.0,
        width,
        height: 280.0,
    };
    let plot = Plot::new(&mut svg, area, x, y, "different pairs accepted (FAR)");
    for (index, label) in labels.iter().enumerate() {
        let Some(curve) = first(label) else { continue };
        let points: Vec<(f64, f64)> = curve
            .points
            .iter()
            .map(|&(far, tar)| match rates {
                Rates::Roc => (far, 100.0 * tar),
                Rates::Det => (far, 1.0 - tar),
            })
            .filter(|&(far, other)| far >= least && (rates == Rates::Roc || y.holds(other)))
            .filter(|&(far, _)| rates == Rates::Roc || x.holds(far))
            .collect();
        svg.open(&theme::series(index));
        plot.line(&mut svg, "line", index, &points);
        svg.close();
    }
    svg
}
