//! Convolution as a matrix product that reads the zero-padded image in place.
//!
//! In channels-last memory the `kernel * channels` values under one kernel row are contiguous, so
//! that a product with offset tables needs no im2col buffer.

use super::ConvShape;
use super::pack::{Taps, pack};
use crate::product::{Ahead, Product};
use crate::scratch::{LINE, Scratch};
use crate::simd::Level;
use std::sync::Arc;

fn padded(channels: usize) -> usize {
    channels.next_multiple_of(LINE)
}

/// An image with a frame of zeros.
#[derive(Clone, Copy)]
struct Frame {
    height: usize,
    width: usize,
    channels: usize,
    before: usize,
    framed_height: usize,
    framed_width: usize,
}

impl Frame {
    fn len(&self) -> usize {
        self.framed_height * self.framed_width * self.channels
    }

    fn row(&self) -> usize {
        self.framed_width * self.channels
    }

    /// Copies an image into the frame, whose border is already zero.
    fn fill(&self, image: &[f32], framed: &mut [f32]) {
        let row = self.width * self.channels;
        let rows = framed.chunks_exact_mut(self.row()).skip(self.before);
        for (from, to) in image.chunks_exact(row).zip(rows) {
            to[self.before * self.channels..][..row].copy_from_slice(from);
        }
    }

    /// A frame around `size` (height and width) that reaches up to `reach` pixels.
    fn new(size: (usize, usize), channels: usize, before: usize, reach: (usize, usize)) -> Self {
        Self {
            height: size.0,
            width: size.1,
            channels,
            before,
            framed_height: reach.0.max(before + size.0),
            framed_width: reach.1.max(before + size.1),
        }
    }
}

/// One product per image, for the outputs of one phase.
struct Phase {
    a_rows: Vec<usize>,
    c_rows: Vec<usize>,
    outer: usize,
    inner: usize,
    weights: Arc<Scratch>,
}

/// The convolution, or the gradient for its input.
pub(crate) struct Forward {
    level: Level,
    frame: Frame,
    out_len: usize,
    outputs: usize,
    phases: Vec<Phase>,
}

impl Forward {
    /// Packs the weights for [`Forward::convolution`].
    pub(crate) fn pack(taps: &Taps<'_>) -> Scratch {
        let all: Vec<usize> = (0..taps.kernel).collect();
        pack_phase(taps, &all, &all)
    }

    /// `y = x * w`
    pub(crate) fn convolution(level: Level, shape: &ConvShape, weights: Arc<Scratch>) -> Self {
        let (height, width) = (shape.height, shape.width);
        let border = 2 * shape.padding;
        let frame = Frame::new(
            (height, width),
            shape.in_channels,
            shape.padding,
            (height + border, width + border),
        );
        let outputs = shape.out_height() * shape.out_width();
        let (across, stride) = (shape.out_width(), shape.stride);
        let a_rows = (0..outputs)
            .map(|at| at / across * stride * frame.row() + at % across * stride * shape.in_channels)
            .collect();
        let phase = Phase {
            a_rows,
            c_rows: (0..outputs).map(|at| at * shape.out_channels).collect(),
            outer: shape.kernel,
            inner: shape.kernel * shape.in_channels,
            weights,
        };
        Self {
            level,
            frame,
            out_len: outputs * shape.out_channels,
            outputs: shape.out_channels,
            phases: vec![phase],
        }
    }

    /// `dx`; `taps` are the forward weights with inputs and outputs exchanged. With a stride, the
    /// pixels of `dx` fall into `stride * stride` phases that use different taps.
    pub(crate) fn input_gradient(level: Level, shape: &ConvShape, taps: &Taps<'_>) -> Self {
        let &ConvShape {
            height,
            width,
            kernel,
            stride,
            padding,
            ..
        } = shape;
        let before = kernel.div_ceil(stride) - 1;
        let reach = |size: usize| before + (size - 1 + padding) / stride + 1;
        let frame = Frame::new(
            (shape.out_height(), shape.out_width()),
            taps.inputs,
            before,
            (reach(height), reach(width)),
        );
        let mut phases = Vec::new();
        for phase in 0..stride * stride {
            let (down, right) = (phase / stride, phase % stride);
            // The taps that reach the phase, farthest first, so that addresses ascend.
            let taps_of = |first: usize| (first..kernel).step_by(stride).rev().collect::<Vec<_>>();
            let (rows, columns) = (taps_of(down), taps_of(right));
            let pixels = |first: usize, size: usize| {
                (0..size).filter(move |at| (at + padding) % stride == first)
            };
            // Position of a pixel's first tap in the frame.
            let start = |at: usize, first: usize, taps: usize| {
                (at + padding - first) / stride + before + 1 - taps
            };
            let (mut a_rows, mut c_rows) = (Vec::new(), Vec::new());
            for y in pixels(down, height) {
                for x in pixels(right, width) {
                    if !rows.is_empty() && !columns.is_empty() {
                        let top = start(y, down, rows.len());
                        let left = start(x, right, columns.len());
                        a_rows.push(top * frame.row() + left * taps.inputs);
                    } else {
                        a_rows.push(0); // no tap reaches this pixel: the sum is empty
                    }
                    c_rows.push((y * width + x) * taps.outputs);
                }
            }
            phases.push(Phase {
                a_rows,
                c_rows,
                outer: rows.len(),
                inner: columns.len() * taps.inputs,
                weights: Arc::new(pack_phase(taps, &rows, &columns)),
            });
        }
        Self {
            level,
            frame,
            out_len: height * width * taps.outputs,
            outputs: taps.outputs,
            phases,
        }
    }

    /// The image with its frame of zeros.
    pub(crate) fn framed(&self, image: &[f32]) -> Scratch {
        let mut framed = Scratch::zeros(self.frame.len());
        self.frame.fill(image, &mut framed);
        framed
    }

    /// Convolves one framed image for the outputs from `first` on, as many as fit into `y`.
    pub(crate) fn run_pixels(&self, framed: &[f32], y: &mut [f32], first: usize) {
        let count = y.len() / self.outputs;
        for phase in &self.phases {
            let a_rows = &phase.a_rows[first..first + count];
            let product = self.product(framed, phase, a_rows);
            product.run(self.level, y, &phase.c_rows[..count]);
        }
    }

    fn product<'a>(&self, framed: &'a [f32], phase: &'a Phase, a_rows: &'a [usize]) -> Product<'a> {
        Product {
            a: framed,
            a_rows,
            outer: phase.outer,
            a_outer: self.frame.row(),
            inner: phase.inner,
            a_inner: 1,
            b: &phase.weights,
            b_outer: phase.inner * padded(self.outputs),
            b_row: padded(self.outputs),
            columns: self.outputs,
            accumulate: false,
            prefetch_c: false,
            ahead: [Ahead::NONE; 2],
        }
    }

    /// Convolves whole images.
    pub(crate) fn run(&self, x: &[f32], y: &mut [f32]) {
        let mut framed = Scratch::zeros(self.frame.len());
        let images = x.chunks_exact(self.frame.height * self.frame.width * self.frame.channels);
        for (x, y) in images.zip(y.chunks_exact_mut(self.out_len)) {
            self.frame.fill(x, &mut framed);
            for phase in &self.phases {
                self.product(&framed, phase, &phase.a_rows)
                    .run(self.level, y, &phase.c_rows);
            }
        }
    }
}

/// `[row, column, input, padded(outputs)]` of the taps with these row and column indices.
fn pack_phase(taps: &Taps<'_>, rows: &[usize], columns: &[usize]) -> Scratch {
    let indices: Vec<usize> = rows
        .iter()
        .flat_map(|row| columns.iter().map(move |column| row * taps.kernel + column))
        .collect();
    pack(taps, &indices, padded(taps.outputs))
}

/// The gradient for the weights.
pub(crate) struct WeightGradient {
    level: Level,
    frame: Frame,
    stride: usize,
    outputs: usize,
    out_height: usize,
    out_width: usize,
    a_rows: Vec<usize>,
    c_rows: Vec<usize>,
}

impl WeightGradient {
    pub(crate) fn new(level: Level, shape: &ConvShape) -> Self {
        let (height, width) = (shape.height, shape.width);
        let border = 2 * shape.padding;
        let channels = shape.in_channels;
        let frame = Frame::new(
            (height, width),
            channels,
            shape.padding,
            (height + border, width + border),
        );
        let run = shape.kernel * channels;
        let rows = shape.kernel * run;
        Self {
            level,
            frame,
            stride: shape.stride,
            outputs: shape.out_channels,
            out_height: shape.out_height(),
            out_width: shape.out_width(),
            a_rows: (0..rows)
                .map(|at| at / run * frame.row() + at % run)
                .collect(),
            c_rows: (0..rows)
                .map(|at| at * padded(shape.out_channels))
                .collect(),
        }
    }

    /// Adds the gradient of whole images to `dw: [kernel * kernel * inputs, padded(outputs)]`.
    pub(crate) fn add(&self, x: &[f32], dy: &[f32], dw: &mut [f32]) {
        let mut framed = Scratch::zeros(self.frame.len());
        let images = x.chunks_exact(self.frame.height * self.frame.width * self.frame.channels);
        let out_row = self.out_width * self.outputs;
        // Processes image rows in groups whose part of `dy` stays in the first-level cache.
        let rows = (24 * 1024 / 4 / out_row).max(1);
        for (x, dy) in images.zip(dy.chunks_exact(self.out_height * out_row)) {
            self.frame.fill(x, &mut framed);
            for (at, dy) in dy.chunks(rows * out_row).enumerate() {
                Product {
                    a: &framed[at * rows * self.stride * self.frame.row()..],
                    a_rows: &self.a_rows,
                    outer: dy.len() / out_row,
                    a_outer: self.stride * self.frame.row(),
                    inner: self.out_width,
                    a_inner: self.stride * self.frame.channels,
                    b: dy,
                    b_outer: out_row,
                    b_row: self.outputs,
                    columns: self.outputs,
                    accumulate: true,
                    prefetch_c: false,
                    ahead: [Ahead::NONE; 2],
                }
                .run(self.level, dw, &self.c_rows);
            }
        }
    }
}
