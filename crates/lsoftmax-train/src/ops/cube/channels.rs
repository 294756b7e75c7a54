//! The passes over the values behind a convolution, on `[row, channel]`: normalisation, offset and
//! `PReLU`, and their gradients. Values are of any precision, arithmetic and sums are f32.
//!
//! In half precision gradients of values are [scaled](scale), so that small ones are no zeros; those
//! of parameters are not. Of f16, what is beyond its range becomes its largest number, going in and out:
//! an infinity would be NaN in the next product.
//!
//! ```text
//! v = (z - mean) factor + offset,   y = v for v > 0, else slope v
//! ```

// The expansion of `#[cube]` has casts and copies of its own.
#![allow(clippy::pedantic)]
// A kernel does not know the method, and its comparisons let NaN pass.
#![allow(clippy::manual_clamp)]

use burn::backend::TensorMetadata as _;
use burn::backend::ops::FloatTensorOps as _;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, FloatDType, Shape};
use burn_cubecl::CubeBackend;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;

type Values = FloatTensor<CubeBackend>;

/// Units of a cube. Those of a sum stand as [`LANES`] channels by rows.
pub(super) const UNITS: u32 = 256;
/// Channels side by side in a sum.
const LANES: u32 = 32;
/// Cubes at most; the values beyond are taken in further turns. WebGPU allows 65535.
const CUBES: usize = 1 << 14;
/// Parts that the rows of a sum are cut into at most, and the fewest rows of a part.
const PARTS: usize = 256;
const PART_ROWS: usize = 128;

/// What of the values is summed over the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Terms {
    /// Of `d = z - first row`: d and its square.
    Moments,
    /// Of `g`, the gradient by v: g, and `g (z - mean)`; and of the gradient by y that by the slope.
    Gradients,
}

/// The largest numbers that are no infinities.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Range {
    Full,
    F16,
}

/// The largest f16.
const F16_MAX: f32 = 65504.0;
/// The factor of gradients in f16, for a batch of one. A loss is a mean: the gradients of a batch of 256
/// are about 1e-4 and less where f16 ends at 6e-8; so they are about 1, and room for 8 is left.
const F16_SCALE: f32 = 32.0;

/// The four numbers of each channel, `[channel]`.
#[derive(Clone, Debug)]
pub(super) struct Channels {
    pub(super) mean: Values,
    pub(super) factor: Values,
    pub(super) offset: Values,
    pub(super) slope: Values,
}

/// What the gradients of values are multiplied with.
pub(super) fn scale(dtype: DType, batch: usize) -> f32 {
    if dtype == DType::F16 {
        F16_SCALE * batch.next_power_of_two() as f32
    } else {
        1.0
    }
}

fn range(dtype: DType) -> Range {
    if dtype == DType::F16 {
        Range::F16
    } else {
        Range::Full
    }
}

fn element(dtype: DType) -> ElemType {
    ElemType::Float(match dtype {
        DType::F16 => FloatKind::F16,
        DType::BF16 => FloatKind::BF16,
        _ => FloatKind::F32,
    })
}

/// A number within the range.
#[cube]
fn within(value: f32, #[comptime] range: Range) -> f32 {
    let mut value = value;
    if comptime!(range == Range::F16) {
        // Comparisons let NaN pass.
        if value > F16_MAX {
            value = F16_MAX;
        }
        if value < -F16_MAX {
            value = -F16_MAX;
        }
    }
    value
}

/// Adds up the rows of a cube, of which there is a power of two, in the same order every time; the
/// first row of units has the sums.
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

/// Sums of [`Terms`] over a part of the rows: `parts` is `[part, 3, channel]`.
#[cube(launch)]
fn sums_kernel<E: Float>(
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

/// The parts together: `sums` is `[3, channel]`.
#[cube(launch)]
fn together_kernel(parts: &Tensor<f32>, sums: &mut Tensor<f32>, #[comptime] units: u32) {
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

/// Mean, biased variance and the factor of the normalisation from the sums of moments.
#[cube(launch)]
fn moments_kernel<E: Float>(
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
        // Rounding may make it negative; NaN stays.
        if spread < 0.0f32 {
            spread = 0.0f32;
        }
        mean[channel] = within(f32::cast_from(z[channel]), range) + first;
        var[channel] = spread;
        factor[channel] = gamma[channel] / (spread + epsilon).sqrt();
    }
}

#[cube(launch)]
fn forward_kernel<E: Float>(
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

/// The gradient by z; `sums` are those of [`Terms::Gradients`].
///
/// The statistics of a batch depend on z, and with them the gradient loses its mean and its part
/// along `z - mean`; constants do not.
#[cube(launch)]
fn backward_kernel<E: Float>(
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

/// Gradients of the parameters from the sums: by gamma, by offset, by slope.
#[cube(launch)]
fn parameters_kernel(
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

fn empty(like: &Values, shape: &[usize]) -> Values {
    let shape = Shape::from(shape.to_vec());
    CubeBackend::float_empty(shape, &like.device, FloatDType::F32)
}

/// How many cubes of units go through so many values.
pub(super) fn grid(values: usize) -> CubeCount {
    let cubes = values.div_ceil(UNITS as usize).min(CUBES);
    CubeCount::Static(cubes as u32, 1, 1)
}

/// The cubes of a sum: lanes by rows of units, a power of two each.
fn lanes(columns: usize) -> CubeDim {
    let lanes = (columns as u32).next_power_of_two().min(LANES);
    CubeDim::new_2d(lanes, UNITS / lanes)
}

/// Rows and channels of `[batch, height, width, channel]`.
fn sizes(values: &Values) -> (usize, usize) {
    let [batch, height, width, channels] = values.shape().dims();
    (batch * height * width, channels)
}

fn sums(z: &Values, dy: &Values, numbers: &Channels, terms: Terms) -> Values {
    let (rows, channels) = sizes(z);
    let count = rows.div_ceil(PART_ROWS).min(PARTS);
    let parts = empty(z, &[count, 3, channels]);
    let dim = lanes(channels);
    let across = channels.div_ceil(dim.x as usize) as u32;
    sums_kernel::launch(
        &z.client,
        CubeCount::Static(across, count as u32, 1),
        dim,
        z.clone().into_tensor_arg(),
        dy.clone().into_tensor_arg(),
        numbers.mean.clone().into_tensor_arg(),
        numbers.factor.clone().into_tensor_arg(),
        numbers.offset.clone().into_tensor_arg(),
        numbers.slope.clone().into_tensor_arg(),
        parts.clone().into_tensor_arg(),
        rows,
        terms,
        UNITS,
        range(z.dtype()),
        element(z.dtype()),
    );
    let sums = empty(z, &[3, channels]);
    let dim = lanes(3 * channels);
    let across = (3 * channels).div_ceil(dim.x as usize) as u32;
    together_kernel::launch(
        &z.client,
        CubeCount::Static(across, 1, 1),
        dim,
        parts.into_tensor_arg(),
        sums.clone().into_tensor_arg(),
        UNITS,
    );
    sums
}

/// Mean and biased variance of each channel, and gamma over the root of the latter.
pub(super) fn moments(z: &Values, gamma: &Values, epsilon: f64) -> [Values; 3] {
    let (rows, channels) = sizes(z);
    // Of the moments, no other numbers are read.
    let unread = Channels {
        mean: gamma.clone(),
        factor: gamma.clone(),
        offset: gamma.clone(),
        slope: gamma.clone(),
    };
    let sums = sums(z, z, &unread, Terms::Moments);
    let found = [(); 3].map(|()| empty(z, &[channels]));
    let [mean, var, factor] = found.clone();
    moments_kernel::launch(
        &z.client,
        grid(channels),
        CubeDim::new_1d(UNITS),
        sums.into_tensor_arg(),
        z.clone().into_tensor_arg(),
        gamma.clone().into_tensor_arg(),
        mean.into_tensor_arg(),
        var.into_tensor_arg(),
        factor.into_tensor_arg(),
        rows as f32,
        epsilon as f32,
        range(z.dtype()),
        element(z.dtype()),
    );
    found
}

/// y from z.
pub(super) fn forward(z: &Values, numbers: &Channels) -> Values {
    let y = CubeBackend::float_empty(z.shape(), &z.device, z.dtype().into());
    forward_kernel::launch(
        &z.client,
        grid(z.shape().num_elements()),
        CubeDim::new_1d(UNITS),
        z.clone().into_tensor_arg(),
        numbers.mean.clone().into_tensor_arg(),
        numbers.factor.clone().into_tensor_arg(),
        numbers.offset.clone().into_tensor_arg(),
        numbers.slope.clone().into_tensor_arg(),
        y.clone().into_tensor_arg(),
        range(z.dtype()),
        element(z.dtype()),
    );
    y
}

/// The gradients of [`forward`].
pub(super) struct Gradients {
    pub(super) z: Values,
    pub(super) gamma: Values,
    pub(super) offset: Values,
    pub(super) slope: Values,
}

/// `of_batch`: whether mean and variance are those of z.
pub(super) fn backward(
    z: &Values,
    dy: &Values,
    numbers: &Channels,
    var: &Values,
    of_batch: bool,
    epsilon: f64,
) -> Gradients {
    let (rows, channels) = sizes(z);
    let sums = sums(z, dy, numbers, Terms::Gradients);
    let dz = CubeBackend::float_empty(z.shape(), &z.device, z.dtype().into());
    backward_kernel::launch(
        &z.client,
        grid(z.shape().num_elements()),
        CubeDim::new_1d(UNITS),
        z.clone().into_tensor_arg(),
        dy.clone().into_tensor_arg(),
        numbers.mean.clone().into_tensor_arg(),
        numbers.factor.clone().into_tensor_arg(),
        numbers.offset.clone().into_tensor_arg(),
        numbers.slope.clone().into_tensor_arg(),
        var.clone().into_tensor_arg(),
        sums.clone().into_tensor_arg(),
        dz.clone().into_tensor_arg(),
        rows as f32,
        epsilon as f32,
        of_batch,
        range(z.dtype()),
        element(z.dtype()),
    );
    let [gamma, offset, slope] = [(); 3].map(|()| empty(z, &[channels]));
    parameters_kernel::launch(
        &z.client,
        grid(channels),
        CubeDim::new_1d(UNITS),
        sums.into_tensor_arg(),
        var.clone().into_tensor_arg(),
        gamma.clone().into_tensor_arg(),
        offset.clone().into_tensor_arg(),
        slope.clone().into_tensor_arg(),
        epsilon as f32,
        scale(z.dtype(), z.shape()[0]),
    );
    Gradients {
        z: dz,
        gamma,
        offset,
        slope,
    }
}

#[cube(launch)]
fn cast_kernel<A: Float, B: Float>(
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

/// A contiguous tensor times a factor in another precision, within the range of both.
pub(super) fn cast(from: &Values, to: DType, factor: f32) -> Values {
    let both = CubeBackend::float_empty(from.shape(), &from.device, to.into());
    let range = match (range(from.dtype()), range(to)) {
        (Range::Full, Range::Full) => Range::Full,
        _ => Range::F16,
    };
    cast_kernel::launch(
        &from.client,
        grid(from.shape().num_elements()),
        CubeDim::new_1d(UNITS),
        from.clone().into_tensor_arg(),
        both.clone().into_tensor_arg(),
        factor,
        range,
        [element(from.dtype()), element(to)],
    );
    both
}
