//! The block in evaluation mode, with the normalisation folded into the convolution.

use crate::conv::{ConvShape, Forward, Packed};
use crate::error::{KernelError, check_len};
use crate::norm::{Affine, Coefficients, folded, shift};
use crate::simd::Level;
use rayon::prelude::*;

/// A convolution, batch normalisation with running statistics, and `PReLU`, for any number and size
/// of images.
///
/// The weights are folded and packed once; for single images that would take longer than the
/// convolution itself.
pub struct InferenceBlock {
    channels: (usize, usize),
    kernel: usize,
    stride: usize,
    padding: usize,
    weight: Vec<f32>,
    coefficients: Coefficients,
    packed: Packed,
}

impl InferenceBlock {
    /// Reads `weight` `[out, in, kernel, kernel]` of the convolution `shape` (only its channels,
    /// kernel, stride and padding are used), `affine`, and the running statistics `[out]`.
    ///
    /// # Errors
    /// A slice of the wrong length.
    pub fn new(
        shape: &ConvShape,
        weight: &[f32],
        affine: &Affine<'_>,
        running_mean: &[f32],
        running_var: &[f32],
    ) -> Result<Self, KernelError> {
        shape.validate()?;
        check_len("weight", weight.len(), shape.weight_len())?;
        check_len("running_mean", running_mean.len(), shape.out_channels)?;
        check_len("running_var", running_var.len(), shape.out_channels)?;
        affine.check(shape.out_channels)?;
        let (coefficients, scale) = folded(affine, running_mean, running_var);
        let of_output = weight.len() / shape.out_channels;
        let weight = weight
            .chunks_exact(of_output)
            .zip(&*scale)
            .flat_map(|(taps, scale)| taps.iter().map(move |tap| tap * scale))
            .collect();
        Ok(Self {
            channels: (shape.in_channels, shape.out_channels),
            kernel: shape.kernel,
            stride: shape.stride,
            padding: shape.padding,
            weight,
            coefficients,
            packed: Packed::default(),
        })
    }

    /// Reads `x` `[batch, height, width, in]` and writes `y`, shaped like the output of
    /// [`ConvShape`].
    ///
    /// # Errors
    /// Channels, kernel, stride or padding that differ from the block's, or a slice of the wrong
    /// length.
    pub fn run(&self, shape: &ConvShape, x: &[f32], y: &mut [f32]) -> Result<(), KernelError> {
        shape.validate()?;
        for (what, found, expected) in [
            ("in_channels", shape.in_channels, self.channels.0),
            ("out_channels", shape.out_channels, self.channels.1),
            ("kernel", shape.kernel, self.kernel),
            ("stride", shape.stride, self.stride),
            ("padding", shape.padding, self.padding),
        ] {
            if found != expected {
                let expected = "that of the block";
                return Err(KernelError::Size {
                    what,
                    found,
                    expected,
                });
            }
        }
        check_len("x", x.len(), shape.input_len())?;
        check_len("y", y.len(), shape.output_len())?;
        let level = Level::get();
        let forward = Forward::convolution(level, shape, &self.weight, &self.packed);
        let finish = |y: &mut [f32]| shift(level, &self.coefficients, y);
        if shape.batch == 1 {
            forward.run_image(shape, x, y, finish);
            return Ok(());
        }
        // Gives each thread some work: without statistics, results do not depend on the groups.
        let share = shape.batch.div_ceil(rayon::current_num_threads());
        let group = shape.group().min(share);
        let (x_image, y_image) = (x.len() / shape.batch, y.len() / shape.batch);
        y.par_chunks_mut(group * y_image)
            .zip(x.par_chunks(group * x_image))
            .with_max_len(1)
            .for_each(|(y, x)| {
                forward.run(y.len() / y_image, x, y);
                finish(y);
            });
        Ok(())
    }
}

impl std::fmt::Debug for InferenceBlock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("InferenceBlock")
            .field("channels", &self.channels)
            .field("kernel", &self.kernel)
            .field("stride", &self.stride)
            .field("padding", &self.padding)
            .finish_non_exhaustive()
    }
}
