//! Converts weights between their own layout, `[outputs, inputs, kernel, kernel]`, and that of the
//! products, where outputs are innermost. Both directions use blocks of 16 outputs, a cache line.

// Tasks write disjoint lines of one array.
#![allow(unsafe_code)]

use super::transform::{POINTS, weight_gradient, weight_points};
use crate::scratch::{LINE, Scratch};
use crate::simd::Level;
use rayon::prelude::*;

/// The weights as read by the packing functions.
pub(crate) struct Taps<'a> {
    pub(crate) weight: &'a [f32],
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) kernel: usize,
    /// Whether `weight` is `[inputs, outputs, ..]`: the gradient exchanges the convolution's inputs
    /// and outputs.
    pub(crate) exchanged: bool,
    /// Whether the kernel is rotated by 180 degrees.
    pub(crate) rotated: bool,
}

impl Taps<'_> {
    /// The line of 16 outputs (zeros beyond the last) of each tap in `indices`, for one input.
    fn gather(&self, indices: &[usize], input: usize, first: usize, lines: &mut [f32]) {
        let area = self.kernel * self.kernel;
        let (of_input, of_output) = if self.exchanged {
            (self.outputs * area, area)
        } else {
            (area, self.inputs * area)
        };
        let count = LINE.min(self.outputs - first);
        lines.fill(0.0);
        for lane in 0..count {
            let taps = &self.weight[input * of_input + (first + lane) * of_output..][..area];
            for (line, &index) in lines.chunks_exact_mut(LINE).zip(indices) {
                let index = if self.rotated {
                    area - 1 - index
                } else {
                    index
                };
                line[lane] = taps[index];
            }
        }
    }
}

/// An array of which tasks write disjoint parts.
struct Shared {
    start: *mut f32,
    len: usize,
}

// SAFETY: `write` is the only access, and its callers guarantee disjoint ranges.
unsafe impl Sync for Shared {}

impl Shared {
    /// # Safety
    /// No other thread writes to the same range.
    unsafe fn write(&self, at: usize, line: &[f32]) {
        assert!(at + line.len() <= self.len);
        // SAFETY: within bounds, and no other thread writes here.
        unsafe { std::ptr::copy_nonoverlapping(line.as_ptr(), self.start.add(at), line.len()) };
    }
}

/// Inputs per packing task.
const INPUTS: usize = 32;

/// Runs `work(inputs, first output)` in parallel over all blocks.
fn each_block(taps: &Taps<'_>, work: impl Fn(std::ops::Range<usize>, usize) + Sync) {
    let blocks = taps.outputs.div_ceil(LINE);
    let spans = taps.inputs.div_ceil(INPUTS);
    (0..blocks * spans).into_par_iter().for_each(|task| {
        let first = task % spans * INPUTS;
        work(
            first..(first + INPUTS).min(taps.inputs),
            task / spans * LINE,
        );
    });
}

/// The taps with these indices (row times kernel plus column) as `[indices, inputs, row floats]`,
/// where a row holds the outputs and then zeros up to a whole line.
pub(crate) fn pack(taps: &Taps<'_>, indices: &[usize], row: usize) -> Scratch {
    let mut packed = Scratch::take(indices.len() * taps.inputs * row);
    let shared = Shared {
        start: packed.as_mut_ptr(),
        len: packed.len(),
    };
    each_block(taps, |inputs, first| {
        let mut lines = Scratch::take(indices.len() * LINE);
        for input in inputs {
            taps.gather(indices, input, first, &mut lines);
            for (slot, line) in lines.chunks_exact(LINE).enumerate() {
                // SAFETY: only this input and block write to this range.
                unsafe { shared.write((slot * taps.inputs + input) * row + first, line) };
            }
        }
    });
    packed
}

/// `G g G^T` of all weights: `[36 points, inputs, row floats]`, with `step` between points.
pub(crate) fn pack_points(level: Level, taps: &Taps<'_>, row: usize, step: usize) -> Scratch {
    let indices: Vec<usize> = (0..taps.kernel * taps.kernel).collect();
    let mut packed = Scratch::take(POINTS * step);
    let shared = Shared {
        start: packed.as_mut_ptr(),
        len: packed.len(),
    };
    each_block(taps, |inputs, first| {
        let mut lines = Scratch::take(indices.len() * LINE);
        let mut points = [0.0; POINTS * LINE];
        for input in inputs {
            taps.gather(&indices, input, first, &mut lines);
            weight_points(level, taps.kernel, &lines, LINE, &mut points, LINE);
            for (point, line) in points.chunks_exact(LINE).enumerate() {
                // SAFETY: only this input and block write to this range.
                unsafe { shared.write(point * step + input * row + first, line) };
            }
        }
    });
    packed
}

/// Converts `sums: [kernel * kernel, inputs, row floats]` to the layout of the weights.
pub(crate) fn unpack(sums: &[f32], (inputs, area): (usize, usize), row: usize, dw: &mut [f32]) {
    dw.par_chunks_mut(LINE * inputs * area)
        .enumerate()
        .for_each(|(block, dw)| {
            for input in 0..inputs {
                for tap in 0..area {
                    let line = &sums[(tap * inputs + input) * row + block * LINE..][..LINE];
                    scatter(line, input * area + tap, inputs * area, dw);
                }
            }
        });
}

/// `G^T s G` of `sums: [36 points, inputs, row floats]`, with `step` between points, in the layout of
/// the weights.
pub(crate) fn unpack_points(
    level: Level,
    sums: &[f32],
    (inputs, kernel): (usize, usize),
    (row, step): (usize, usize),
    dw: &mut [f32],
) {
    let area = kernel * kernel;
    dw.par_chunks_mut(LINE * inputs * area)
        .enumerate()
        .for_each(|(block, dw)| {
            let mut taps = Scratch::take(area * LINE);
            let mut points = [0.0; POINTS * LINE];
            for input in 0..inputs {
                for (point, line) in points.chunks_exact_mut(LINE).enumerate() {
                    let from = point * step + input * row + block * LINE;
                    line.copy_from_slice(&sums[from..][..LINE]);
                }
                weight_gradient(level, kernel, &points, LINE, LINE, &mut taps);
                for (tap, line) in taps.chunks_exact(LINE).enumerate() {
                    scatter(line, input * area + tap, inputs * area, dw);
                }
            }
        });
}

/// Writes a line to the same position of up to 16 outputs.
fn scatter(line: &[f32], at: usize, of_output: usize, dw: &mut [f32]) {
    for (dw, &value) in dw.chunks_exact_mut(of_output).zip(line) {
        dw[at] = value;
    }
}
