//! The block of every network here: convolution, batch normalisation, `PReLU`.
//!
//! `z = conv(x)`, `n = (z - mean) / sqrt(var + eps) * gamma + beta`, `y = n` if `n > 0`, else
//! `slope * n`. Forward gathers the statistics while a group of images is still in the cache;
//! backward never stores the gradient for `z`: each group's part is made, used for both gradients of
//! the convolution, and overwritten by the next.

use crate::conv::{ConvShape, Forward, WeightGradient};
use crate::error::{KernelError, check_len};
use crate::norm::{
    Affine, AffineGradient, Coefficients, MOMENTS, all_gradient_sums, apply, folded, gradient,
    merge_moments, moments, shift,
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

/// The block in training: batch statistics.
///
/// Reads `x` and `weight` as in [`ConvShape`] and the `[out_channels]` of `affine`. Writes `z`, the
/// output of the convolution, which [`block_backward`] needs, the block's output `y` (both like the
/// output of [`ConvShape`]), and the batch's `mean` and biased variance `var` of each channel.
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
    let forward = Forward::convolution(level, shape, weight, None);
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
    let counts = (0..groups).map(|at| group.min(shape.batch - at * group) * pixels);
    merge_moments(counts, &parts, mean, var);
    apply(level, &Coefficients::new(affine, mean, var), z, y);
    Ok(())
}

/// The gradients of [`block_forward`].
///
/// Reads what forward read, the `z`, `mean` and `var` that it wrote, and `dy`, the gradient for `y`.
/// Writes `dx` (unless it is `None`: the first layer needs none), `dw`, and the gradients of the
/// affine map and the slope. All arrays are like what they belong to.
pub fn block_backward(
    shape: &ConvShape,
    x: &[f32],
    z: &[f32],
    weight: &[f32],
    affine: &Affine<'_>,
    mean: &[f32],
    var: &[f32],
    dy: &[f32],
    mut dx: Option<&mut [f32]>,
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
    check_len("z", z.len(), shape.output_len())?;
    check_len("dy", dy.len(), shape.output_len())?;
    check_len("dw", dw.len(), shape.weight_len())?;
    if let Some(dx) = &dx {
        check_len("dx", dx.len(), shape.input_len())?;
    }
    affine_gradient.check(shape.out_channels)?;
    let level = Level::get();
    let channels = shape.out_channels;
    let mut coefficients = Coefficients::new(affine, mean, var);
    let sums = all_gradient_sums(level, &coefficients, z, dy);
    sums.write(affine, var, affine_gradient);
    coefficients.set_gradient(affine, var, &sums, z.len() / channels);

    let input = dx
        .is_some()
        .then(|| Forward::input_gradient(level, shape, weight));
    let weights = WeightGradient::new(level, shape);
    let (group, chunk) = (shape.group(), shape.chunk());
    let (x_image, z_image) = (x.len() / shape.batch, z.len() / shape.batch);
    let chunks = shape.batch.div_ceil(chunk);
    let mut parts = Scratch::take(chunks * weights.part_len());
    // Without `dx` every chunk gets an empty slice of it.
    let mut dx_chunks: Vec<&mut [f32]> = match &mut dx {
        Some(dx) => dx.chunks_mut(chunk * x_image).collect(),
        None => (0..chunks).map(|_| <&mut [f32]>::default()).collect(),
    };
    parts
        .par_chunks_exact_mut(weights.part_len())
        .zip(dx_chunks.par_iter_mut())
        .zip(x.par_chunks(chunk * x_image))
        .zip(
            z.par_chunks(chunk * z_image)
                .zip(dy.par_chunks(chunk * z_image)),
        )
        .with_max_len(1)
        .for_each(|(((part, dx), x), (z, dy))| {
            let mut total = weights.sums();
            let mut dz = Scratch::take(group * z_image);
            let images = x.len() / x_image;
            for first in (0..images).step_by(group) {
                let count = group.min(images - first);
                let x = &x[first * x_image..][..count * x_image];
                let of_z = first * z_image..(first + count) * z_image;
                let dz = &mut dz[..count * z_image];
                gradient(level, &coefficients, &z[of_z.clone()], &dy[of_z], dz);
                weights.add(count, x, dz, &mut total);
                if let Some(input) = &input {
                    input.run(count, dz, &mut dx[first * x_image..][..count * x_image]);
                }
            }
            weights.finish(&total, part);
        });
    weights.reduce(&parts, dw);
    Ok(())
}

/// The block in evaluation: running statistics, with the normalisation folded into the weights and an
/// offset. Writes `y`; the rest as in [`block_forward`].
pub fn block_inference(
    shape: &ConvShape,
    x: &[f32],
    weight: &[f32],
    affine: &Affine<'_>,
    running_mean: &[f32],
    running_var: &[f32],
    y: &mut [f32],
) -> Result<(), KernelError> {
    let statistics = [
        ("running_mean", running_mean.len()),
        ("running_var", running_var.len()),
    ];
    check_block(shape, x, weight, affine, statistics)?;
    check_len("y", y.len(), shape.output_len())?;
    let level = Level::get();
    let (coefficients, scale) = folded(affine, running_mean, running_var);
    let forward = Forward::convolution(level, shape, weight, Some(&scale));
    let (group, x_image, y_image) = (shape.group(), x.len() / shape.batch, y.len() / shape.batch);
    y.par_chunks_mut(group * y_image)
        .zip(x.par_chunks(group * x_image))
        .with_max_len(1)
        .for_each(|(y, x)| {
            forward.run(y.len() / y_image, x, y);
            shift(level, &coefficients, y);
        });
    Ok(())
}
