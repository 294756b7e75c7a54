//! Updates of parameters and running statistics, with one kernel each instead of the three to five
//! of Burn's operations. With many small tensors, launching kernels would take most of the time.

// The expansion of `#[cube]` contains casts and copies.
#![allow(clippy::pedantic)]

use super::{UNITS, channels_last, grid, image};
use crate::ops::{Descent, UpdateBackend};
use burn::backend::TensorMetadata as _;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::ops::FloatTensorOps as _;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend as _};
use burn::tensor::FloatDType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use cubecl::prelude::*;

#[cube(launch)]
fn descend_kernel(
    parameter: &Tensor<f32>,
    gradient: &Tensor<f32>,
    velocity: &Tensor<f32>,
    lower: &mut Tensor<f32>,
    faster: &mut Tensor<f32>,
    rate: f32,
    momentum: f32,
    decay: f32,
) {
    let mut at = ABSOLUTE_POS;
    while at < lower.len() {
        let v = parameter[at] * decay + gradient[at] + velocity[at] * momentum;
        faster[at] = v;
        lower[at] = parameter[at] - v * rate;
        at += (CUBE_COUNT_X * CUBE_DIM_X) as usize;
    }
}

#[cube(launch)]
fn blend_kernel(old: &Tensor<f32>, new: &Tensor<f32>, both: &mut Tensor<f32>, share: f32) {
    let mut at = ABSOLUTE_POS;
    while at < both.len() {
        both[at] = old[at] * (1.0f32 - share) + new[at] * share;
        at += (CUBE_COUNT_X * CUBE_DIM_X) as usize;
    }
}

/// Stores convolution weights channels-last, the layout of their gradients and of the convolutions.
fn laid_out(tensor: FloatTensor<CubeBackend>) -> FloatTensor<CubeBackend> {
    if tensor.shape().num_dims() == 4 {
        channels_last(tensor)
    } else {
        into_contiguous(tensor)
    }
}

fn logical(tensor: FloatTensor<CubeBackend>) -> FloatTensor<CubeBackend> {
    if tensor.shape().num_dims() == 4 {
        image(tensor)
    } else {
        tensor
    }
}

impl UpdateBackend for CubeBackend {
    fn descend(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        descent: Descent,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [parameter, gradient, velocity] = [parameter, gradient, velocity].map(laid_out);
        let shape = parameter.shape();
        let values = shape.num_elements();
        let empty = || Self::float_empty(shape.clone(), &parameter.device, FloatDType::F32);
        let (lower, faster) = (empty(), empty());
        descend_kernel::launch(
            &parameter.client.clone(),
            grid(values),
            CubeDim::new_1d(UNITS),
            parameter.into_tensor_arg(),
            gradient.into_tensor_arg(),
            velocity.into_tensor_arg(),
            lower.clone().into_tensor_arg(),
            faster.clone().into_tensor_arg(),
            descent.rate as f32,
            descent.momentum as f32,
            descent.decay as f32,
        );
        (logical(lower), logical(faster))
    }

    fn blend(old: FloatTensor<Self>, new: FloatTensor<Self>, share: f64) -> FloatTensor<Self> {
        let [old, new] = [old, new].map(into_contiguous);
        let both = Self::float_empty(old.shape(), &old.device, FloatDType::F32);
        blend_kernel::launch(
            &old.client.clone(),
            grid(old.shape().num_elements()),
            CubeDim::new_1d(UNITS),
            old.into_tensor_arg(),
            new.into_tensor_arg(),
            both.clone().into_tensor_arg(),
            share as f32,
        );
        both
    }
}

impl<B: UpdateBackend, C: CheckpointStrategy> UpdateBackend for Autodiff<B, C> {
    fn descend(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        descent: Descent,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [parameter, gradient, velocity] =
            [parameter, gradient, velocity].map(|tensor| tensor.into_primitive());
        let (lower, faster) = B::descend(parameter, gradient, velocity, descent);
        (Self::from_inner(lower), Self::from_inner(faster))
    }

    fn blend(old: FloatTensor<Self>, new: FloatTensor<Self>, share: f64) -> FloatTensor<Self> {
        Self::from_inner(B::blend(old.into_primitive(), new.into_primitive(), share))
    }
}
