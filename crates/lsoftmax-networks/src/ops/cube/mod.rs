//! The blocks on graphics processors: Burn's convolutions followed by custom kernels, with a
//! hand-written backward pass.
//!
//! Activations are stored channels-last behind the logical `[batch, channel, height, width]`, as
//! Burn's convolutions return them, in the precision of the block's input. Parameters and
//! statistics are f32.

mod channels;
mod convolution;
mod render;
mod update;

pub use render::{DRAW, RenderBatch, render};

use super::tape::{Taped, no_bias};
use super::{BlockBackend, ConvBackend, EPSILON, Geometry, Prepared, WidenBackend, conv_options};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps as _;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, TensorMetadata as _};
use burn::tensor::{DType, FloatDType};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use channels::Channels;
use cubecl::prelude::CubeCount;

type Values = FloatTensor<CubeBackend>;

/// Number of units of a cube.
const UNITS: u32 = 256;
/// Maximum number of cubes. Further values are processed in turns. WebGPU allows 65535.
const CUBES: usize = 1 << 14;

/// The number of cubes for this many values.
fn grid(values: usize) -> CubeCount {
    let cubes = values.div_ceil(UNITS as usize).min(CUBES);
    CubeCount::Static(cubes as u32, 1, 1)
}

/// Converts to contiguous `[batch, height, width, channel]`, copying only if necessary.
fn channels_last(tensor: Values) -> Values {
    into_contiguous(CubeBackend::float_permute(tensor, &[0, 2, 3, 1]))
}

/// A logical `[batch, channel, height, width]` view of channels-last values.
fn image(values: Values) -> Values {
    CubeBackend::float_permute(values, &[0, 3, 1, 2])
}

/// The state that the backward pass of a block needs.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    x: Values,
    weight: Values,
    geometry: Geometry,
    /// The output of the convolution, channels-last.
    z: Values,
    numbers: Channels,
    var: Values,
    /// Whether mean and variance were computed from z.
    of_batch: bool,
}

impl Saved {
    /// The gradients with respect to x (if requested), weight, gamma, offset and slope.
    fn backward(self, dy: Values, wants_x: bool) -> [Option<Values>; 5] {
        let dy = channels_last(dy);
        let Self {
            x,
            weight,
            geometry,
            z,
            numbers,
            var,
            of_batch,
        } = self;
        let found = channels::backward(&z, &dy, &numbers, &var, of_batch, EPSILON);
        let scale = channels::scale(z.dtype(), z.shape()[0]);
        drop((z, dy));
        let dz = image(found.z);
        let dx = wants_x.then(|| convolution::by_input(&x, &weight, &dz, geometry));
        let dw = unscaled(convolution::by_weight(&x, &weight, &dz, geometry), scale);
        let parameters = [dw, found.gamma, found.offset, found.slope].map(Some);
        let [dw, gamma, offset, slope] = parameters;
        [dx, dw, gamma, offset, slope]
    }
}

impl Taped for CubeBackend {
    type Block = Saved;
    type Conv = Saved;

    fn block_forward(
        x: Values,
        [weight, gamma, beta, slope]: [Values; 4],
        geometry: Geometry,
    ) -> (Values, [Values; 2], Saved) {
        let [gamma, beta, slope] = [gamma, beta, slope].map(into_contiguous);
        let z = channels_last(convolution::forward(&x, &weight, geometry));
        let [mean, var, factor] = channels::moments(&z, &gamma, EPSILON);
        let numbers = Channels {
            mean: mean.clone(),
            factor,
            offset: beta,
            slope,
        };
        let y = image(channels::forward(&z, &numbers));
        let saved = Saved {
            x,
            weight,
            geometry,
            z,
            numbers,
            var: var.clone(),
            of_batch: true,
        };
        (y, [mean, var], saved)
    }

    fn block_backward(saved: Saved, dy: Values, wanted: [bool; 5]) -> [Option<Values>; 5] {
        saved.backward(dy, wanted[0])
    }

    fn conv_forward(
        x: Values,
        [weight, bias, slope]: [Values; 3],
        geometry: Geometry,
    ) -> (Values, Saved) {
        let z = channels_last(convolution::forward(&x, &weight, geometry));
        let ones = Self::float_ones(slope.shape(), &slope.device, FloatDType::F32);
        let numbers = Channels {
            mean: Self::float_zeros(slope.shape(), &slope.device, FloatDType::F32),
            factor: ones.clone(),
            offset: into_contiguous(bias),
            slope: into_contiguous(slope),
        };
        let y = image(channels::forward(&z, &numbers));
        let saved = Saved {
            x,
            weight,
            geometry,
            z,
            numbers,
            var: ones,
            of_batch: false,
        };
        (y, saved)
    }

    fn conv_backward(saved: Saved, dy: Values, wanted: [bool; 4]) -> [Option<Values>; 4] {
        let [x, weight, _, bias, slope] = saved.backward(dy, wanted[0]);
        [x, weight, bias, slope]
    }
}

/// A gradient with respect to weights in f32, with its scale divided out.
fn unscaled(gradient: Values, scale: f32) -> Values {
    if gradient.dtype() == DType::F32 && scale == 1.0 {
        return gradient;
    }
    image(channels::cast(
        &channels_last(gradient),
        DType::F32,
        1.0 / scale,
    ))
}

impl WidenBackend for CubeBackend {
    fn widened(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_cast(x, FloatDType::F32)
    }
}

#[derive(Debug)]
struct Widened;

impl Backward<CubeBackend, 1> for Widened {
    type State = DType;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let dy = into_contiguous(grads.consume::<CubeBackend>(&ops.node));
        let ([x], dtype) = (ops.parents, ops.state);
        if let Some(node) = x {
            let dx = channels::cast(&dy, dtype, channels::scale(dtype, dy.shape()[0]));
            grads.register::<CubeBackend>(node.id, dx);
        }
    }
}

impl<C: CheckpointStrategy> WidenBackend for Autodiff<CubeBackend, C> {
    fn widened(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let (node, dtype) = (x.node(), x.dtype());
        let y = CubeBackend::widened(x.into_primitive());
        match Widened.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(dtype, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}

impl BlockBackend for CubeBackend {
    fn block(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        geometry: Geometry,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (y, [mean, var], _) = Self::block_forward(x, [weight, gamma, beta, slope], geometry);
        (y, mean, var)
    }

    fn block_inference(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        var: FloatTensor<Self>,
        geometry: Geometry,
        _prepared: Prepared,
    ) -> FloatTensor<Self> {
        let z = channels_last(convolution::forward(&x, &weight, geometry));
        let deviation = Self::float_sqrt(Self::float_add_scalar(var, EPSILON.into()));
        let numbers = Channels {
            mean: into_contiguous(mean),
            factor: Self::float_div(gamma, deviation),
            offset: into_contiguous(beta),
            slope: into_contiguous(slope),
        };
        image(channels::forward(&z, &numbers))
    }
}

impl ConvBackend for CubeBackend {
    fn conv_prelu(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        geometry: Geometry,
        _prepared: Prepared,
    ) -> FloatTensor<Self> {
        let bias = no_bias::<Self>(&slope);
        Self::conv_forward(x, [weight, bias, slope], geometry).0
    }

    fn conv_bias_prelu(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        geometry: Geometry,
        _prepared: Prepared,
    ) -> FloatTensor<Self> {
        Self::conv_forward(x, [weight, bias, slope], geometry).0
    }
}
