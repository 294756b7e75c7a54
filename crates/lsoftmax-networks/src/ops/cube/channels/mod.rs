//! The passes over the output of a convolution, as `[row, channel]`: normalisation, offset and
//! `PReLU`, and their gradients. Values may have any precision; arithmetic and sums are f32.
//!
//! In half precision, gradients of values are [scaled](scale) so that small ones do not become
//! zero; those of parameters are not scaled. In f16, values out of range are replaced by the
//! largest number on input and output, since an infinity would become NaN in the next product.
//!
//! ```text
//! v = (z - mean) factor + offset,   y = v for v > 0, else slope v
//! ```

mod kernels;

use super::{UNITS, Values, grid};
use burn::backend::TensorMetadata as _;
use burn::backend::ops::FloatTensorOps as _;
use burn::tensor::{DType, FloatDType, Shape};
use burn_cubecl::CubeBackend;
use cubecl::ir::{ElemType, FloatKind};
use cubecl::prelude::*;
use kernels::{
    Range, Terms, backward_kernel, cast_kernel, forward_kernel, moments_kernel, parameters_kernel,
    sums_kernel, together_kernel,
};

/// Channels that a sum processes side by side, each by a column of units over the rows.
const LANES: u32 = 32;
/// Maximum number of parts into which the rows of a sum are split, and the minimum number of rows
/// of a part.
const PARTS: usize = 256;
const PART_ROWS: usize = 128;

/// Scale factor of f16 gradients for a batch of one. The loss is a mean: for a batch of 256 the
/// gradients are at most about 1e-4, while the smallest f16 is 6e-8. Scaled, they are about 1, and
/// gradients of up to about 8 stay in range.
const F16_SCALE: f32 = 32.0;

/// The four numbers of each channel, `[channel]`.
#[derive(Clone, Debug)]
pub(super) struct Channels {
    pub(super) mean: Values,
    pub(super) factor: Values,
    pub(super) offset: Values,
    pub(super) slope: Values,
}

/// The factor by which gradients of values are multiplied.
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

fn empty(like: &Values, shape: &[usize]) -> Values {
    let shape = Shape::from(shape.to_vec());
    CubeBackend::float_empty(shape, &like.device, FloatDType::F32)
}

/// The cube shape of a sum: lanes by rows of units, both powers of two.
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

/// Mean and biased variance of each channel, and gamma divided by the standard deviation.
pub(super) fn moments(z: &Values, gamma: &Values, epsilon: f64) -> [Values; 3] {
    let (rows, channels) = sizes(z);
    // The moments read no other parameters.
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

/// Computes y from z.
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

/// `of_batch`: whether mean and variance were computed from z.
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

/// A contiguous tensor times a factor, in another precision, clamped to the range of both.
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
