//! The blocks on graphics processors: Burn's convolutions, and kernels for all that stands behind
//! them, with a hand-written backward.
//!
//! Activations lie channels-last in memory behind the logical `[batch, channel, height, width]`, as
//! Burn's convolutions leave them, in the precision of the block's input; parameters and statistics
//! are f32.

mod channels;
mod convolution;
mod render;
mod update;

pub(crate) use render::{DRAW, Frame, render};

use super::{BlockBackend, ConvBackend, EPSILON, Geometry, Prepared, WidenBackend, conv_options};
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::FloatTensorOps as _;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend as _, TensorMetadata as _};
use burn::tensor::{DType, FloatDType};
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::into_contiguous;
use channels::Channels;

type Values = FloatTensor<CubeBackend>;

/// `[batch, height, width, channel]`, contiguous; copied only if it lies otherwise.
fn channels_last(tensor: Values) -> Values {
    into_contiguous(CubeBackend::float_permute(tensor, &[0, 2, 3, 1]))
}

/// A logical `[batch, channel, height, width]` over channels-last values.
fn image(values: Values) -> Values {
    CubeBackend::float_permute(values, &[0, 3, 1, 2])
}

fn zeros_like(slope: &Values) -> Values {
    CubeBackend::float_zeros(slope.shape(), &slope.device, FloatDType::F32)
}

/// What the backward pass of a block needs.
#[derive(Clone, Debug)]
struct Saved {
    x: Values,
    weight: Values,
    geometry: Geometry,
    /// The output of the convolution, channels-last.
    z: Values,
    numbers: Channels,
    var: Values,
    /// Whether mean and variance are those of z.
    of_batch: bool,
}

/// The gradients of a block.
struct BlockGradients {
    x: Option<Values>,
    weight: Values,
    gamma: Values,
    offset: Values,
    slope: Values,
}

impl Saved {
    fn backward(self, dy: Values, wants_x: bool) -> BlockGradients {
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
        let dw = convolution::by_weight(&x, &weight, &dz, geometry);
        BlockGradients {
            x: dx,
            weight: unscaled(dw, scale),
            gamma: found.gamma,
            offset: found.offset,
            slope: found.slope,
        }
    }
}

/// Output, batch mean and biased batch variance of a block in training, and what its backward needs.
fn block(
    x: Values,
    weight: Values,
    [gamma, beta, slope]: [Values; 3],
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

/// Output of a convolution with bias and `PReLU`, and what its backward needs.
fn conv_prelu(
    x: Values,
    weight: Values,
    bias: Values,
    slope: Values,
    geometry: Geometry,
) -> (Values, Saved) {
    let z = channels_last(convolution::forward(&x, &weight, geometry));
    let ones = CubeBackend::float_ones(slope.shape(), &slope.device, FloatDType::F32);
    let numbers = Channels {
        mean: zeros_like(&slope),
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

/// A gradient by weights in f32, its scale taken away.
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
        let [x] = ops.parents.map(|parent| parent.map(|node| node.id));
        let dtype = ops.state;
        let dx = channels::cast(&dy, dtype, channels::scale(dtype, dy.shape()[0]));
        register([(x, Some(dx))], grads);
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
        let (y, [mean, var], _) = block(x, weight, [gamma, beta, slope], geometry);
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
        let bias = zeros_like(&slope);
        conv_prelu(x, weight, bias, slope, geometry).0
    }

    fn conv_bias_prelu(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        geometry: Geometry,
        _prepared: Prepared,
    ) -> FloatTensor<Self> {
        conv_prelu(x, weight, bias, slope, geometry).0
    }
}

/// Hands gradients to the parents that want one.
fn register<const N: usize>(all: [(Option<NodeId>, Option<Values>); N], grads: &mut Gradients) {
    for (node, gradient) in all {
        if let (Some(node), Some(gradient)) = (node, gradient) {
            grads.register::<CubeBackend>(node, gradient);
        }
    }
}

#[derive(Debug)]
struct Block;

impl Backward<CubeBackend, 5> for Block {
    type State = Saved;

    fn backward(
        self,
        ops: Ops<Self::State, 5>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [x, weight, gamma, beta, slope] = ops.parents.map(|parent| parent.map(|node| node.id));
        let dy = grads.consume::<CubeBackend>(&ops.node);
        let found = ops.state.backward(dy, x.is_some());
        register(
            [
                (x, found.x),
                (weight, Some(found.weight)),
                (gamma, Some(found.gamma)),
                (beta, Some(found.offset)),
                (slope, Some(found.slope)),
            ],
            grads,
        );
    }
}

#[derive(Debug)]
struct ConvPrelu;

impl Backward<CubeBackend, 4> for ConvPrelu {
    type State = Saved;

    fn backward(
        self,
        ops: Ops<Self::State, 4>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [x, weight, bias, slope] = ops.parents.map(|parent| parent.map(|node| node.id));
        let dy = grads.consume::<CubeBackend>(&ops.node);
        let found = ops.state.backward(dy, x.is_some());
        register(
            [
                (x, found.x),
                (weight, Some(found.weight)),
                (bias, Some(found.offset)),
                (slope, Some(found.slope)),
            ],
            grads,
        );
    }
}

fn off_tape<C: CheckpointStrategy>(tensor: FloatTensor<Autodiff<CubeBackend, C>>) -> Values {
    tensor.into_primitive()
}

impl<C: CheckpointStrategy> BlockBackend for Autodiff<CubeBackend, C> {
    fn block(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        geometry: Geometry,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [
            x.node(),
            weight.node(),
            gamma.node(),
            beta.node(),
            slope.node(),
        ];
        let parameters = [gamma, beta, slope].map(off_tape::<C>);
        let (x, weight) = (x.into_primitive(), weight.into_primitive());
        let (y, [mean, var], saved) = block(x, weight, parameters, geometry);
        let y = match Block.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(saved, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        };
        (y, Self::from_inner(mean), Self::from_inner(var))
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
        prepared: Prepared,
    ) -> FloatTensor<Self> {
        // Evaluation is not differentiated: the network is taken off the tape for it.
        Self::from_inner(CubeBackend::block_inference(
            x.into_primitive(),
            weight.into_primitive(),
            gamma.into_primitive(),
            beta.into_primitive(),
            slope.into_primitive(),
            mean.into_primitive(),
            var.into_primitive(),
            geometry,
            prepared,
        ))
    }
}

impl<C: CheckpointStrategy> ConvBackend for Autodiff<CubeBackend, C> {
    fn conv_prelu(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        geometry: Geometry,
        prepared: Prepared,
    ) -> FloatTensor<Self> {
        // A bias off the tape: nobody asks for its gradient.
        let bias = Self::from_inner(zeros_like(slope.primitive()));
        Self::conv_bias_prelu(x, weight, bias, slope, geometry, prepared)
    }

    fn conv_bias_prelu(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        geometry: Geometry,
        _prepared: Prepared,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node(), slope.node()];
        let [x, weight, bias, slope] = [x, weight, bias, slope].map(off_tape::<C>);
        let (y, saved) = conv_prelu(x, weight, bias, slope, geometry);
        match ConvPrelu.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(saved, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}
