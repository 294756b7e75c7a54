//! A checked row-major matrix and the products that the head needs.

use super::{HeadError, Real};
use rayon::prelude::*;

/// A borrowed row-major matrix.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_field_names, reason = "a matrix has rows")]
pub(super) struct Rows<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
}

impl<'a, T: Real> Rows<'a, T> {
    pub(super) fn new(
        name: &'static str,
        values: &'a [T],
        rows: usize,
        columns: usize,
    ) -> Result<Self, HeadError> {
        if rows.checked_mul(columns) == Some(values.len()) {
            Ok(Self {
                values,
                rows,
                columns,
            })
        } else {
            Err(HeadError::Length {
                name,
                rows,
                columns,
                found: values.len(),
            })
        }
    }

    pub(super) fn check_like(&self, name: &'static str, found: usize) -> Result<(), HeadError> {
        if found == self.values.len() {
            Ok(())
        } else {
            Err(HeadError::Length {
                name,
                rows: self.rows,
                columns: self.columns,
                found,
            })
        }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    pub(super) fn row(&self, row: usize) -> &'a [T] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    pub(super) fn par_iter(&self) -> rayon::slice::ChunksExact<'a, T> {
        self.values.par_chunks_exact(self.columns)
    }

    pub(super) fn range(&self, first: usize, count: usize) -> Self {
        let values = &self.values[first * self.columns..(first + count) * self.columns];
        Self {
            values,
            rows: count,
            columns: self.columns,
        }
    }

    /// Other values in the same shape.
    pub(super) fn with_values<'b>(&self, values: &'b [T]) -> Rows<'b, T> {
        debug_assert_eq!(values.len(), self.values.len());
        Rows {
            values,
            rows: self.rows,
            columns: self.columns,
        }
    }

    /// `out = self * other^T`, `[self.rows, other.rows]`.
    pub(super) fn times_transposed(&self, other: &Self, out: &mut [T]) {
        T::gemm(
            [self.rows, self.columns, other.rows],
            (self.values, [self.columns, 1]),
            (other.values, [1, other.columns]),
            out,
            false,
        );
    }
}

/// `out (+)= lhs * rhs` with `lhs` `[m, k]` and `rhs` `[k, n]`, all row-major.
pub(super) fn times<T: Real>(lhs: &[T], rhs: &Rows<'_, T>, out: &mut [T], add: bool) {
    let (k, n) = (rhs.rows, rhs.columns);
    T::gemm(
        [lhs.len() / k, k, n],
        (lhs, [k, 1]),
        (rhs.values, [n, 1]),
        out,
        add,
    );
}

/// `out = lhs^T * rhs` with `lhs` `[k, m]` and `rhs` `[k, n]`, all row-major.
pub(super) fn transposed_times<T: Real>(lhs: &[T], rhs: &Rows<'_, T>, out: &mut [T]) {
    let (k, n) = (rhs.rows, rhs.columns);
    let m = lhs.len() / k;
    T::gemm([m, k, n], (lhs, [1, m]), (rhs.values, [n, 1]), out, false);
}

/// The inner product, summed in f64.
pub(super) fn dot<T: Real>(a: &[T], b: &[T]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a.to_f64() * b.to_f64()).sum()
}

/// The Euclidean norm, summed in f64, scaled where squares would leave its range.
pub(super) fn norm<T: Real>(row: &[T]) -> f64 {
    let squares = dot(row, row);
    if (1e-280..f64::INFINITY).contains(&squares) || squares.is_nan() {
        return squares.sqrt();
    }
    let largest = row.iter().map(|v| v.to_f64().abs()).fold(0.0, f64::max);
    if largest == 0.0 || largest.is_infinite() {
        return largest;
    }
    largest
        * row
            .iter()
            .map(|v| (v.to_f64() / largest).powi(2))
            .sum::<f64>()
            .sqrt()
}
