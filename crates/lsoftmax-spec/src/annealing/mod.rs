//! Annealing as data: λ and the staged m as pure functions of the global step and the batch.

mod gate;
mod lambda;
mod step;

pub use gate::{Gate, RunningSignal, Signal};
pub use lambda::{Lambda, LambdaParameters, PAPER_ITERATIONS, auto_lambda};
pub use step::StepLambda;

use crate::margin::{Loss, MarginError, Psi};
use crate::names::UnknownName;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The largest exponent of the share of the margin by the size of a class.
const MAX_CLASS_BALANCE: f64 = 4.0;
/// The smallest share of the margin of a class.
const MIN_SHARE: f64 = 1e-9;

/// From `step` on, train with multiplier `m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MarginStage {
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
    pub stages: Vec<MarginStage>,
    /// Keeps λ up for a while.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Floor>,
    /// Exponent of the [share of the margin](Self::class_shares) by the size of a class, at least 0;
    /// none: 0, or with [`Lambda::Auto`] 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class_balance: Option<f64>,
}

/// A schedule that does not exist, or one with a number outside its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
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
    /// An unknown name.
    #[error(transparent)]
    Name(#[from] UnknownName),
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
            class_balance: None,
        }
    }
}

impl fmt::Display for Annealing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            lambda,
            gate,
            stages,
            floor,
            class_balance,
        } = self;
        write!(f, "{lambda:?}")?;
        if let Some(gate) = gate {
            write!(f, ", {gate:?}")?;
        }
        for stage in stages {
            write!(f, ", m = {} from step {}", stage.m, stage.step)?;
        }
        if let Some(floor) = floor {
            write!(f, ", {floor:?}")?;
        }
        if let Some(balance) = class_balance {
            write!(f, ", class balance {balance}")?;
        }
        Ok(())
    }
}

impl Annealing {
    /// The default for a training of this many steps: λ by [`auto_lambda`], behind [`Gate::AUTO`].
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
        let is_idle = is_idle && self.class_balance.is_none();
        loss.has_multiplier() || is_idle && self.floor.is_none()
    }

    /// Checks every number.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn check(&self) -> Result<(), AnnealingError> {
        self.lambda.check()?;
        self.gate.as_ref().map_or(Ok(()), Gate::check)?;
        let balance = self.class_balance.unwrap_or(0.0);
        let is_balance = (0.0..=MAX_CLASS_BALANCE).contains(&balance);
        need("class-balance", balance, "from 0 to 4", is_balance)?;
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
        let lambda = self.lambda.at(step, loss.multiplier()).max(floor);
        let lambda = StepLambda::new(lambda, self.gate());
        (loss, lambda)
    }

    /// The gate in force.
    pub fn gate(&self) -> Option<Gate> {
        let of_schedule = matches!(self.lambda, Lambda::Auto { .. }).then_some(Gate::AUTO);
        self.gate.or(of_schedule)
    }

    /// The share of the margin that each class gets, given its number of training samples, above 0
    /// and at most 1. `None` if all get all of it.
    ///
    /// ```text
    /// share = (n_min / n)^balance
    /// 1 / (1 + λ_class) = share / (1 + λ)
    /// ```
    ///
    /// A margin on a frequent class moves its boundary into the rare ones, whose few samples the
    /// network has learned by heart. So rare classes get a larger margin than frequent ones, as in
    /// LDAM (Cao et al. 2019). A class without samples does not count.
    pub fn class_shares(&self, counts: &[usize]) -> Option<Vec<f64>> {
        let of_schedule = f64::from(u8::from(matches!(self.lambda, Lambda::Auto { .. })));
        let balance = self.class_balance.unwrap_or(of_schedule);
        let smallest = counts.iter().copied().filter(|&count| count > 0).min()? as f64;
        let shares: Vec<f64> = (counts.iter())
            .map(|&count| smallest / (count as f64).max(smallest))
            .map(|ratio| ratio.powf(balance).max(MIN_SHARE))
            .collect();
        shares.iter().any(|&share| share < 1.0).then_some(shares)
    }

    /// The schedule stretched from a training of `from` steps to one of `to` steps.
    #[must_use]
    pub fn stretched(&self, from: u64, to: u64) -> Self {
        let ratio = to as f64 / from.max(1) as f64;
        let lambda = self.lambda.stretched(ratio, to);
        let mut stages: Vec<MarginStage> = Vec::with_capacity(self.stages.len());
        for stage in &self.stages {
            let step = (stage.step as f64 * ratio).round() as u64;
            // Of stages that fall on one step, the last is in force.
            stages.pop_if(|before| before.step == step);
            stages.push(MarginStage { step, m: stage.m });
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
            class_balance: self.class_balance,
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
