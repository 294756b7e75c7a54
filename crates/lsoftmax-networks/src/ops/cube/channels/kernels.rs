//! The kernels of the passes over channels.

// The expansion of `#[cube]` contains casts and copies.
#![allow(clippy::pedantic)]
// Kernels do not support the method, and the comparisons are meant to let NaN pass.
#![allow(clippy::manual_clamp)]

use cubecl::ir::ElemType;
use cubecl::prelude::*;

/// The terms that are summed over the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Terms {
    /// For `d = z - first row`: d and its square.
    Moments,
    /// For `g`, the gradient with respect to v: g, and `g (z - mean)`; and for the gradient with
    /// respect to y, that of the slope.
    Gradients,
}

/// The range of finite numbers of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Range {
    Full,
    F16,
}

/// The largest f16.
const F16_MAX: f32 = 65504.0;

/// Clamps a number to the range.
#[cube]
fn within(value: f32, #[comptime] range: Range) -> f32 {
    let mut value = value;
    if comptime!(range == Range::F16) {
        // The comparisons let NaN pass.
        if value > F16_MAX {
            value = F16_MAX;
        }
        if value < -F16_MAX {
            value = -F16_MAX;
        }
    }
    value
}

/// Sums the rows of a cube, whose number is a power of two, in the same order every time. The first
/// row of units gets the sums.
#[cube]
fn add_rows(shared: &mut Shared<[f32]>, value: f32) -> f32 {
    let at = (UNIT_POS_Y * CUBE_DIM_X + UNIT_POS_X) as usize;
    sync_cube();
    shared[at] = value;
    sync_cube();
    let mut half = CUBE_DIM_Y / 2;
    while half > 0 {
        if UNIT_POS_Y < half {
            shared[at] += shared[at + (half * CUBE_DIM_X) as usize];
        }
        sync_cube();
        half /= 2;
    }
    shared[UNIT_POS_X as usize]
}

/// Sums [`Terms`] over a part of the rows: `parts` is `[part, 3, channel]`.
#[cube(launch)]
pub(super) fn sums_kernel<E: Float>(
    z: &Tensor<E>,
    dy: &Tensor<E>,
    mean: &Tensor<f32>,
    factor: &Tensor<f32>,
    offset: &Tensor<f32>,
    slope: &Tensor<f32>,
    parts: &mut Tensor<f32>,
    rows: usize,
    #[comptime] terms: Terms,
    #[comptime] units: u32,
    #[comptime] range: Range,
    #[define(E)] _element: ElemType,
) {
    let mut shared = Shared::<[f32]>::new_slice(comptime!(units as usize));
    let channels = parts.shape(2);
    let channel = (CUBE_POS_X * CUBE_DIM_X + UNIT_POS_X) as usize;
    let mut first = 0.0f32.runtime();
    let mut second = 0.0f32.runtime();
    let mut third = 0.0f32.runtime();
    if channel < channels {
        let part_rows = rows.div_ceil(CUBE_COUNT_Y as usize);
        let start = CUBE_POS_Y as usize * part_rows;
        let mut end = start + part_rows;
        if end > rows {
            end = rows;
        }
        let mut row = start + UNIT_POS_Y as usize;
        if comptime!(terms == Terms::Moments) {
            let shift = within(f32::cast_from(z[channel]), range);
            while row < end {
                let d = within(f32::cast_from(z[row * channels + channel]), range) - shift;
                first += d;
                second += d * d;
                row += CUBE_DIM_Y as usize;
            }
        } else {
            let (mean, factor) = (mean[channel], factor[channel]);
            let (offset, slope) = (offset[channel], slope[channel]);
            while row < end {
                let at = row * channels + channel;
                let d = within(f32::cast_from(z[at]), range) - mean;
                let dy = within(f32::cast_from(dy[at]), range);
                let v = d * factor + offset;
                let mut g = dy;
                if v <= 0.0f32 {
                    g = slope * dy;
                    third += dy * v;
                }
                first += g;
                second += g * d;
                row += CUBE_DIM_Y as usize;
            }
        }
    }
    let first = add_rows(&mut shared, first);
    let second = add_rows(&mut shared, second);
    let third = add_rows(&mut shared, third);
    if UNIT_POS_Y == 0 && channel < channels {
        let at = CUBE_POS_Y as usize * 3 * channels + channel;
        parts[at] = first;
        parts[at + channels] = second;
        parts[at + 2 * channels] = third;
    }
}

/// Combines the parts: `sums` is `[3, channel]`.
#[cube(launch)]
pub(super) fn together_kernel(parts: &Tensor<f32>, sums: &mut Tensor<f32>, #[comptime] units: u32) {
    let mut shared = Shared::<[f32]>::new_slice(comptime!(units as usize));
    let columns = 3 * parts.shape(2);
    let column = (CUBE_POS_X * CUBE_DIM_X + UNIT_POS_X) as usize;
    let mut sum = 0.0f32.runtime();
    if column < columns {
        let mut part = UNIT_POS_Y as usize;
        while part < parts.shape(0) {
            sum += parts[part * columns + column];
            part += CUBE_DIM_Y as usize;
        }
    }
    let sum = add_rows(&mut shared, sum);
    if UNIT_POS_Y == 0 && column < columns {
        sums[column] = sum;
    }
}

/// Mean, biased variance and factor of the normalisation, from the sums of moments.
#[cube(launch)]
pub(super) fn moments_kernel<E: Float>(
    sums: &Tensor<f32>,
    z: &Tensor<E>,
    gamma: &Tensor<f32>,
    mean: &mut Tensor<f32>,
    var: &mut Tensor<f32>,
    factor: &mut Tensor<f32>,
    rows: f32,
    epsilon: f32,
    #[comptime] range: Range,
    #[define(E)] _element: ElemType,
) {
    let channels = mean.len();
    let channel = ABSOLUTE_POS;
    if channel < channels {
        let first = sums[channel] / rows;
        let mut spread = sums[channels + channel] / rows - first * first;
        // Rounding may make the variance negative. NaN stays.
        if spread < 0.0f32 {
            spread = 0.0f32;
        }
        mean[channel] = within(f32::cast_from(z[channel]), range) + first;
        var[channel] = spread;
        factor[channel] = gamma[channel] / (spread + epsilon).sqrt();
    }
}

#[cube(launch)]
pub(super) fn forward_kernel<E: Float>(
    z: &Tensor<E>,
    mean: &Tensor<f32>,
    factor: &Tensor<f32>,
    offset: &Tensor<f32>,
    slope: &Tensor<f32>,
    y: &mut Tensor<E>,
    #[comptime] range: Range,
    #[define(E)] _element: ElemType,
) {
    let channels = mean.len();
    let mut at = ABSOLUTE_POS;
    while at < y.len() {
        let channel = at % channels;
        let mut v = (within(f32::cast_from(z[at]), range) - mean[channel]) * factor[channel]
            + offset[channel];
        if v <= 0.0f32 {
            v *= slope[channel];
        }
        y[at] = E::cast_from(within(v, range));
        at += (CUBE_COUNT_X * CUBE_DIM_X) as usize;
    }
}

/// The gradient with respect to z; `sums` are those of [`Terms::Gradients`].
///
/// The statistics of a batch depend on z, which removes from the gradient its mean and its part
/// along `z - mean`. Constant statistics do not.
#[cube(launch)]
pub(super) fn backward_kernel<E: Float>(
    z: &Tensor<E>,
    dy: &Tensor<E>,
    mean: &Tensor<f32>,
    factor: &Tensor<f32>,
    offset: &Tensor<f32>,
    slope: &Tensor<f32>,
    var: &Tensor<f32>,
    sums: &Tensor<f32>,
    dz: &mut Tensor<E>,
    rows: f32,
    epsilon: f32,
    #[comptime] of_batch: bool,
    #[comptime] range: Range,
    #[define(E)] _element: ElemType,
) {
    let channels = mean.len();
    let mut at = ABSOLUTE_POS;
    while at < dz.len() {
        let channel = at % channels;
        let d = within(f32::cast_from(z[at]), range) - mean[channel];
        let v = d * factor[channel] + offset[channel];
        let mut g = within(f32::cast_from(dy[at]), range);
        if v <= 0.0f32 {
            g *= slope[channel];
        }
        if comptime!(of_batch) {
            let along = sums[channels + channel] / (var[channel] + epsilon);
            g -= (sums[channel] + d * along) / rows;
        }
        dz[at] = E::cast_from(within(g * factor[channel], range));
        at += (CUBE_COUNT_X * CUBE_DIM_X) as usize;
    }
}

/// The gradients of the parameters from the sums: with respect to gamma, offset and slope.
#[cube(launch)]
pub(super) fn parameters_kernel(
    sums: &Tensor<f32>,
    var: &Tensor<f32>,
    d_gamma: &mut Tensor<f32>,
    d_offset: &mut Tensor<f32>,
    d_slope: &mut Tensor<f32>,
    epsilon: f32,
    scale: f32,
) {
    let channels = var.len();
    let channel = ABSOLUTE_POS;
    if channel < channels {
        d_offset[channel] = sums[channel] / scale;
        d_gamma[channel] = sums[channels + channel] / (var[channel] + epsilon).sqrt() / scale;
        d_slope[channel] = sums[2 * channels + channel] / scale;
    }
}

#[cube(launch)]
pub(super) fn cast_kernel<A: Float, B: Float>(
    from: &Tensor<A>,
    to: &mut Tensor<B>,
    factor: f32,
    #[comptime] range: Range,
    #[define(A, B)] _elements: [ElemType; 2],
) {
    let mut at = ABSOLUTE_POS;
    while at < to.len() {
        let value = within(f32::cast_from(from[at]), range);
        to[at] = B::cast_from(within(value * factor, range));
        at += (CUBE_COUNT_X * CUBE_DIM_X) as usize;
    }
}
