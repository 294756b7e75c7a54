//! The hand-written backward pass. The forward pass has already computed both gradients.

use super::{MarginBackend, TargetRule, cast};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, AutodiffBackend as _, TensorMetadata as _};
use burn::tensor::{FloatDType, read_sync};

#[derive(Debug)]
struct MarginCrossEntropy;

impl<B: MarginBackend> Backward<B, 2> for MarginCrossEntropy {
    /// The gradients with respect to features and weights for a loss with gradient 1, and the types
    /// to return them in.
    type State = [(FloatTensor<B>, FloatDType); 2];

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        for (parent, (gradient, dtype)) in ops.parents.into_iter().zip(ops.state) {
            if let Some(node) = parent {
                let gradient = B::scaled(gradient, grad.clone());
                grads.register::<B>(node.id, cast::<B>(gradient, dtype));
            }
        }
    }
}

/// The backward pass of per-sample losses. The derivative of each loss is only known here, so the
/// gradient is computed with these derivatives as sample weights.
#[derive(Debug)]
struct MarginCrossEntropies;

/// The operands.
#[derive(Clone, Debug)]
struct Batch<B: MarginBackend> {
    features: FloatTensor<B>,
    weights: FloatTensor<B>,
    labels: IntTensor<B>,
    rule: TargetRule,
}

impl<B: MarginBackend> Batch<B> {
    fn losses(self) -> (FloatTensor<B>, FloatTensor<B>) {
        B::margin_cross_entropies(self.features, self.weights, self.labels, self.rule)
    }
}

impl<B: MarginBackend> Backward<B, 2> for MarginCrossEntropies {
    type State = Batch<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let grad = grads.consume::<B>(&ops.node);
        let Batch {
            features,
            weights,
            labels,
            mut rule,
        } = ops.state;
        let types: [FloatDType; 2] = [features.dtype().into(), weights.dtype().into()];
        let grad = read_sync(B::float_into_data(grad)).expect("the device answers");
        rule.samples.weights = Some(grad.iter::<f64>().collect());
        let (_, _, d_features, d_weights) =
            B::margin_cross_entropy_with_gradient(features, weights, labels, rule);
        let gradients = [d_features, d_weights].into_iter().zip(types);
        for (parent, (gradient, dtype)) in ops.parents.into_iter().zip(gradients) {
            if let Some(node) = parent {
                grads.register::<B>(node.id, cast::<B>(gradient, dtype));
            }
        }
    }
}

impl<B: MarginBackend, C: CheckpointStrategy> MarginBackend for Autodiff<B, C> {
    fn margin_cross_entropy(
        features: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        labels: IntTensor<Self>,
        rule: TargetRule,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let types: [FloatDType; 2] = [features.dtype().into(), weights.dtype().into()];
        match MarginCrossEntropy
            .prepare::<C>([features.node(), weights.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let (loss, targets, d_features, d_weights) = B::margin_cross_entropy_with_gradient(
                    features.into_primitive(),
                    weights.into_primitive(),
                    labels,
                    rule,
                );
                let [of_features, of_weights] = types;
                let state = [(d_features, of_features), (d_weights, of_weights)];
                (prep.finish(state, loss), Self::from_inner(targets))
            }
            OpsKind::UnTracked(prep) => {
                let (loss, targets) = B::margin_cross_entropy(
                    features.into_primitive(),
                    weights.into_primitive(),
                    labels,
                    rule,
                );
                (prep.finish(loss), Self::from_inner(targets))
            }
        }
    }

    fn margin_cross_entropies(
        features: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        labels: IntTensor<Self>,
        rule: TargetRule,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let nodes = [features.node(), weights.node()];
        let batch = Batch::<B> {
            features: features.into_primitive(),
            weights: weights.into_primitive(),
            labels,
            rule,
        };
        match MarginCrossEntropies
            .prepare::<C>(nodes)
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => {
                let (losses, targets) = batch.clone().losses();
                (prep.finish(batch, losses), Self::from_inner(targets))
            }
            OpsKind::UnTracked(prep) => {
                let (losses, targets) = batch.losses();
                (prep.finish(losses), Self::from_inner(targets))
            }
        }
    }

    fn margin_cross_entropy_with_gradient(
        _features: FloatTensor<Self>,
        _weights: FloatTensor<Self>,
        _labels: IntTensor<Self>,
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
