//! Batch normalisation with a per-channel `PReLU`, on rows of channels.
//!
//! A row is a pixel of a channels-last image or a sample of a feature matrix. Statistics are summed
//! in strips that stay in the first-level cache, about each strip's own mean, and the strips are
//! merged in double precision, so that a mean far larger than the deviation loses no digits.

// The contract of the unsafe functions: `V`'s feature, and slices of whole rows; the safe functions
// around them check the latter.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn, clippy::inline_always)]

use crate::error::{KernelError, check_len};
use crate::scratch::{LINE, Scratch};
use crate::simd::{Level, Vector, multiversion};
use rayon::prelude::*;

/// The affine map after the normalisation, and the `PReLU` after that.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    /// The factor of each channel.
    pub gamma: &'a [f32],
    /// The offset of each channel.
    pub beta: &'a [f32],
    /// The `PReLU` slope of each channel for negative values, or no `PReLU` at all.
    pub slope: Option<&'a [f32]>,
    /// Added to the variance under the root.
    pub eps: f32,
}

impl Affine<'_> {
    pub(crate) fn check(&self, channels: usize) -> Result<(), KernelError> {
        check_len("gamma", self.gamma.len(), channels)?;
        check_len("beta", self.beta.len(), channels)?;
        self.slope
            .map_or(Ok(()), |slope| check_len("slope", slope.len(), channels))
    }
}

/// What the gradient of [`Affine`] is written to.
#[derive(Debug)]
pub struct AffineGradient<'a> {
    /// The gradient for `gamma`.
    pub gamma: &'a mut [f32],
    /// The gradient for `beta`.
    pub beta: &'a mut [f32],
    /// The gradient for `slope`; left out if there is no `PReLU`.
    pub slope: Option<&'a mut [f32]>,
}

impl AffineGradient<'_> {
    pub(crate) fn check(&self, channels: usize) -> Result<(), KernelError> {
        check_len("dgamma", self.gamma.len(), channels)?;
        check_len("dbeta", self.beta.len(), channels)?;
        self.slope
            .as_ref()
            .map_or(Ok(()), |slope| check_len("dslope", slope.len(), channels))
    }
}

/// The coefficients of a pass, each in whole cache lines.
pub(crate) struct Coefficients {
    channels: usize,
    row: usize,
    values: Scratch,
}

/// The rows of [`Coefficients`].
const MEAN: usize = 0;
const SCALE: usize = 1;
const BETA: usize = 2;
const SLOPE: usize = 3;
/// `dx = SCALE * g + FLAT + TILT * (x - MEAN)`
const FLAT: usize = 4;
const TILT: usize = 5;

impl Coefficients {
    /// For `y = prelu((x - mean) / sqrt(var + eps) * gamma + beta)`.
    pub(crate) fn new(affine: &Affine<'_>, mean: &[f32], var: &[f32]) -> Self {
        let channels = mean.len();
        let row = channels.next_multiple_of(LINE);
        let mut values = Scratch::zeros(6 * row);
        for channel in 0..channels {
            values[MEAN * row + channel] = mean[channel];
            values[SCALE * row + channel] =
                affine.gamma[channel] * inverse_root(var[channel], affine.eps);
            values[BETA * row + channel] = affine.beta[channel];
            values[SLOPE * row + channel] = affine.slope.map_or(1.0, |slope| slope[channel]);
        }
        Self {
            channels,
            row,
            values,
        }
    }

    /// Sets what the gradient for `x` needs from the sums over all `count` rows; see
    /// [`gradient_sums`].
    pub(crate) fn set_gradient(
        &mut self,
        affine: &Affine<'_>,
        var: &[f32],
        sums: &Sums,
        count: usize,
    ) {
        for channel in 0..self.channels {
            let scale = f64::from(self.values[SCALE * self.row + channel]);
            let inverse = f64::from(inverse_root(var[channel], affine.eps));
            let per_row = scale / count as f64;
            self.values[FLAT * self.row + channel] = (-per_row * sums.beta(channel)) as f32;
            self.values[TILT * self.row + channel] =
                (-per_row * inverse * inverse * sums.tilt(channel)) as f32;
        }
    }
}

/// `1 / sqrt(var + eps)`
fn inverse_root(var: f32, eps: f32) -> f32 {
    1.0 / (var + eps).sqrt()
}

/// Rows of a strip: its reads stay in the first-level cache.
fn strip_rows(channels: usize) -> usize {
    (4096 / channels).clamp(16, 128)
}

multiversion! {
    fn run_moments = moments_body(x: &[f32], channels: usize, moments: &mut [f32]);
}

/// Floats that [`moments`] writes for each channel.
pub(crate) const MOMENTS: usize = 3;

/// Over the rows of `x`, for each channel: the mean, what its rounding left of it, and the sum of
/// squared deviations from it; `moments` is `[3, channels]`.
pub(crate) fn moments(level: Level, x: &[f32], channels: usize, moments: &mut [f32]) {
    assert!(moments.len() == MOMENTS * channels && x.len().is_multiple_of(channels));
    run_moments(level, x, channels, moments);
}

/// Channels that are summed at once: their sums stay in registers.
const BLOCK: usize = 64;

#[inline(always)]
unsafe fn moments_body<V: Vector>(x: &[f32], channels: usize, moments: &mut [f32]) {
    let rows = strip_rows(channels);
    for first in (0..channels).step_by(BLOCK) {
        let width = BLOCK.min(channels - first);
        let (mut means, mut spreads) = ([0.0f64; BLOCK], [0.0f64; BLOCK]);
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
                spreads[channel] += f64::from(strip_squares[channel]) + apart * apart * cross;
            }
            seen = total;
        }
        for channel in 0..width {
            let rounded = means[channel] as f32;
            let rest = means[channel] - f64::from(rounded);
            for (which, value) in [rounded, rest as f32, spreads[channel] as f32]
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
    // The rounded mean is not the exact one: the sum of deviations makes up for it.
    let (mut spread, mut rest) = ([V::zero(); W], [V::zero(); W]);
    for row in 0..rows {
        for at in 0..W {
            let value = V::load_if::<PART>(from.add(row * channels + at * V::LANES), part);
            let apart = value.sub(means[at]);
            spread[at] = apart.fma(apart, spread[at]);
            rest[at] = rest[at].add(apart);
        }
    }
    for at in 0..W {
        let excess = rest[at].mul(rest[at]).mul(V::splat(inverse));
        spread[at]
            .sub(excess)
            .store_if::<PART>(squares.add(at * V::LANES), part);
        rest[at].store_if::<PART>(rests.add(at * V::LANES), part);
    }
}

/// Merges the moments of parts with these numbers of rows, in order, into mean and biased variance.
pub(crate) fn merge_moments(
    counts: impl Iterator<Item = usize> + Clone,
    parts: &[f32],
    mean: &mut [f32],
    var: &mut [f32],
) {
    let channels = mean.len();
    for channel in 0..channels {
        let (mut seen, mut middle, mut spread) = (0.0f64, 0.0f64, 0.0f64);
        for (part, rows) in parts.chunks_exact(MOMENTS * channels).zip(counts.clone()) {
            let of = |which: usize| f64::from(part[which * channels + channel]);
            let rows = rows as f64;
            let apart = of(0) + of(1) - middle;
            let total = seen + rows;
            middle += apart * rows / total;
            spread += of(2) + apart * apart * seen * rows / total;
            seen = total;
        }
        mean[channel] = middle as f32;
        var[channel] = (spread / seen) as f32;
    }
}

/// Calls a body for each vector of each row, with the offset in the row and the valid lanes.
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

/// What the `PReLU` sees. Forward and backward must agree on it to the last bit.
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

/// The sums of [`gradient_sums`] over all parts.
pub(crate) struct Sums {
    channels: usize,
    totals: Vec<f64>,
}

impl Sums {
    /// Adds the parts up in order.
    pub(crate) fn new(channels: usize, parts: &[f32]) -> Self {
        let mut totals = vec![0.0; 3 * channels];
        for part in parts.chunks_exact(3 * channels) {
            totals
                .iter_mut()
                .zip(part)
                .for_each(|(total, &value)| *total += f64::from(value));
        }
        Self { channels, totals }
    }

    fn beta(&self, channel: usize) -> f64 {
        self.totals[channel]
    }

    fn tilt(&self, channel: usize) -> f64 {
        self.totals[self.channels + channel]
    }

    /// Writes the gradients of the affine map and of the slope.
    pub(crate) fn write(&self, affine: &Affine<'_>, var: &[f32], to: &mut AffineGradient<'_>) {
        for channel in 0..self.channels {
            let inverse = f64::from(inverse_root(var[channel], affine.eps));
            to.beta[channel] = self.beta(channel) as f32;
            to.gamma[channel] = (self.tilt(channel) * inverse) as f32;
            if let Some(slope) = &mut to.slope {
                slope[channel] = self.totals[2 * self.channels + channel] as f32;
            }
        }
    }
}

/// Rows that one task of the passes over a matrix works on.
fn task_rows(channels: usize) -> usize {
    (32 * 1024 / channels).max(16)
}

fn check_matrix(rows: usize, channels: usize) -> Result<usize, KernelError> {
    for (what, found) in [("rows", rows), ("channels", channels)] {
        if found == 0 {
            return Err(KernelError::Size {
                what,
                found,
                expected: "at least 1",
            });
        }
    }
    rows.checked_mul(channels)
        .ok_or(KernelError::Overflow { what: "the matrix" })
}

/// Batch normalisation with batch statistics, and `PReLU` where [`Affine::slope`] is given.
///
/// `x`, `y: [rows, channels]`; all else `[channels]`. Writes the batch's `mean` and biased `var`, and
/// with `n = (x - mean) / sqrt(var + eps) * gamma + beta` the output `y = n` if `n > 0`, else
/// `slope * n`.
pub fn norm_forward(
    (rows, channels): (usize, usize),
    x: &[f32],
    affine: &Affine<'_>,
    y: &mut [f32],
    mean: &mut [f32],
    var: &mut [f32],
) -> Result<(), KernelError> {
    let len = check_matrix(rows, channels)?;
    check_len("x", x.len(), len)?;
    check_len("y", y.len(), len)?;
    check_len("mean", mean.len(), channels)?;
    check_len("var", var.len(), channels)?;
    affine.check(channels)?;
    let level = Level::get();
    let task = task_rows(channels);
    let tasks = rows.div_ceil(task);
    let mut parts = Scratch::take(MOMENTS * tasks * channels);
    x.par_chunks(task * channels)
        .zip(parts.par_chunks_exact_mut(MOMENTS * channels))
        .for_each(|(x, part)| moments(level, x, channels, part));
    let counts = (0..tasks).map(|at| task.min(rows - at * task));
    merge_moments(counts, &parts, mean, var);
    let coefficients = Coefficients::new(affine, mean, var);
    apply(level, &coefficients, x, y);
    Ok(())
}

/// [`normalise`] in parallel.
pub(crate) fn apply(level: Level, coefficients: &Coefficients, x: &[f32], y: &mut [f32]) {
    let task = task_rows(coefficients.channels) * coefficients.channels;
    y.par_chunks_mut(task)
        .zip(x.par_chunks(task))
        .for_each(|(y, x)| normalise(level, coefficients, x, y));
}

/// [`gradient_sums`] in parallel.
pub(crate) fn all_gradient_sums(
    level: Level,
    coefficients: &Coefficients,
    x: &[f32],
    dy: &[f32],
) -> Sums {
    let channels = coefficients.channels;
    let task = task_rows(channels) * channels;
    let mut parts = Scratch::take(x.len().div_ceil(task) * 3 * channels);
    parts
        .par_chunks_exact_mut(3 * channels)
        .zip(x.par_chunks(task).zip(dy.par_chunks(task)))
        .for_each(|(sums, (x, dy))| gradient_sums(level, coefficients, x, dy, sums));
    Sums::new(channels, &parts)
}

/// The gradients of [`norm_forward`], from its input and the statistics that it wrote.
pub fn norm_backward(
    (rows, channels): (usize, usize),
    x: &[f32],
    affine: &Affine<'_>,
    mean: &[f32],
    var: &[f32],
    dy: &[f32],
    dx: &mut [f32],
    gradient_of: &mut AffineGradient<'_>,
) -> Result<(), KernelError> {
    let len = check_matrix(rows, channels)?;
    check_len("x", x.len(), len)?;
    check_len("dy", dy.len(), len)?;
    check_len("dx", dx.len(), len)?;
    check_len("mean", mean.len(), channels)?;
    check_len("var", var.len(), channels)?;
    affine.check(channels)?;
    gradient_of.check(channels)?;
    let level = Level::get();
    let mut coefficients = Coefficients::new(affine, mean, var);
    let sums = all_gradient_sums(level, &coefficients, x, dy);
    sums.write(affine, var, gradient_of);
    coefficients.set_gradient(affine, var, &sums, rows);
    let task = task_rows(channels) * channels;
    dx.par_chunks_mut(task)
        .zip(x.par_chunks(task).zip(dy.par_chunks(task)))
        .for_each(|(dx, (x, dy))| gradient(level, &coefficients, x, dy, dx));
    Ok(())
}

/// [`norm_forward`] with given (running) statistics.
pub fn norm_inference(
    (rows, channels): (usize, usize),
    x: &[f32],
    affine: &Affine<'_>,
    running_mean: &[f32],
    running_var: &[f32],
    y: &mut [f32],
) -> Result<(), KernelError> {
    let len = check_matrix(rows, channels)?;
    check_len("x", x.len(), len)?;
    check_len("y", y.len(), len)?;
    check_len("running_mean", running_mean.len(), channels)?;
    check_len("running_var", running_var.len(), channels)?;
    affine.check(channels)?;
    apply(
        Level::get(),
        &Coefficients::new(affine, running_mean, running_var),
        x,
        y,
    );
    Ok(())
}

/// Coefficients for [`shift`], and the factors that go into the weights.
pub(crate) fn folded(affine: &Affine<'_>, mean: &[f32], var: &[f32]) -> (Coefficients, Vec<f32>) {
    let mut coefficients = Coefficients::new(affine, mean, var);
    let row = coefficients.row;
    let scale = coefficients.values[SCALE * row..][..mean.len()].to_vec();
    for channel in 0..mean.len() {
        coefficients.values[BETA * row + channel] -= mean[channel] * scale[channel];
    }
    (coefficients, scale)
}
