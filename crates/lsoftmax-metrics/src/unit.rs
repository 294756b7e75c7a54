//! Rows of unit length and products in `f32`, for all-pairs computations.

use crate::vector::{has_direction, norm};
use crate::{Error, Matrix, Result};

/// Partial sums of a product, independent so that the compiler can use vector registers.
const LANES: usize = 16;

/// The sum of `term(a, b)` over all positions, in a fixed order.
#[inline]
fn sum_of(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    let mut lanes = [0.0_f32; LANES];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += term(a, b);
        }
    }
    for ((lane, &a), &b) in lanes.iter_mut().zip(a_rest).zip(b_rest) {
        *lane += term(a, b);
    }
    // Pairwise halves vectorise, and round less than a sequential sum.
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
        half /= 2;
    }
    lanes[0]
}

/// The inner product in `f32`.
pub(crate) fn dot_f32(a: &[f32], b: &[f32]) -> f32 {
    sum_of(a, b, |a, b| a * b)
}

/// The squared Euclidean distance in `f32`.
pub(crate) fn squared_distance_f32(a: &[f32], b: &[f32]) -> f32 {
    sum_of(a, b, |a, b| (a - b) * (a - b))
}

/// Appends `row` divided by its norm, or zeros if it has no direction.
pub(crate) fn push_unit(rows: &mut Vec<f32>, row: &[f32]) {
    let norm = norm(row);
    if has_direction(norm) {
        rows.extend(row.iter().map(|&value| (f64::from(value) / norm) as f32));
    } else {
        rows.resize(rows.len() + row.len(), 0.0);
    }
}

/// Checks that the embeddings have columns and hold no NaN or infinity; `what` is their name in the
/// error.
pub(crate) fn check_embeddings(what: &'static str, matrix: Matrix<'_>) -> Result<()> {
    if matrix.columns() == 0 {
        // Without columns, a matrix can have any number of rows without holding a value.
        return Err(Error::ColumnCount {
            what,
            expected: 1,
            found: 0,
        });
    }
    let finite = |row: &[f32]| row.iter().all(|value| value.is_finite());
    match matrix.iter_rows().position(|row| !finite(row)) {
        Some(row) => Err(Error::NotFinite { what, row }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_cover_chunks_and_rest() {
        for length in [0_u8, 1, 15, 16, 17, 40] {
            let a: Vec<f32> = (0..length).map(f32::from).collect();
            let b: Vec<f32> = (0..length).map(|i| f32::from(i) + 2.0).collect();
            let dot: f32 = (0..length)
                .map(|i| f32::from(i) * (f32::from(i) + 2.0))
                .sum();
            assert_eq!(dot_f32(&a, &b), dot);
            assert_eq!(squared_distance_f32(&a, &b), 4.0 * f32::from(length));
        }
    }

    #[test]
    fn rows_become_unit_length_or_zero() {
        let mut rows = Vec::new();
        push_unit(&mut rows, &[3.0, 4.0]);
        push_unit(&mut rows, &[0.0, 0.0]);
        push_unit(&mut rows, &[f32::MAX, 0.0]);
        assert_eq!(rows, [0.6, 0.8, 0.0, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn the_error_names_the_first_row_that_is_not_finite() {
        let values = [1.0, 2.0, f32::INFINITY, 0.0, f32::NAN, 0.0];
        let matrix = Matrix::new(&values, 3, 2).unwrap();
        let empty = Matrix::new(&[], usize::MAX, 0).unwrap();
        assert!(matches!(
            check_embeddings("probes", empty),
            Err(Error::ColumnCount { .. })
        ));
        let error = check_embeddings("probes", matrix).unwrap_err();
        assert_eq!(
            error.to_string(),
            "probes: row 1 holds a NaN or an infinity"
        );
        assert_eq!(
            check_embeddings("probes", Matrix::new(&[], 0, 2).unwrap()),
            Ok(())
        );
    }
}
