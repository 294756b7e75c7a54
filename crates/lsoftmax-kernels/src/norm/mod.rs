//! Batch normalisation with a per-channel `PReLU`, on rows of channels.
//!
//! A row is a pixel of a channels-last image or a sample of a feature matrix. Statistics are summed
//! around each strip's own mean, in strips that stay in the first-level cache. The strips are
//! merged in double precision, so that a mean far larger than the deviation loses no digits.

mod passes;

use crate::error::{KernelError, check_len};
use crate::scratch::{LINE, Scratch};
use crate::simd::Level;
pub(crate) use passes::{MOMENTS, gradient, moments, shift};
use passes::{gradient_sums, normalise};
use rayon::prelude::*;

/// The affine map after the normalisation, and the `PReLU` after that.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    /// The factor of each channel.
    pub gamma: &'a [f32],
    /// The offset of each channel.
    pub beta: &'a [f32],
    /// The `PReLU` slope of each channel for negative values; `None` without `PReLU`.
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

/// Destination of the gradient of [`Affine`].
#[derive(Debug)]
pub struct AffineGradient<'a> {
    /// The gradient for `gamma`.
    pub gamma: &'a mut [f32],
    /// The gradient for `beta`.
    pub beta: &'a mut [f32],
    /// The gradient for `slope`; `None` without `PReLU`.
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

/// The coefficients of a pass, each padded to whole cache lines.
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

    /// Sets the coefficients of the gradient for `x` from the sums over all `count` rows; see
    /// [`gradient_sums`].
    pub(crate) fn set_gradient(
        &mut self,
        affine: &Affine<'_>,
        var: &[f32],
        sums: &Sums,
        count: usize,
    ) {
        for (channel, &var) in var.iter().enumerate() {
            let scale = f64::from(self.values[SCALE * self.row + channel]);
            let inverse = f64::from(inverse_root(var, affine.eps));
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

/// Merges the moments of parts with these row counts, in order, into mean and biased variance.
pub(crate) fn merge_moments(counts: &[usize], parts: &[f32], mean: &mut [f32], var: &mut [f32]) {
    let channels = mean.len();
    for channel in 0..channels {
        let (mut seen, mut middle, mut squares) = (0.0f64, 0.0f64, 0.0f64);
        for (part, rows) in parts.chunks_exact(MOMENTS * channels).zip(counts) {
            let of = |which: usize| f64::from(part[which * channels + channel]);
            let rows = *rows as f64;
            let apart = of(0) + of(1) - middle;
            let total = seen + rows;
            middle += apart * rows / total;
            squares += of(2) + apart * apart * seen * rows / total;
            seen = total;
        }
        mean[channel] = middle as f32;
        var[channel] = (squares / seen) as f32;
    }
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

/// Rows per task in the passes over a matrix.
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

/// Batch normalisation with batch statistics, followed by `PReLU` if [`Affine::slope`] is given.
///
/// `x`, `y: [rows, channels]`; all others `[channels]`. Writes the batch's `mean` and biased `var`,
/// and the output `y = n` if `n > 0`, else `slope * n`, with
/// `n = (x - mean) / sqrt(var + eps) * gamma + beta`.
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
    let counts: Vec<usize> = (0..tasks).map(|at| task.min(rows - at * task)).collect();
    merge_moments(&counts, &parts, mean, var);
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

/// The gradients of [`norm_forward`], computed from its input and the statistics that it wrote.
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

/// Coefficients for [`shift`], and the factors to fold into the weights.
pub(crate) fn folded(affine: &Affine<'_>, mean: &[f32], var: &[f32]) -> (Coefficients, Vec<f32>) {
    let mut coefficients = Coefficients::new(affine, mean, var);
    let row = coefficients.row;
    let scale = coefficients.values[SCALE * row..][..mean.len()].to_vec();
    for channel in 0..mean.len() {
        coefficients.values[BETA * row + channel] -= mean[channel] * scale[channel];
    }
    (coefficients, scale)
}
