//! The hand-written backward: the forward pass has both gradients already.

use super::{MarginBackend, TargetRule};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend as _, Backend};
use burn::tensor::Shape;

#[derive(Debug)]
struct MarginCrossEntropy;

impl<B: Backend> Backward<B, 2> for MarginCrossEntropy {
    /// The gradients by features and by weights, for a loss with gradient 1.
    type State = (FloatTensor<B>, FloatTensor<B>);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [features, weights] = ops.parents;
        let grad = grads.consume::<B>(&ops.node);
        let grad = B::float_reshape(grad, Shape::new([1, 1]));
        let (d_features, d_weights) = ops.state;
        if let Some(node) = features {
            grads.register::<B>(node.id, B::float_mul(d_features, grad.clone()));
        }
        if let Some(node) = weights {
            grads.register::<B>(node.id, B::float_mul(d_weights, grad));
        }
    }
}

impl<B: MarginBackend, C: CheckpointStrategy> MarginBackend for Autodiff<B, C> {
    fn margin_cross_entropy(
        features: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        rule: TargetRule,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        match MarginCrossEntropy
            .prepare::<C>([features.node(), weights.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let (loss, targets, d_features, d_weights) = B::margin_cross_entropy_with_gradient(
                    features.into_primitive(),
                    weights.into_primitive(),
                    rule,
                );
                (
                    prep.finish((d_features, d_weights), loss),
                    Self::from_inner(targets),
                )
            }
            OpsKind::UnTracked(prep) => {
                let (loss, targets) = B::margin_cross_entropy(
                    features.into_primitive(),
                    weights.into_primitive(),
                    rule,
                );
                (prep.finish(loss), Self::from_inner(targets))
            }
        }
    }

    fn margin_cross_entropy_with_gradient(
        _features: FloatTensor<Self>,
        _weights: FloatTensor<Self>,
        _rule: TargetRule,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    ) {
        unreachable!("only called on the backend inside Autodiff, which is first order")
    }
}
