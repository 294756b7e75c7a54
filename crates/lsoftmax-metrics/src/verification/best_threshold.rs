use serde::{Deserialize, Serialize};

use super::roc::Corner;
use super::{Roc, share};

/// The threshold with the largest accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BestThreshold {
    /// Pairs with at least this score are accepted.
    pub threshold: f32,
    /// Share of all pairs classified correctly, 0 to 1.
    pub accuracy: f64,
}

impl Roc {
    /// The threshold that classifies the most pairs correctly.
    ///
    /// All thresholds between two neighbouring scores give the same accuracy. Among the best gaps,
    /// the result is the middle of the widest, which leaves the largest margin for unseen scores on
    /// both sides. Ties go to the gap with the larger scores. If accepting everything or nothing is
    /// best, the threshold is the smallest score, or just above the largest.
    ///
    /// The published code of SphereFace instead averages all best thresholds of a grid. The average
    /// can fall between two gaps, on a threshold that is not the best.
    pub fn best_threshold(&self) -> BestThreshold {
        let right =
            |corner: &Corner| corner.true_accepts + self.different.len() - corner.false_accepts;
        let mut best = Candidate {
            right: self.different.len(),
            width: 0.0,
            threshold: self.above_all(),
        };
        let mut corners = self.corners().peekable();
        while let Some(corner) = corners.next() {
            let upper = corner.threshold;
            let lower = corners.peek().map_or(upper, |next| next.threshold);
            let candidate = Candidate {
                right: right(&corner),
                width: f64::from(upper) - f64::from(lower),
                threshold: middle(lower, upper),
            };
            if candidate.beats(&best) {
                best = candidate;
            }
        }
        BestThreshold {
            threshold: best.threshold,
            accuracy: share(best.right, self.pairs()),
        }
    }
}

/// A threshold with the criteria to compare it.
struct Candidate {
    /// Pairs classified correctly.
    right: usize,
    /// Width of the gap between scores.
    width: f64,
    threshold: f32,
}

impl Candidate {
    fn beats(&self, other: &Self) -> bool {
        (self.right, self.width) > (other.right, other.width)
    }
}

/// The middle of two scores, above `lower` and not above `upper`, so that it separates them.
fn middle(lower: f32, upper: f32) -> f32 {
    let middle = (f64::from(lower) / 2.0 + f64::from(upper) / 2.0) as f32;
    if middle > lower { middle } else { upper }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_separates_two_scores() {
        assert_eq!(middle(0.25, 0.75), 0.5);
        assert_eq!(middle(1.0, 1.0_f32.next_up()), 1.0_f32.next_up());
        assert_eq!(middle(f32::MIN, f32::MAX), 0.0);
    }

    #[test]
    fn the_widest_of_the_best_gaps() {
        // From 0.9 down: same, different, same, different. Three gaps classify three of four
        // correctly.
        let scores = [0.9, 0.8, 0.4, 0.1];
        let roc = Roc::new(&scores, &[true, false, true, false]).unwrap();
        let best = roc.best_threshold();
        assert_eq!((best.threshold, best.accuracy), (0.25, 0.75));
        // With a different pair at 0.5, the upper gap is wider.
        let roc = Roc::new(&[0.9, 0.5, 0.4, 0.1], &[true, false, true, false]).unwrap();
        assert_eq!(roc.best_threshold().threshold, 0.7);
    }

    #[test]
    fn all_or_nothing() {
        let roc = Roc::new(&[0.1, 0.5, 0.7], &[true, false, false]).unwrap();
        let best = roc.best_threshold();
        assert_eq!(best.threshold, 0.7_f32.next_up());
        assert_eq!(best.accuracy, roc.accuracy_at(best.threshold));
        let roc = Roc::new(&[0.1, 0.2, 0.7], &[true, true, false]).unwrap();
        assert_eq!(roc.best_threshold().threshold, 0.1);
    }
}
