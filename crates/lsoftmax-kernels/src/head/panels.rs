//! The right operand of a matrix product, packed in panels.
//!
//! A register tile reads a few columns of every row. In a row-major matrix these lie a row apart,
//! often a power of two, so that they share few sets of a cache and evict each other before the next
//! tile reads them. In a panel they are contiguous.

use super::maybe_par_map;
use crate::product::{Ahead, Product};
use crate::scratch::Scratch;
use crate::simd::Level;

/// Bytes of a panel that a product reads at once: they stay in the first-level cache.
const CHUNK: usize = 32 << 10;

/// A matrix as `[panel][row][column of the panel]`.
pub(super) struct Panels {
    values: Scratch,
    /// Columns of a panel; the last may have fewer.
    width: usize,
    rows: usize,
    columns: usize,
}

impl Panels {
    /// Packs `values`, `[row][column]`.
    pub(super) fn new(level: Level, values: &[f32], columns: usize, work: usize) -> Self {
        let rows = values.len() / columns;
        Self::pack(level, [rows, columns], work, |first, panels, width| {
            let of_group = panels.len() / rows;
            for row in 0..rows {
                let from = &values[row * columns + first..][..of_group];
                let panels = panels.chunks_mut(width * rows).zip(from.chunks(width));
                for (panel, from) in panels {
                    panel[row * from.len()..][..from.len()].copy_from_slice(from);
                }
            }
        })
    }

    /// Packs the transpose of `values`, `[column][row]`.
    pub(super) fn transposed(level: Level, values: &[f32], rows: usize, work: usize) -> Self {
        let columns = values.len() / rows;
        Self::pack(level, [rows, columns], work, |first, panels, width| {
            let from = values[first * rows..].chunks(width * rows);
            for (panel, from) in panels.chunks_mut(width * rows).zip(from) {
                transpose(from, rows, panel, from.len() / rows);
            }
        })
    }

    /// `fill(first column, panels, their width)` writes a group of panels. Groups are packed in
    /// parallel if there is enough `work` for the matrix.
    fn pack(
        level: Level,
        [rows, columns]: [usize; 2],
        work: usize,
        fill: impl Fn(usize, &mut [f32], usize) + Send + Sync,
    ) -> Self {
        /// Panels filled at once, so that several lines in a row are read.
        const GROUP: usize = 4;
        let width = level.panel();
        let mut values = Scratch::take(rows * columns);
        let groups = values.chunks_mut(GROUP * width * rows).enumerate();
        maybe_par_map(work, groups.collect(), |(at, panels)| {
            fill(at * GROUP * width, panels, width);
        });
        Self {
            values,
            width,
            rows,
            columns,
        }
    }

    /// `c (+)= a * self`. Rows of `a` start at `a_rows`, with the step `a_inner` from one term to the
    /// next; those of `c` have the length of a row of this matrix.
    pub(super) fn product(
        &self,
        level: Level,
        (a, a_rows, a_inner): (&[f32], &[usize], usize),
        c: &mut [f32],
        accumulate: bool,
    ) {
        let to: Vec<usize> = (0..a_rows.len()).map(|row| row * self.columns).collect();
        let depth = CHUNK / (self.width * size_of::<f32>());
        for (at, panel) in self.values.chunks(self.width * self.rows).enumerate() {
            let width = panel.len() / self.rows;
            for first in (0..self.rows).step_by(depth) {
                let product = Product {
                    a: &a[first * a_inner..],
                    a_rows,
                    outer: 1,
                    a_outer: 0,
                    inner: depth.min(self.rows - first),
                    a_inner,
                    b: &panel[first * width..],
                    b_outer: 0,
                    b_row: width,
                    columns: width,
                    accumulate: accumulate || first > 0,
                    prefetch_c: true,
                    ahead: [Ahead::NONE; 2],
                };
                product.run(level, &mut c[at * self.width..], &to);
            }
        }
    }
}

/// `to[column][row] = from[row][column]`; a row of `to` has `width` floats.
pub(super) fn transpose(from: &[f32], columns: usize, to: &mut [f32], width: usize) {
    /// Side of the squares copied at once, so that both sides use whole cache lines.
    const SIDE: usize = 16;
    let rows = from.len() / columns;
    for at in (0..columns).step_by(SIDE) {
        for row in (0..rows).step_by(SIDE) {
            for column in at..columns.min(at + SIDE) {
                for row in row..rows.min(row + SIDE) {
                    to[column * width + row] = from[row * columns + column];
                }
            }
        }
    }
}
