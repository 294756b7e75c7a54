//! The six Winograd transforms, vectorised over channels.
//!
//! All use the layout `[36 points][tiles or rows][padded channels]`; the caller chooses the step
//! between points.

// Contract of the unsafe functions: the CPU has `V`'s feature, and slices hold the requested tiles.
// The safe wrappers check the latter.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn, clippy::inline_always)]

use super::points::{a_plain, a_transposed, b_transposed, g_plain, g_transposed};
use super::winograd::{Grid, padded};
use crate::scratch::LINE;
use crate::simd::{Level, Vector, multiversion};

/// Points per side.
const SIDE: usize = 6;
/// Points of a tile.
pub(crate) const POINTS: usize = SIDE * SIDE;

/// Applies a one-dimensional transform from `in` to `out` values to the rows that the first body
/// loads, then to the columns, and passes each value of the `out x out` result to the second body.
/// (A macro, because a closure would have to be inlined before its intrinsics could be.)
macro_rules! two_sided {
    ($v:ident, $in:expr, $out:expr, $one:expr,
     ($r:ident, $c:ident) => $load:expr,
     ($r2:ident, $c2:ident, $value:ident) => $store:expr $(,)?) => {{
        let mut half = [[$v::zero(); $out]; $in];
        for $r in 0..$in {
            let mut line = [$v::zero(); $in];
            for $c in 0..$in {
                line[$c] = $load;
            }
            half[$r] = $one(line);
        }
        for $c2 in 0..$out {
            let mut line = [$v::zero(); $in];
            for row in 0..$in {
                line[row] = half[row][$c2];
            }
            let done: [$v; $out] = $one(line);
            for $r2 in 0..$out {
                let $value = done[$r2];
                $store
            }
        }
    }};
}

multiversion! {
    /// `B^T d B` of `tiles` tiles from tile `start` on: `x` holds whole images with `channels`.
    fn run_input_tiles = input_body(grid: &Grid, x: &[f32], channels: usize, start: usize, tiles: usize, v: &mut [f32], step: usize);
}

/// The transform of the input; see [`run_input_tiles`].
pub(crate) fn input_tiles(
    level: Level,
    grid: &Grid,
    x: &[f32],
    channels: usize,
    start: usize,
    tiles: usize,
    v: &mut [f32],
    step: usize,
) {
    let images = (start + tiles).div_ceil(grid.tiles);
    assert!(x.len() >= images * grid.height * grid.width * channels);
    assert!(step >= tiles * padded(channels) && v.len() >= POINTS * step);
    run_input_tiles(level, grid, x, channels, start, tiles, v, step);
}

#[inline(always)]
unsafe fn input_body<V: Vector>(
    grid: &Grid,
    x: &[f32],
    channels: usize,
    start: usize,
    tiles: usize,
    v: &mut [f32],
    step: usize,
) {
    let whole = channels / V::LANES * V::LANES;
    let pixel = channels as isize;
    for tile in 0..tiles {
        let (image, top, left) = grid.place(start + tile);
        let v = v.as_mut_ptr().add(tile * padded(channels));
        let x = x.as_ptr().add(image * grid.height * grid.width * channels);
        let patch = Patch::new(top, left, grid.padding, SIDE, grid.height, grid.width);
        if patch.inside() {
            let x = x.offset(patch.at(0, 0, channels));
            let line = grid.width as isize * pixel;
            for channel in (0..whole).step_by(V::LANES) {
                let (x, v) = (x.add(channel), v.add(channel));
                two_sided!(V, 6, 6, b_transposed::<V>,
                    (row, column) => V::load(x.offset(row as isize * line + column as isize * pixel)),
                    (row, column, value) => value.store(v.add((row * SIDE + column) * step)));
            }
            if whole < channels {
                let (x, v, rest) = (x.add(whole), v.add(whole), channels - whole);
                two_sided!(V, 6, 6, b_transposed::<V>,
                    (row, column) => V::load_part(x.offset(row as isize * line + column as isize * pixel), rest),
                    (row, column, value) => value.store(v.add((row * SIDE + column) * step)));
            }
        } else {
            // A pixel outside is read from a line of zeros, whose address does not advance with the
            // channel.
            let (mut from, mut moves) = ([[ZEROS.as_ptr(); SIDE]; SIDE], [[0; SIDE]; SIDE]);
            for row in patch.rows.0..patch.rows.1 {
                for column in patch.columns.0..patch.columns.1 {
                    from[row][column] = x.offset(patch.at(row, column, channels));
                    moves[row][column] = usize::MAX;
                }
            }
            for channel in (0..whole).step_by(V::LANES) {
                let v = v.add(channel);
                two_sided!(V, 6, 6, b_transposed::<V>,
                    (row, column) => V::load(from[row][column].add(channel & moves[row][column])),
                    (row, column, value) => value.store(v.add((row * SIDE + column) * step)));
            }
            if whole < channels {
                let (v, rest) = (v.add(whole), channels - whole);
                two_sided!(V, 6, 6, b_transposed::<V>,
                    (row, column) => V::load_part(from[row][column].add(whole & moves[row][column]), rest),
                    (row, column, value) => value.store(v.add((row * SIDE + column) * step)));
            }
        }
    }
}

/// Zeros for the channels of pixels outside the image.
static ZEROS: [f32; LINE] = [0.0; LINE];

/// A square of pixels, some of which may be outside the image.
struct Patch {
    /// Address of the first pixel, which may be before the image.
    top: isize,
    left: isize,
    width: usize,
    /// The rows and columns of the patch that are inside.
    rows: (usize, usize),
    columns: (usize, usize),
    side: usize,
}

impl Patch {
    #[inline(always)]
    fn new(
        top: usize,
        left: usize,
        padding: usize,
        side: usize,
        height: usize,
        width: usize,
    ) -> Self {
        let span = |first: usize, size: usize| {
            (
                padding.saturating_sub(first),
                (size + padding).saturating_sub(first).min(side),
            )
        };
        Self {
            top: top as isize - padding as isize,
            left: left as isize - padding as isize,
            width,
            rows: span(top, height),
            columns: span(left, width),
            side,
        }
    }

    #[inline(always)]
    fn inside(&self) -> bool {
        self.rows == (0, self.side) && self.columns == (0, self.side)
    }

    #[inline(always)]
    fn has(&self, row: usize, column: usize) -> bool {
        (self.rows.0 <= row && row < self.rows.1)
            && (self.columns.0 <= column && column < self.columns.1)
    }

    /// The offset of a pixel inside the patch.
    #[inline(always)]
    fn at(&self, row: usize, column: usize, channels: usize) -> isize {
        ((self.top + row as isize) * self.width as isize + self.left + column as isize)
            * channels as isize
    }
}

multiversion! {
    fn run_gradient_tiles = gradient_body(grid: &Grid, dy: &[f32], channels: usize, start: usize, tiles: usize, p: &mut [f32], step: usize);
}

/// `A dy A^T` of `tiles` tiles from tile `start` on: `dy` holds whole output images.
pub(crate) fn output_gradient_tiles(
    level: Level,
    grid: &Grid,
    dy: &[f32],
    channels: usize,
    start: usize,
    tiles: usize,
    p: &mut [f32],
    step: usize,
) {
    let images = (start + tiles).div_ceil(grid.tiles);
    assert!(dy.len() >= images * grid.out_height * grid.out_width * channels);
    assert!(step >= tiles * padded(channels) && p.len() >= POINTS * step);
    run_gradient_tiles(level, grid, dy, channels, start, tiles, p, step);
}

#[inline(always)]
unsafe fn gradient_body<V: Vector>(
    grid: &Grid,
    dy: &[f32],
    channels: usize,
    start: usize,
    tiles: usize,
    p: &mut [f32],
    step: usize,
) {
    for tile in 0..tiles {
        let (image, top, left) = grid.place(start + tile);
        let p = p.as_mut_ptr().add(tile * padded(channels));
        let dy = dy
            .as_ptr()
            .add(image * grid.out_height * grid.out_width * channels);
        let patch = Patch::new(top, left, 0, grid.side, grid.out_height, grid.out_width);
        for channel in (0..channels).step_by(V::LANES) {
            let p = p.add(channel);
            let whole = channel + V::LANES <= channels;
            match (grid.side, whole && patch.inside()) {
                (4, true) => gradient_tile::<V, 4, false>(&patch, dy, channels, channel, p, step),
                (4, false) => gradient_tile::<V, 4, true>(&patch, dy, channels, channel, p, step),
                (_, true) => gradient_tile::<V, 2, false>(&patch, dy, channels, channel, p, step),
                (_, false) => gradient_tile::<V, 2, true>(&patch, dy, channels, channel, p, step),
            }
        }
    }
}

#[inline(always)]
unsafe fn gradient_tile<V: Vector, const M: usize, const EDGE: bool>(
    patch: &Patch,
    dy: *const f32,
    channels: usize,
    channel: usize,
    p: *mut f32,
    step: usize,
) {
    let rest = channels - channel;
    two_sided!(
        V,
        M,
        6,
        a_plain::<V, M>,
        (row, column) => {
            if EDGE && !patch.has(row, column) {
                V::zero()
            } else {
                let from = dy.offset(patch.at(row, column, channels)).add(channel);
                V::load_if::<EDGE>(from, rest)
            }
        },
        (row, column, value) => value.store(p.add((row * SIDE + column) * step))
    );
}

multiversion! {
    fn run_output_tiles = output_body(grid: &Grid, m: &[f32], step: usize, channels: usize, start: usize, tiles: usize, y: &mut [f32], from: usize);
}

/// `A^T m A` of `tiles` tiles from tile `start` on, written into `y`: the output images from row
/// `from` of the first on.
pub(crate) fn output_tiles(
    level: Level,
    grid: &Grid,
    m: &[f32],
    step: usize,
    channels: usize,
    start: usize,
    tiles: usize,
    y: &mut [f32],
    from: usize,
) {
    let (first, last) = grid.output_rows(start, start + tiles);
    assert!(first >= from && y.len() >= (last - from) * grid.out_width * channels);
    assert!(step >= tiles * padded(channels) && m.len() >= POINTS * step);
    run_output_tiles(level, grid, m, step, channels, start, tiles, y, from);
}

#[inline(always)]
unsafe fn output_body<V: Vector>(
    grid: &Grid,
    m: &[f32],
    step: usize,
    channels: usize,
    start: usize,
    tiles: usize,
    y: &mut [f32],
    from: usize,
) {
    for tile in 0..tiles {
        let (image, top, left) = grid.place(start + tile);
        let m = m.as_ptr().add(tile * padded(channels));
        // Address of the image's first row. It may be before the slice, but nothing is written
        // there.
        let y = y
            .as_mut_ptr()
            .wrapping_add(image * grid.out_height * grid.out_width * channels)
            .wrapping_sub(from * grid.out_width * channels);
        let patch = Patch::new(top, left, 0, grid.side, grid.out_height, grid.out_width);
        for channel in (0..channels).step_by(V::LANES) {
            let m = m.add(channel);
            let whole = channel + V::LANES <= channels;
            match (grid.side, whole && patch.inside()) {
                (4, true) => output_tile::<V, 4, false>(&patch, m, step, channels, channel, y),
                (4, false) => output_tile::<V, 4, true>(&patch, m, step, channels, channel, y),
                (_, true) => output_tile::<V, 2, false>(&patch, m, step, channels, channel, y),
                (_, false) => output_tile::<V, 2, true>(&patch, m, step, channels, channel, y),
            }
        }
    }
}

#[inline(always)]
unsafe fn output_tile<V: Vector, const M: usize, const EDGE: bool>(
    patch: &Patch,
    m: *const f32,
    step: usize,
    channels: usize,
    channel: usize,
    y: *mut f32,
) {
    let rest = channels - channel;
    two_sided!(
        V,
        6,
        M,
        a_transposed::<V, M>,
        (row, column) => V::load(m.add((row * SIDE + column) * step)),
        (row, column, value) => {
            if !EDGE || patch.has(row, column) {
                let to = y.wrapping_offset(patch.at(row, column, channels)).wrapping_add(channel);
                value.store_if::<EDGE>(to, rest);
            }
        }
    );
}

multiversion! {
    fn run_weight_points = points_body(kernel: usize, spatial: &[f32], count: usize, points: &mut [f32], step: usize);
}

/// `G g G^T` of `count` filters: `spatial` is `[kernel * kernel, count]`, the result has `step`
/// between points. `count` is a multiple of 16.
pub(crate) fn weight_points(
    level: Level,
    kernel: usize,
    spatial: &[f32],
    count: usize,
    points: &mut [f32],
    step: usize,
) {
    assert!(count.is_multiple_of(16) && spatial.len() >= kernel * kernel * count);
    assert!(step >= count && points.len() >= POINTS * step);
    run_weight_points(level, kernel, spatial, count, points, step);
}

#[inline(always)]
unsafe fn points_body<V: Vector>(
    kernel: usize,
    spatial: &[f32],
    count: usize,
    points: &mut [f32],
    step: usize,
) {
    for at in (0..count).step_by(V::LANES) {
        let (from, to) = (spatial.as_ptr().add(at), points.as_mut_ptr().add(at));
        if kernel == 3 {
            points_of::<V, 3>(from, count, to, step);
        } else {
            points_of::<V, 5>(from, count, to, step);
        }
    }
}

#[inline(always)]
unsafe fn points_of<V: Vector, const K: usize>(
    from: *const f32,
    count: usize,
    to: *mut f32,
    step: usize,
) {
    two_sided!(
        V,
        K,
        6,
        g_plain::<V, K>,
        (row, column) => V::load(from.add((row * K + column) * count)),
        (row, column, value) => value.store(to.add((row * SIDE + column) * step))
    );
}

multiversion! {
    fn run_weight_gradient = weight_gradient_body(kernel: usize, sums: &[f32], step: usize, count: usize, dw: &mut [f32]);
}

/// `G^T s G` of `count` filters, the transpose of [`weight_points`].
pub(crate) fn weight_gradient(
    level: Level,
    kernel: usize,
    sums: &[f32],
    step: usize,
    count: usize,
    dw: &mut [f32],
) {
    assert!(count.is_multiple_of(16) && dw.len() >= kernel * kernel * count);
    assert!(step >= count && sums.len() >= POINTS * step);
    run_weight_gradient(level, kernel, sums, step, count, dw);
}

#[inline(always)]
unsafe fn weight_gradient_body<V: Vector>(
    kernel: usize,
    sums: &[f32],
    step: usize,
    count: usize,
    dw: &mut [f32],
) {
    for at in (0..count).step_by(V::LANES) {
        let (from, to) = (sums.as_ptr().add(at), dw.as_mut_ptr().add(at));
        if kernel == 3 {
            gradient_of::<V, 3>(from, step, to, count);
        } else {
            gradient_of::<V, 5>(from, step, to, count);
        }
    }
}

#[inline(always)]
unsafe fn gradient_of<V: Vector, const K: usize>(
    from: *const f32,
    step: usize,
    to: *mut f32,
    count: usize,
) {
    two_sided!(
        V,
        6,
        K,
        g_transposed::<V, K>,
        (row, column) => V::load(from.add((row * SIDE + column) * step)),
        (row, column, value) => value.store(to.add((row * K + column) * count))
    );
}
