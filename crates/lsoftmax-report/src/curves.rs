//! What was logged, against the step.

use crate::chart::{Area, Plot, legend, legend_height, series_entries};
use crate::model::{CurvePoint, RunDetail};
use crate::number::{fixed, significant};
use crate::scale::Scale;
use crate::svg::Svg;
use crate::theme;

/// A quantity that is logged during training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantity {
    /// The training loss.
    Loss,
    /// Error on the training set.
    TrainError,
    /// Error on the test set, from the logits without margin.
    TestError,
    /// Mean angle between feature and own class weight.
    TargetAngle,
    /// Mean length of the features.
    FeatureNorm,
    /// Mean length of the class weights.
    WeightNorm,
    /// The λ that was used.
    Lambda,
    /// The multiplier m that was used.
    Multiplier,
    /// The learning rate.
    LearningRate,
}

impl Quantity {
    /// Every quantity, in the order of the page.
    pub const ALL: [Self; 9] = [
        Self::Loss,
        Self::TestError,
        Self::TrainError,
        Self::TargetAngle,
        Self::FeatureNorm,
        Self::WeightNorm,
        Self::Lambda,
        Self::Multiplier,
        Self::LearningRate,
    ];

    /// The heading of its picture.
    pub fn title(self) -> &'static str {
        match self {
            Self::Loss => "Training loss",
            Self::TrainError => "Training error",
            Self::TestError => "Test error",
            Self::TargetAngle => "Mean target angle",
            Self::FeatureNorm => "Feature norm",
            Self::WeightNorm => "Class weight norm",
            Self::Lambda => "Annealing λ, as used",
            Self::Multiplier => "Multiplier m, as used",
            Self::LearningRate => "Learning rate",
        }
    }

    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::TrainError => "train-error",
            Self::TestError => "test-error",
            Self::TargetAngle => "target-angle",
            Self::FeatureNorm => "feature-norm",
            Self::WeightNorm => "weight-norm",
            Self::Lambda => "lambda",
            Self::Multiplier => "multiplier",
            Self::LearningRate => "learning-rate",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::TrainError | Self::TestError => "per cent",
            Self::TargetAngle => "degrees",
            Self::Loss => "margin included",
            Self::Lambda => "the smaller, the more margin",
            Self::FeatureNorm | Self::WeightNorm => "mean length",
            Self::Multiplier | Self::LearningRate => "",
        }
    }

    pub(crate) fn of(self, point: &CurvePoint) -> Option<f64> {
        match self {
            Self::Loss => point.loss,
            Self::TrainError => point.train_error_percent,
            Self::TestError => point.test_error_percent,
            Self::TargetAngle => point.mean_target_angle_deg,
            Self::FeatureNorm => point.feature_norm,
            Self::WeightNorm => point.weight_norm,
            Self::Lambda => point.lambda,
            Self::Multiplier => point.m.map(f64::from),
            Self::LearningRate => point.learning_rate,
        }
    }

    /// Whether its value holds until the next one, as a setting does.
    fn is_stepwise(self) -> bool {
        matches!(self, Self::Multiplier | Self::LearningRate)
    }

    /// Whether it is set, not measured.
    fn is_setting(self) -> bool {
        self.is_stepwise() || self == Self::Lambda
    }

    /// The steps at which it was measured, with what was found.
    pub(crate) fn line(self, run: &RunDetail) -> Vec<(f64, f64)> {
        let mut line = Vec::new();
        for point in &run.curve {
            let Some(value) = self.of(point) else {
                continue;
            };
            let step = point.step as f64;
            match line.last() {
                Some(&(_, before)) if self.is_stepwise() && before != value => {
                    line.push((step, before));
                }
                _ => {}
            }
            line.push((step, value));
        }
        line
    }

    /// The axis for these values: logarithmic where they span orders of magnitude.
    fn scale(self, values: &[f64]) -> Scale {
        let positive = || values.iter().copied().filter(|v| v.is_finite() && *v > 0.0);
        let spread =
            positive().fold(0.0, f64::max) / positive().fold(f64::INFINITY, f64::min).max(1e-300);
        let values = values.iter().copied();
        match self {
            Self::Lambda => Scale::log(values, true),
            Self::LearningRate if spread > 5.0 => Scale::log(values, true),
            Self::Loss | Self::FeatureNorm | Self::WeightNorm if spread > 40.0 => {
                Scale::log(values, false)
            }
            Self::TrainError | Self::TestError if spread > 15.0 => Scale::log(values, false),
            Self::TargetAngle => match Scale::linear(values, true) {
                Scale::Linear { low, high } => Scale::Linear {
                    low,
                    high: high.min(180.0),
                },
                other => other,
            },
            _ => Scale::linear(values, true),
        }
    }

    /// Whether the page has a picture of it: something was measured, and settings changed.
    pub(crate) fn is_worth_a_picture(self, runs: &[RunDetail]) -> bool {
        let mut values = runs
            .iter()
            .flat_map(|run| &run.curve)
            .filter_map(|point| self.of(point));
        let Some(first) = values.next() else {
            return false;
        };
        match self {
            Self::Multiplier => runs.iter().any(|run| {
                let mut values = run.curve.iter().filter_map(|point| point.m);
                let first = values.next();
                values.any(|m| Some(m) != first)
            }),
            Self::LearningRate => values.any(|value| value != first),
            _ => true,
        }
    }
}

/// Lines of one quantity, one a run; runs of equal label have the same colour.
pub(crate) fn draw(
    quantity: Quantity,
    runs: &[RunDetail],
    labels: &[&str],
    with_legend: bool,
) -> Svg {
    let width = 360.0;
    let lines: Vec<(usize, Vec<(f64, f64)>)> = runs
        .iter()
        .filter_map(|run| {
            let index = labels.iter().position(|label| *label == run.label)?;
            Some((index, quantity.line(run)))
        })
        .filter(|(_, line)| !line.is_empty())
        .collect();
    let several = |index: usize| lines.iter().filter(|(other, _)| *other == index).count() > 1;

    let all = || lines.iter().flat_map(|(_, line)| line);
    let values: Vec<f64> = all().map(|point| point.1).collect();
    let y = quantity.scale(&values);
    let ends: Vec<String> = lines
        .iter()
        .filter_map(|(index, line)| {
            Some(format!(
                "{}: {}",
                labels[*index],
                end_value(quantity, line.last()?.1)
            ))
        })
        .collect();
    let description = format!(
        "{} against the step. Last values: {}.",
        quantity.title(),
        ends.join("; ")
    );

    let entries = if with_legend {
        series_entries(labels.iter().copied())
    } else {
        Vec::new()
    };
    let top = 40.0 + legend_height(&entries, width);
    let mut svg = Svg::new(width, top + 210.0, quantity.title(), &description);
    let lost = values.iter().any(|value| !value.is_finite());
    let remarks = [
        quantity.unit(),
        if y.is_log() { "log scale" } else { "" },
        if lost {
            "line ends where not finite"
        } else {
            ""
        },
    ];
    let subtitle: Vec<&str> = remarks
        .into_iter()
        .filter(|remark| !remark.is_empty())
        .collect();
    svg.heading(quantity.title(), &subtitle.join(" · "));
    legend(&mut svg, &entries, (2.0, 38.0), width);
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
        width,
        height: 204.0,
    };
    let x = Scale::exact(all().map(|point| point.0));
    let plot = Plot::new(&mut svg, area, x, y, "step");
    // Seeds of one loss have the same settings, and often several losses have: equal lines
    // are drawn as one, in dashes of all their colours.
    let setting = quantity.is_setting();
    let mut drawn: Vec<(usize, &Vec<(f64, f64)>)> = Vec::new();
    for (index, line) in &lines {
        if !(setting && drawn.contains(&(*index, line))) {
            drawn.push((*index, line));
        }
    }
    for (place, &(index, line)) in drawn.iter().enumerate() {
        let equal = |part: &[(usize, &Vec<(f64, f64)>)]| {
            part.iter().filter(|(_, other)| *other == line).count()
        };
        let (sharing, before) = (equal(&drawn), equal(&drawn[..place]));
        let dashes = if setting && sharing > 1 {
            format!(
                "stroke-dasharray=\"7 {}\" stroke-dashoffset=\"{}\"",
                7 * (sharing - 1),
                7 * (sharing - before)
            )
        } else {
            String::new()
        };
        let class = match (setting && sharing > 1, several(index) && !setting) {
            (true, _) => "line dash",
            (_, true) => "line thin",
            _ => "line",
        };
        svg.open_with(&theme::series(index), &dashes);
        plot.line(&mut svg, class, index, line);
        svg.close();
    }
    svg
}

/// A value as it is written in a table.
pub(crate) fn end_value(quantity: Quantity, value: f64) -> String {
    if !value.is_finite() {
        return "not finite".to_owned();
    }
    match quantity {
        Quantity::TrainError | Quantity::TestError => format!("{} %", fixed(value, 2)),
        Quantity::TargetAngle => format!("{}°", fixed(value, 1)),
        _ => significant(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(values: &[f64]) -> RunDetail {
        let point = |(step, &loss)| CurvePoint {
            step,
            loss: Some(loss),
            ..CurvePoint::default()
        };
        RunDetail {
            label: "a".to_owned(),
            curve: values.iter().enumerate().map(point).collect(),
            ..RunDetail::default()
        }
    }

    #[test]
    fn what_is_not_finite_is_said() {
        let svg = draw(Quantity::Loss, &[run(&[1.0, 0.5, f64::NAN])], &["a"], true).inline();
        assert!(svg.contains("line ends where not finite") && svg.contains("a: not finite"));
        let svg = draw(Quantity::Loss, &[run(&[f64::NAN])], &["a"], true).inline();
        assert!(svg.contains("No value is finite."));
        let svg = draw(Quantity::Lambda, &[run(&[1.0])], &["a"], true).inline();
        assert!(svg.contains("Nothing was recorded."));
        assert!(
            draw(Quantity::Loss, &[], &[], true)
                .inline()
                .contains("Nothing was recorded.")
        );
    }

    #[test]
    fn settings_hold_until_they_change() {
        let mut staged = run(&[1.0, 1.0, 1.0]);
        for (point, m) in staged.curve.iter_mut().zip([1, 1, 4]) {
            point.m = Some(m);
        }
        let line = Quantity::Multiplier.line(&staged);
        assert_eq!(line, [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0), (2.0, 4.0)]);
        assert!(Quantity::Multiplier.is_worth_a_picture(std::slice::from_ref(&staged)));
        assert!(!Quantity::LearningRate.is_worth_a_picture(&[staged]));
    }

    #[test]
    fn annealing_to_zero_has_a_place() {
        let scale = Quantity::Lambda.scale(&[1000.0, 10.0, 0.0]);
        assert!(matches!(scale, Scale::LogZero { .. }));
    }
}
