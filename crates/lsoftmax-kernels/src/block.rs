//! The basic block of every network: convolution, batch normalisation, `PReLU`.
//!
//! `z = conv(x)`, `n = (z - mean) / sqrt(var + eps) * gamma + beta`, `y = n` if `n > 0`, else
//! `slope * n`. The forward pass collects the statistics while a group of images is still in the
//! cache. The backward pass never stores the whole gradient for `z`: it computes one group's part,
//! uses it for both gradients of the convolution, and overwrites it with the next.

use crate::conv::{ConvShape, Forward, OutputGradient, Packed, WeightGradient};
use crate::error::{KernelError, check_len};
use crate::norm::{
    Affine, AffineGradient, Coefficients, MOMENTS, all_gradient_sums, apply, gradient,
    merge_moments, moments,
};
use crate::scratch::Scratch;
use crate::simd::Level;
use rayon::prelude::*;

fn check_block(
    shape: &ConvShape,
    x: &[f32],
    weight: &[f32],
    affine: &Affine<'_>,
    statistics: [(&'static str, usize); 2],
) -> Result<(), KernelError> {
    shape.validate()?;
    check_len("x", x.len(), shape.input_len())?;
    check_len("weight", weight.len(), shape.weight_len())?;
    for (what, len) in statistics {
        check_len(what, len, shape.out_channels)?;
    }
    affine.check(shape.out_channels)
}

/// The block in training mode, with batch statistics.
///
/// Reads `x` and `weight` as in [`ConvShape`] and the `[out_channels]` arrays of `affine`. Writes
/// `z`, the convolution's output, which [`block_backward`] needs; the block's output `y` (both
/// shaped like the output of [`ConvShape`]); and each channel's batch `mean` and biased variance
/// `var`.
pub fn block_forward(
    shape: &ConvShape,
    x: &[f32],
    weight: &[f32],
    affine: &Affine<'_>,
    z: &mut [f32],
    y: &mut [f32],
    mean: &mut [f32],
    var: &mut [f32],
) -> Result<(), KernelError> {
    check_block(
        shape,
        x,
        weight,
        affine,
        [("mean", mean.len()), ("var", var.len())],
    )?;
    check_len("z", z.len(), shape.output_len())?;
    check_len("y", y.len(), shape.output_len())?;
    let level = Level::get();
    let channels = shape.out_channels;
    let (group, x_image, z_image) = (shape.group(), x.len() / shape.batch, z.len() / shape.batch);
    let groups = shape.batch.div_ceil(group);
    let forward = Forward::convolution(level, shape, weight, &Packed::default());
    let mut parts = Scratch::take(MOMENTS * groups * channels);
    z.par_chunks_mut(group * z_image)
        .zip(x.par_chunks(group * x_image))
        .zip(parts.par_chunks_exact_mut(MOMENTS * channels))
        .with_max_len(1)
        .for_each(|((z, x), part)| {
            forward.run(z.len() / z_image, x, z);
            moments(level, z, channels, part);
        });
    let pixels = z_image / channels;
    let counts: Vec<usize> = (0..groups)
        .map(|at| group.min(shape.batch - at * group) * pixels)
        .collect();
    merge_moments(&counts, &parts, mean, var);
    apply(level, &Coefficients::new(affine, mean, var), z, y);
    Ok(())
}

/// The `z` of [`block_forward`], and the destination of the gradient for `x` in [`block_backward`].
#[derive(Debug)]
pub enum InputGradient<'a> {
    /// No gradient for `x`: the first layer needs none.
    None {
        /// As written by the forward pass.
        z: &'a [f32],
    },
    /// A separate buffer.
    Apart {
        /// As written by the forward pass.
        z: &'a [f32],
        /// Receives the gradient; its previous content is ignored.
        dx: &'a mut [f32],
    },
    /// In place of `z`, which must be as long as `x`: each group of images has finished with its
    /// part of `z` before it writes.
    Over {
        /// As written by the forward pass; overwritten by the gradient for `x`.
        z: &'a mut [f32],
    },
}

impl InputGradient<'_> {
    fn z(&self) -> &[f32] {
        match self {
            Self::None { z } | Self::Apart { z, .. } => z,
            Self::Over { z } => z,
        }
    }
}

/// The gradients of [`block_forward`].
///
/// Reads the inputs of the forward pass, the `z`, `mean` and `var` that it wrote, and `dy`, the
/// gradient for `y`. Writes the gradient for `x` to `input`, the gradient for `weight` to `dw`, and
/// the gradients of the affine map and the slope. Each gradient has the shape of its array.
pub fn block_backward(
    shape: &ConvShape,
    x: &[f32],
    input: InputGradient<'_>,
    weight: &[f32],
    affine: &Affine<'_>,
    mean: &[f32],
    var: &[f32],
    dy: &[f32],
    dw: &mut [f32],
    affine_gradient: &mut AffineGradient<'_>,
) -> Result<(), KernelError> {
    check_block(
        shape,
        x,
        weight,
        affine,
        [("mean", mean.len()), ("var", var.len())],
    )?;
    check_len("z", input.z().len(), shape.output_len())?;
    check_len("dy", dy.len(), shape.output_len())?;
    check_len("dw", dw.len(), shape.weight_len())?;
    match &input {
        InputGradient::None { .. } => {}
        InputGradient::Apart { dx, .. } => check_len("dx", dx.len(), shape.input_len())?,
        InputGradient::Over { z } => check_len("dx", z.len(), shape.input_len())?,
    }
    affine_gradient.check(shape.out_channels)?;
    let level = Level::get();
    let channels = shape.out_channels;
    let z_image = dy.len() / shape.batch;
    let mut coefficients = Coefficients::new(affine, mean, var);
    let sums = all_gradient_sums(level, &coefficients, input.z(), dy);
    sums.write(affine, var, affine_gradient);
    coefficients.set_gradient(affine, var, &sums, dy.len() / channels);

    let (z, dx) = match input {
        InputGradient::None { z } => (Some(z), None),
        InputGradient::Apart { z, dx } => (Some(z), Some(dx)),
        InputGradient::Over { z } => (None, Some(z)),
    };
    let to_input = dx
        .is_some()
        .then(|| Forward::input_gradient(level, shape, weight));
    let weights = WeightGradient::new(level, shape);
    weights.run(x, dx, dw, |images, dx| {
        let of_z = images.start * z_image..images.end * z_image;
        let mut dz = Scratch::take(of_z.len());
        let z = z.map_or(&*dx, |z| &z[of_z.clone()]);
        gradient(level, &coefficients, z, &dy[of_z], &mut dz);
        if let Some(to_input) = &to_input {
            to_input.run(images.len(), &dz, dx);
        }
        OutputGradient::Made(dz)
    });
    Ok(())
}
