//! Sums of exponentials and the plain softmax.

use super::Pair;

/// The sum of exponentials of a sample's logits: `exp(max) * sum`.
#[derive(Clone, Copy, Debug)]
pub struct SumExp {
    /// The largest logit, exactly.
    pub max: f64,
    /// `sum_j exp(f_j - max)`, at least 1.
    pub sum: f64,
}

impl SumExp {
    pub(super) const EMPTY: Self = Self {
        max: f64::NEG_INFINITY,
        sum: 0.0,
    };

    /// This sum with one more logit.
    #[must_use]
    pub fn with(mut self, logit: f64) -> Self {
        self.add(Self {
            max: logit,
            sum: 1.0,
        });
        self
    }

    /// The sum over the logits of both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.add(other);
        self
    }

    pub(super) fn add(&mut self, other: Self) {
        let max = self.max.max(other.max);
        let rescaled = |part: Self| {
            if part.max == max {
                part.sum
            } else {
                part.sum * (part.max - max).exp()
            }
        };
        *self = Self {
            max,
            sum: rescaled(*self) + rescaled(other),
        };
    }

    /// The log-softmax of one logit of the row.
    pub fn log_softmax(&self, logit: f64) -> f64 {
        logit - self.max - self.sum.ln()
    }
}

/// The probability that plain softmax, without margin, assigns to each sample's own class.
///
/// `others` holds the sums over the classes other than the sample's own.
pub fn confidences(others: &[SumExp], pairs: &[Pair]) -> Vec<f64> {
    (others.iter().zip(pairs))
        .map(|(others, pair)| others.with(pair.plain).log_softmax(pair.plain).exp())
        .collect()
}
