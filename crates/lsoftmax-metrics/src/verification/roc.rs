use serde::{Deserialize, Serialize};

use super::{accepted, check_rate, rising, strict_threshold};
use crate::{Error, Histogram, Result};

/// The receiver operating characteristic of scored pairs, exact: every score is a threshold.
///
/// Equal scores are one point of the curve, regardless of the order of the pairs. Construction
/// sorts the scores, `O(n log n)`, and keeps only the sorted scores, 4 bytes per pair. Most methods
/// are then binary searches.
#[derive(Debug, Clone, PartialEq)]
pub struct Roc {
    /// Scores of the same pairs, in ascending order.
    pub(super) same: Vec<f32>,
    /// Scores of the different pairs, in ascending order.
    pub(super) different: Vec<f32>,
}

/// A threshold and its rates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// Pairs with at least this score are accepted.
    pub threshold: f32,
    /// Share of the different pairs that are accepted.
    pub far: f64,
    /// Share of the same pairs that are accepted.
    pub tar: f64,
}

/// TAR at a requested FAR.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TarAtFar {
    /// The requested FAR.
    pub asked: f64,
    /// The smallest threshold whose FAR does not exceed the requested one, with its rates. `None`
    /// if the FAR is not measurable, that is, with fewer than `1 / asked` different pairs.
    pub measured: Option<OperatingPoint>,
}

/// The point at which FAR and FRR are equal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EqualErrorRate {
    /// FAR and FRR, as a share.
    pub rate: f64,
    /// The threshold, between two scores if the rate is.
    pub threshold: f32,
}

/// A corner of the curve: all pairs with at least this score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Corner {
    pub(super) threshold: f32,
    pub(super) false_accepts: usize,
    pub(super) true_accepts: usize,
}

impl Roc {
    /// Sorts the scores of pairs. A larger score means more similar: a cosine, or a negated
    /// distance.
    ///
    /// # Shapes
    /// - scores: `[pair]`, finite and between `f32::MIN` and `f32::MAX`, both excluded
    /// - same: `[pair]`, whether both sides have the same identity
    ///
    /// # Errors
    /// The lengths differ, a score is NaN, infinite or `f32::MAX` (the error names the row), or
    /// there are no same or no different pairs.
    pub fn new(scores: &[f32], same: &[bool]) -> Result<Self> {
        check_pairs(scores, same)?;
        let pairs = scores.iter().copied().zip(same.iter().copied());
        Self::of_checked(pairs, || "the set".to_owned())
    }

    /// The same for scores checked by [`check_pairs`]; `what` is their name in the error.
    pub(super) fn of_checked(
        pairs: impl Iterator<Item = (f32, bool)>,
        what: impl FnOnce() -> String,
    ) -> Result<Self> {
        let (mut same, mut different) = (Vec::new(), Vec::new());
        for (score, is_same) in pairs {
            if is_same { &mut same } else { &mut different }.push(score);
        }
        if same.is_empty() || different.is_empty() {
            return Err(Error::PairKinds {
                what: what(),
                same: same.len(),
                different: different.len(),
            });
        }
        Ok(Self {
            same: rising(same),
            different: rising(different),
        })
    }

    /// Number of same pairs.
    pub fn same_pairs(&self) -> usize {
        self.same.len()
    }

    /// Number of different pairs.
    pub fn different_pairs(&self) -> usize {
        self.different.len()
    }

    /// The smallest measurable FAR: one different pair.
    pub fn smallest_far(&self) -> f64 {
        share(1, self.different.len())
    }

    /// Share of the different pairs with a score of at least `threshold`.
    pub fn far_at(&self, threshold: f32) -> f64 {
        share(accepted(&self.different, threshold), self.different.len())
    }

    /// Share of the same pairs with a score of at least `threshold`.
    pub fn tar_at(&self, threshold: f32) -> f64 {
        share(accepted(&self.same, threshold), self.same.len())
    }

    /// Share of all pairs that `threshold` classifies correctly, 0 to 1.
    pub fn accuracy_at(&self, threshold: f32) -> f64 {
        let true_accepts = accepted(&self.same, threshold);
        let true_rejects = self.different.len() - accepted(&self.different, threshold);
        share(true_accepts + true_rejects, self.pairs())
    }

    /// TAR at the smallest threshold whose FAR does not exceed `far`.
    ///
    /// With `n` different pairs this threshold is just above their score of rank
    /// `floor(far n) + 1`, without interpolation. A `far` below `1 / n` cannot be measured, and the
    /// result says so instead of giving a number: a FAR of 1e-6 needs a million different pairs.
    ///
    /// # Errors
    /// [`Error::Rate`] if `far` is not from 0 to 1.
    pub fn tar_at_far(&self, far: f64) -> Result<TarAtFar> {
        check_rate("a FAR", far)?;
        let measured = strict_threshold(&self.different, far);
        Ok(TarAtFar {
            asked: far,
            measured: measured.map(|threshold| self.at(threshold)),
        })
    }

    /// Area under the curve: the probability that a same pair scores higher than a different one,
    /// with ties counted half. Counted in integers, so exact up to one rounding.
    pub fn auc(&self) -> f64 {
        // In halves, because ties count half.
        let mut halves = 0_u128;
        let (mut false_accepts, mut true_accepts) = (0, 0);
        for corner in self.corners() {
            let different = corner.false_accepts - false_accepts;
            halves += different as u128 * (true_accepts + corner.true_accepts) as u128;
            (false_accepts, true_accepts) = (corner.false_accepts, corner.true_accepts);
        }
        halves as f64 / (2.0 * self.same.len() as f64 * self.different.len() as f64)
    }

    /// The equal error rate: FAR = FRR, interpolated linearly between the points of the curve.
    pub fn eer(&self) -> EqualErrorRate {
        let mut before = self.at(self.above_all());
        for corner in self.corners() {
            let point = self.rates(corner);
            // Rises from -1 to 1 along the curve, so that it is 0 at one point only.
            let lack = |point: &OperatingPoint| point.far - (1.0 - point.tar);
            if lack(&point) >= 0.0 {
                let part = lack(&before) / (lack(&before) - lack(&point));
                let between = |a: f64, b: f64| a + part * (b - a);
                return EqualErrorRate {
                    rate: between(before.far, point.far),
                    threshold: between(before.threshold.into(), point.threshold.into()) as f32,
                };
            }
            before = point;
        }
        // The last corner accepts everything, so the loop has returned by then.
        EqualErrorRate {
            rate: 1.0,
            threshold: before.threshold,
        }
    }

    /// Histograms of the scores of the same and of the different pairs, in this order: `bins` bins
    /// of equal width from `low` to `high`. Scores outside are counted separately.
    ///
    /// # Errors
    /// [`Error::HistogramEdges`] if `bins` is 0 or `low` is not below `high`.
    pub fn histograms(&self, low: f64, high: f64, bins: usize) -> Result<(Histogram, Histogram)> {
        let mut same = Histogram::uniform(low, high, bins)?;
        let mut different = same.clone();
        self.same.iter().for_each(|&score| same.push(score.into()));
        self.different
            .iter()
            .for_each(|&score| different.push(score.into()));
        Ok((same, different))
    }

    pub(super) fn pairs(&self) -> usize {
        self.same.len() + self.different.len()
    }

    /// The smallest threshold that accepts no pair.
    pub(super) fn above_all(&self) -> f32 {
        let largest = |scores: &[f32]| scores.last().copied().unwrap_or(f32::MIN);
        largest(&self.same).max(largest(&self.different)).next_up()
    }

    pub(super) fn at(&self, threshold: f32) -> OperatingPoint {
        OperatingPoint {
            threshold,
            far: self.far_at(threshold),
            tar: self.tar_at(threshold),
        }
    }

    pub(super) fn rates(&self, corner: Corner) -> OperatingPoint {
        OperatingPoint {
            threshold: corner.threshold,
            far: share(corner.false_accepts, self.different.len()),
            tar: share(corner.true_accepts, self.same.len()),
        }
    }

    /// The corners of the curve, one per distinct score, in descending order.
    pub(super) fn corners(&self) -> impl Iterator<Item = Corner> {
        let (mut same, mut different) = (self.same.as_slice(), self.different.as_slice());
        std::iter::from_fn(move || {
            let threshold = match (same.last(), different.last()) {
                (Some(&a), Some(&b)) => a.max(b),
                (Some(&a), None) | (None, Some(&a)) => a,
                (None, None) => return None,
            };
            drop_last(&mut same, threshold);
            drop_last(&mut different, threshold);
            Some(Corner {
                threshold,
                false_accepts: self.different.len() - different.len(),
                true_accepts: self.same.len() - same.len(),
            })
        })
    }
}

fn drop_last(scores: &mut &[f32], score: f32) {
    while let Some((&last, rest)) = scores.split_last() {
        if last != score {
            break;
        }
        *scores = rest;
    }
}

/// `part / whole`, or 0 if `whole` is 0.
pub(crate) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

/// Checks that there is one kind per score and that the scores can be sorted.
pub(super) fn check_pairs(scores: &[f32], same: &[bool]) -> Result<()> {
    if same.len() != scores.len() {
        return Err(Error::RowCount {
            what: "same",
            expected: scores.len(),
            found: same.len(),
        });
    }
    // The largest number is excluded so that a threshold above all scores exists.
    match scores
        .iter()
        .position(|score| score.is_nan() || score.abs() >= f32::MAX)
    {
        Some(row) => Err(Error::Score {
            row,
            score: scores[row],
        }),
        None => Ok(()),
    }
}
