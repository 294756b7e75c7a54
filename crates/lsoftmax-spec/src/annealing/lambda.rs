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
            Self::Auto { iterations } => auto_lambda(t, iterations.max(1) as f64, m),
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

/// Where the pull angle of [`auto_lambda`] ends in a training of [`REFERENCE_STEPS`].
const END_DEGREES: f64 = 30.0;
/// The length of training that [`END_DEGREES`] was measured at.
const REFERENCE_STEPS: f64 = 600.0;
/// The share of the training after which the pull angle stays where it is.
const ARRIVAL: f64 = 0.8;

/// λ of the default schedule after `step` of `iterations` steps, for the multiplier m and batches
/// whose classes are told apart; [`StepLambda::of`](super::StepLambda::of) has the others.
///
/// A target logit above 0 is raised by a longer feature, one below 0 by a shorter: the
/// margin pulls a sample outward within the angle where `ψ_λ(θ) = 0`, and inward beyond.
/// With λ = 0 that **pull angle** is 90°/m, while features start near 90°: all samples are
/// pulled inward at once, norms collapse, and training dies at the loss ln C. So this
/// schedule moves the pull angle itself, evenly from 90° (plain softmax) to its end, and
/// takes the λ that belongs to it:
///
/// ```text
/// α(t) = 90° - (90° - α_end) min(1, t / (0.8 T)),     λ(t) = -ψ(α) / cos α
/// α_end = max(90°/m, 30° (600 / T)^(1/4))
/// ```
///
/// The same α means about the same margin for every m, so that no number depends on m or
/// on the data. The end depends on the budget T: a short training cannot reach angles
/// that a long one can, and λ = 0 (the paper's end) is reached when the budget allows. What
/// was tried and measured is in docs/guide/annealing.md.
pub fn auto_lambda(step: f64, iterations: f64, m: u32) -> f64 {
    let Ok(psi) = Psi::new(m) else { return 0.0 };
    if m == 1 {
        return 0.0;
    }
    let by_budget = END_DEGREES * (REFERENCE_STEPS / iterations).powf(0.25);
    let end = by_budget.clamp(90.0 / f64::from(m), 90.0);
    let progress = (step / (ARRIVAL * iterations)).clamp(0.0, 1.0);
    let angle = 90.0 - (90.0 - end) * progress;
    let cosine = angle.to_radians().cos();
    if angle >= 90.0 {
        return f64::INFINITY;
    }
    // At 90°/m, ψ is 0 but for rounding.
    (-psi.at(cosine).0 / cosine).max(0.0)
}
