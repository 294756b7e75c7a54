use rayon::prelude::*;

use crate::matrix::check_columns;
use crate::unit::check_embeddings;
use crate::vector::{dot, has_direction, norm};
use crate::{Error, Matrix, Result};

/// The cosine between corresponding rows of `left` and `right`, computed in `f64`.
///
/// A zero vector has no direction; its score is 0, as for a right angle.
///
/// # Shapes
/// - left, right: `[pair, feature]`
/// - returns: `[pair]`
///
/// # Errors
/// The shapes differ, or a row holds a NaN or an infinity (the error names it).
pub fn cosine_scores(left: Matrix<'_>, right: Matrix<'_>) -> Result<Vec<f32>> {
    Ok(scores_of(&PairRows::side_by_side(left, right)?, None))
}

/// The two sides of pairs: rows of two matrices, or indexed rows of one.
pub(crate) struct PairRows<'a> {
    left: Matrix<'a>,
    right: Matrix<'a>,
    named: Option<(&'a [u32], &'a [u32])>,
}

impl<'a> PairRows<'a> {
    pub(crate) fn side_by_side(left: Matrix<'a>, right: Matrix<'a>) -> Result<Self> {
        check_columns("right", right, left.columns())?;
        if right.rows() != left.rows() {
            return Err(Error::RowCount {
                what: "right",
                expected: left.rows(),
                found: right.rows(),
            });
        }
        check_embeddings("left", left)?;
        check_embeddings("right", right)?;
        Ok(Self {
            left,
            right,
            named: None,
        })
    }

    pub(crate) fn named(rows: Matrix<'a>, left: &'a [u32], right: &'a [u32]) -> Result<Self> {
        if right.len() != left.len() {
            return Err(Error::RowCount {
                what: "right",
                expected: left.len(),
                found: right.len(),
            });
        }
        for (pair, (&left, &right)) in left.iter().zip(right).enumerate() {
            let row = left.max(right) as usize;
            if row >= rows.rows() {
                return Err(Error::PairOutOfRange {
                    pair,
                    row,
                    rows: rows.rows(),
                });
            }
        }
        check_embeddings("embeddings", rows)?;
        Ok(Self {
            left: rows,
            right: rows,
            named: Some((left, right)),
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.named.map_or(self.left.rows(), |(left, _)| left.len())
    }

    pub(crate) fn columns(&self) -> usize {
        self.left.columns()
    }

    /// Both sides of a pair below [`len`](Self::len).
    pub(crate) fn sides(&self, pair: usize) -> [&'a [f32]; 2] {
        let (left, right) = self.named.map_or((pair, pair), |(left, right)| {
            (left[pair] as usize, right[pair] as usize)
        });
        // The constructors have checked that the rows exist.
        [self.left.row(left), self.right.row(right)].map(Option::unwrap_or_default)
    }
}

/// The cosines of all pairs, after subtracting `centre` from both sides.
pub(crate) fn scores_of(rows: &PairRows<'_>, centre: Option<&[f64]>) -> Vec<f32> {
    let pairs = (0..rows.len()).into_par_iter();
    let Some(centre) = centre else {
        return pairs
            .map(|pair| {
                let [left, right] = rows.sides(pair);
                cosine(left, right)
            })
            .collect();
    };
    let moved = |row: &[f32], into: &mut Vec<f64>| {
        into.clear();
        into.extend(
            row.iter()
                .zip(centre)
                .map(|(&value, centre)| f64::from(value) - centre),
        );
    };
    pairs
        .map_init(
            || (Vec::new(), Vec::new()),
            |(left, right), pair| {
                let [a, b] = rows.sides(pair);
                moved(a, left);
                moved(b, right);
                cosine(left, right)
            },
        )
        .collect()
}

/// The cosine of two finite vectors; 0 if one of them is zero.
fn cosine<A: Copy + Into<f64>>(a: &[A], b: &[A]) -> f32 {
    let (a_norm, b_norm) = (norm(a), norm(b));
    if has_direction(a_norm) && has_direction(b_norm) {
        // Two divisions: the product of two norms could overflow or underflow.
        (dot(a, b) / a_norm / b_norm) as f32
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosines_by_hand() {
        let left = [3.0, 4.0, 0.0, 0.0, 1.0, 0.0, f32::MAX, 0.0];
        let right = [4.0, 3.0, 1.0, 1.0, -2.0, 0.0, 1e-30, 0.0];
        let side = |values| Matrix::new(values, 4, 2).unwrap();
        let scores = cosine_scores(side(&left), side(&right)).unwrap();
        assert_eq!(scores, [0.96, 0.0, -1.0, 1.0]);
    }

    #[test]
    fn mismatched_shapes_are_errors() {
        let values = [1.0, 2.0, f32::NAN, 0.0];
        let all = Matrix::new(&values, 2, 2).unwrap();
        let one = Matrix::new(&values[..2], 1, 2).unwrap();
        let narrow = Matrix::new(&values[..2], 2, 1).unwrap();
        assert!(matches!(
            cosine_scores(all, one),
            Err(Error::RowCount { .. })
        ));
        assert!(matches!(
            cosine_scores(all, narrow),
            Err(Error::ColumnCount { .. })
        ));
        assert_eq!(
            cosine_scores(all, all),
            Err(Error::NotFinite {
                what: "left",
                row: 1
            })
        );
    }
}
