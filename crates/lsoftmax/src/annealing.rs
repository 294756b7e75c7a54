//! Annealing as data: λ and the staged m as pure functions of the global step.

use crate::margin::{Loss, MAX_MULTIPLIER, MarginError, Psi};
use serde::{Deserialize, Serialize};

/// How λ falls with the global step.
///
/// The target logit is `z + (F - z) / (1 + λ)`: a large λ is plain softmax, λ = 0 the
/// full margin. A value of this type and a step give λ; nothing counts inside a layer,
/// so a resumed run continues where it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "schedule", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Lambda {
    /// λ = 0: the full margin from the first step. L-Softmax with m >= 3 usually dies of it.
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
    /// No number to tune: see [`auto_lambda`].
    Auto {
        /// Steps of the whole training.
        iterations: u64,
    },
}

/// From `step` on, train with multiplier `m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// First step of the stage.
    pub step: u64,
    /// Angular multiplier from there on.
    pub m: u32,
}

/// The whole schedule of a margin: λ, and optionally a growing m.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Annealing {
    /// How λ falls.
    pub lambda: Lambda,
    /// Stages of m in rising order of steps; before the first, the loss's own m counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
}

/// Why a schedule is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum AnnealingError {
    /// A number outside its range.
    #[error("annealing: {name} must be {expected}, found {found}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// Its range.
        expected: &'static str,
        /// The value found.
        found: f64,
    },
    /// Stages not in rising order.
    #[error("annealing: stages must rise in step, but step {0} does not come after the one before")]
    Order(u64),
    /// A stage's m is out of range.
    #[error(transparent)]
    Margin(#[from] MarginError),
}

impl From<Lambda> for Annealing {
    fn from(lambda: Lambda) -> Self {
        Self {
            lambda,
            stages: Vec::new(),
        }
    }
}

impl Annealing {
    /// The default: λ by [`auto_lambda`] over a training of so many steps.
    pub fn auto(iterations: u64) -> Self {
        Lambda::Auto { iterations }.into()
    }

    /// The full margin from the first step.
    pub fn none() -> Self {
        Lambda::None.into()
    }

    /// Checks every number.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn check(&self) -> Result<(), AnnealingError> {
        self.lambda.check()?;
        for stage in &self.stages {
            Psi::new(stage.m)?;
        }
        match self
            .stages
            .windows(2)
            .find(|pair| pair[0].step >= pair[1].step)
        {
            Some(pair) => Err(AnnealingError::Order(pair[1].step)),
            None => Ok(()),
        }
    }

    /// The loss in force at a step (counted from 0) and its λ.
    pub fn at(&self, step: u64, loss: Loss) -> (Loss, f64) {
        let stage = self.stages.iter().rev().find(|stage| stage.step <= step);
        let loss = stage.map_or(loss, |stage| loss.with_multiplier(stage.m));
        let lambda = if loss.is_annealed() {
            self.lambda.at(step, loss.multiplier())
        } else {
            0.0
        };
        (loss, lambda)
    }

    /// The schedule stretched from a training of `from` steps to one of `to` steps.
    #[must_use]
    pub fn stretched(&self, from: u64, to: u64) -> Self {
        let ratio = to as f64 / from.max(1) as f64;
        let lambda = match self.lambda {
            Lambda::PowerLaw {
                base,
                gamma,
                power,
                min,
            } => Lambda::PowerLaw {
                base,
                gamma: gamma / ratio,
                power,
                min,
            },
            Lambda::Geometric { base, factor, min } => Lambda::Geometric {
                base,
                factor: factor.powf(1.0 / ratio),
                min,
            },
            Lambda::Auto { .. } => Lambda::Auto { iterations: to },
            same => same,
        };
        let mut stages: Vec<Stage> = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            let step = (stage.step as f64 * ratio).round() as u64;
            // Of stages that fall on one step, the last is in force.
            stages.pop_if(|before| before.step == step);
            stages.push(Stage { step, m: stage.m });
        }
        Self { lambda, stages }
    }
}

impl Lambda {
    /// λ at a step counted from 0, for the multiplier m.
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
            Self::Auto { iterations } => auto_lambda(t / iterations.max(1) as f64, m),
        }
    }

    fn check(&self) -> Result<(), AnnealingError> {
        let need = |name, found: f64, expected, ok: bool| {
            if ok && !found.is_nan() {
                Ok(())
            } else {
                Err(AnnealingError::Parameter {
                    name,
                    expected,
                    found,
                })
            }
        };
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

/// λ of the default schedule, at a share `progress` (0 to 1) of the training.
pub fn auto_lambda(progress: f64, m: u32) -> f64 {
    let Ok(psi) = Psi::new(m.clamp(1, MAX_MULTIPLIER)) else {
        return 0.0;
    };
    if m <= 1 {
        return 0.0;
    }
    let end: f64 = std::env::var("AUTO_END")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(60.0);
    let full: f64 = std::env::var("AUTO_FULL")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(0.8);
    let shape: f64 = std::env::var("AUTO_POWER")
        .ok()
        .and_then(|v| v.parse().ok())
        .unwrap_or(1.0);
    let lowest = 90.0 / f64::from(m);
    let p = (progress / full).clamp(0.0, 1.0).powf(shape);
    let angle = 90.0 - (90.0 - end.max(lowest)) * p;
    let cosine = angle.to_radians().cos();
    if angle >= 90.0 {
        return f64::INFINITY;
    }
    (-psi.at(cosine).0 / cosine).max(0.0)
}
