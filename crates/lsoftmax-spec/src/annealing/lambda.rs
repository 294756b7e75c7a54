//! λ by the global step.

use super::{AnnealingError, need};
use crate::margin::Psi;
use serde::{Deserialize, Serialize};

/// How λ falls with the global step.
///
/// The target logit is `z + (F - z) / (1 + λ)`: a large λ is plain softmax, λ = 0 the
/// full margin. A value of this type, a step and a batch give λ; nothing counts inside a layer,
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
    /// No number to tune: see [`auto_lambda`] and [`StepLambda::of`](super::StepLambda::of).
    Auto {
        /// Steps of the whole training.
        iterations: u64,
    },
}

impl Lambda {
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
