//! A checked row-major matrix.

use super::{HeadError, Real};
use crate::simd::Level;
use rayon::prelude::*;

/// A borrowed row-major matrix.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::struct_field_names, reason = "a matrix has rows")]
pub struct Rows<'a, T> {
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

    pub(super) fn values(&self) -> &'a [T] {
        self.values
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

    /// Other values with the same shape.
    pub(super) fn with_values<'b>(&self, values: &'b [T]) -> Rows<'b, T> {
        debug_assert_eq!(values.len(), self.values.len());
        Rows {
            values,
            rows: self.rows,
            columns: self.columns,
        }
    }
}

/// The Euclidean norm, summed in f64 and scaled where the squares would leave its range.
pub(super) fn norm<T: Real>(level: Level, row: &[T]) -> f64 {
    norm_of(row, T::dot(level, row, row))
}

/// The Euclidean norm of a row whose sum of squares in f64 is `squares`.
pub(super) fn norm_of<T: Real>(row: &[T], squares: f64) -> f64 {
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
