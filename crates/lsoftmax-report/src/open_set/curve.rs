//! ROC and DET curves: the trade-off between false accepts and false rejects.

use crate::chart::{Area, Plot, legend, legend_height, series_entries};
use crate::model::OpenSetRow;
use crate::number::fixed;
use crate::scale::Scale;
use crate::svg::Svg;
use crate::theme;

/// The kind of curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rates {
    /// TAR over log FAR.
    Roc,
    /// FRR over FAR, on axes where normally distributed scores give a straight line.
    Det,
}

/// The smallest rate on the axes of a DET curve, unless even smaller ones can be measured.
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

    /// The axes; `least` is the smallest FAR above 0.
    fn scales(self, least: f64) -> (Scale, Scale) {
        match self {
            Self::Roc => (
                Scale::Log {
                    low: least,
                    high: 1.0,
                },
                Scale::Linear {
                    low: 0.0,
                    high: 100.0,
                },
            ),
            Self::Det => {
                let axis = Scale::Probit {
                    low: least.max(LEAST),
                    high: 0.6,
                };
                (axis, axis)
            }
        }
    }
}

const WIDTH: f64 = 360.0;

/// One line per label, from its first run.
pub(crate) fn draw(
    rates: Rates,
    rows: &[OpenSetRow<'_>],
    labels: &[&str],
    with_legend: bool,
) -> Svg {
    let entries = if with_legend {
        series_entries(labels.iter().copied())
    } else {
        Vec::new()
    };
    let top = 40.0 + legend_height(&entries, WIDTH);
    let lines: Vec<(usize, &OpenSetRow<'_>)> = labels
        .iter()
        .enumerate()
        .filter_map(|(index, label)| Some((index, rows.iter().find(|row| row.label == *label)?)))
        .collect();
    let mut svg = Svg::new(WIDTH, top + 290.0, rates.title(), &description(&lines));
    svg.heading(rates.title(), rates.subtitle());
    legend(&mut svg, &entries, (2.0, 38.0), WIDTH);
    if !rows.iter().any(|row| row.verification.points.len() > 1) {
        svg.sentence("No pairs were scored.");
        return svg;
    }
    let measured = rows.iter().map(|row| row.verification.smallest_far);
    let least = measured
        .filter(|far| *far > 0.0 && *far < 0.1)
        .fold(0.1, f64::min);
    let (x, y) = rates.scales(least);
    let area = Area {
        left: 0.0,
        top: top + 6.0,
        width: WIDTH,
        height: 280.0,
    };
    let plot = Plot::new(&mut svg, area, x, y, "different pairs accepted (FAR)");
    for (index, row) in lines {
        let points: Vec<(f64, f64)> = row
            .verification
            .points
            .iter()
            .map(|point| match rates {
                Rates::Roc => (point.far, 100.0 * point.tar),
                Rates::Det => (point.far, 1.0 - point.tar),
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

fn description(lines: &[(usize, &OpenSetRow<'_>)]) -> String {
    let described: Vec<String> = lines
        .iter()
        .filter_map(|(_, row)| {
            let mut points = row.verification.points.iter();
            let point = points.rfind(|point| point.far <= 1e-2)?;
            Some(format!(
                "{}: TAR {} % at FAR 1 %",
                row.label,
                fixed(100.0 * point.tar, 1)
            ))
        })
        .collect();
    described.join("; ")
}
