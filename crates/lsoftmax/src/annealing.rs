//! Annealing as data: λ and the staged m as pure functions of the global step and the batch.

use crate::margin::{Loss, MarginError, Psi};
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
    /// No number to tune: see [`auto_lambda`] and [`StepLambda::of`].
    Auto {
        /// Steps of the whole training.
        iterations: u64,
    },
}

/// Multiplies the share of the margin, `1 / (1 + λ)`, by a factor from 0 to 1 that depends on how well
/// the **plain** softmax, without any margin, tells the classes apart.
///
/// ```text
/// c                                       the signal, on its way from guessing (0) to certainty (1)
/// g = min(1, max(0, (c - from) / (to - from)))
/// 1 / (1 + λ) = g / (1 + λ(t))
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// What opens it.
    pub signal: Signal,
    /// c at which the margin begins, at least 0.
    pub from: f64,
    /// c at which all of the margin is there: above `from`, at most 1.
    pub to: f64,
    /// The share of the training that the signal is averaged over, below 1; 0: each batch counts for
    /// itself, as it does where nobody keeps a [`RunningSignal`].
    #[serde(default)]
    pub memory: f64,
}

/// What a [`Gate`] looks at: the mean over samples of a function of p, the probability that the plain
/// softmax gives the own class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// p. Longer features raise it, and so does a margin.
    Confidence,
    /// 1 where p > 1/2, else 0: at most the accuracy, whatever the length of the features.
    Majority,
    /// ln p, so that the way from guessing to certainty is the share of the label's information that is
    /// learned, 1 + mean(ln p) / ln C. The surer a wrong answer, the more it takes away.
    Information,
}

impl Signal {
    /// Below this, the logarithm of a probability stands still.
    pub(crate) const LEAST: f64 = 1e-10;

    /// What a sample with this p adds to the mean.
    pub fn of_sample(self, p: f64) -> f64 {
        match self {
            Self::Confidence => p,
            // NaN is no minority.
            Self::Majority if p.is_nan() => p,
            Self::Majority => f64::from(p > 0.5),
            Self::Information if p < Self::LEAST => Self::LEAST.ln(),
            Self::Information => p.ln(),
        }
    }

    /// The signal of a batch with these p.
    pub fn of(self, confidences: &[f64]) -> f64 {
        let sum: f64 = confidences.iter().map(|&p| self.of_sample(p)).sum();
        sum / confidences.len() as f64
    }

    /// The signal where so many classes are guessed at, and where all are certain.
    pub(crate) fn range(self, classes: usize) -> [f64; 2] {
        match self {
            Self::Confidence | Self::Majority => [1.0 / classes as f64, 1.0],
            Self::Information => [-(classes as f64).ln(), 0.0],
        }
    }
}

impl Gate {
    /// That of [`Lambda::Auto`], unless another is set.
    pub const AUTO: Self = Self {
        signal: Signal::Confidence,
        from: 0.3,
        to: 0.9,
        memory: 0.0,
    };

    /// λ where it is shut: ∞, which is softmax to the bit.
    pub(crate) fn most(&self) -> f64 {
        if *self == Self::AUTO {
            MOST
        } else {
            f64::INFINITY
        }
    }

    fn check(&self) -> Result<(), AnnealingError> {
        let Self {
            from, to, memory, ..
        } = *self;
        need("gate.from", from, "at least 0", from >= 0.0)?;
        need(
            "gate.to",
            to,
            "above gate.from and at most 1",
            to > from && to <= 1.0,
        )?;
        need(
            "gate.memory",
            memory,
            "at least 0 and below 1",
            (0.0..1.0).contains(&memory),
        )
    }
}

/// The mean of a [`Gate`]'s signal over the last steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunningSignal {
    mean: f64,
    steps: u64,
}

impl RunningSignal {
    /// The mean so far; 0 before the first batch.
    pub fn mean(&self) -> f64 {
        self.mean
    }

    /// Adds a batch to a mean over about so many steps; one whose signal is no number is left out.
    pub fn push(&mut self, signal: f64, over: f64) {
        if !signal.is_finite() {
            return;
        }
        self.steps += 1;
        let share = 1.0 / (self.steps as f64).min(over.max(1.0));
        self.mean += share * (signal - self.mean);
    }
}

/// λ of one step: the same for every batch, or one that waits until the classes are told apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLambda {
    lambda: f64,
    gate: Option<Gate>,
    running: RunningSignal,
}

/// λ behind the shut gate of [`Gate::AUTO`], whose figures are published: no margin, but for the last
/// bits of f32. It also stands for λ = ∞ where λ is shown.
const MOST: f64 = 1e6;

impl From<f64> for StepLambda {
    fn from(lambda: f64) -> Self {
        Self {
            lambda,
            gate: None,
            running: RunningSignal::default(),
        }
    }
}

impl StepLambda {
    /// The least λ that a batch can have at this step: that of one whose classes are told apart.
    pub fn least(&self) -> f64 {
        self.lambda
    }

    /// The same after batches with this signal, for a gate that has a memory.
    #[must_use]
    pub fn after(self, running: RunningSignal) -> Self {
        Self { running, ..self }
    }

    /// The gate that λ waits behind, if it looks at the batch: it has no memory, or an empty one.
    pub fn gate_of_batch(&self) -> Option<Gate> {
        let is_new = self.running.steps == 0;
        self.gate.filter(|gate| gate.memory == 0.0 || is_new)
    }

    /// λ of a batch of so many classes to whose samples the plain softmax gives these probabilities of
    /// their own classes.
    pub fn of_batch(&self, confidences: &[f64], classes: usize) -> f64 {
        let gate = self.gate_of_batch();
        self.of(
            gate.map_or(self.running.mean, |gate| gate.signal.of(confidences)),
            classes,
        )
    }

    /// λ of batches with this signal of the gate on average, which counts where the gate looks at the
    /// batch. It is to be shown: of a shut gate it is 1e6.
    pub fn of_steps(&self, signal: f64, classes: usize) -> f64 {
        let looks = self.gate_of_batch().is_some();
        let lambda = self.of(if looks { signal } else { self.running.mean }, classes);
        if lambda > MOST { MOST } else { lambda }
    }

    /// λ for this signal of the [gate](Gate), if there is one.
    ///
    /// While a batch is still guessed at, the quickest way to small target angles is for all
    /// features and all class weights to point the same way, and even a weak margin makes classes
    /// merge; softmax alone keeps them apart. A hard task with a short budget never comes out of
    /// that, and then stays with softmax. No gradient flows through the gate.
    pub fn of(&self, signal: f64, classes: usize) -> f64 {
        let Some(gate) = self.gate else {
            return self.lambda;
        };
        let [guess, certain] = gate.signal.range(classes);
        let above = if classes < 2 {
            1.0
        } else {
            (signal - guess) / (certain - guess)
        };
        let open = ((above - gate.from) / (gate.to - gate.from)).clamp(0.0, 1.0);
        let lambda = (self.lambda + (1.0 - open)) / open;
        let most = gate.most();
        if lambda > most { most } else { lambda }
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
    /// What λ waits for; none: for nothing, or with [`Lambda::Auto`] for [`Gate::AUTO`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,
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
            gate: None,
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

    /// Whether a loss has what this schedule changes. One without an angular multiplier has no λ and
    /// no m; [`auto`](Self::auto) and [`none`](Self::none) leave it as it is.
    pub fn suits(&self, loss: Loss) -> bool {
        let is_idle = matches!(self.lambda, Lambda::None | Lambda::Auto { .. });
        let is_idle = is_idle && self.gate.is_none() && self.stages.is_empty();
        loss.has_multiplier() || is_idle && self.floor.is_none()
    }

    /// Checks every number.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn check(&self) -> Result<(), AnnealingError> {
        self.lambda.check()?;
        self.gate.as_ref().map_or(Ok(()), Gate::check)?;
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

    /// The loss in force at a step (counted from 0) and its λ.
    pub fn at(&self, step: u64, loss: Loss) -> (Loss, StepLambda) {
        let stage = self.stages.iter().rev().find(|stage| stage.step <= step);
        let loss = stage.map_or(loss, |stage| loss.with_multiplier(stage.m));
        if !loss.is_annealed() {
            return (loss, 0.0.into());
        }
        let floor = self.floor.map_or(0.0, |floor| floor.at(step));
        let lambda = StepLambda {
            lambda: self.lambda.at(step, loss.multiplier()).max(floor),
            gate: self.gate(),
            running: RunningSignal::default(),
        };
        (loss, lambda)
    }

    /// The gate in force.
    pub fn gate(&self) -> Option<Gate> {
        let of_schedule = matches!(self.lambda, Lambda::Auto { .. }).then_some(Gate::AUTO);
        self.gate.or(of_schedule)
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
            gate: self.gate,
            stages,
            floor,
        }
    }
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

    fn check(&self) -> Result<(), AnnealingError> {
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

fn need(
    name: &'static str,
    found: f64,
    expected: &'static str,
    ok: bool,
) -> Result<(), AnnealingError> {
    if ok && !found.is_nan() {
        Ok(())
    } else {
        Err(AnnealingError::Parameter {
            name,
            expected,
            found,
        })
    }
}

/// Where the pull angle of [`auto_lambda`] ends in a training of [`REFERENCE_STEPS`].
const END_DEGREES: f64 = 30.0;
/// The length of training that [`END_DEGREES`] was measured at.
const REFERENCE_STEPS: f64 = 600.0;
/// The share of the training after which the pull angle stays where it is.
const ARRIVAL: f64 = 0.8;

/// λ of the default schedule after `step` of `iterations` steps, for the multiplier m and batches
/// whose classes are told apart; [`StepLambda::of`] has the others.
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
