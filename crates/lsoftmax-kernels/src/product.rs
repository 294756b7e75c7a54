//! The matrix product behind every convolution.
//!
//! `C[row, :] (+)= sum over (o, i) of A[row + o * a_outer + i * a_inner] * B[o * b_outer + i * b_row, :]`
//!
//! Offset tables give the rows of A and C, and the sum has two levels. This reads a padded image in
//! place (no im2col): a row is an output pixel, `o` is the kernel's row, and `i` runs over the
//! `kernel * channels` values that are contiguous in channels-last memory.

// `micro` states the contract of the unsafe functions.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn, clippy::inline_always)]
// Register tiles are indexed by row and vector, like the formulas.
#![allow(clippy::needless_range_loop)]

use crate::scratch::LINE;
use crate::simd::{Level, Vector, multiversion, prefetch};

/// The operands other than C.
pub(crate) struct Product<'a> {
    /// The left operand, read one float at a time.
    pub(crate) a: &'a [f32],
    /// Start of each row of A, in ascending order.
    pub(crate) a_rows: &'a [usize],
    /// Terms of the outer sum.
    pub(crate) outer: usize,
    /// The step of A from one outer term to the next.
    pub(crate) a_outer: usize,
    /// Terms of the inner sum.
    pub(crate) inner: usize,
    /// The step of A from one inner term to the next.
    pub(crate) a_inner: usize,
    /// The right operand: `outer` times `inner` rows of `columns` floats.
    pub(crate) b: &'a [f32],
    /// The step of B from one outer term to the next.
    pub(crate) b_outer: usize,
    /// The step from one row of B to the next.
    pub(crate) b_row: usize,
    /// Columns of B and C.
    pub(crate) columns: usize,
    /// Adds to C instead of overwriting it.
    pub(crate) accumulate: bool,
    /// Prefetches the rows of C one register tile ahead: for a C that is not in the cache.
    pub(crate) prefetch_c: bool,
    /// Other memory to prefetch meanwhile.
    pub(crate) ahead: [Ahead; 2],
}

/// Memory that will be needed later. Each register tile requests a small share of it, so that the
/// requests hide behind the arithmetic.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    from: *const f32,
    floats: usize,
}

impl Ahead {
    /// Nothing.
    pub(crate) const NONE: Self = Self {
        from: std::ptr::null(),
        floats: 0,
    };

    /// Rows `rows.0` to `rows.1` of `row` floats each; they may extend beyond the end of `values`.
    pub(crate) fn rows(values: &[f32], row: usize, rows: (usize, usize)) -> Self {
        Self {
            from: values.as_ptr().wrapping_add(rows.0 * row),
            floats: (rows.1 - rows.0) * row,
        }
    }

    /// Share `part` of `parts`, in whole cache lines.
    #[inline(always)]
    pub(crate) fn share(self, part: usize, parts: usize) -> Self {
        let share = self.floats.div_ceil(parts).next_multiple_of(LINE);
        let at = (part * share).min(self.floats);
        Self {
            from: self.from.wrapping_add(at),
            floats: share.min(self.floats - at),
        }
    }
}

impl Product<'_> {
    /// Computes the product into `c`, whose rows start at `c_rows` (ascending).
    ///
    /// # Panics
    /// If an operand is too short for its offsets, which is a bug in this crate.
    #[inline]
    pub(crate) fn run(&self, level: Level, c: &mut [f32], c_rows: &[usize]) {
        assert_eq!(self.a_rows.len(), c_rows.len());
        let (Some(&last_a), Some(&last_c)) = (self.a_rows.last(), c_rows.last()) else {
            return;
        };
        if self.columns == 0 {
            return;
        }
        assert!(last_c + self.columns <= c.len());
        if self.outer * self.inner > 0 {
            let reach = (self.outer - 1) * self.a_outer + (self.inner - 1) * self.a_inner;
            assert!(last_a + reach < self.a.len());
            let reach = (self.outer - 1) * self.b_outer + (self.inner - 1) * self.b_row;
            assert!(reach + self.columns <= self.b.len());
        }
        debug_assert!(self.a_rows.is_sorted() && c_rows.is_sorted());
        run(level, self, c, c_rows);
    }
}

multiversion! {
    fn run = run_body(product: &Product<'_>, c: &mut [f32], c_rows: &[usize]);
}

/// Splits the columns into panels and the rows into register tiles, both as evenly as possible.
#[inline(always)]
unsafe fn run_body<V: Vector>(product: &Product<'_>, c: &mut [f32], c_rows: &[usize]) {
    let vectors = product.columns.div_ceil(V::LANES);
    let panels = vectors.div_ceil(V::PANEL);
    let (narrow, wide) = (vectors / panels, vectors % panels);
    let mut first = 0;
    for panel in 0..panels {
        let width = narrow + usize::from(panel < wide);
        let column = first * V::LANES;
        first += width;
        let part = product.columns - (first - 1) * V::LANES;
        let tiles = c_rows.len().div_ceil(V::ROWS[width]);
        let (low, tall) = (c_rows.len() / tiles, c_rows.len() % tiles);
        let split = tall * (low + 1);
        let c = c.as_mut_ptr().add(column);
        let b = product.b.as_ptr().add(column);
        let ahead = product.ahead.map(|ahead| ahead.share(panel, panels));
        let call = Call {
            product,
            b,
            c,
            part: part.min(V::LANES),
            ahead,
            tiles,
        };
        if split > 0 {
            panel_of::<V>(
                width,
                low + 1,
                &call,
                0,
                &product.a_rows[..split],
                &c_rows[..split],
            );
        }
        if low > 0 {
            panel_of::<V>(
                width,
                low,
                &call,
                tall,
                &product.a_rows[split..],
                &c_rows[split..],
            );
        }
    }
}

struct Call<'a> {
    product: &'a Product<'a>,
    b: *const f32,
    c: *mut f32,
    /// Valid lanes of the panel's last vector.
    part: usize,
    ahead: [Ahead; 2],
    /// Register tiles of the panel.
    tiles: usize,
}

/// Selects the instance for a panel width and tile height.
#[inline(always)]
unsafe fn panel_of<V: Vector>(
    width: usize,
    height: usize,
    call: &Call<'_>,
    first: usize,
    a_rows: &[usize],
    c_rows: &[usize],
) {
    macro_rules! pick {
        ($($w:literal: $($h:literal)*;)*) => {
            match (width, height) {
                $($(($w, $h) => if $w <= V::PANEL && $h <= V::ROWS[$w] {
                    if call.part == V::LANES {
                        panel::<V, $h, $w, false>(call, first, a_rows, c_rows);
                    } else {
                        panel::<V, $h, $w, true>(call, first, a_rows, c_rows);
                    }
                },)*)*
                _ => unreachable!("no register tile of {height} x {width}"),
            }
        };
    }
    pick! { 1: 1 2 3 4 5 6 7 8; 2: 1 2 3 4 5 6 7 8; 3: 1 2 3 4 5 6 7 8; 4: 1 2 3 4 5 6; }
}

/// All rows of one panel, `H` at a time.
#[inline(always)]
unsafe fn panel<V: Vector, const H: usize, const W: usize, const PART: bool>(
    call: &Call<'_>,
    first: usize,
    a_rows: &[usize],
    c_rows: &[usize],
) {
    let all_c = c_rows;
    let tiles = a_rows.chunks_exact(H).zip(c_rows.chunks_exact(H));
    for (tile, (a_rows, c_rows)) in tiles.enumerate() {
        for ahead in call.ahead {
            let ahead = ahead.share(first + tile, call.tiles);
            prefetch(ahead.from, ahead.floats);
        }
        if call.product.prefetch_c
            && let Some(next) = all_c.get((tile + 1) * H..(tile + 2) * H)
        {
            for &row in next {
                prefetch(call.c.add(row), W * V::LANES);
            }
        }
        micro::<V, H, W, PART>(call, a_rows, c_rows);
    }
}

/// A register tile: `H` rows by `W` vectors of C stay in registers during the whole sum.
///
/// # Safety
/// The CPU has `V`'s feature, and the bounds checked by `Product::run` hold.
#[inline(always)]
unsafe fn micro<V: Vector, const H: usize, const W: usize, const PART: bool>(
    call: &Call<'_>,
    a_rows: &[usize],
    c_rows: &[usize],
) {
    let product = call.product;
    let a: [*const f32; H] = std::array::from_fn(|row| product.a.as_ptr().add(a_rows[row]));
    let c: [*mut f32; H] = std::array::from_fn(|row| call.c.add(c_rows[row]));
    let mut sums = [[V::zero(); W]; H];
    if product.accumulate {
        for row in 0..H {
            for at in 0..W {
                let from = c[row].add(at * V::LANES);
                sums[row][at] = if PART && at + 1 == W {
                    V::load_part(from, call.part)
                } else {
                    V::load(from)
                };
            }
        }
    }
    for outer in 0..product.outer {
        let mut b = call.b.add(outer * product.b_outer);
        let mut step = outer * product.a_outer;
        for _ in 0..product.inner {
            let mut line = [V::zero(); W];
            for at in 0..W {
                let from = b.add(at * V::LANES);
                line[at] = if PART && at + 1 == W {
                    V::load_part(from, call.part)
                } else {
                    V::load(from)
                };
            }
            for row in 0..H {
                let value = V::splat(*a[row].add(step));
                for at in 0..W {
                    sums[row][at] = value.fma(line[at], sums[row][at]);
                }
            }
            b = b.wrapping_add(product.b_row);
            step += product.a_inner;
        }
    }
    for row in 0..H {
        for at in 0..W {
            let to = c[row].add(at * V::LANES);
            if PART && at + 1 == W {
                sums[row][at].store_part(to, call.part);
            } else {
                sums[row][at].store(to);
            }
        }
    }
}
