//! The learning rate over the steps of a training.

use crate::names::{UnknownName, named};
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// The shape of a [`RateSchedule`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RateShape {
    /// A tenth from each milestone on.
    #[default]
    MultiStep,
    /// Always the same.
    Constant,
    /// Half a cosine from the rate down to 0.
    Cosine,
    /// Up from a 25th of the rate over the first 30 % of the steps, then down to almost 0, both along half
    /// a cosine (Smith and Topin 2018).
    OneCycle,
    /// The same along straight lines.
    Triangle,
}

impl RateShape {
    /// All shapes.
    pub const ALL: [Self; 5] = [
        Self::MultiStep,
        Self::Constant,
        Self::Cosine,
        Self::OneCycle,
        Self::Triangle,
    ];

    /// The name in experiment files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MultiStep => "multi-step",
            Self::Constant => "constant",
            Self::Cosine => "cosine",
            Self::OneCycle => "one-cycle",
            Self::Triangle => "triangle",
        }
    }

    /// Whether the rate rises by itself at the start, so that a warm-up has no place.
    pub const fn rises(self) -> bool {
        matches!(self, Self::OneCycle | Self::Triangle)
    }
}

impl std::str::FromStr for RateShape {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        named("rate-schedule", Self::ALL, Self::name, name)
    }
}

/// The learning rate as a function of the step.
///
/// With `r` the [`rate`](Self::rate), `W` the steps of the warm-up and `T` those of the training, the
/// rate of step `t`, counted from 0, is
///
/// ```text
/// warm-up       r (t + 1) / W                                  for t < W
/// multi-step    r / 10^k                                       k: milestones at or before t
/// cosine        r (1 + cos(π (t - W) / (T - W))) / 2
/// one-cycle     between r / 25, r and r / 250,000, at the steps 0, 0.3 T - 1 and T - 1
/// ```
///
/// These are the numbers of PyTorch's `LinearLR`, `MultiStepLR`, `CosineAnnealingLR` and `OneCycleLR` (with
/// `cycle_momentum=False`; `anneal_strategy="linear"` for the triangle).
#[derive(Clone, Debug, PartialEq)]
pub struct RateSchedule {
    /// The largest learning rate.
    pub rate: f64,
    /// How it changes.
    pub shape: RateShape,
    /// Steps of a linear rise at the start.
    pub warmup: u64,
    /// Steps at which [`RateShape::MultiStep`] falls to a tenth.
    pub milestones: Vec<u64>,
}

/// Share of the steps in which a cycle rises.
const RISE: f64 = 0.3;
/// The rate over that at the start of a cycle, and that over the one at its end.
const START: f64 = 25.0;
const END: f64 = 1e4;

impl RateSchedule {
    /// The learning rate at a step of a training of this many.
    pub fn at(&self, step: u64, iterations: u64) -> f64 {
        if step < self.warmup {
            return self.rate * (step + 1) as f64 / self.warmup as f64;
        }
        match self.shape {
            RateShape::Constant => self.rate,
            RateShape::MultiStep => {
                let passed = self.milestones.iter().filter(|&&at| step >= at).count();
                self.rate * 0.1f64.powi(passed as i32)
            }
            RateShape::Cosine => {
                let length = iterations.saturating_sub(self.warmup).max(1);
                let share = (step - self.warmup) as f64 / length as f64;
                between(self.rate, 0.0, half_cosine(share))
            }
            RateShape::OneCycle => self.cycle(step, iterations, half_cosine),
            RateShape::Triangle => self.cycle(step, iterations, |share| share),
        }
    }

    fn cycle(&self, step: u64, iterations: u64, along: impl Fn(f64) -> f64) -> f64 {
        let start = self.rate / START;
        let (step, last) = (step as f64, (iterations as f64 - 1.0).max(1.0));
        let peak = RISE * iterations as f64 - 1.0;
        if step <= peak {
            between(start, self.rate, along(step / peak))
        } else {
            let share = ((step - peak) / (last - peak)).min(1.0);
            between(self.rate, start / END, along(share))
        }
    }
}

/// From 0 to 1 along half a cosine.
fn half_cosine(share: f64) -> f64 {
    (1.0 - libm::cos(PI * share)) / 2.0
}

fn between(from: f64, to: f64, share: f64) -> f64 {
    from + (to - from) * share
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Case {
        shape: String,
        rate: f64,
        warmup: u64,
        milestones: Vec<u64>,
        rates: Vec<f64>,
    }

    /// tests/rates.py has made these with PyTorch.
    #[test]
    fn rates_are_those_of_pytorch() {
        let cases: Vec<Case> = serde_json::from_str(include_str!("../tests/rates.json")).unwrap();
        assert!(cases.len() > 6);
        for case in cases {
            let schedule = RateSchedule {
                rate: case.rate,
                shape: case.shape.parse().unwrap(),
                warmup: case.warmup,
                milestones: case.milestones.clone(),
            };
            let iterations = case.rates.len() as u64;
            for (step, expected) in (0..).zip(case.rates) {
                let found = schedule.at(step, iterations);
                let error = (found - expected).abs();
                assert!(error < 1e-12, "{schedule:?} at {step}: {found}, {expected}");
            }
        }
    }

    /// A single step, and steps beyond the end.
    #[test]
    fn rates_are_finite_and_not_negative() {
        for shape in RateShape::ALL {
            for iterations in [1, 2, 3, 4, 10] {
                for warmup in [0, 1, 5] {
                    let schedule = RateSchedule {
                        rate: 0.1,
                        shape,
                        warmup,
                        milestones: vec![1],
                    };
                    for step in 0..12 {
                        let rate = schedule.at(step, iterations);
                        let place = format!("{schedule:?}, {step} of {iterations}");
                        assert!((0.0..=0.1 + 1e-15).contains(&rate), "{place}: {rate}");
                    }
                }
            }
        }
    }
}
