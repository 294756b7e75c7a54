//! Winograd convolution with six points per axis: F(4x4, 3x3) and F(2x2, 5x5).
//!
//! With six points per axis a 6x6 tile of input gives `m = 7 - kernel` outputs per side:
//! `y = A^T [(G g G^T) * (B^T d B)] A`. The 36 products of a tile, over many tiles, are 36 matrix
//! products. The gradient for the weights follows from the same formula: with `P = A dy A^T` it is
//! `G^T [sum over tiles of (B^T d B) * P] G`.

use super::ConvShape;
use super::pack::{Taps, pack_points};
use super::transform::{POINTS, input_tiles, output_gradient_tiles, output_tiles, weight_gradient};
use crate::product::{Ahead, Product};
use crate::scratch::{LINE, Scratch};
use crate::simd::Level;
use std::sync::Arc;

/// The tiles of one image and their positions in input and output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub(crate) height: usize,
    pub(crate) width: usize,
    pub(crate) out_height: usize,
    pub(crate) out_width: usize,
    pub(crate) padding: usize,
    /// Outputs per side of a tile.
    pub(crate) side: usize,
    /// Tiles in a row.
    pub(crate) across: usize,
    /// Tiles per image.
    pub(crate) tiles: usize,
}

impl Grid {
    pub(crate) fn new(height: usize, width: usize, kernel: usize, padding: usize) -> Self {
        let (out_height, out_width) = (
            height + 2 * padding - kernel + 1,
            width + 2 * padding - kernel + 1,
        );
        let side = 7 - kernel;
        let across = out_width.div_ceil(side);
        let tiles = out_height.div_ceil(side) * across;
        Self {
            height,
            width,
            out_height,
            out_width,
            padding,
            side,
            across,
            tiles,
        }
    }

    /// The image of a tile, and the tile's first output row and column.
    #[inline]
    pub(crate) fn place(&self, tile: usize) -> (usize, usize, usize) {
        let (image, tile) = (tile / self.tiles, tile % self.tiles);
        (
            image,
            tile / self.across * self.side,
            tile % self.across * self.side,
        )
    }

    /// The output rows that these tiles cover, counted through all images.
    pub(crate) fn output_rows(&self, start: usize, end: usize) -> (usize, usize) {
        let ((image, top, _), (last_image, last, _)) = (self.place(start), self.place(end - 1));
        let bottom = (last + self.side).min(self.out_height);
        (
            image * self.out_height + top,
            last_image * self.out_height + bottom,
        )
    }

    /// The input rows that these tiles read beyond those of the preceding tiles.
    fn fresh_rows(&self, start: usize, end: usize) -> (usize, usize) {
        let row_after = |tile: usize| {
            let (image, top, _) = self.place(tile);
            image * self.height + (top + 6).saturating_sub(self.padding).min(self.height)
        };
        (row_after(start.max(1) - 1), row_after(end - 1))
    }
}

/// Floats of a row of channels in the transformed domain: whole cache lines.
pub(crate) fn padded(channels: usize) -> usize {
    channels.next_multiple_of(LINE)
}

/// The step from one point's matrix to the next. An odd number of lines: a power of two would map
/// the 36 lines that a transform writes at once to one cache set.
fn point_step(rows: usize, channels: usize) -> usize {
    rows * padded(channels) + LINE * (1 + (rows * padded(channels) / LINE) % 2)
}

/// Splits `count` tiles into blocks of nearly equal size, at most `most` each.
fn blocks(count: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let parts = count.div_ceil(most);
    (0..parts).map(move |part| (count * part / parts, count * (part + 1) / parts))
}

/// Tiles per block: as many as keep the transforms in the second-level cache. If the weights
/// themselves do not fit there, enough to amortise reading them again for each block.
fn block_size(inputs: usize, outputs: usize) -> usize {
    let (inputs, outputs) = (padded(inputs), padded(outputs));
    let least = if inputs * outputs > 96 * 96 { 64 } else { 12 };
    (160 * 1024 / (POINTS * (inputs + outputs))).clamp(least, 96)
}

/// `rows` offsets that are `step` apart.
fn rows_of(rows: usize, step: usize) -> Vec<usize> {
    (0..rows).map(|row| row * step).collect()
}

/// The convolution itself, and the gradient for the input, which is also a convolution.
pub(crate) struct Forward {
    level: Level,
    grid: Grid,
    inputs: usize,
    outputs: usize,
    block: usize,
    weights: Arc<Scratch>,
    v_rows: Vec<usize>,
    m_rows: Vec<usize>,
}

impl Forward {
    /// Packs the weights for [`Forward::new`].
    pub(crate) fn pack(level: Level, taps: &Taps<'_>) -> Scratch {
        let step = point_step(taps.inputs, taps.outputs);
        pack_points(level, taps, padded(taps.outputs), step)
    }

    pub(crate) fn new(
        level: Level,
        grid: Grid,
        (inputs, outputs): (usize, usize),
        weights: Arc<Scratch>,
    ) -> Self {
        let block = block_size(inputs, outputs);
        Self {
            level,
            grid,
            inputs,
            outputs,
            block,
            weights,
            v_rows: rows_of(block, padded(inputs)),
            m_rows: rows_of(block, padded(outputs)),
        }
    }

    /// Convolves `images` whole images.
    pub(crate) fn run(&self, images: usize, x: &[f32], y: &mut [f32]) {
        self.run_tiles((0, images * self.grid.tiles), x, y, 0);
    }

    /// Output rows that a row of tiles covers.
    pub(crate) fn rows(&self) -> usize {
        self.grid.side
    }

    /// Convolves one image for the output rows from `from` on, the first row of a tile, as many as
    /// fit into `y`.
    pub(crate) fn run_rows(&self, x: &[f32], y: &mut [f32], from: usize) {
        let rows = y.len() / (self.grid.out_width * self.outputs);
        let first = from / self.grid.side;
        let last = (from + rows).div_ceil(self.grid.side);
        let across = self.grid.across;
        self.run_tiles((first * across, last * across), x, y, from);
    }

    fn run_tiles(&self, (first, last): (usize, usize), x: &[f32], y: &mut [f32], from: usize) {
        let (v_step, m_step) = (
            point_step(self.block, self.inputs),
            point_step(self.block, self.outputs),
        );
        let mut v = Scratch::take(POINTS * v_step);
        let mut m = Scratch::take(POINTS * m_step);
        let w_step = point_step(self.inputs, self.outputs);
        for (start, end) in blocks(last - first, self.block) {
            let (start, end) = (first + start, first + end);
            let tiles = end - start;
            input_tiles(
                self.level,
                &self.grid,
                x,
                self.inputs,
                start,
                tiles,
                &mut v,
                v_step,
            );
            // Prefetches during the products: the block's outputs, and the inputs of the next block
            // (possibly of the next group).
            let (x_row, y_row) = (
                self.grid.width * self.inputs,
                self.grid.out_width * self.outputs,
            );
            let coming = Ahead::rows(x, x_row, self.grid.fresh_rows(end, end + tiles));
            let (top, bottom) = self.grid.output_rows(start, end);
            let going = Ahead::rows(y, y_row, (top - from, bottom - from));
            for point in 0..POINTS {
                Product {
                    a: &v[point * v_step..][..v_step],
                    a_rows: &self.v_rows[..tiles],
                    outer: 1,
                    a_outer: 0,
                    inner: self.inputs,
                    a_inner: 1,
                    b: &self.weights[point * w_step..][..w_step],
                    b_outer: 0,
                    b_row: padded(self.outputs),
                    columns: padded(self.outputs),
                    accumulate: false,
                    prefetch_c: false,
                    ahead: [coming, going].map(|ahead| ahead.share(point, POINTS)),
                }
                .run(
                    self.level,
                    &mut m[point * m_step..][..m_step],
                    &self.m_rows[..tiles],
                );
            }
            output_tiles(
                self.level,
                &self.grid,
                &m,
                m_step,
                self.outputs,
                start,
                tiles,
                y,
                from,
            );
        }
    }
}

/// The gradient for the weights.
pub(crate) struct WeightGradient {
    level: Level,
    grid: Grid,
    kernel: usize,
    inputs: usize,
    outputs: usize,
    block: usize,
    v_rows: Vec<usize>,
    sum_rows: Vec<usize>,
}

impl WeightGradient {
    pub(crate) fn new(level: Level, shape: &ConvShape) -> Self {
        let (inputs, outputs) = (shape.in_channels, shape.out_channels);
        Self {
            level,
            grid: Grid::new(shape.height, shape.width, shape.kernel, shape.padding),
            kernel: shape.kernel,
            inputs,
            outputs,
            block: block_size(inputs, outputs),
            v_rows: rows_of(inputs, 1),
            sum_rows: rows_of(inputs, padded(outputs)),
        }
    }

    /// Tiles per image.
    pub(crate) fn tiles(&self) -> usize {
        self.grid.tiles
    }

    /// Floats of the two transforms of `tiles` tiles.
    pub(crate) fn stored_len(&self, tiles: usize) -> (usize, usize) {
        (
            POINTS * point_step(tiles, self.inputs),
            POINTS * point_step(tiles, self.outputs),
        )
    }

    /// Writes both transforms of whole images into room for `room` tiles; the rest becomes zero.
    pub(crate) fn store(
        &self,
        images: usize,
        room: usize,
        x: &[f32],
        dy: &[f32],
        v: &mut [f32],
        p: &mut [f32],
    ) {
        let tiles = images * self.grid.tiles;
        if tiles < room {
            v.fill(0.0);
            p.fill(0.0);
        }
        let (v_step, p_step) = (
            point_step(room, self.inputs),
            point_step(room, self.outputs),
        );
        input_tiles(self.level, &self.grid, x, self.inputs, 0, tiles, v, v_step);
        output_gradient_tiles(
            self.level,
            &self.grid,
            dy,
            self.outputs,
            0,
            tiles,
            p,
            p_step,
        );
    }

    /// Sets or adds the products of one point over `groups` stores with room for `room` tiles each.
    pub(crate) fn add_stored(
        &self,
        point: usize,
        (groups, room): (usize, usize),
        v: &[f32],
        p: &[f32],
        sums: &mut [f32],
        accumulate: bool,
    ) {
        let (v_step, p_step) = (
            point_step(room, self.inputs),
            point_step(room, self.outputs),
        );
        Product {
            a: &v[point * v_step..],
            a_rows: &self.v_rows,
            outer: groups,
            a_outer: POINTS * v_step,
            inner: room,
            a_inner: padded(self.inputs),
            b: &p[point * p_step..],
            b_outer: POINTS * p_step,
            b_row: padded(self.outputs),
            columns: padded(self.outputs),
            accumulate,
            prefetch_c: false,
            ahead: [Ahead::NONE; 2],
        }
        .run(self.level, sums, &self.sum_rows);
    }

    /// Floats of the sums in the transformed domain.
    pub(crate) fn sums_len(&self) -> usize {
        POINTS * point_step(self.inputs, self.outputs)
    }

    /// Adds the products of `images` whole images to `sums`.
    pub(crate) fn add(&self, images: usize, x: &[f32], dy: &[f32], sums: &mut [f32]) {
        let (v_step, p_step) = (
            point_step(self.block, self.inputs),
            point_step(self.block, self.outputs),
        );
        let mut v = Scratch::take(POINTS * v_step);
        let mut p = Scratch::take(POINTS * p_step);
        let sum_step = point_step(self.inputs, self.outputs);
        for (start, end) in blocks(images * self.grid.tiles, self.block) {
            let tiles = end - start;
            input_tiles(
                self.level,
                &self.grid,
                x,
                self.inputs,
                start,
                tiles,
                &mut v,
                v_step,
            );
            output_gradient_tiles(
                self.level,
                &self.grid,
                dy,
                self.outputs,
                start,
                tiles,
                &mut p,
                p_step,
            );
            let (x_row, dy_row) = (
                self.grid.width * self.inputs,
                self.grid.out_width * self.outputs,
            );
            let coming = [
                Ahead::rows(x, x_row, self.grid.fresh_rows(end, end + tiles)),
                Ahead::rows(dy, dy_row, self.grid.output_rows(end, end + tiles)),
            ];
            for point in 0..POINTS {
                Product {
                    a: &v[point * v_step..][..v_step],
                    a_rows: &self.v_rows,
                    outer: 1,
                    a_outer: 0,
                    inner: tiles,
                    a_inner: padded(self.inputs),
                    b: &p[point * p_step..][..p_step],
                    b_outer: 0,
                    b_row: padded(self.outputs),
                    columns: padded(self.outputs),
                    accumulate: true,
                    prefetch_c: false,
                    ahead: coming.map(|ahead| ahead.share(point, POINTS)),
                }
                .run(
                    self.level,
                    &mut sums[point * sum_step..][..sum_step],
                    &self.sum_rows,
                );
            }
        }
    }

    /// Transforms the sums back to `[kernel * kernel * inputs, padded(outputs)]`.
    pub(crate) fn finish(&self, sums: &[f32], dw: &mut [f32]) {
        let step = point_step(self.inputs, self.outputs);
        let count = self.inputs * padded(self.outputs);
        weight_gradient(self.level, self.kernel, sums, step, count, dw);
    }
}
