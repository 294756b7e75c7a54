//! Max-pooling in channels-last memory.

// The unsafe functions have the contract of `Vector`.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn, clippy::inline_always)]

use crate::error::{KernelError, check_len, check_positive};
use crate::simd::{Level, Vector, multiversion};
use rayon::prelude::*;

/// The sizes of a max-pool with a square window and symmetric padding.
///
/// Arrays: `x: [batch, height, width, channels]`, `y: [batch, out_height, out_width, channels]`.
/// Padding never wins: a window covers only pixels inside the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolShape {
    /// Number of images.
    pub batch: usize,
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// Channels.
    pub channels: usize,
    /// Side of the window, at most 16.
    pub kernel: usize,
    /// Step from one window to the next.
    pub stride: usize,
    /// Padding on each side, less than the window.
    pub padding: usize,
    /// Keeps a partial last window, as Caffe does, instead of dropping it.
    pub ceil_mode: bool,
}

impl PoolShape {
    /// Checks that every size is positive (padding may be 0 but must be less than the window), that
    /// a window fits, and that the arrays are addressable.
    pub fn validate(&self) -> Result<(), KernelError> {
        check_positive(&[
            ("batch", self.batch),
            ("height", self.height),
            ("width", self.width),
            ("channels", self.channels),
            ("kernel", self.kernel),
            ("stride", self.stride),
        ])?;
        if self.kernel > 16 {
            let (what, found) = ("kernel", self.kernel);
            return Err(KernelError::Size {
                what,
                found,
                expected: "at most 16",
            });
        }
        if self.padding >= self.kernel {
            let (what, found) = ("padding", self.padding);
            return Err(KernelError::Size {
                what,
                found,
                expected: "less than the window",
            });
        }
        let sizes = [self.batch, self.height, self.width, self.channels];
        let elements = sizes
            .iter()
            .try_fold(64usize, |product, &size| product.checked_mul(size));
        if elements.is_none() {
            return Err(KernelError::Overflow {
                what: "the pool's input",
            });
        }
        for size in [self.height, self.width] {
            // With ceil_mode the last window may extend past the image, but the image must not be
            // empty.
            if !self.ceil_mode && size + 2 * self.padding < self.kernel {
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

    /// `floor` or `ceil` of `(size + 2 padding - kernel) / stride`, plus 1. With `ceil_mode`, minus
    /// a last window that would start beyond the image and its leading padding.
    fn out(&self, size: usize) -> usize {
        let span = (size + 2 * self.padding).saturating_sub(self.kernel);
        if !self.ceil_mode {
            return span / self.stride + 1;
        }
        let out = span.div_ceil(self.stride) + 1;
        if (out - 1) * self.stride >= size + self.padding {
            out - 1
        } else {
            out
        }
    }

    /// Rows of the output.
    pub fn out_height(&self) -> usize {
        self.out(self.height)
    }

    /// Columns of the output.
    pub fn out_width(&self) -> usize {
        self.out(self.width)
    }

    /// Length of `x`.
    pub fn input_len(&self) -> usize {
        self.batch * self.height * self.width * self.channels
    }

    /// Length of `y` and of `argmax`.
    pub fn output_len(&self) -> usize {
        self.batch * self.out_height() * self.out_width() * self.channels
    }

    /// The pixels of one axis in window `at`, and the index of the first within the window.
    #[inline(always)]
    fn span(&self, at: usize, size: usize) -> (usize, usize, usize) {
        let start = at * self.stride;
        let first = start.saturating_sub(self.padding);
        let end = (start + self.kernel).saturating_sub(self.padding).min(size);
        (first, end, first + self.padding - start)
    }
}

/// Max-pooling. Writes the largest value of each window to `y` and its index in the window (row
/// times `kernel` plus column) to `argmax`. The first of equal values wins; a NaN in the window
/// gives NaN.
pub fn max_pool_forward(
    shape: &PoolShape,
    x: &[f32],
    y: &mut [f32],
    argmax: &mut [u8],
) -> Result<(), KernelError> {
    shape.validate()?;
    check_len("x", x.len(), shape.input_len())?;
    check_len("y", y.len(), shape.output_len())?;
    check_len("argmax", argmax.len(), shape.output_len())?;
    let level = Level::get();
    let (x_image, y_image) = (x.len() / shape.batch, y.len() / shape.batch);
    y.par_chunks_exact_mut(y_image)
        .zip(argmax.par_chunks_exact_mut(y_image))
        .zip(x.par_chunks_exact(x_image))
        .for_each(|((y, argmax), x)| forward_image(level, shape, x, y, argmax));
    Ok(())
}

multiversion! {
    fn forward_image = forward_body(shape: &PoolShape, x: &[f32], y: &mut [f32], argmax: &mut [u8]);
}

#[inline(always)]
unsafe fn forward_body<V: Vector>(shape: &PoolShape, x: &[f32], y: &mut [f32], argmax: &mut [u8]) {
    let channels = shape.channels;
    let windows = y
        .chunks_exact_mut(channels)
        .zip(argmax.chunks_exact_mut(channels));
    for (window, (y, argmax)) in windows.enumerate() {
        let window = Window::new(shape, window);
        let whole = channels - channels % V::LANES;
        for first in (0..whole).step_by(V::LANES) {
            window_of::<V, false>(&window, x, first, &mut y[first..], &mut argmax[first..]);
        }
        if whole < channels {
            window_of::<V, true>(&window, x, whole, &mut y[whole..], &mut argmax[whole..]);
        }
    }
}

/// The pixels of a window that lie inside the image.
struct Window<'a> {
    shape: &'a PoolShape,
    rows: (usize, usize, usize),
    columns: (usize, usize, usize),
}

impl<'a> Window<'a> {
    #[inline(always)]
    fn new(shape: &'a PoolShape, at: usize) -> Self {
        let (row, column) = (at / shape.out_width(), at % shape.out_width());
        Self {
            shape,
            rows: shape.span(row, shape.height),
            columns: shape.span(column, shape.width),
        }
    }

    /// Calls `visit` with the start of each pixel in the image and its index in the window.
    #[inline(always)]
    fn for_each_pixel(&self, mut visit: impl FnMut(usize, u8)) {
        let Self {
            shape,
            rows,
            columns,
        } = self;
        let ((top, bottom, above), (left, right, before)) = (*rows, *columns);
        for row in top..bottom {
            for column in left..right {
                let index = (row - top + above) * shape.kernel + column - left + before;
                let pixel = (row * shape.width + column) * shape.channels;
                visit(pixel, index as u8); // below 16 * 16
            }
        }
    }
}

/// One vector of channels from `first` on; `PART` if fewer than `LANES` are left.
///
/// # Safety
/// `y` and `argmax` have at least the lanes.
#[inline(always)]
unsafe fn window_of<V: Vector, const PART: bool>(
    window: &Window<'_>,
    x: &[f32],
    first: usize,
    y: &mut [f32],
    argmax: &mut [u8],
) {
    let lanes = if PART { y.len() } else { V::LANES };
    let (mut largest, mut winner) = (V::splat(f32::NEG_INFINITY), V::zero());
    let mut fresh = true;
    window.for_each_pixel(|pixel, index| {
        let x = V::load_if::<PART>(x[pixel + first..][..lanes].as_ptr(), lanes);
        // The index travels in the bits of a float.
        let index = V::splat(f32::from_bits(index.into()));
        if fresh {
            (largest, winner, fresh) = (x, index, false);
        } else {
            winner = x.if_greater_or_nan(largest, index, winner);
            largest = x.if_greater_or_nan(largest, x, largest);
        }
    });
    largest.store_if::<PART>(y.as_mut_ptr(), lanes);
    let mut indices = [0.0; 16];
    winner.store(indices.as_mut_ptr());
    if PART {
        for (to, from) in argmax.iter_mut().zip(&indices) {
            *to = from.to_bits() as u8;
        }
    } else {
        for lane in 0..V::LANES {
            argmax[lane] = indices[lane].to_bits() as u8;
        }
    }
}

/// Adds the gradient of each output to the pixel that `argmax` selects. Overwrites `dx`; gradients
/// of overlapping windows add up.
pub fn max_pool_backward(
    shape: &PoolShape,
    dy: &[f32],
    argmax: &[u8],
    dx: &mut [f32],
) -> Result<(), KernelError> {
    shape.validate()?;
    check_len("dy", dy.len(), shape.output_len())?;
    check_len("argmax", argmax.len(), shape.output_len())?;
    check_len("dx", dx.len(), shape.input_len())?;
    let level = Level::get();
    let (x_image, y_image) = (dx.len() / shape.batch, dy.len() / shape.batch);
    dx.par_chunks_exact_mut(x_image)
        .zip(
            dy.par_chunks_exact(y_image)
                .zip(argmax.par_chunks_exact(y_image)),
        )
        .for_each(|(dx, (dy, argmax))| backward_image(level, shape, dy, argmax, dx));
    Ok(())
}

multiversion! {
    fn backward_image = backward_body(shape: &PoolShape, dy: &[f32], argmax: &[u8], dx: &mut [f32]);
}

#[inline(always)]
unsafe fn backward_body<V: Vector>(shape: &PoolShape, dy: &[f32], argmax: &[u8], dx: &mut [f32]) {
    let channels = shape.channels;
    dx.fill(0.0);
    let windows = dy.chunks_exact(channels).zip(argmax.chunks_exact(channels));
    for (window, (dy, argmax)) in windows.enumerate() {
        Window::new(shape, window).for_each_pixel(|pixel, index| {
            let dx = &mut dx[pixel..][..channels];
            for ((dx, &dy), &argmax) in dx.iter_mut().zip(dy).zip(argmax) {
                *dx += if argmax == index { dy } else { 0.0 };
            }
        });
    }
}
