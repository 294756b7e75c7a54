//! The gate: how much of the margin a batch gets.

use super::{AnnealingError, need};
use serde::{Deserialize, Serialize};

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
    pub const LEAST: f64 = 1e-10;

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
    pub fn range(self, classes: usize) -> [f64; 2] {
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
    pub(super) fn most(&self) -> f64 {
        if *self == Self::AUTO {
            super::step::MOST
        } else {
            f64::INFINITY
        }
    }

    pub(super) fn check(&self) -> Result<(), AnnealingError> {
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

    pub(super) fn is_empty(&self) -> bool {
        self.steps == 0
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

