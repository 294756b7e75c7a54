//! The gate: the share of the margin that the state of the training allows.

use super::{AnnealingError, need};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Multiplies the share of the margin, `1 / (1 + λ)`, by a factor from 0 to 1 that depends on how well
/// the **plain** softmax, without any margin, separates the classes.
///
/// ```text
/// c                                       the signal, from guessing (about 0) to certainty (1)
/// g = min(1, max(0, (c - from) / (to - from)))
/// 1 / (1 + λ) = g / (1 + λ(t))
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// The signal that opens the gate.
    pub signal: Signal,
    /// c at which the margin begins, at least 0.
    pub from: f64,
    /// c at which the margin is complete: above `from`, at most 1.
    pub to: f64,
    /// The share of the training over which the signal is averaged, below 1. With 0, and wherever
    /// nobody keeps a [`RunningSignal`], each batch counts for itself.
    #[serde(default)]
    pub memory: f64,
}

/// The signal of a [`Gate`]: a mean of a function of p, the probability that the plain softmax assigns
/// to a sample's own class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signal {
    /// The mean of p over the samples. Longer features raise it, and so does a margin.
    Confidence,
    /// The mean of ln p over the classes, each of which is the mean over its samples. For ten classes
    /// its way from guessing to certainty is the share of the labels' information that is learned,
    /// `1 + mean(ln p) / ln C`. With more classes there is more to learn, and the same share of it comes
    /// earlier:
    ///
    /// ```text
    /// c = 1 + mean(ln p) / (ln C sqrt(ln C / ln 10))
    /// ```
    ///
    /// A rare class counts as much as a frequent one, and a confident wrong answer counts more than a
    /// doubtful one.
    Information,
}

impl Signal {
    /// Smaller probabilities count as this, so that their logarithm is finite.
    pub const MIN_PROBABILITY: f64 = 1e-10;

    /// The function of p for one sample.
    pub fn of_sample(self, p: f64) -> f64 {
        match self {
            Self::Confidence => p,
            Self::Information if p < Self::MIN_PROBABILITY => Self::MIN_PROBABILITY.ln(),
            Self::Information => p.ln(),
        }
    }

    /// The weights of the samples of a batch in its signal; their sum is 1.
    ///
    /// # Shapes
    /// - labels, output: `[batch]`
    pub fn weights(self, labels: &[u32]) -> Vec<f64> {
        match self {
            Self::Confidence => vec![1.0 / labels.len() as f64; labels.len()],
            Self::Information => {
                let mut counts = BTreeMap::<u32, f64>::new();
                for &label in labels {
                    *counts.entry(label).or_default() += 1.0;
                }
                let classes = counts.len() as f64;
                let weight = |label| 1.0 / (classes * counts[label]);
                labels.iter().map(weight).collect()
            }
        }
    }

    /// The signal of one batch.
    ///
    /// # Shapes
    /// - probabilities, labels: `[batch]`
    pub fn of_batch(self, probabilities: &[f64], labels: &[u32]) -> f64 {
        let weights = self.weights(labels);
        let terms = probabilities.iter().zip(weights);
        terms.map(|(&p, weight)| weight * self.of_sample(p)).sum()
    }

    /// The signals at c = 0 and c = 1.
    pub fn range(self, classes: usize) -> [f64; 2] {
        match self {
            Self::Confidence => [1.0 / classes as f64, 1.0],
            Self::Information => {
                let guessing = (classes as f64).ln();
                [-guessing * (guessing / std::f64::consts::LN_10).sqrt(), 0.0]
            }
        }
    }
}

impl Gate {
    /// The gate of [`Lambda::Auto`](super::Lambda::Auto), unless another is set.
    pub const AUTO: Self = Self {
        signal: Signal::Information,
        from: 0.9,
        to: 1.0,
        memory: 0.025,
    };

    /// Whether the signal of the batch counts, and not its mean over the steps before: there is no
    /// memory, or nothing in it.
    pub fn looks_at_batch(&self, running: &RunningSignal) -> bool {
        self.memory == 0.0 || running.steps == 0
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
// Checkpoints of earlier versions have other fields, which are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunningSignal {
    sum: f64,
    weight: f64,
    steps: u64,
}

impl RunningSignal {
    /// The mean so far; 0 before the first batch.
    pub fn mean(&self) -> f64 {
        if self.weight > 0.0 {
            self.sum / self.weight
        } else {
            0.0
        }
    }

    /// Adds a batch to a mean over about `steps` steps. A batch with a signal that is not finite is
    /// left out.
    ///
    /// The samples of a class share one weight in [`Signal::Information`], whatever their number in
    /// the training set. A rare class is therefore not forgotten between the batches that contain it.
    ///
    /// # Shapes
    /// - probabilities, labels: `[batch]`
    /// - `class_counts`: `[class]`, the training samples of each class
    pub fn push(
        &mut self,
        signal: Signal,
        probabilities: &[f64],
        labels: &[u32],
        class_counts: &[usize],
        steps: f64,
    ) {
        let (mut sum, mut weight) = (0.0, 0.0);
        for (&p, &label) in probabilities.iter().zip(labels) {
            let share = match signal {
                Signal::Confidence => 1.0,
                Signal::Information => {
                    let count = class_counts.get(label as usize).copied().unwrap_or(1);
                    1.0 / count.max(1) as f64
                }
            };
            sum += share * signal.of_sample(p);
            weight += share;
        }
        if !sum.is_finite() || weight == 0.0 {
            return;
        }
        self.steps += 1;
        let share = 1.0 / (self.steps as f64).min(steps.max(1.0));
        self.sum += share * (sum - self.sum);
        self.weight += share * (weight - self.weight);
    }
}
