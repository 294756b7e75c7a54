//! The blocks under autodiff: one hand-written backward pass for every backend that has kernels.

use super::{BlockBackend, ConvBackend, Geometry, Prepared};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend as _, TensorMetadata as _};
use burn::tensor::FloatDType;
use std::fmt::Debug;

/// A backend with kernels for blocks and their gradients.
pub(super) trait Taped: BlockBackend + ConvBackend {
    /// The state that the backward pass of a block needs.
    type Block: Clone + Debug + Send + 'static;
    /// The state that the backward pass of a convolution without normalisation needs.
    type Conv: Clone + Debug + Send + 'static;

    /// Output, batch mean and biased batch variance of a block in training.
    ///
    /// The parameters are weight, gamma, beta and slope.
    fn block_forward(
        x: FloatTensor<Self>,
        parameters: [FloatTensor<Self>; 4],
        geometry: Geometry,
    ) -> (FloatTensor<Self>, [FloatTensor<Self>; 2], Self::Block);

    /// The gradients with respect to x and the parameters, at least those that are requested.
    fn block_backward(
        saved: Self::Block,
        dy: FloatTensor<Self>,
        wanted: [bool; 5],
    ) -> [Option<FloatTensor<Self>>; 5];

    /// Output of a convolution; the parameters are weight, bias and slope.
    fn conv_forward(
        x: FloatTensor<Self>,
        parameters: [FloatTensor<Self>; 3],
        geometry: Geometry,
    ) -> (FloatTensor<Self>, Self::Conv);

    /// The gradients with respect to x and the parameters, at least those that are requested.
    fn conv_backward(
        saved: Self::Conv,
        dy: FloatTensor<Self>,
        wanted: [bool; 4],
    ) -> [Option<FloatTensor<Self>>; 4];
}

/// A zero bias.
pub(super) fn no_bias<B: Taped>(slope: &FloatTensor<B>) -> FloatTensor<B> {
    B::float_zeros(slope.shape(), &slope.device(), FloatDType::F32)
}

/// Passes the gradients of an output to the parents that request them.
fn hand_back<B: Taped, S, const N: usize>(
    ops: Ops<S, N>,
    grads: &mut Gradients,
    backward: impl FnOnce(S, FloatTensor<B>, [bool; N]) -> [Option<FloatTensor<B>>; N],
) where
    S: Clone + Debug + Send + 'static,
{
    let dy = grads.consume::<B>(&ops.node);
    let wanted = ops.parents.each_ref().map(Option::is_some);
    let found = backward(ops.state, dy, wanted);
    for (node, gradient) in ops.parents.into_iter().zip(found) {
        if let (Some(node), Some(gradient)) = (node, gradient) {
            grads.register::<B>(node.id, gradient);
        }
    }
}

#[derive(Debug)]
struct Block;

impl<B: Taped> Backward<B, 5> for Block {
    type State = B::Block;

    fn backward(
        self,
        ops: Ops<Self::State, 5>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        hand_back::<B, _, 5>(ops, grads, B::block_backward);
    }
}

#[derive(Debug)]
struct ConvPrelu;

impl<B: Taped> Backward<B, 4> for ConvPrelu {
    type State = B::Conv;

    fn backward(
        self,
        ops: Ops<Self::State, 4>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        hand_back::<B, _, 4>(ops, grads, B::conv_backward);
    }
}

fn off_tape<B: Taped, C: CheckpointStrategy>(
    tensor: FloatTensor<Autodiff<B, C>>,
) -> FloatTensor<B> {
    tensor.into_primitive()
}

impl<B: Taped, C: CheckpointStrategy> BlockBackend for Autodiff<B, C> {
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
        let parameters = [weight, gamma, beta, slope].map(off_tape::<B, C>);
        let (y, [mean, var], saved) = B::block_forward(x.into_primitive(), parameters, geometry);
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
        // Evaluation is not differentiated, so it runs on the inner backend.
        Self::from_inner(B::block_inference(
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

impl<B: Taped, C: CheckpointStrategy> ConvBackend for Autodiff<B, C> {
    fn conv_prelu(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        geometry: Geometry,
        prepared: Prepared,
    ) -> FloatTensor<Self> {
        // An untracked bias, whose gradient is never requested.
        let bias = Self::from_inner(no_bias::<B>(slope.primitive()));
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
        let parameters = [weight, bias, slope].map(off_tape::<B, C>);
        let (y, saved) = B::conv_forward(x.into_primitive(), parameters, geometry);
        match ConvPrelu.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(saved, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}
