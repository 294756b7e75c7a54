//! Thresholds from order statistics, shared by identification and verification.

use rayon::slice::ParallelSliceMut;

use crate::{Error, Result};

/// Whether a threshold accepts a score. The only definition; a NaN threshold accepts nothing.
pub(crate) fn accepts(score: f32, threshold: f32) -> bool {
    score >= threshold
}

/// Number of these scores, in ascending order, that `threshold` accepts.
pub(crate) fn accepted(rising: &[f32], threshold: f32) -> usize {
    rising.len() - rising.partition_point(|&score| !accepts(score, threshold))
}

/// Sorts scores in ascending order; -0 becomes 0, so that equal scores have equal bits.
pub(crate) fn rising(mut scores: Vec<f32>) -> Vec<f32> {
    for score in &mut scores {
        *score += 0.0;
    }
    scores.par_sort_unstable_by(f32::total_cmp);
    scores
}

/// Checks that a rate is a share; `what` is its name in the error.
pub(crate) fn check_rate(what: &'static str, rate: f64) -> Result<()> {
    if (0.0..=1.0).contains(&rate) {
        Ok(())
    } else {
        Err(Error::Rate { what, found: rate })
    }
}

/// The largest number whose share of `count` does not exceed `rate`.
fn most_within(rate: f64, count: usize) -> usize {
    let fits = |number: usize| number as f64 / count as f64 <= rate;
    // The product may be rounded to the wrong side of an integer.
    let near = (rate * count as f64) as usize;
    let most = (near.saturating_sub(1)..=near + 1).rfind(|&number| fits(number));
    most.unwrap_or(0).min(count)
}

/// The smallest threshold that accepts at most the share `rate` of the impostors.
///
/// The impostors' scores are in ascending order. `None` if `rate` is below the share of one
/// impostor, because that many cannot measure so small a rate.
pub(crate) fn strict_threshold(impostors: &[f32], rate: f64) -> Option<f32> {
    match most_within(rate, impostors.len()) {
        0 => None,
        allowed if allowed == impostors.len() => Some(f32::MIN),
        allowed => Some(impostors[impostors.len() - 1 - allowed].next_up()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_that_are_not_binary_fractions_are_exact() {
        for count in [3_usize, 10, 49, 3000, 6007] {
            for number in 0..=count {
                let rate = number as f64 / count as f64;
                assert_eq!(most_within(rate, count), number);
                if number > 0 {
                    assert_eq!(most_within(rate.next_down(), count), number - 1);
                }
            }
        }
        assert_eq!(most_within(1e-3, 3000), 3);
        assert_eq!(most_within(1e-3, 999), 0);
    }

    #[test]
    fn a_tie_at_the_threshold_is_rejected_together() {
        let impostors = [0.1, 0.2, 0.3, 0.3];
        assert_eq!(strict_threshold(&impostors, 0.2), None);
        // One of the two at 0.3 would be allowed, but no threshold separates them.
        let threshold = strict_threshold(&impostors, 0.25).unwrap();
        assert_eq!(
            (threshold, accepted(&impostors, threshold)),
            (0.3_f32.next_up(), 0)
        );
        let threshold = strict_threshold(&impostors, 0.5).unwrap();
        assert_eq!(
            (threshold, accepted(&impostors, threshold)),
            (0.2_f32.next_up(), 2)
        );
        assert_eq!(strict_threshold(&impostors, 1.0), Some(f32::MIN));
    }

    #[test]
    fn a_nan_threshold_accepts_nothing() {
        assert_eq!(accepted(&[0.1, 0.2], f32::NAN), 0);
        assert_eq!(accepted(&[0.1, 0.2], f32::NEG_INFINITY), 2);
    }

    #[test]
    fn zeros_of_both_signs_are_one_score() {
        let scores = rising(vec![0.0, -0.0, -1.0]);
        assert!(scores[1].to_bits() == scores[2].to_bits() && scores[0] == -1.0);
    }

    #[test]
    fn a_rate_is_a_share() {
        assert!(check_rate("FAR", 0.0).is_ok() && check_rate("FAR", 1.0).is_ok());
        for rate in [f64::NAN, -1e-9, 1.1] {
            assert!(check_rate("FAR", rate).is_err());
        }
        let error = check_rate("FAR", 2.0).unwrap_err();
        assert_eq!(error.to_string(), "FAR of 2: a rate must be from 0 to 1");
    }
}
