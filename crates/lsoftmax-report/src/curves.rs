//! Training curves over the steps.

use crate::chart::{Area, Plot, legend, legend_height, series_entries};
use crate::distinct::distinct;
use crate::model::Run;
use crate::number::{fixed, significant};
use crate::scale::Scale;
use crate::svg::Svg;
use crate::theme;
use lsoftmax_record::Progress;

/// A quantity of the training curve, drawn as one figure. A new figure is one entry of
/// [`ALL`](Self::ALL).
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    /// The name in file names, such as "train-error".
    pub name: &'static str,
    /// The heading of the figure.
    pub title: &'static str,
    /// The unit, or another remark below the heading; may be empty.
    unit: &'static str,
    /// The value at a point of the curve; `None` if it was not measured there.
    of: fn(&Progress) -> Option<f64>,
    kind: Kind,
    axis: Axis,
    write: fn(f64) -> String,
}

/// How the values of a quantity are determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Measured: every run has its own line.
    Measured,
    /// Set by the experiment: equal lines are drawn as one.
    Setting,
    /// A setting whose value holds until the next one; drawn only if it changes within a run.
    Stages,
    /// The same; drawn only if it changes within a run or differs between runs.
    Steps,
}

impl Kind {
    fn is_stepwise(self) -> bool {
        matches!(self, Self::Stages | Self::Steps)
    }
}

/// The vertical axis of a quantity.
#[derive(Clone, Copy, Debug)]
enum Axis {
    Linear,
    /// From 0° to 180°.
    Degrees,
    /// Logarithmic if the largest positive value is more than `beyond` times the smallest,
    /// otherwise linear.
    Log {
        beyond: f64,
        with_zero: bool,
    },
}

/// Always logarithmic.
const ALWAYS: f64 = f64::NEG_INFINITY;

impl Quantity {
    /// Every quantity, in the order of the page.
    pub const ALL: [Self; 9] = [
        Self {
            name: "loss",
            title: "Training loss",
            unit: "margin included",
            of: |point| Some(point.loss),
            kind: Kind::Measured,
            axis: Axis::Log {
                beyond: 40.0,
                with_zero: false,
            },
            write: significant,
        },
        Self {
            name: "test-error",
            title: "Test error",
            unit: "per cent",
            of: |point| point.test_error_percent,
            kind: Kind::Measured,
            axis: Axis::Log {
                beyond: 15.0,
                with_zero: false,
            },
            write: |value| format!("{} %", fixed(value, 2)),
        },
        Self {
            name: "train-error",
            title: "Training error",
            unit: "per cent",
            of: |point| point.train_error_percent,
            kind: Kind::Measured,
            axis: Axis::Log {
                beyond: 15.0,
                with_zero: false,
            },
            write: |value| format!("{} %", fixed(value, 2)),
        },
        Self {
            name: "target-angle",
            title: "Mean target angle",
            unit: "degrees",
            of: |point| Some(point.mean_target_angle_deg),
            kind: Kind::Measured,
            axis: Axis::Degrees,
            write: |value| format!("{}°", fixed(value, 1)),
        },
        Self {
            name: "feature-norm",
            title: "Feature norm",
            unit: "mean length",
            of: |point| Some(point.feature_norm),
            kind: Kind::Measured,
            axis: Axis::Log {
                beyond: 40.0,
                with_zero: false,
            },
            write: significant,
        },
        Self {
            name: "weight-norm",
            title: "Class weight norm",
            unit: "mean length",
            of: |point| Some(point.weight_norm),
            kind: Kind::Measured,
            axis: Axis::Log {
                beyond: 40.0,
                with_zero: false,
            },
            write: significant,
        },
        Self {
            name: "lambda",
            title: "Annealing λ, as used",
            unit: "the smaller, the more margin",
            of: |point| point.lambda,
            kind: Kind::Setting,
            axis: Axis::Log {
                beyond: ALWAYS,
                with_zero: true,
            },
            write: significant,
        },
        Self {
            name: "multiplier",
            title: "Multiplier m, as used",
            unit: "",
            of: |point| Some(f64::from(point.m)),
            kind: Kind::Stages,
            axis: Axis::Linear,
            write: significant,
        },
        Self {
            name: "learning-rate",
            title: "Learning rate",
            unit: "",
            of: |point| Some(point.learning_rate),
            kind: Kind::Steps,
            axis: Axis::Log {
                beyond: 5.0,
                with_zero: true,
            },
            write: significant,
        },
    ];

    /// The quantity with this [name](Self::name).
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|quantity| quantity.name == name)
    }

    /// The value at a point of the curve.
    pub(crate) fn of(&self, point: &Progress) -> Option<f64> {
        (self.of)(point)
    }

    /// Formats a value for the page.
    pub(crate) fn written(&self, value: f64) -> String {
        if value.is_finite() {
            (self.write)(value)
        } else {
            "not finite".to_owned()
        }
    }

    /// The measured steps of a run with their values.
    fn line(&self, run: &Run) -> Vec<(f64, f64)> {
        let mut line = Vec::new();
        for point in &run.outcome.curve {
            let Some(value) = self.of(point) else {
                continue;
            };
            let step = point.step as f64;
            match line.last() {
                Some(&(_, before)) if self.kind.is_stepwise() && before != value => {
                    line.push((step, before));
                }
                _ => {}
            }
            line.push((step, value));
        }
        line
    }

    fn scale(&self, values: &[f64]) -> Scale {
        let positive = || values.iter().copied().filter(|v| v.is_finite() && *v > 0.0);
        let ratio =
            positive().fold(0.0, f64::max) / positive().fold(f64::INFINITY, f64::min).max(1e-300);
        let values = values.iter().copied();
        match self.axis {
            Axis::Log { beyond, with_zero } if ratio > beyond => Scale::log(values, with_zero),
            Axis::Degrees => match Scale::linear(values, true) {
                Scale::Linear { low, high } => Scale::Linear {
                    low,
                    high: high.min(180.0),
                },
                other => other,
            },
            _ => Scale::linear(values, true),
        }
    }

    /// Whether the page shows a figure of the quantity: something was measured, and stages and
    /// steps changed.
    pub(crate) fn is_shown(&self, runs: &[&Run]) -> bool {
        let values = |run: &Run| -> Vec<f64> {
            let points = run.outcome.curve.iter();
            points.filter_map(|point| self.of(point)).collect()
        };
        let values: Vec<Vec<f64>> = runs.iter().map(|run| values(run)).collect();
        let changes = |values: &[f64]| values.iter().any(|value| *value != values[0]);
        match self.kind {
            Kind::Measured | Kind::Setting => values.iter().any(|values| !values.is_empty()),
            Kind::Stages => values.iter().any(|values| changes(values)),
            Kind::Steps => changes(&values.concat()),
        }
    }
}

/// A line of a run, with the number of its colour.
type Line = (usize, Vec<(f64, f64)>);

const WIDTH: f64 = 360.0;

/// Lines of one quantity, one per run. Runs with the same label have the same colour.
pub(crate) fn draw(quantity: &Quantity, runs: &[&Run], labels: &[&str], with_legend: bool) -> Svg {
    let lines: Vec<Line> = runs
        .iter()
        .filter_map(|run| {
            let index = labels.iter().position(|label| *label == run.label)?;
            Some((index, quantity.line(run)))
        })
        .filter(|(_, line)| !line.is_empty())
        .collect();
    let values: Vec<f64> = lines
        .iter()
        .flat_map(|(_, line)| line.iter().map(|point| point.1))
        .collect();
    let y = quantity.scale(&values);
    let entries = if with_legend {
        series_entries(labels.iter().copied())
    } else {
        Vec::new()
    };
    let top = 40.0 + legend_height(&entries, WIDTH);
    let description = description(quantity, &lines, labels);
    let mut svg = Svg::new(WIDTH, top + 210.0, quantity.title, &description);
    svg.heading(quantity.title, &subtitle(quantity, y, &values));
    legend(&mut svg, &entries, (2.0, 38.0), WIDTH);
    if !values.iter().any(|value| value.is_finite()) {
        svg.sentence(if values.is_empty() {
            "Nothing was recorded."
        } else {
            "No value is finite."
        });
        return svg;
    }

    let area = Area {
        left: 0.0,
        top: top + 4.0,
        width: WIDTH,
        height: 204.0,
    };
    let steps = lines.iter().flat_map(|(_, line)| line);
    let x = Scale::exact(steps.map(|point| point.0));
    let plot = Plot::new(&mut svg, area, x, y, "step");
    if quantity.kind == Kind::Measured {
        draw_measured(&mut svg, &plot, &lines);
    } else {
        draw_settings(&mut svg, &plot, &lines);
    }
    svg
}

fn description(quantity: &Quantity, lines: &[Line], labels: &[&str]) -> String {
    let ends: Vec<String> = lines
        .iter()
        .filter_map(|(index, line)| {
            let value = quantity.written(line.last()?.1);
            Some(format!("{}: {value}", labels[*index]))
        })
        .collect();
    format!(
        "{} against the step. Last values: {}.",
        quantity.title,
        ends.join("; ")
    )
}

fn subtitle(quantity: &Quantity, y: Scale, values: &[f64]) -> String {
    let is_cut = values.iter().any(|value| !value.is_finite());
    let remarks = [
        quantity.unit,
        if y.is_log() { "log scale" } else { "" },
        if is_cut {
            "line ends where not finite"
        } else {
            ""
        },
    ];
    let remarks: Vec<&str> = remarks
        .into_iter()
        .filter(|remark| !remark.is_empty())
        .collect();
    remarks.join(" · ")
}

/// Draws each line separately, thin if several runs share a colour.
fn draw_measured(svg: &mut Svg, plot: &Plot, lines: &[Line]) {
    for (index, line) in lines {
        let of_colour = lines.iter().filter(|(other, _)| other == index).count();
        let class = if of_colour > 1 { "line thin" } else { "line" };
        svg.open_with(&theme::series(*index), "");
        plot.line(svg, class, *index, line);
        svg.close();
    }
}

/// Seeds of one loss have the same settings, and often several losses do: equal lines are drawn as
/// one, dashed in all their colours.
fn draw_settings(svg: &mut Svg, plot: &Plot, lines: &[Line]) {
    let drawn = distinct(lines);
    for (place, (index, line)) in drawn.iter().enumerate() {
        let equal =
            |part: &[&Line]| -> usize { part.iter().filter(|(_, other)| other == line).count() };
        let (sharing, before) = (equal(&drawn), equal(&drawn[..place]));
        let (class, dashes) = if sharing > 1 {
            let dashes = format!(
                "stroke-dasharray=\"7 {}\" stroke-dashoffset=\"{}\"",
                7 * (sharing - 1),
                7 * (sharing - before)
            );
            ("line dash", dashes)
        } else {
            ("line", String::new())
        };
        svg.open_with(&theme::series(*index), &dashes);
        plot.line(svg, class, *index, line);
        svg.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::logged;

    fn quantity(name: &str) -> Quantity {
        Quantity::named(name).unwrap()
    }

    fn drawn(name: &str, runs: &[&Run]) -> String {
        draw(&quantity(name), runs, &["a"], true).inline()
    }

    #[test]
    fn values_that_are_not_finite_are_reported() {
        let svg = drawn("loss", &[&logged("a", &[1.0, 0.5, f64::NAN])]);
        assert!(svg.contains("line ends where not finite") && svg.contains("a: not finite"));
        let svg = drawn("loss", &[&logged("a", &[f64::NAN])]);
        assert!(svg.contains("No value is finite."));
        let svg = drawn("lambda", &[&logged("a", &[1.0])]);
        assert!(svg.contains("Nothing was recorded."));
        let svg = draw(&quantity("loss"), &[], &[], true).inline();
        assert!(svg.contains("Nothing was recorded."));
    }

    #[test]
    fn settings_hold_until_they_change() {
        let mut staged = logged("a", &[1.0, 1.0, 1.0]);
        for (point, m) in staged.outcome.curve.iter_mut().zip([1, 1, 4]) {
            point.m = m;
        }
        let line = quantity("multiplier").line(&staged);
        assert_eq!(line, [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (2.0, 4.0)]);
        assert!(quantity("multiplier").is_shown(&[&staged]));
        assert!(!quantity("learning-rate").is_shown(&[&staged]));
        // A different m for each run is already part of the labels.
        let mut other = logged("b", &[1.0]);
        other.outcome.curve[0].m = 2;
        let plain = logged("a", &[1.0]);
        assert!(!quantity("multiplier").is_shown(&[&plain, &other]));
        other.outcome.curve[0].learning_rate = 0.1;
        assert!(quantity("learning-rate").is_shown(&[&plain, &other]));
    }

    #[test]
    fn annealing_to_zero_has_a_place() {
        let scale = quantity("lambda").scale(&[1000.0, 10.0, 0.0]);
        assert!(matches!(scale, Scale::LogZero { .. }));
    }
}
