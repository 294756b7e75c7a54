//! The layers of a backbone.

use crate::init::Init;
use crate::ops::{self, BlockParams, ConvParams, EPSILON, Geometry, Prepared};
use burn::module::{Module, Param, RunningState};
use burn::tensor::Tensor;
use burn::tensor::module::{batch_norm, batch_norm_train};

/// Share of a batch in the running statistics, as in Caffe (moving average 0.9) and PyTorch.
const MOMENTUM: f64 = 0.1;

/// A convolution block: convolution, batch normalisation or bias, `PReLU`.
#[derive(Module, Debug)]
pub struct Block {
    /// Weights, `[out, in, kernel, kernel]`.
    pub weight: Param<Tensor<4>>,
    /// Batch normalisation of the convolution's output, in place of a bias, which it would cancel.
    pub norm: Option<BatchNorm>,
    /// Bias of the convolution, `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    /// Slope of the `PReLU`, `[out]`.
    pub slope: Param<Tensor<1>>,
    #[module(skip)]
    pub(super) geometry: Geometry,
    #[module(skip)]
    pub(super) prepared: Prepared,
}

/// The feature layer: a fully connected layer with batch normalisation or a bias. It has no
/// activation, so features can have any sign.
#[derive(Module, Debug)]
pub struct Feature {
    /// Weights, `[in, feature]`.
    pub weight: Param<Tensor<2>>,
    /// Batch normalisation of the output.
    pub norm: Option<BatchNorm>,
    /// Bias, `[feature]`.
    pub bias: Option<Param<Tensor<1>>>,
}

/// Batch normalisation: uses the statistics of the batch in training and running statistics in
/// evaluation, followed by an affine map.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// Factor after the normalisation, `[out]`.
    pub gamma: Param<Tensor<1>>,
    /// Offset after the normalisation, `[out]`.
    pub beta: Param<Tensor<1>>,
    /// Running mean, `[out]`.
    pub mean: RunningState<Tensor<1>>,
    /// Running variance, `[out]`.
    pub var: RunningState<Tensor<1>>,
    /// Share of a batch in the running statistics.
    #[module(skip)]
    pub(super) momentum: f64,
}

impl Block {
    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let (weight, slope) = (self.weight.val(), self.slope.val());
        let (geometry, prepared) = (self.geometry, self.prepared.clone());
        let Some(norm) = &self.norm else {
            let params = ConvParams {
                weight,
                bias: self.bias.as_ref().map(Param::val),
                slope,
                geometry,
            };
            return ops::conv_prelu(x, params, prepared);
        };
        let params = BlockParams {
            weight,
            gamma: norm.gamma.val(),
            beta: norm.beta.val(),
            slope,
            geometry,
        };
        if !x.device().is_autodiff() {
            let (mean, var) = (norm.mean.value(), norm.var.value());
            return ops::block_inference(x, params, mean, var, prepared);
        }
        let (y, mean, var) = ops::block(x, params);
        norm.update(mean, var);
        y
    }
}

impl Feature {
    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = x.matmul(self.weight.val());
        if let Some(norm) = &self.norm {
            return norm.forward(x);
        }
        match &self.bias {
            Some(bias) => x + bias.val().unsqueeze(),
            None => x,
        }
    }
}

impl BatchNorm {
    pub(super) fn new(init: &Init<'_>, len: usize) -> Self {
        Self {
            gamma: init.filled(len, 1.0),
            beta: init.filled(len, 0.0),
            mean: init.running(len, 0.0),
            var: init.running(len, 1.0),
            momentum: MOMENTUM,
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let (gamma, beta) = (self.gamma.val(), self.beta.val());
        if !x.device().is_autodiff() {
            return batch_norm(x, gamma, beta, self.mean.value(), self.var.value(), EPSILON);
        }
        let normed = batch_norm_train(x, gamma, beta, EPSILON);
        self.update(normed.mean, normed.variance);
        normed.output
    }

    fn update(&self, mean: Tensor<1>, var: Tensor<1>) {
        for (running, batch) in [(&self.mean, mean), (&self.var, var)] {
            let old = running.value_sync();
            running.update(ops::blend(old, batch.detach(), self.momentum));
        }
    }
}
