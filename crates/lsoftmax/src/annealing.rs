//! Annealing as data: λ and the staged m as pure functions of the global step.

use crate::margin::{Loss, MarginError, Psi};
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

/// Whether the classes can lie far apart in the space of the features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// As in every feature of ordinary size.
    Wide,
    /// As ten classes in the plane, 36° apart.
    Crowded,
}

impl Room {
    /// The room of so many classes among features of a length.
    ///
    /// Caps of half-angle β around the class directions cover a share of about
    /// `sin(β)^(feature_size - 1)` of the sphere each; classes are crowded if caps of 45°
    /// (centres 90° apart) do not fit.
    pub fn of(classes: usize, feature_size: usize) -> Self {
        let cap = std::f64::consts::FRAC_1_SQRT_2.powf(feature_size.saturating_sub(1) as f64);
        if classes as f64 * cap > 1.0 {
            Self::Crowded
        } else {
            Self::Wide
        }
    }
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

/// A λ below which a training does not go for a while, whatever its schedule says: the answer to
/// a training that was dying of its margin.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Floor {
    /// λ at `step`, at least 0; it falls evenly to 0.
    pub lambda: f64,
    /// The first step that it holds for.
    pub step: u64,
    /// The step at which it has reached 0.
    pub until: u64,
}

impl Floor {
    /// The smallest λ allowed at a step.
    pub fn at(&self, step: u64) -> f64 {
        if (self.step..self.until).contains(&step) {
            self.lambda * (self.until - step) as f64 / (self.until - self.step) as f64
        } else {
            0.0
        }
    }
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
    /// Keeps λ up for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
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
            floor: None,
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
        if let Some(floor) = self.floor {
            Lambda::Constant {
                lambda: floor.lambda,
            }
            .check()?;
        }
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

    /// The loss in force at a step (counted from 0) and its λ, for classes that have room.
    pub fn at(&self, step: u64, loss: Loss) -> (Loss, f64) {
        self.at_with(step, loss, Room::Wide)
    }

    /// The loss in force at a step (counted from 0) and its λ.
    pub fn at_with(&self, step: u64, loss: Loss, room: Room) -> (Loss, f64) {
        let stage = self.stages.iter().rev().find(|stage| stage.step <= step);
        let loss = stage.map_or(loss, |stage| loss.with_multiplier(stage.m));
        let lambda = if loss.is_annealed() {
            let floor = self.floor.map_or(0.0, |floor| floor.at(step));
            self.lambda
                .at_with(step, loss.multiplier(), room)
                .max(floor)
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
        let floor = self.floor.map(|floor| Floor {
            step: (floor.step as f64 * ratio).round() as u64,
            until: (floor.until as f64 * ratio).round() as u64,
            ..floor
        });
        Self {
            lambda,
            stages,
            floor,
        }
    }
}

impl Lambda {
    /// λ at a step counted from 0, for the multiplier m and classes that have room.
    pub fn at(&self, step: u64, m: u32) -> f64 {
        self.at_with(step, m, Room::Wide)
    }

    /// λ at a step counted from 0, for the multiplier m.
    pub fn at_with(&self, step: u64, m: u32, room: Room) -> f64 {
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
            Self::Auto { iterations } => auto_lambda(t, iterations.max(1) as f64, m, room),
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

/// Where the pull angle of [`auto_lambda`] ends in a training of [`REFERENCE_STEPS`].
const END_DEGREES: f64 = 30.0;
/// The length of training that [`END_DEGREES`] was measured at.
const REFERENCE_STEPS: f64 = 600.0;
impl Room {
    /// The share of the training after which the pull angle stays where it is, and the
    /// power of the way there.
    fn way(self) -> (f64, i32) {
        match self {
            Self::Wide => (0.8, 1),
            Self::Crowded => (0.95, 3),
        }
    }
}

/// λ of the default schedule after `step` of `iterations` steps, for the multiplier m.
///
/// A target logit above 0 is raised by a longer feature, one below 0 by a shorter: the
/// margin pulls a sample outward within the angle where `ψ_λ(θ) = 0`, and inward beyond.
/// With λ = 0 that **pull angle** is 90°/m, while features start near 90°: all samples are
/// pulled inward at once, norms collapse, and training dies at the loss ln C. So this
/// schedule moves the pull angle itself, evenly from 90° (plain softmax) to its end, and
/// takes the λ that belongs to it:
///
/// ```text
/// α(t) = 90° - (90° - α_end) min(1, t / (a T))^e,     λ(t) = -ψ(α) / cos α
/// α_end = max(90°/m, 30° (600 / T)^(1/4))
/// ```
///
/// with a = 0.8 and e = 1 where classes have [`Room`], and a = 0.95 and e = 3 where they are
/// crowded: there they have to pass through one another to find their places, which takes as long as with
/// softmax, and a margin that comes before leaves two of them in one place.
///
/// The same α means about the same margin for every m, so that no number depends on m or
/// on the data. The end depends on the budget T: a short training cannot reach angles
/// that a long one can, and λ = 0 (the paper's end) is reached when the budget allows. What
/// was tried and measured is in docs/annealing.md.
pub fn auto_lambda(step: f64, iterations: f64, m: u32, room: Room) -> f64 {
    let Ok(psi) = Psi::new(m) else { return 0.0 };
    if m == 1 {
        return 0.0;
    }
    let by_budget = END_DEGREES * (REFERENCE_STEPS / iterations).powf(0.25);
    let end = by_budget.clamp(90.0 / f64::from(m), 90.0);
    let (arrival, power) = room.way();
    let progress = (step / (arrival * iterations)).clamp(0.0, 1.0).powi(power);
    let angle = 90.0 - (90.0 - end) * progress;
    let cosine = angle.to_radians().cos();
    if angle >= 90.0 {
        return f64::INFINITY;
    }
    // At 90°/m, ψ is 0 but for rounding.
    (-psi.at(cosine).0 / cosine).max(0.0)
}
