//! Two-dimensional convolution in channels-last memory, and its gradients.

mod direct;
mod pack;
mod points;
mod transform;
mod weight;
mod winograd;

#[cfg(test)]
mod tests;

use crate::error::{KernelError, check_len, check_positive};
use crate::scratch::Scratch;
use crate::simd::Level;
use pack::Taps;
use rayon::prelude::*;
use std::sync::{Arc, OnceLock};
pub(crate) use weight::{OutputGradient, WeightGradient};

/// The sizes of a convolution without bias, with square kernel and symmetric zero padding.
///
/// Arrays, in memory order: `x: [batch, height, width, in_channels]`,
/// `weight: [out_channels, in_channels, kernel, kernel]`,
/// `y: [batch, out_height, out_width, out_channels]`. Gradients have the shapes of their arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Number of images.
    pub batch: usize,
    /// Channels of the input.
    pub in_channels: usize,
    /// Channels of the output.
    pub out_channels: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Side of the kernel.
    pub kernel: usize,
    /// Step from one output to the next, in both directions.
    pub stride: usize,
    /// Rows and columns of zeros on each side of the input.
    pub padding: usize,
}

impl ConvShape {
    /// Creates a checked shape.
    pub fn new(
        batch: usize,
        (in_channels, out_channels): (usize, usize),
        (height, width): (usize, usize),
        kernel: usize,
        stride: usize,
        padding: usize,
    ) -> Result<Self, KernelError> {
        let shape = Self {
            batch,
            in_channels,
            out_channels,
            height,
            width,
            kernel,
            stride,
            padding,
        };
        shape.validate()?;
        Ok(shape)
    }

    /// Checks that every size is positive (padding may be 0), that the kernel fits into the padded
    /// image, and that all arrays are addressable.
    pub fn validate(&self) -> Result<(), KernelError> {
        self.check_sizes()?;
        self.check_lengths()?;
        for size in [self.height, self.width] {
            if size + 2 * self.padding < self.kernel {
                let (kernel, padding) = (self.kernel, self.padding);
                return Err(KernelError::Window {
                    kernel,
                    size,
                    padding,
                });
            }
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<(), KernelError> {
        check_positive(&[
            ("batch", self.batch),
            ("in_channels", self.in_channels),
            ("out_channels", self.out_channels),
            ("height", self.height),
            ("width", self.width),
            ("kernel", self.kernel),
            ("stride", self.stride),
        ])?;
        let limited = [
            ("kernel", self.kernel),
            ("stride", self.stride),
            ("padding", self.padding),
        ];
        match limited.into_iter().find(|&(_, size)| size > 1 << 10) {
            None => Ok(()),
            Some((what, found)) => Err(KernelError::Size {
                what,
                found,
                expected: "at most 1024",
            }),
        }
    }

    /// Bounds the product of all factors of an array's length, with room for scratch arrays.
    fn check_lengths(&self) -> Result<(), KernelError> {
        let frame = 2 * self.padding + self.kernel;
        let bound = [
            self.batch,
            self.height,
            self.width,
            self.in_channels,
            self.out_channels,
        ];
        let elements = |sizes: &[usize]| {
            sizes
                .iter()
                .try_fold(64usize, |product, &size| product.checked_mul(size))
        };
        let sides = [self.height, self.width].map(|side| side.saturating_add(frame));
        let channels = self.in_channels.max(self.out_channels);
        let fits = elements(&[self.batch, sides[0], sides[1], channels]).is_some()
            && elements(&[
                self.in_channels,
                self.out_channels,
                self.kernel,
                self.kernel,
            ])
            .is_some();
        if !fits || bound.iter().any(|&size| size > isize::MAX as usize / 64) {
            return Err(KernelError::Overflow {
                what: "the convolution",
            });
        }
        Ok(())
    }

    /// Rows of the output: `floor((height + 2 padding - kernel) / stride) + 1`.
    pub fn out_height(&self) -> usize {
        (self.height + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Columns of the output: `floor((width + 2 padding - kernel) / stride) + 1`.
    pub fn out_width(&self) -> usize {
        (self.width + 2 * self.padding - self.kernel) / self.stride + 1
    }

    /// Length of `x`.
    pub fn input_len(&self) -> usize {
        self.batch * self.height * self.width * self.in_channels
    }

    /// Length of `weight`.
    pub fn weight_len(&self) -> usize {
        self.out_channels * self.in_channels * self.kernel * self.kernel
    }

    /// Length of `y`.
    pub fn output_len(&self) -> usize {
        self.batch * self.out_height() * self.out_width() * self.out_channels
    }

    /// Floating-point operations of the direct forward pass: two per multiply-add.
    pub fn flops(&self) -> f64 {
        2.0 * self.output_len() as f64 * (self.in_channels * self.kernel * self.kernel) as f64
    }

    /// Winograd must be possible and must save more products than its transforms cost.
    fn suits_winograd(&self) -> bool {
        let possible = self.stride == 1
            && (self.kernel == 3 || self.kernel == 5)
            && self.padding < self.kernel
            && self.in_channels >= 8
            && self.out_channels >= 8;
        if !possible {
            return false;
        }
        let grid = winograd::Grid::new(self.height, self.width, self.kernel, self.padding);
        let direct = self.out_height() * self.out_width() * self.kernel * self.kernel;
        3 * grid.tiles * transform::POINTS < 2 * direct
    }

    /// Whether there are so few outputs that reading the weights takes longer than using them:
    /// Winograd's weights are four times as many.
    fn is_mostly_weights(&self) -> bool {
        let outputs = self.batch * self.out_height() * self.out_width();
        self.in_channels * self.out_channels > 96 * 96 && outputs < 192
    }

    /// Images that one task processes together: enough for its matrix products to be large. Depends
    /// on the shape alone, so that results do not depend on the number of threads.
    pub(crate) fn group(&self) -> usize {
        // Weights that exceed a second-level cache are read again by each group.
        let large = self.in_channels * self.out_channels > 192 * 192;
        let wanted: usize = if large { 1024 } else { 512 };
        wanted
            .div_ceil(self.out_height() * self.out_width())
            .min(self.batch)
    }
}

/// A convolution, or an input gradient, with packed weights.
pub(crate) enum Forward {
    Winograd(winograd::Forward),
    Direct(direct::Forward),
}

/// The packed weights of a convolution, each packed on first use.
#[derive(Default)]
pub(crate) struct Packed {
    winograd: OnceLock<Arc<Scratch>>,
    direct: OnceLock<Arc<Scratch>>,
}

impl Forward {
    /// The convolution, with the weights in `packed` if they were packed before.
    pub(crate) fn convolution(
        level: Level,
        shape: &ConvShape,
        weight: &[f32],
        packed: &Packed,
    ) -> Self {
        let taps = Taps {
            weight,
            inputs: shape.in_channels,
            outputs: shape.out_channels,
            kernel: shape.kernel,
            exchanged: false,
            rotated: false,
        };
        if shape.suits_winograd() && !shape.is_mostly_weights() {
            let weights = || Arc::new(winograd::Forward::pack(level, &taps));
            let weights = packed.winograd.get_or_init(weights).clone();
            let grid = winograd::Grid::new(shape.height, shape.width, shape.kernel, shape.padding);
            let channels = (taps.inputs, taps.outputs);
            Self::Winograd(winograd::Forward::new(level, grid, channels, weights))
        } else {
            let weights = || Arc::new(direct::Forward::pack(&taps));
            let weights = packed.direct.get_or_init(weights).clone();
            Self::Direct(direct::Forward::convolution(level, shape, weights))
        }
    }

    /// The gradient for the input of the convolution `shape`.
    pub(crate) fn input_gradient(level: Level, shape: &ConvShape, weight: &[f32]) -> Self {
        let mut taps = Taps {
            weight,
            inputs: shape.out_channels,
            outputs: shape.in_channels,
            kernel: shape.kernel,
            exchanged: true,
            rotated: false,
        };
        if shape.suits_winograd() {
            taps.rotated = true;
            let grid = winograd::Grid::new(
                shape.out_height(),
                shape.out_width(),
                shape.kernel,
                shape.kernel - 1 - shape.padding,
            );
            let weights = Arc::new(winograd::Forward::pack(level, &taps));
            let channels = (taps.inputs, taps.outputs);
            Self::Winograd(winograd::Forward::new(level, grid, channels, weights))
        } else {
            Self::Direct(direct::Forward::input_gradient(level, shape, &taps))
        }
    }

    /// Convolves one image on all threads; `done` receives each band of finished output rows.
    pub(crate) fn run_image(
        &self,
        shape: &ConvShape,
        x: &[f32],
        y: &mut [f32],
        done: impl Fn(&mut [f32]) + Sync,
    ) {
        let row = shape.out_width() * shape.out_channels;
        let threads = rayon::current_num_threads();
        let bands = |unit: usize| shape.out_height().div_ceil(unit).div_ceil(threads) * unit;
        match self {
            Self::Winograd(forward) => {
                let rows = bands(forward.rows());
                let bands = y.par_chunks_mut(rows * row).enumerate();
                bands.for_each(|(band, y)| {
                    forward.run_rows(x, y, band * rows);
                    done(y);
                });
            }
            Self::Direct(forward) => {
                let framed = forward.framed(x);
                let rows = bands(1);
                let bands = y.par_chunks_mut(rows * row).enumerate();
                bands.for_each(|(band, y)| {
                    forward.run_pixels(&framed, y, band * rows * shape.out_width());
                    done(y);
                });
            }
        }
    }

    /// Convolves `images` whole images.
    pub(crate) fn run(&self, images: usize, x: &[f32], y: &mut [f32]) {
        match self {
            Self::Winograd(forward) => forward.run(images, x, y),
            Self::Direct(forward) => forward.run(x, y),
        }
    }
}

/// `y[n, oy, ox, o] = sum over (i, ky, kx) of x[n, oy s + ky - p, ox s + kx - p, i] w[o, i, ky, kx]`,
/// with zeros outside the image. Arrays as in [`ConvShape`].
pub fn conv2d_forward(
    shape: &ConvShape,
    x: &[f32],
    weight: &[f32],
    y: &mut [f32],
) -> Result<(), KernelError> {
    shape.validate()?;
    check_len("x", x.len(), shape.input_len())?;
    check_len("weight", weight.len(), shape.weight_len())?;
    check_len("y", y.len(), shape.output_len())?;
    let forward = Forward::convolution(Level::get(), shape, weight, &Packed::default());
    run_groups(shape, &forward, x, shape.input_len(), y, shape.output_len());
    Ok(())
}

/// The gradient `dx` for the input, given `dy`, the gradient for the output. Arrays as in
/// [`ConvShape`].
pub fn conv2d_backward_input(
    shape: &ConvShape,
    dy: &[f32],
    weight: &[f32],
    dx: &mut [f32],
) -> Result<(), KernelError> {
    shape.validate()?;
    check_len("dy", dy.len(), shape.output_len())?;
    check_len("weight", weight.len(), shape.weight_len())?;
    check_len("dx", dx.len(), shape.input_len())?;
    let forward = Forward::input_gradient(Level::get(), shape, weight);
    run_groups(
        shape,
        &forward,
        dy,
        shape.output_len(),
        dx,
        shape.input_len(),
    );
    Ok(())
}

/// Runs groups of images in parallel.
fn run_groups(
    shape: &ConvShape,
    forward: &Forward,
    x: &[f32],
    x_len: usize,
    y: &mut [f32],
    y_len: usize,
) {
    let (group, x_image, y_image) = (shape.group(), x_len / shape.batch, y_len / shape.batch);
    y.par_chunks_mut(group * y_image)
        .zip(x.par_chunks(group * x_image))
        .with_max_len(1)
        .for_each(|(y, x)| forward.run(y.len() / y_image, x, y));
}

/// The gradient `dw` for the weights, given `dy`, the gradient for the output. Arrays as in
/// [`ConvShape`].
pub fn conv2d_backward_weight(
    shape: &ConvShape,
    x: &[f32],
    dy: &[f32],
    dw: &mut [f32],
) -> Result<(), KernelError> {
    shape.validate()?;
    check_len("x", x.len(), shape.input_len())?;
    check_len("dy", dy.len(), shape.output_len())?;
    check_len("dw", dw.len(), shape.weight_len())?;
    let y_image = dy.len() / shape.batch;
    WeightGradient::new(Level::get(), shape).run(x, None, dw, |images, _| {
        OutputGradient::Given(&dy[images.start * y_image..images.end * y_image])
    });
    Ok(())
}
