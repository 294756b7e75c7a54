use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicBool;

use super::roc::check_pairs;
use super::{PairRows, Roc, accepts, scores_of, share};
use crate::vector::add_scaled;
use crate::{Error, Matrix, Result, stop};

/// Verification accuracy by cross-validation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KFold {
    /// Mean over the folds.
    pub accuracy_percent: f64,
    /// Standard error of the mean: the standard deviation over the folds (divided by their number
    /// minus one) over the square root of their number.
    pub standard_error_percent: f64,
    /// The folds, in ascending order of their numbers.
    pub folds: Vec<Fold>,
}

/// One held-out fold of a [`KFold`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fold {
    /// Number of the fold.
    pub fold: usize,
    /// Number of pairs.
    pub pairs: usize,
    /// The threshold, chosen on all other folds.
    pub threshold: f32,
    /// Share of the fold's pairs that the threshold classifies correctly.
    pub accuracy_percent: f64,
}

/// Verification accuracy by the protocol of LFW, view 2 (Huang et al. 2007): each fold is evaluated
/// with the threshold that is best on all other folds ([`Roc::best_threshold`]).
///
/// Folds may have arbitrary numbers and sizes. The cost is one sort of the pairs per fold.
///
/// # Shapes
/// - scores, same, folds: `[pair]`; `folds` holds the fold of each pair
///
/// # Errors
/// As [`Roc::new`]; or there are fewer than two folds, or all pairs outside a fold are of one kind.
pub fn k_fold(scores: &[f32], same: &[bool], folds: &[usize]) -> Result<KFold> {
    k_fold_until(scores, same, folds, &stop::NEVER)
}

/// [`k_fold`] that ends soon after `stop` is set: between two folds.
///
/// # Errors
/// As [`k_fold`], and [`Error::Stopped`].
pub fn k_fold_until(
    scores: &[f32],
    same: &[bool],
    folds: &[usize],
    stop: &AtomicBool,
) -> Result<KFold> {
    check_pairs(scores, same)?;
    over_folds(folds, same, |fold| {
        stop::check(stop)?;
        judge(scores, same, folds, fold)
    })
}

/// [`k_fold`] from the embeddings of both sides, scored by cosine.
///
/// With `centred`, the mean of the embeddings of all pairs outside the fold is first subtracted
/// from every embedding, as in the published evaluation of SphereFace. The fold itself does not
/// contribute. A repeated image counts as often as it occurs.
///
/// # Shapes
/// - left, right: `[pair, feature]`
/// - same, folds: `[pair]`
///
/// # Errors
/// As [`k_fold`] and [`cosine_scores`](super::cosine_scores).
pub fn k_fold_embeddings(
    left: Matrix<'_>,
    right: Matrix<'_>,
    same: &[bool],
    folds: &[usize],
    centred: bool,
) -> Result<KFold> {
    k_fold_embeddings_until(left, right, same, folds, centred, &stop::NEVER)
}

/// [`k_fold_embeddings`] that ends soon after `stop` is set: between two folds.
///
/// # Errors
/// As [`k_fold_embeddings`], and [`Error::Stopped`].
pub fn k_fold_embeddings_until(
    left: Matrix<'_>,
    right: Matrix<'_>,
    same: &[bool],
    folds: &[usize],
    centred: bool,
    stop: &AtomicBool,
) -> Result<KFold> {
    let rows = PairRows::side_by_side(left, right)?;
    k_fold_rows(&rows, same, folds, centred, stop)
}

pub(crate) fn k_fold_rows(
    rows: &PairRows<'_>,
    same: &[bool],
    folds: &[usize],
    centred: bool,
    stop: &AtomicBool,
) -> Result<KFold> {
    if same.len() != rows.len() {
        return Err(Error::RowCount {
            what: "same",
            expected: rows.len(),
            found: same.len(),
        });
    }
    if !centred {
        return k_fold_until(&scores_of(rows, None), same, folds, stop);
    }
    over_folds(folds, same, |fold| {
        stop::check(stop)?;
        let centre = mean_outside(rows, folds, fold);
        let scores = scores_of(rows, Some(&centre));
        judge(&scores, same, folds, fold)
    })
}

/// The mean of both sides of all pairs outside a fold.
fn mean_outside(rows: &PairRows<'_>, folds: &[usize], fold: usize) -> Vec<f64> {
    let mut mean = vec![0.0; rows.columns()];
    let mut count = 0_usize;
    for pair in (0..rows.len()).filter(|&pair| folds[pair] != fold) {
        for side in rows.sides(pair) {
            add_scaled(&mut mean, side, 1.0);
            count += 1;
        }
    }
    for sum in &mut mean {
        *sum /= count.max(1) as f64;
    }
    mean
}

fn over_folds(
    folds: &[usize],
    same: &[bool],
    judge: impl FnMut(usize) -> Result<Fold>,
) -> Result<KFold> {
    if folds.len() != same.len() {
        return Err(Error::RowCount {
            what: "folds",
            expected: same.len(),
            found: folds.len(),
        });
    }
    let numbers: BTreeSet<usize> = folds.iter().copied().collect();
    if numbers.len() < 2 {
        return Err(Error::Folds {
            folds: numbers.len(),
            expected: "at least 2 folds with pairs".to_owned(),
            found: numbers.len(),
        });
    }
    let folds: Vec<Fold> = numbers.into_iter().map(judge).collect::<Result<_>>()?;
    let count = folds.len() as f64;
    let mean = folds.iter().map(|fold| fold.accuracy_percent).sum::<f64>() / count;
    let squares: f64 = folds
        .iter()
        .map(|fold| (fold.accuracy_percent - mean).powi(2))
        .sum();
    Ok(KFold {
        accuracy_percent: mean,
        standard_error_percent: (squares / (count - 1.0) / count).sqrt(),
        folds,
    })
}

/// Chooses a threshold outside `fold` and evaluates the pairs inside.
fn judge(scores: &[f32], same: &[bool], folds: &[usize], fold: usize) -> Result<Fold> {
    let pairs = || scores.iter().zip(same).zip(folds);
    let outside = pairs().filter(|&(_, &number)| number != fold);
    let outside = Roc::of_checked(outside.map(|((&score, &same), _)| (score, same)), || {
        format!("all folds but fold {fold}")
    })?;
    let threshold = outside.best_threshold().threshold;

    let (mut right, mut count) = (0, 0);
    for ((&score, &same), _) in pairs().filter(|&(_, &number)| number == fold) {
        right += usize::from(accepts(score, threshold) == same);
        count += 1;
    }
    Ok(Fold {
        fold,
        pairs: count,
        threshold,
        accuracy_percent: 100.0 * share(right, count),
    })
}
