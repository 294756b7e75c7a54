//! The vectorised passes over rows of channels.

// Contract of the unsafe functions: the CPU has `V`'s feature, and slices hold whole rows. The safe
// wrappers check the latter.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn, clippy::inline_always)]
// Register tiles are indexed by row and vector, like the formulas.
#![allow(clippy::needless_range_loop)]

use super::{BETA, Coefficients, FLAT, MEAN, SCALE, SLOPE, TILT};
use crate::simd::{Level, Vector, multiversion};

/// Rows of a strip, whose reads stay in the first-level cache.
fn strip_rows(channels: usize) -> usize {
    (4096 / channels).clamp(16, 128)
}

multiversion! {
    fn run_moments = moments_body(x: &[f32], channels: usize, moments: &mut [f32]);
}

/// Floats that [`moments`] writes for each channel.
pub(crate) const MOMENTS: usize = 3;

/// For each channel over the rows of `x`: the mean, its rounding error, and the sum of squared
/// deviations from it. `moments` is `[3, channels]`.
pub(crate) fn moments(level: Level, x: &[f32], channels: usize, moments: &mut [f32]) {
    assert!(moments.len() == MOMENTS * channels && x.len().is_multiple_of(channels));
    run_moments(level, x, channels, moments);
}

/// Channels summed at once, so that their sums stay in registers.
const BLOCK: usize = 64;

#[inline(always)]
unsafe fn moments_body<V: Vector>(x: &[f32], channels: usize, moments: &mut [f32]) {
    let rows = strip_rows(channels);
    for first in (0..channels).step_by(BLOCK) {
        let width = BLOCK.min(channels - first);
        let (mut means, mut squares) = ([0.0f64; BLOCK], [0.0f64; BLOCK]);
        let mut seen = 0.0;
        for strip in x.chunks(rows * channels) {
            let count = strip.len() / channels;
            let mut strip_mean = [0.0f32; BLOCK];
            let mut strip_squares = [0.0f32; BLOCK];
            let mut strip_rests = [0.0f32; BLOCK];
            let inverse = 1.0 / count as f32;
            let mut at = 0;
            while at < width {
                let left = width - at;
                let from = strip.as_ptr().add(first + at);
                let to = [&mut strip_mean, &mut strip_squares, &mut strip_rests]
                    .map(|values| values.as_mut_ptr().add(at));
                if left >= 4 * V::LANES {
                    strip_moments::<V, 4, false>(from, channels, count, inverse, V::LANES, to);
                    at += 4 * V::LANES;
                } else if left >= V::LANES {
                    strip_moments::<V, 1, false>(from, channels, count, inverse, V::LANES, to);
                    at += V::LANES;
                } else {
                    strip_moments::<V, 1, true>(from, channels, count, inverse, left, to);
                    at += left;
                }
            }
            // Chan's merge of two sets.
            let count = count as f64;
            let total = seen + count;
            let (share, cross) = (count / total, seen * count / total);
            for channel in 0..BLOCK {
                let rest = f64::from(strip_rests[channel]) / count;
                let apart = f64::from(strip_mean[channel]) + rest - means[channel];
                means[channel] += apart * share;
                squares[channel] += f64::from(strip_squares[channel]) + apart * apart * cross;
            }
            seen = total;
        }
        for channel in 0..width {
            let rounded = means[channel] as f32;
            let rest = means[channel] - f64::from(rounded);
            for (which, value) in [rounded, rest as f32, squares[channel] as f32]
                .into_iter()
                .enumerate()
            {
                moments[which * channels + first + channel] = value;
            }
        }
    }
}

#[inline(always)]
unsafe fn strip_moments<V: Vector, const W: usize, const PART: bool>(
    from: *const f32,
    channels: usize,
    rows: usize,
    inverse: f32,
    part: usize,
    [mean, squares, rests]: [*mut f32; 3],
) {
    let mut sums = [V::zero(); W];
    for row in 0..rows {
        for at in 0..W {
            let value = V::load_if::<PART>(from.add(row * channels + at * V::LANES), part);
            sums[at] = sums[at].add(value);
        }
    }
    let mut means = [V::zero(); W];
    for at in 0..W {
        means[at] = sums[at].mul(V::splat(inverse));
        means[at].store_if::<PART>(mean.add(at * V::LANES), part);
    }
    // The rounded mean is not exact; the sum of deviations corrects it.
    let (mut squared, mut rest) = ([V::zero(); W], [V::zero(); W]);
    for row in 0..rows {
        for at in 0..W {
            let value = V::load_if::<PART>(from.add(row * channels + at * V::LANES), part);
            let apart = value.sub(means[at]);
            squared[at] = apart.fma(apart, squared[at]);
            rest[at] = rest[at].add(apart);
        }
    }
    for at in 0..W {
        let excess = rest[at].mul(rest[at]).mul(V::splat(inverse));
        squared[at]
            .sub(excess)
            .store_if::<PART>(squares.add(at * V::LANES), part);
        rest[at].store_if::<PART>(rests.add(at * V::LANES), part);
    }
}

/// Runs a body for each vector of each row, with the offset in the row and the valid lanes.
macro_rules! each_vector {
    ($v:ident, $channels:expr, $rows:expr, ($row:ident, $at:ident, $part:ident, $n:ident) => $body:block) => {{
        let whole = $channels / $v::LANES * $v::LANES;
        for $row in 0..$rows {
            let mut $at = 0;
            while $at < whole {
                const $part: bool = false;
                let $n = $v::LANES;
                $body
                $at += $v::LANES;
            }
            if whole < $channels {
                const $part: bool = true;
                let $n = $channels - whole;
                $body
            }
        }
    }};
}

multiversion! {
    fn run_normalise = normalise_body(c: &Coefficients, x: &[f32], y: &mut [f32]);
}

/// `y = prelu((x - mean) * scale + beta)` on whole rows.
pub(crate) fn normalise(level: Level, c: &Coefficients, x: &[f32], y: &mut [f32]) {
    assert!(x.len() == y.len() && x.len().is_multiple_of(c.channels));
    run_normalise(level, c, x, y);
}

#[inline(always)]
unsafe fn normalise_body<V: Vector>(c: &Coefficients, x: &[f32], y: &mut [f32]) {
    let channels = c.channels;
    let of = |which: usize, at: usize| c.values.as_ptr().wrapping_add(which * c.row + at);
    each_vector!(V, channels, x.len() / channels, (row, at, PART, n) => {
        let x = V::load_if::<PART>(x.as_ptr().add(row * channels + at), n);
        let value = activation_input(x.sub(V::load(of(MEAN, at))), of(SCALE, at), of(BETA, at));
        let out = value.if_positive(value, value.mul(V::load(of(SLOPE, at))));
        out.store_if::<PART>(y.as_mut_ptr().add(row * channels + at), n);
    });
}

/// The input of the `PReLU`. Forward and backward must agree on it to the last bit.
#[inline(always)]
unsafe fn activation_input<V: Vector>(centred: V, scale: *const f32, beta: *const f32) -> V {
    centred.fma(V::load(scale), V::load(beta))
}

multiversion! {
    fn run_shift = shift_body(c: &Coefficients, y: &mut [f32]);
}

/// `y = prelu(y + beta)` in place, for a convolution whose weights hold the scale.
pub(crate) fn shift(level: Level, c: &Coefficients, y: &mut [f32]) {
    assert!(y.len().is_multiple_of(c.channels));
    run_shift(level, c, y);
}

#[inline(always)]
unsafe fn shift_body<V: Vector>(c: &Coefficients, y: &mut [f32]) {
    let channels = c.channels;
    let of = |which: usize, at: usize| c.values.as_ptr().wrapping_add(which * c.row + at);
    each_vector!(V, channels, y.len() / channels, (row, at, PART, n) => {
        let place = y.as_mut_ptr().add(row * channels + at);
        let value = V::load_if::<PART>(place, n).add(V::load(of(BETA, at)));
        let out = value.if_positive(value, value.mul(V::load(of(SLOPE, at))));
        out.store_if::<PART>(place, n);
    });
}

multiversion! {
    fn run_gradient_sums = sums_body(c: &Coefficients, x: &[f32], dy: &[f32], sums: &mut [f32]);
}

/// Sums over the rows, for each channel, with `g = dy * prelu'`: `g`, `g * (x - mean)`, and
/// `dy * min(0, prelu's input)`; `sums` is `[3, channels]`.
pub(crate) fn gradient_sums(
    level: Level,
    c: &Coefficients,
    x: &[f32],
    dy: &[f32],
    sums: &mut [f32],
) {
    assert!(x.len() == dy.len() && x.len().is_multiple_of(c.channels));
    assert_eq!(sums.len(), 3 * c.channels);
    run_gradient_sums(level, c, x, dy, sums);
}

#[inline(always)]
unsafe fn sums_body<V: Vector>(c: &Coefficients, x: &[f32], dy: &[f32], sums: &mut [f32]) {
    let channels = c.channels;
    let rows = strip_rows(channels);
    for first in (0..channels).step_by(BLOCK) {
        let width = BLOCK.min(channels - first);
        let mut totals = [[0.0f64; BLOCK]; 3];
        for (x, dy) in x.chunks(rows * channels).zip(dy.chunks(rows * channels)) {
            let mut strip = [[0.0f32; BLOCK]; 3];
            let count = x.len() / channels;
            let mut at = 0;
            while at < width {
                let left = width - at;
                let channel = first + at;
                let to = strip.as_mut_ptr().cast::<f32>().add(at);
                if left >= 2 * V::LANES {
                    strip_sums::<V, 2, false>(c, x, dy, count, channel, V::LANES, to);
                    at += 2 * V::LANES;
                } else if left >= V::LANES {
                    strip_sums::<V, 1, false>(c, x, dy, count, channel, V::LANES, to);
                    at += V::LANES;
                } else {
                    strip_sums::<V, 1, true>(c, x, dy, count, channel, left, to);
                    at += left;
                }
            }
            for (totals, strip) in totals.iter_mut().zip(&strip) {
                for (total, value) in totals.iter_mut().zip(strip) {
                    *total += f64::from(*value);
                }
            }
        }
        for (which, totals) in totals.iter().enumerate() {
            for channel in 0..width {
                sums[which * channels + first + channel] = totals[channel] as f32;
            }
        }
    }
}

#[inline(always)]
unsafe fn strip_sums<V: Vector, const W: usize, const PART: bool>(
    c: &Coefficients,
    x: &[f32],
    dy: &[f32],
    rows: usize,
    channel: usize,
    part: usize,
    to: *mut f32,
) {
    let of = |which: usize, at: usize| {
        c.values
            .as_ptr()
            .wrapping_add(which * c.row + channel + at * V::LANES)
    };
    let mut sums = [[V::zero(); W]; 3];
    for row in 0..rows {
        for at in 0..W {
            let offset = row * c.channels + channel + at * V::LANES;
            let x = V::load_if::<PART>(x.as_ptr().add(offset), part);
            let dy = V::load_if::<PART>(dy.as_ptr().add(offset), part);
            let centred = x.sub(V::load(of(MEAN, at)));
            let value = activation_input(centred, of(SCALE, at), of(BETA, at));
            let g = value.if_positive(dy, dy.mul(V::load(of(SLOPE, at))));
            let negative = value.if_positive(V::zero(), value);
            sums[0][at] = sums[0][at].add(g);
            sums[1][at] = g.fma(centred, sums[1][at]);
            sums[2][at] = dy.fma(negative, sums[2][at]);
        }
    }
    for which in 0..3 {
        for at in 0..W {
            sums[which][at].store_if::<PART>(to.add(which * BLOCK + at * V::LANES), part);
        }
    }
}

multiversion! {
    fn run_gradient = gradient_body(c: &Coefficients, x: &[f32], dy: &[f32], dx: &mut [f32]);
}

/// The gradient for `x` on whole rows, after [`Coefficients::set_gradient`].
pub(crate) fn gradient(level: Level, c: &Coefficients, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    assert!(x.len() == dy.len() && x.len() == dx.len() && x.len().is_multiple_of(c.channels));
    run_gradient(level, c, x, dy, dx);
}

#[inline(always)]
unsafe fn gradient_body<V: Vector>(c: &Coefficients, x: &[f32], dy: &[f32], dx: &mut [f32]) {
    let channels = c.channels;
    let of = |which: usize, at: usize| c.values.as_ptr().wrapping_add(which * c.row + at);
    each_vector!(V, channels, x.len() / channels, (row, at, PART, n) => {
        let offset = row * channels + at;
        let x = V::load_if::<PART>(x.as_ptr().add(offset), n);
        let dy = V::load_if::<PART>(dy.as_ptr().add(offset), n);
        let centred = x.sub(V::load(of(MEAN, at)));
        let value = activation_input(centred, of(SCALE, at), of(BETA, at));
        let g = value.if_positive(dy, dy.mul(V::load(of(SLOPE, at))));
        let flat = centred.fma(V::load(of(TILT, at)), V::load(of(FLAT, at)));
        let out = g.fma(V::load(of(SCALE, at)), flat);
        out.store_if::<PART>(dx.as_mut_ptr().add(offset), n);
    });
}
