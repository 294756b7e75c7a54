//! λ by the global step.

use super::{AnnealingError, need};
use crate::margin::Psi;
use crate::names::UnknownName;
use serde::{Deserialize, Serialize};

/// How λ falls with the global step.
///
/// The target logit is `z + (F - z) / (1 + λ)`: a large λ is plain softmax, λ = 0 the
/// full margin. A value of this type, a step and a batch give λ; nothing counts inside a layer,
/// so a resumed run continues where it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "schedule", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Lambda {
    /// λ = 0: the full margin from the first step. L-Softmax with m >= 3 usually diverges.
    None,
    /// The same λ at every step.
    Constant {
        /// λ, at least 0.
        lambda: f64,
    },
    /// The authors' power law, `max(min, base (1 + gamma t)^-power)`, with t counted from 1
    /// as in their Caffe layer.
    PowerLaw {
        /// λ at the start.
        base: f64,
        /// Rate a step.
        gamma: f64,
        /// Exponent.
        power: f64,
        /// Floor.
        min: f64,
    },
    /// `max(min, base factor^t)`.
    Geometric {
        /// λ at the start.
        base: f64,
        /// Factor a step, above 0 and at most 1.
        factor: f64,
        /// Floor.
        min: f64,
    },
    /// No parameters: see [`auto_lambda`] and [`StepLambda::of`](super::StepLambda::of).
    Auto {
        /// Steps of the whole training.
        iterations: u64,
    },
}

/// The length of the paper's training, for which the default parameters of the schedules are given.
pub const PAPER_ITERATIONS: u64 = 18_000;

/// The parameters of a schedule as files and flags spell them. A parameter that is left out has its
/// default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LambdaParameters {
    /// λ at the start, or throughout.
    pub lambda: Option<f64>,
    /// The smallest λ.
    pub lambda_min: Option<f64>,
    /// gamma of the power law.
    pub gamma: Option<f64>,
    /// Exponent of the power law.
    pub power: Option<f64>,
    /// Factor per step of the geometric schedule.
    pub factor: Option<f64>,
}

impl LambdaParameters {
    /// Each parameter under its name.
    pub fn named(&self) -> [(&'static str, Option<f64>); 5] {
        [
            ("lambda", self.lambda),
            ("lambda-min", self.lambda_min),
            ("gamma", self.gamma),
            ("power", self.power),
            ("factor", self.factor),
        ]
    }

    /// These parameters, with those of `other` for the ones left out.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            lambda: self.lambda.or(other.lambda),
            lambda_min: self.lambda_min.or(other.lambda_min),
            gamma: self.gamma.or(other.gamma),
            power: self.power.or(other.power),
            factor: self.factor.or(other.factor),
        }
    }

    /// The parameters for a training of `to` steps, given those for `from` steps.
    #[must_use]
    pub fn stretched(self, from: u64, to: u64) -> Self {
        let ratio = from as f64 / to as f64;
        Self {
            gamma: self.gamma.map(|gamma| gamma * ratio),
            factor: self.factor.map(|factor| factor.powf(ratio)),
            ..self
        }
    }
}

impl Lambda {
    /// The names accepted by [`from_parameters`](Self::from_parameters).
    pub const NAMES: &[&str] = &["auto", "none", "constant", "power-law", "geometric"];

    /// The name used in files and on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Auto { .. } => "auto",
            Self::None => "none",
            Self::Constant { .. } => "constant",
            Self::PowerLaw { .. } => "power-law",
            Self::Geometric { .. } => "geometric",
        }
    }

    /// The schedule of this name for a training of this length. Parameters that it does not have are
    /// ignored.
    ///
    /// # Errors
    /// An unknown name.
    pub fn from_parameters(
        name: &str,
        parameters: &LambdaParameters,
        iterations: u64,
    ) -> Result<Self, AnnealingError> {
        let defaults = LambdaParameters {
            lambda: None,
            lambda_min: Some(0.0),
            gamma: Some(2.5e-5),
            power: Some(35.0),
            factor: Some(0.9995),
        };
        let lambda = |default: f64| parameters.lambda.unwrap_or(default);
        let filled = parameters.or(defaults.stretched(PAPER_ITERATIONS, iterations));
        let [_, min, gamma, power, factor] =
            filled.named().map(|(_, value)| value.unwrap_or_default());
        Ok(match name {
            "auto" => Self::Auto { iterations },
            "none" => Self::None,
            "constant" => Self::Constant {
                lambda: lambda(5.0),
            },
            "power-law" => Self::PowerLaw {
                base: lambda(1000.0),
                gamma,
                power,
                min,
            },
            "geometric" => Self::Geometric {
                base: lambda(100.0),
                factor,
                min,
            },
            other => return Err(UnknownName::new("annealing", Self::NAMES, other).into()),
        })
    }

    /// The parameters from which [`from_parameters`](Self::from_parameters) makes this schedule. Those
    /// that it does not have are left out.
    pub fn parameters(&self) -> LambdaParameters {
        let none = LambdaParameters::default();
        match *self {
            Self::None | Self::Auto { .. } => none,
            Self::Constant { lambda } => LambdaParameters {
                lambda: Some(lambda),
                ..none
            },
            Self::PowerLaw {
                base,
                gamma,
                power,
                min,
            } => LambdaParameters {
                lambda: Some(base),
                lambda_min: Some(min),
                gamma: Some(gamma),
                power: Some(power),
                factor: None,
            },
            Self::Geometric { base, factor, min } => LambdaParameters {
                lambda: Some(base),
                lambda_min: Some(min),
                factor: Some(factor),
                ..none
            },
        }
    }

    /// Whether the schedule has no parameters: `auto` and `none`.
    pub fn has_no_parameters(&self) -> bool {
        self.parameters() == LambdaParameters::default()
    }

    /// The schedule for a training of `to` steps that is `ratio` times as long.
    pub(super) fn stretched(self, ratio: f64, to: u64) -> Self {
        match self {
            Self::PowerLaw {
                base,
                gamma,
                power,
                min,
            } => Self::PowerLaw {
                base,
                gamma: gamma / ratio,
                power,
                min,
            },
            Self::Geometric { base, factor, min } => Self::Geometric {
                base,
                factor: factor.powf(1.0 / ratio),
                min,
            },
            Self::Auto { .. } => Self::Auto { iterations: to },
            same @ (Self::None | Self::Constant { .. }) => same,
        }
    }

    /// λ at a step counted from 0, for the multiplier m; of [`Lambda::Auto`] what is left of it
    /// when the gate is open.
    pub fn at(&self, step: u64, m: u32) -> f64 {
        let t = step as f64 + 1.0;
        match *self {
            Self::None => 0.0,
            Self::Constant { lambda } => lambda,
            Self::PowerLaw {
                base,
                gamma,
                power,
                min,
            } => (base * (1.0 + gamma * t).powf(-power)).max(min),
            Self::Geometric { base, factor, min } => (base * factor.powf(t)).max(min),
            Self::Auto { iterations } => auto_lambda(iterations.max(1) as f64, m),
        }
    }

    pub(super) fn check(&self) -> Result<(), AnnealingError> {
        let at_least_0 = |name, v: f64| need(name, v, "at least 0", v >= 0.0);
        match *self {
            Self::None => Ok(()),
            Self::Constant { lambda } => at_least_0("lambda", lambda),
            Self::PowerLaw {
                base,
                gamma,
                power,
                min,
            } => {
                at_least_0("base", base)?;
                at_least_0("gamma", gamma)?;
                at_least_0("power", power)?;
                at_least_0("min", min)
            }
            Self::Geometric { base, factor, min } => {
                at_least_0("base", base)?;
                need(
                    "factor",
                    factor,
                    "above 0 and at most 1",
                    factor > 0.0 && factor <= 1.0,
                )?;
                at_least_0("min", min)
            }
            Self::Auto { iterations } => need(
                "iterations",
                iterations as f64,
                "at least 1",
                iterations >= 1,
            ),
        }
    }
}

/// The pull angle of [`auto_lambda`] in a training of [`REFERENCE_STEPS`].
const PULL_DEGREES: f64 = 30.0;
/// The length of training for which [`PULL_DEGREES`] was chosen.
const REFERENCE_STEPS: f64 = 600.0;

/// λ of the default schedule in a training of `iterations` steps with multiplier m, where its
/// [gate](super::Gate) is open.
///
/// A target logit above 0 is raised by a longer feature, one below 0 by a shorter one: the margin
/// pulls a sample outward within the angle at which `ψ_λ(θ) = 0`, and inward beyond. The schedule
/// sets this **pull angle** α and takes the λ that belongs to it:
///
/// ```text
/// α = max(90°/m, 30° (600 / T)^(1/4)),     λ = -ψ(α) / cos α
/// ```
///
/// The same α is about the same margin for every m, so that no number depends on m or on the data. It
/// depends on the budget T: a short training cannot reach angles that a long one can. λ = 0, the end
/// of the paper's schedule, is reached for m = 4 from 1,900 steps on. λ does not depend on the step:
/// features start near 90°, where a margin would make them collapse, but the gate is shut until the
/// classes are learned. `docs/guide/annealing.md` has what was tried and measured.
pub fn auto_lambda(iterations: f64, m: u32) -> f64 {
    let Ok(psi) = Psi::new(m) else { return 0.0 };
    if m == 1 {
        return 0.0;
    }
    let by_budget = PULL_DEGREES * (REFERENCE_STEPS / iterations).powf(0.25);
    let angle = by_budget.clamp(90.0 / f64::from(m), 90.0);
    if angle >= 90.0 {
        return f64::INFINITY;
    }
    let cosine = angle.to_radians().cos();
    // At 90°/m, ψ is 0 but for rounding.
    (-psi.at(cosine).0 / cosine).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_parameters_are_read_and_written() {
        let none = LambdaParameters::default();
        for name in Lambda::NAMES {
            let lambda = Lambda::from_parameters(name, &none, 600).unwrap();
            assert_eq!(lambda.name(), *name);
            let again = Lambda::from_parameters(name, &lambda.parameters(), 600).unwrap();
            assert_eq!(again, lambda);
            // serde has the same names.
            let table = toml::Table::try_from(lambda).unwrap();
            assert_eq!(table["schedule"].as_str(), Some(*name));
        }
        let error = Lambda::from_parameters("linear", &none, 600).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("annealing must be one of auto, none,")
        );
    }
}
