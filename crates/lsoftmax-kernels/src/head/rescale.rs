//! Rescales rows that will be normalised so that products stay within range.

use super::rows::{Rows, norm};
use super::{Real, TINY, maybe_par_map};
use crate::simd::Level;
use rayon::prelude::*;

/// For norms in this range, products of two vectors and their inverses fit f32.
const COMFORTABLE: std::ops::Range<f64> = 1e-12..1e12;

/// The norms of rows, and rescaled rows if one is extreme.
#[derive(Debug)]
pub(super) struct Rescaled<T> {
    /// Norms of the rescaled rows.
    pub(super) norms: Vec<f64>,
    /// Rows scaled to about length 1 by powers of two, which is exact, and the factors that restore
    /// the true rows. `None` in the usual case that no row needs it.
    stand_in: Option<(Vec<T>, Vec<f64>)>,
}

impl<T: Real> Rescaled<T> {
    pub(super) fn new(level: Level, work: usize, rows: &Rows<'_, T>) -> Self {
        let all = (0..rows.rows()).collect();
        let mut norms = maybe_par_map(work, all, |row| norm(level, rows.row(row)));
        let is_extreme = |norm: f64| {
            // A shorter one counts as zero.
            norm >= TINY && norm.is_finite() && !COMFORTABLE.contains(&norm)
        };
        if !norms.iter().any(|&norm| is_extreme(norm)) {
            let stand_in = None;
            return Self { norms, stand_in };
        }
        let factors: Vec<f64> = norms
            .iter_mut()
            .map(|norm| {
                let factor = if is_extreme(*norm) {
                    norm.log2().floor().exp2()
                } else {
                    1.0
                };
                *norm /= factor;
                factor
            })
            .collect();
        let values = rows
            .par_iter()
            .zip(&factors)
            .flat_map_iter(|(row, factor)| {
                row.iter().map(move |v| T::from_f64(v.to_f64() / factor))
            })
            .collect();
        Self {
            norms,
            stand_in: Some((values, factors)),
        }
    }

    pub(super) fn rows<'a>(&'a self, true_rows: Rows<'a, T>) -> Rows<'a, T> {
        match &self.stand_in {
            Some((values, _)) => true_rows.with_values(values),
            None => true_rows,
        }
    }

    /// The factor from the rescaled row to the true one.
    pub(super) fn factor(&self, row: usize) -> f64 {
        self.stand_in
            .as_ref()
            .map_or(1.0, |(_, factors)| factors[row])
    }

    /// Converts the gradient for the rescaled rows into the gradient for the true ones.
    pub(super) fn finish(&self, gradient: &mut [T], columns: usize) {
        let Some((_, factors)) = &self.stand_in else {
            return;
        };
        for (row, factor) in gradient.chunks_mut(columns).zip(factors) {
            for value in row {
                *value = T::from_f64(value.to_f64() / factor);
            }
        }
    }
}
