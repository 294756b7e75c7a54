//! Splits the weight gradient into tasks.
//!
//! Small sums, which fit into a second-level cache: each task keeps its own for a chunk of images,
//! and the chunks are added up in order. Large sums would cost more to clear and add than to
//! compute: there the transforms of many images are stored first, and each point's product is then
//! one task with a single long sum. In both cases the partition depends on the shape alone.

use super::ConvShape;
use super::direct;
use super::pack::{unpack, unpack_points};
use super::transform::POINTS;
use super::winograd;
use crate::scratch::{LINE, Scratch};
use crate::simd::Level;
use rayon::prelude::*;
use std::ops::{Deref, Range};

/// The gradient for the outputs of a group of images.
pub(crate) enum OutputGradient<'a> {
    Given(&'a [f32]),
    Made(Scratch),
}

impl Deref for OutputGradient<'_> {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        match self {
            Self::Given(values) => values,
            Self::Made(values) => values,
        }
    }
}

/// The weight gradient, prepared for a shape.
pub(crate) struct WeightGradient {
    level: Level,
    shape: ConvShape,
    method: Method,
}

enum Method {
    Winograd(winograd::WeightGradient),
    Direct(direct::WeightGradient),
}

/// Sums of more floats than this are not kept per task. (Fewer in tests, where the double-precision
/// reference would take minutes for truly large shapes.)
const LARGE: usize = if cfg!(test) { 36 * 1024 } else { 400 * 1024 };
/// Tiles whose transforms are stored at once: a long sum that stays in the third-level cache.
const STORED_TILES: usize = 256;
/// Maximum number of tasks when each keeps its sums.
const MAX_CHUNKS: usize = 16;

impl WeightGradient {
    pub(crate) fn new(level: Level, shape: &ConvShape) -> Self {
        let method = if shape.suits_winograd() {
            Method::Winograd(winograd::WeightGradient::new(level, shape))
        } else {
            Method::Direct(direct::WeightGradient::new(level, shape))
        };
        Self {
            level,
            shape: *shape,
            method,
        }
    }

    /// Computes `dw`.
    ///
    /// For each group of images, `prepare(images, dx)` returns the gradient of their outputs. It
    /// may also fill the group's part of `dx`, which it receives (or an empty slice if there is
    /// none).
    pub(crate) fn run<'a>(
        &self,
        x: &[f32],
        dx: Option<&mut [f32]>,
        dw: &mut [f32],
        prepare: impl Fn(Range<usize>, &mut [f32]) -> OutputGradient<'a> + Sync,
    ) {
        match &self.method {
            Method::Winograd(method) if method.sums_len() > LARGE => {
                self.stored(method, x, dx, dw, &prepare);
            }
            _ => self.chunked(x, dx, dw, &prepare),
        }
    }

    fn x_image(&self) -> usize {
        self.shape.input_len() / self.shape.batch
    }

    fn row(&self) -> usize {
        self.shape.out_channels.next_multiple_of(LINE)
    }

    fn chunked<'a>(
        &self,
        x: &[f32],
        dx: Option<&mut [f32]>,
        dw: &mut [f32],
        prepare: &(impl Fn(Range<usize>, &mut [f32]) -> OutputGradient<'a> + Sync),
    ) {
        let shape = &self.shape;
        let (batch, group, x_image) = (shape.batch, shape.group(), self.x_image());
        let area = shape.kernel * shape.kernel;
        let chunk = batch.div_ceil(group).div_ceil(MAX_CHUNKS) * group;
        let part_len = area * shape.in_channels * self.row();
        let mut parts = Scratch::take(batch.div_ceil(chunk) * part_len);
        let mut dx = slices(dx, batch.div_ceil(chunk), chunk * x_image);
        parts
            .par_chunks_exact_mut(part_len)
            .zip(dx.par_iter_mut())
            .enumerate()
            .with_max_len(1)
            .for_each(|(at, (part, dx))| {
                let mut sums = match &self.method {
                    Method::Winograd(method) => Scratch::zeros(method.sums_len()),
                    Method::Direct(_) => Scratch::zeros(part_len),
                };
                let end = batch.min((at + 1) * chunk);
                let mut rest = &mut **dx;
                for first in (at * chunk..end).step_by(group) {
                    let images = first..end.min(first + group);
                    let mine = rest.len().min(images.len() * x_image);
                    let (dx, later) = rest.split_at_mut(mine);
                    rest = later;
                    let x = &x[first * x_image..images.end * x_image];
                    let dy = prepare(images.clone(), dx);
                    match &self.method {
                        Method::Winograd(method) => method.add(images.len(), x, &dy, &mut sums),
                        Method::Direct(method) => method.add(x, &dy, &mut sums),
                    }
                }
                match &self.method {
                    Method::Winograd(method) => method.finish(&sums, part),
                    Method::Direct(_) => part.copy_from_slice(&sums),
                }
            });
        let (total, others) = parts.split_at_mut(part_len);
        if !others.is_empty() {
            const SPAN: usize = 4096;
            total
                .par_chunks_mut(SPAN)
                .enumerate()
                .for_each(|(at, total)| {
                    for part in others.chunks_exact(part_len) {
                        let part = &part[at * SPAN..][..total.len()];
                        total
                            .iter_mut()
                            .zip(part)
                            .for_each(|(total, value)| *total += value);
                    }
                });
        }
        unpack(total, (shape.in_channels, area), self.row(), dw);
    }

    fn stored<'a>(
        &self,
        method: &winograd::WeightGradient,
        x: &[f32],
        mut dx: Option<&mut [f32]>,
        dw: &mut [f32],
        prepare: &(impl Fn(Range<usize>, &mut [f32]) -> OutputGradient<'a> + Sync),
    ) {
        let shape = &self.shape;
        let (batch, group, x_image) = (shape.batch, shape.group(), self.x_image());
        let tiles = group * method.tiles();
        let groups = STORED_TILES.div_ceil(tiles).min(batch.div_ceil(group));
        let (v_len, p_len) = method.stored_len(tiles);
        let mut v = Scratch::take(groups * v_len);
        let mut p = Scratch::take(groups * p_len);
        let mut sums = Scratch::take(method.sums_len());
        for start in (0..batch).step_by(groups * group) {
            let end = batch.min(start + groups * group);
            let dx = dx
                .as_mut()
                .map(|dx| &mut dx[start * x_image..end * x_image]);
            let count = (end - start).div_ceil(group);
            let mut dx = slices(dx, count, group * x_image);
            v.par_chunks_exact_mut(v_len)
                .zip(p.par_chunks_exact_mut(p_len))
                .zip(dx.par_iter_mut())
                .enumerate()
                .with_max_len(1)
                .for_each(|(at, ((v, p), dx))| {
                    let first = start + at * group;
                    let images = first..end.min(first + group);
                    let x = &x[first * x_image..images.end * x_image];
                    let dy = prepare(images.clone(), dx);
                    method.store(images.len(), tiles, x, &dy, v, p);
                });
            sums.par_chunks_exact_mut(method.sums_len() / POINTS)
                .enumerate()
                .with_max_len(1)
                .for_each(|(point, sums)| {
                    method.add_stored(point, (count, tiles), &v, &p, sums, start > 0);
                });
        }
        let size = (shape.in_channels, shape.kernel);
        let steps = (self.row(), method.sums_len() / POINTS);
        unpack_points(self.level, &sums, size, steps, dw);
    }
}

/// `count` slices of `len` values (the last may be shorter), or `count` empty ones.
fn slices(values: Option<&mut [f32]>, count: usize, len: usize) -> Vec<&mut [f32]> {
    match values {
        Some(values) => values.chunks_mut(len).collect(),
        None => (0..count).map(|_| <&mut [f32]>::default()).collect(),
    }
}
