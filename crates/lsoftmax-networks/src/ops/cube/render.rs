//! Batches made from images that are stored on the device as bytes.

// The expansion of `#[cube]` contains casts and copies.
#![allow(clippy::pedantic)]

use super::{UNITS, grid};
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::ops::FloatTensorOps as _;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, AutodiffBackend as _, Backend, Dispatch, backend_extension};
use burn::tensor::{self, FloatDType, Int, Shape};
use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

/// Number of random draws per image: its index, the rows and columns of padding above and to the
/// left of the crop, and whether it is mirrored.
pub const DRAW: usize = 4;

/// The draws of a batch, and the size and scale of its images.
#[derive(Clone, Copy, Debug)]
pub struct RenderBatch {
    /// Index of the first draw.
    pub first: usize,
    /// Number of images in the batch.
    pub count: usize,
    /// Channels, height, width.
    pub image: [usize; 3],
    /// Factor applied after the mean is subtracted.
    pub scale: f32,
}

#[backend_extension(Autodiff, Cube)]
pub(crate) trait RenderBackend: Backend {
    /// Renders preprocessed images `[batch, height, width, channel]`.
    ///
    /// # Shapes
    /// - bytes: the images `[sample, channel, height, width]`, four bytes in each i32, the first in
    ///   the lowest bits
    /// - draws: [`DRAW`] i32 numbers per image
    /// - mean: one number, one per channel, or one per value `[channel, height, width]`
    fn render(
        bytes: IntTensor<Self>,
        draws: IntTensor<Self>,
        mean: FloatTensor<Self>,
        batch: RenderBatch,
    ) -> FloatTensor<Self>;
}

/// Each unit makes one value, or several in turn. Outside the image the value is 0, the mean.
#[cube(launch)]
fn render_kernel(
    bytes: &Tensor<i32>,
    draws: &Tensor<i32>,
    mean: &Tensor<f32>,
    images: &mut Tensor<f32>,
    first: usize,
    scale: f32,
) {
    let (height, width, channels) = (images.shape(1), images.shape(2), images.shape(3));
    let means = mean.len();
    let mut at = ABSOLUTE_POS;
    while at < images.len() {
        let channel = at % channels;
        let pixel = at / channels;
        let x = pixel % width;
        let y = pixel / width % height;
        let draw = (first + pixel / width / height) * DRAW;
        let index = draws[draw] as usize;
        let y = y as i32 + draws[draw + 1];
        let mut x = x as i32;
        if draws[draw + 3] != 0 {
            x = width as i32 - 1 - x;
        }
        x += draws[draw + 2];
        let mut value = 0.0f32.runtime();
        if y >= 0 && y < height as i32 && x >= 0 && x < width as i32 {
            let place = (channel * height + y as usize) * width + x as usize;
            let from = index * (channels * height * width) + place;
            let word = bytes[from / 4] as u32;
            let byte = (word >> (from as u32 % 4 * 8)) & 255;
            let mut which = place;
            if means == 1 {
                which = 0;
            } else if means == channels {
                which = channel;
            }
            value = (byte as f32 - mean[which]) * scale;
        }
        images[at] = value;
        at += (CUBE_COUNT_X * CUBE_DIM_X) as usize;
    }
}

impl RenderBackend for CubeBackend {
    fn render(
        bytes: IntTensor<Self>,
        draws: IntTensor<Self>,
        mean: FloatTensor<Self>,
        batch: RenderBatch,
    ) -> FloatTensor<Self> {
        let [channels, height, width] = batch.image;
        let shape = Shape::new([batch.count, height, width, channels]);
        let count = grid(shape.num_elements());
        let images = Self::float_empty(shape, &mean.device, FloatDType::F32);
        render_kernel::launch(
            &mean.client.clone(),
            count,
            CubeDim::new_1d(UNITS),
            bytes.into_tensor_arg(),
            draws.into_tensor_arg(),
            mean.into_tensor_arg(),
            images.clone().into_tensor_arg(),
            batch.first,
            batch.scale,
        );
        images
    }
}

impl<B: RenderBackend, C: CheckpointStrategy> RenderBackend for Autodiff<B, C> {
    fn render(
        bytes: IntTensor<Self>,
        draws: IntTensor<Self>,
        mean: FloatTensor<Self>,
        batch: RenderBatch,
    ) -> FloatTensor<Self> {
        Self::from_inner(B::render(bytes, draws, mean.into_primitive(), batch))
    }
}

/// Renders a batch as a logical `[batch, channel, height, width]` tensor over channels-last values.
/// See [`RenderBackend::render`].
pub fn render(
    bytes: tensor::Tensor<1, Int>,
    draws: tensor::Tensor<1, Int>,
    mean: tensor::Tensor<1>,
    batch: RenderBatch,
) -> tensor::Tensor<4> {
    let images = <Dispatch as RenderBackend>::render(
        bytes.into_dispatch(),
        draws.into_dispatch(),
        mean.into_dispatch(),
        batch,
    );
    tensor::Tensor::<4>::from_dispatch(images).permute([0, 3, 1, 2])
}
