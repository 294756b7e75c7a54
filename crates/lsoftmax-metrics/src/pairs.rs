//! Verification pairs from labels.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::verification::{KFold, PairRows, k_fold_rows, scores_of};
use crate::{Error, Matrix, Result, stop};
use lsoftmax_spec::random::Rng;

/// Streams of random numbers, so that no two draws share keys.
const CLASS_ORDER: u64 = 0;
const SAME: u64 = 1;
const DIFFERENT: u64 = 2;
const SHARES: u64 = 3;

/// Verification pairs, in folds that share no class.
///
/// Ordered by fold, with the same pairs first. The left row of a pair is the smaller one, and pairs
/// of one kind have a fixed order. No pair occurs twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerificationPairs {
    /// Row of the left side of each pair.
    pub left: Vec<u32>,
    /// Row of the right side.
    pub right: Vec<u32>,
    /// Whether both rows have the same label.
    pub same: Vec<bool>,
    /// The fold of each pair, from 0.
    pub folds: Vec<usize>,
}

/// The rows of one class, in ascending order.
type Class = Vec<u32>;

impl VerificationPairs {
    /// Samples pairs of rows from their labels, which may be arbitrary numbers.
    ///
    /// Classes are assigned to folds in random order, those with two or more rows first, so that
    /// every fold gets its share of same pairs. Each fold then contains
    ///
    /// - all same pairs, or `most_same_per_fold` of them if there are more: equally many from each
    ///   class, as far as available;
    /// - all pairs of rows of different classes, or `most_different_per_fold` of them, each with
    ///   equal probability.
    ///
    /// The result depends only on the arguments. Memory is proportional to the rows and the sampled
    /// pairs, not to the possible pairs.
    ///
    /// # Shapes
    /// - labels: `[row]`
    ///
    /// # Errors
    /// [`Error::Folds`] without a fold, with fewer than two classes per fold, or with fewer classes
    /// of two rows than folds; [`Error::TooManyRows`] beyond `u32::MAX` rows.
    pub fn sample(
        labels: &[usize],
        folds: usize,
        most_same_per_fold: usize,
        most_different_per_fold: usize,
        seed: u64,
    ) -> Result<Self> {
        let folds_of_classes = deal(classes(labels)?, folds, seed)?;
        let mut pairs = Self {
            left: Vec::new(),
            right: Vec::new(),
            same: Vec::new(),
            folds: Vec::new(),
        };
        for (fold, classes) in folds_of_classes.iter().enumerate() {
            for (rows, is_same) in [
                (same_pairs(classes, most_same_per_fold, seed, fold), true),
                (
                    different_pairs(classes, most_different_per_fold, seed, fold),
                    false,
                ),
            ] {
                for (a, b) in rows {
                    pairs.left.push(a.min(b));
                    pairs.right.push(a.max(b));
                    pairs.same.push(is_same);
                    pairs.folds.push(fold);
                }
            }
        }
        Ok(pairs)
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.left.len()
    }

    /// Whether there are no pairs.
    pub fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    /// The cosine of each pair, like [`cosine_scores`](crate::cosine_scores), without copying the
    /// embeddings.
    ///
    /// # Shapes
    /// - embeddings: `[row, feature]`
    /// - returns: `[pair]`
    ///
    /// # Errors
    /// A pair names a row that does not exist, or a row holds a NaN or an infinity.
    pub fn cosine_scores(&self, embeddings: Matrix<'_>) -> Result<Vec<f32>> {
        Ok(scores_of(&self.rows(embeddings)?, None))
    }

    /// Cross-validation over the folds, like [`k_fold_embeddings`](crate::k_fold_embeddings),
    /// without copying the embeddings.
    ///
    /// # Errors
    /// As [`cosine_scores`](Self::cosine_scores) and [`k_fold`](crate::k_fold).
    pub fn k_fold(&self, embeddings: Matrix<'_>, centred: bool) -> Result<KFold> {
        let rows = self.rows(embeddings)?;
        k_fold_rows(&rows, &self.same, &self.folds, centred, &stop::NEVER)
    }

    fn rows<'a>(&'a self, embeddings: Matrix<'a>) -> Result<PairRows<'a>> {
        PairRows::named(embeddings, &self.left, &self.right)
    }
}

/// The rows of each class, in the order of the labels.
fn classes(labels: &[usize]) -> Result<Vec<Class>> {
    if u32::try_from(labels.len()).is_err() {
        return Err(Error::TooManyRows {
            what: "labels",
            found: labels.len(),
        });
    }
    let mut rows: Vec<u32> = (0..labels.len() as u32).collect();
    // The sort is stable: rows of one class stay in order.
    rows.sort_by_key(|&row| labels[row as usize]);
    let of_one_class = rows.chunk_by(|&a, &b| labels[a as usize] == labels[b as usize]);
    Ok(of_one_class.map(<[u32]>::to_vec).collect())
}

fn deal(mut classes: Vec<Class>, folds: usize, seed: u64) -> Result<Vec<Vec<Class>>> {
    let paired = classes.iter().filter(|class| class.len() >= 2).count();
    for (expected, needed, found) in [
        ("at least 1 fold".to_owned(), 1, folds),
        (
            format!("{} classes", folds.saturating_mul(2)),
            folds.saturating_mul(2),
            classes.len(),
        ),
        (
            format!("{folds} classes of two rows or more"),
            folds,
            paired,
        ),
    ] {
        if found < needed {
            return Err(Error::Folds {
                folds,
                expected,
                found,
            });
        }
    }
    Rng::at(seed, &[CLASS_ORDER]).shuffle(&mut classes);
    classes.sort_by_key(|class| class.len() < 2);
    let mut dealt = vec![Vec::new(); folds];
    for (number, class) in classes.into_iter().enumerate() {
        dealt[number % folds].push(class);
    }
    Ok(dealt)
}

fn same_pairs(classes: &[Class], most: usize, seed: u64, fold: usize) -> Vec<(u32, u32)> {
    let available: Vec<u64> = classes
        .iter()
        .map(|class| below(class.len() as u64))
        .collect();
    let mut rng = Rng::at(seed, &[SHARES, fold as u64]);
    let shares = even_shares(&available, most as u64, &mut rng);
    let mut pairs = Vec::new();
    for (class, rows) in classes.iter().enumerate() {
        let mut rng = Rng::at(seed, &[SAME, fold as u64, class as u64]);
        let drawn = draw(available[class], shares[class], &mut rng);
        pairs.extend(drawn.into_iter().map(|pair| {
            let (a, b) = unrank(pair);
            (rows[a], rows[b])
        }));
    }
    pairs
}

/// Number of pairs among `n` rows.
fn below(n: u64) -> u64 {
    n * n.saturating_sub(1) / 2
}

/// The pair with this index, in the order (0, 1), (0, 2), (1, 2), (0, 3) and so on.
fn unrank(pair: u64) -> (usize, usize) {
    // The largest b with b (b - 1) / 2 <= pair.
    let b = (8 * u128::from(pair) + 1).isqrt().midpoint(1) as u64;
    ((pair - below(b)) as usize, b as usize)
}

/// Divides `most` among classes: none gets more than it has, and otherwise shares differ by at most
/// one. The classes that get one more are drawn at random.
fn even_shares(available: &[u64], most: u64, rng: &mut Rng) -> Vec<u64> {
    let mut order: Vec<usize> = (0..available.len()).collect();
    rng.shuffle(&mut order);
    // Starts with the smallest class: its even share of the rest, rounded down. Its shortfall goes
    // to the following classes.
    order.sort_by_key(|&class| available[class]);
    let mut left = most;
    let mut shares = vec![0; available.len()];
    for (number, &class) in order.iter().enumerate() {
        let classes_left = (available.len() - number) as u64;
        shares[class] = available[class].min(left / classes_left);
        left -= shares[class];
    }
    shares
}

/// Pairs of rows of two classes, numbered without gaps: rows are ordered by class, and each is
/// paired with all rows of the preceding classes.
fn different_pairs(classes: &[Class], most: usize, seed: u64, fold: usize) -> Vec<(u32, u32)> {
    let rows: Vec<u32> = classes.iter().flatten().copied().collect();
    // For each class, the number of rows before it and of pairs before its first.
    let mut starts = Vec::with_capacity(classes.len());
    let (mut rows_before, mut pairs_before) = (0, 0);
    for class in classes {
        starts.push((rows_before, pairs_before));
        pairs_before += rows_before * class.len() as u64;
        rows_before += class.len() as u64;
    }
    let mut rng = Rng::at(seed, &[DIFFERENT, fold as u64]);
    let drawn = draw(pairs_before, most as u64, &mut rng);
    let pair_of = |pair| {
        let class = starts.partition_point(|&(_, first)| first <= pair) - 1;
        let (before, first) = starts[class];
        let (row, other) = ((pair - first) / before, (pair - first) % before);
        (rows[(before + row) as usize], rows[other as usize])
    };
    drawn.into_iter().map(pair_of).collect()
}

/// `most` distinct numbers below `total`, or all of them, in ascending order. Every choice has the
/// same probability (Floyd's algorithm, Bentley and Floyd 1987).
fn draw(total: u64, most: u64, rng: &mut Rng) -> Vec<u64> {
    if total <= most {
        return (0..total).collect();
    }
    let mut chosen = HashSet::new();
    for last in total - most..total {
        let number = rng.below(last + 1);
        if !chosen.insert(number) {
            chosen.insert(last);
        }
    }
    let mut chosen: Vec<u64> = chosen.into_iter().collect();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_a_class_are_numbered_without_gaps() {
        let mut number = 0;
        for b in 1..60 {
            for a in 0..b {
                assert_eq!(unrank(number), (a, b));
                number += 1;
            }
        }
        let rows = u64::from(u32::MAX);
        let last = unrank(below(rows) - 1);
        assert_eq!(last, (u32::MAX as usize - 2, u32::MAX as usize - 1));
    }

    #[test]
    fn shares_are_even() {
        let shares = |available: &[u64], most| even_shares(available, most, &mut Rng::at(5, &[]));
        assert_eq!(shares(&[1, 10, 0, 3], 100), [1, 10, 0, 3]);
        assert_eq!(shares(&[1, 10, 0, 3], 9), [1, 5, 0, 3]);
        assert_eq!(shares(&[1, 10, 6, 3], 10), [1, 3, 3, 3]);
        let mut uneven = shares(&[9, 9, 9, 9], 10);
        uneven.sort_unstable();
        assert_eq!(uneven, [2, 2, 3, 3]);
        // The classes that get one more change with the seed.
        let gets = |seed| even_shares(&[9; 4], 1, &mut Rng::at(seed, &[]));
        assert!((0..20).any(|seed| gets(seed) != gets(20)));
    }

    #[test]
    fn draws_are_uniform() {
        let mut counts = [0; 6];
        for seed in 0..6000 {
            for number in draw(6, 2, &mut Rng::at(seed, &[])) {
                counts[number as usize] += 1;
            }
        }
        assert!(
            counts.iter().all(|count| (1850..2150).contains(count)),
            "{counts:?}"
        );
    }
}
