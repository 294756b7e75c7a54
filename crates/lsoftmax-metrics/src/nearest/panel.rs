//! Inner products of a few queries with many rows, compared while still in registers.
//!
//! A score is one chain of multiply-adds over the columns in order, at any position in a tile. Its
//! bits depend only on its two rows (and on the instruction set, since not every CPU has fused
//! multiply-adds). Any split of the work therefore gives the same result.

// The kernels are generic over the instruction set and must be inlined into `pulp`'s dispatch.
#![allow(clippy::inline_always)]
// Register tiles are indexed by row and vector, like the formulas.
#![allow(clippy::needless_range_loop)]

use pulp::{Arch, Simd, WithSimd};

/// Rows of a register tile: together with the vectors of a panel, the sums fill the registers.
pub(crate) const TILE_ROWS: usize = 6;
/// Vectors of the widest panel, for CPUs with 32 and with 16 vector registers.
const VECTORS: [usize; 2] = [4, 2];
/// Floats of a cache line.
const LINE: usize = 16;

/// The instruction set, detected once, and the sizes that depend on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Machine {
    arch: Arch,
    lanes: usize,
    vectors: usize,
}

impl Machine {
    pub(crate) fn detect() -> Self {
        Self::new(Arch::new())
    }

    fn new(arch: Arch) -> Self {
        let (lanes, vectors) = arch.dispatch(Sizes);
        Self {
            arch,
            lanes,
            vectors,
        }
    }

    /// Queries of the widest panel.
    pub(crate) fn width(self) -> usize {
        self.lanes * self.vectors
    }

    /// Length of `queries` queries (at most a panel) padded to whole vectors.
    pub(crate) fn padded(self, queries: usize) -> usize {
        queries.next_multiple_of(self.lanes)
    }
}

struct Sizes;

impl WithSimd for Sizes {
    type Output = (usize, usize);

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        (S::F32_LANES, VECTORS[usize::from(S::REGISTER_COUNT < 32)])
    }
}

/// Up to [`Machine::width`] queries, `[column][query]` in memory.
pub(crate) struct Panel {
    machine: Machine,
    packed: Vec<f32>,
    /// Start of the panel in `packed`, on a cache line.
    start: usize,
    columns: usize,
    padded: usize,
}

impl Panel {
    /// Packs queries, given as rows of equal length; at most [`Machine::width`].
    pub(crate) fn new<'a>(
        machine: Machine,
        columns: usize,
        queries: impl ExactSizeIterator<Item = &'a [f32]>,
    ) -> Self {
        let padded = machine.padded(queries.len());
        let mut packed = vec![0.0; columns * padded + LINE];
        // If the alignment is unknown, unaligned loads also work.
        let start = packed.as_ptr().align_offset(LINE * size_of::<f32>());
        let start = if start < LINE { start } else { 0 };
        for (at, query) in queries.enumerate() {
            for (column, &value) in query.iter().enumerate() {
                packed[start + column * padded + at] = value;
            }
        }
        Self {
            machine,
            packed,
            start,
            columns,
            padded,
        }
    }

    /// Number of queries with padding, which is the length of `thresholds`.
    pub(crate) fn padded(&self) -> usize {
        self.padded
    }

    /// Calls `found(query, row, score, threshold)` for every pair whose score exceeds the query's
    /// threshold; `found` may raise the threshold. Rows of one query come in ascending order.
    /// Thresholds of the padding must be `INFINITY`.
    pub(crate) fn scan<'r>(
        &self,
        rows: impl Fn(usize) -> &'r [f32],
        count: usize,
        thresholds: &mut [f32],
        found: impl FnMut(usize, usize, f32, &mut f32),
    ) {
        debug_assert_eq!(thresholds.len(), self.padded);
        self.machine.arch.dispatch(Scan {
            panel: self,
            rows,
            count,
            thresholds,
            found,
        });
    }
}

struct Scan<'s, R, F> {
    panel: &'s Panel,
    rows: R,
    count: usize,
    thresholds: &'s mut [f32],
    found: F,
}

impl<'r, R, F> WithSimd for Scan<'_, R, F>
where
    R: Fn(usize) -> &'r [f32],
    F: FnMut(usize, usize, f32, &mut f32),
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.panel.padded / S::F32_LANES {
            1 => self.run::<S, 1>(simd),
            2 => self.run::<S, 2>(simd),
            3 => self.run::<S, 3>(simd),
            4 => self.run::<S, 4>(simd),
            _ => {}
        }
    }
}

impl<'r, R, F> Scan<'_, R, F>
where
    R: Fn(usize) -> &'r [f32],
    F: FnMut(usize, usize, f32, &mut f32),
{
    #[inline(always)]
    fn run<S: Simd, const W: usize>(mut self, simd: S) {
        let (vectors, _) = S::as_simd_f32s(&self.panel.packed[self.panel.start..]);
        let lines = &vectors.as_chunks::<W>().0[..self.panel.columns];
        let mut scores = [[simd.splat_f32s(0.0); W]; TILE_ROWS];
        for first in (0..self.count).step_by(TILE_ROWS) {
            let last = self.count.min(first + TILE_ROWS) - 1;
            // If the rows end inside a tile, the last row replaces the missing ones.
            let rows = std::array::from_fn(|row| (self.rows)(last.min(first + row)));
            // Almost all tiles end here.
            if tile(simd, rows, lines, self.thresholds, &mut scores) {
                for (row, scores) in (first..=last).zip(&scores) {
                    self.report(simd, row, scores);
                }
            }
        }
    }

    /// Reports the scores of one row that exceed their threshold.
    #[inline(always)]
    fn report<S: Simd>(&mut self, simd: S, row: usize, scores: &[S::f32s]) {
        let lanes = self.thresholds.chunks_exact_mut(S::F32_LANES);
        for (vector, (&sum, thresholds)) in scores.iter().zip(lanes).enumerate() {
            // In a gallery of some thousand rows most tiles have a hit, but few of their vectors do.
            let bounds = S::as_simd_f32s(thresholds).0[0];
            if simd.first_true_m32s(simd.greater_than_f32s(sum, bounds)) == S::F32_LANES {
                continue;
            }
            let mut scores = [0.0; LINE];
            S::as_mut_simd_f32s(&mut scores).0[0] = sum;
            for (lane, (threshold, &score)) in thresholds.iter_mut().zip(&scores).enumerate() {
                if score > *threshold {
                    (self.found)(vector * S::F32_LANES + lane, row, score, threshold);
                }
            }
        }
    }
}

/// Computes `[row][query]` inner products. Writes them to `scores` only if one exceeds its query's
/// threshold: the sums stay in registers as long as their address is not taken.
#[inline(always)]
fn tile<S: Simd, const W: usize>(
    simd: S,
    [a, b, c, d, e, f]: [&[f32]; TILE_ROWS],
    lines: &[[S::f32s; W]],
    thresholds: &[f32],
    scores: &mut [[S::f32s; W]; TILE_ROWS],
) -> bool {
    let mut sums = [[simd.splat_f32s(0.0); W]; TILE_ROWS];
    // Zipped, because indexing would check bounds for each row and column.
    let rows = a.iter().zip(b).zip(c).zip(d).zip(e).zip(f);
    for (line, (((((a, b), c), d), e), f)) in lines.iter().zip(rows) {
        let values = [*a, *b, *c, *d, *e, *f];
        for row in 0..TILE_ROWS {
            let value = simd.splat_f32s(values[row]);
            for at in 0..W {
                sums[row][at] = simd.mul_add_e_f32s(value, line[at], sums[row][at]);
            }
        }
    }
    let thresholds = S::as_simd_f32s(thresholds).0;
    let mut any = simd.greater_than_f32s(sums[0][0], thresholds[0]);
    for at in 0..W {
        for row in 0..TILE_ROWS {
            any = simd.or_m32s(any, simd.greater_than_f32s(sums[row][at], thresholds[at]));
        }
    }
    let any = simd.first_true_m32s(any) < S::F32_LANES;
    if any {
        for row in 0..TILE_ROWS {
            for at in 0..W {
                scores[row][at] = sums[row][at];
            }
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All instruction sets that this machine supports.
    fn machines() -> Vec<Machine> {
        #[allow(unused_mut)]
        let mut archs = vec![Arch::Scalar];
        #[cfg(target_arch = "x86_64")]
        {
            archs.extend(pulp::x86::V3::try_new().map(Arch::V3));
            archs.extend(pulp::x86::V4::try_new().map(Arch::V4));
        }
        archs.into_iter().map(Machine::new).collect()
    }

    #[test]
    fn every_pair_above_its_threshold_is_found() {
        const COLUMNS: usize = 5;
        let number = |at: usize| f32::from((at * 7919 % 13) as u8) - 6.0;
        let rows: Vec<f32> = (0..20 * COLUMNS).map(number).collect();
        for machine in machines() {
            for (count, queries) in (0..20).zip((1..=machine.width()).cycle()) {
                let values: Vec<f32> = (0..queries * COLUMNS).map(|at| number(at + 3)).collect();
                let panel = Panel::new(machine, COLUMNS, values.chunks_exact(COLUMNS));
                let mut thresholds = vec![f32::INFINITY; panel.padded()];
                thresholds[..queries].fill(-10.0);
                let mut found = Vec::new();
                let row = |at: usize| &rows[at * COLUMNS..][..COLUMNS];
                panel.scan(
                    row,
                    count,
                    &mut thresholds,
                    |query, row, score, threshold| {
                        found.push((query, row, score));
                        *threshold = score;
                    },
                );
                found.sort_by_key(|&(query, row, _)| (query, row));

                let mut expected = Vec::new();
                for (query, values) in values.chunks_exact(COLUMNS).enumerate() {
                    let mut threshold = -10.0;
                    for at in 0..count {
                        let score: f32 = values.iter().zip(row(at)).map(|(a, b)| a * b).sum();
                        if score > threshold {
                            threshold = score;
                            expected.push((query, at, score));
                        }
                    }
                }
                assert_eq!(
                    found, expected,
                    "{machine:?}, {count} rows, {queries} queries"
                );
            }
        }
    }
}
