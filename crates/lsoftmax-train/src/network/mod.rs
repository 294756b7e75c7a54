//! The paper's networks: rows of data and the one constructor that builds them.

mod spec;

pub use spec::{NetworkSpec, SpecError, Stage, pooled_size};

use crate::ops::{self, BlockParams, EPSILON, Geometry, Prepared};
use burn::module::{Module, Param, RunningState};
use burn::tensor::module::{batch_norm, batch_norm_train};
use burn::tensor::{Device, Tensor, TensorData};
use lsoftmax_data::random::Rng;

/// Share of a batch in the running statistics, as in Caffe (moving average 0.9) and PyTorch.
const MOMENTUM: f64 = 0.1;

/// First slope of a `PReLU`, as in Caffe and PyTorch.
const SLOPE: f32 = 0.25;

/// The convolutional part of a classifier: images in, features out.
#[derive(Module, Debug)]
pub struct Backbone {
    /// Convolution blocks in order.
    pub blocks: Vec<Block>,
    /// The feature layer.
    pub feature: Feature,
    /// After which blocks a pool follows.
    #[module(skip)]
    pools: Vec<bool>,
}

/// Convolution without bias (the normalisation cancels it), batch normalisation, `PReLU`.
#[derive(Module, Debug)]
pub struct Block {
    /// `[out, in, kernel, kernel]`.
    pub weight: Param<Tensor<4>>,
    /// Factor after the normalisation, `[out]`.
    pub gamma: Param<Tensor<1>>,
    /// Offset after the normalisation, `[out]`.
    pub beta: Param<Tensor<1>>,
    /// `PReLU` slope, `[out]`.
    pub slope: Param<Tensor<1>>,
    /// Running mean, `[out]`.
    pub mean: RunningState<Tensor<1>>,
    /// Running variance, `[out]`.
    pub var: RunningState<Tensor<1>>,
    #[module(skip)]
    geometry: Geometry,
    #[module(skip)]
    prepared: Prepared,
}

/// Fully connected layer without bias and batch normalisation; nothing after it, so that
/// features reach every quadrant.
#[derive(Module, Debug)]
pub struct Feature {
    /// `[in, feature]`.
    pub weight: Param<Tensor<2>>,
    /// Factor, `[feature]`.
    pub gamma: Param<Tensor<1>>,
    /// Offset, `[feature]`.
    pub beta: Param<Tensor<1>>,
    /// Running mean, `[feature]`.
    pub mean: RunningState<Tensor<1>>,
    /// Running variance, `[feature]`.
    pub var: RunningState<Tensor<1>>,
}

/// The random numbers of one network: each tensor is a function of the seed and its place.
struct Init<'a> {
    seed: u64,
    tensors: u64,
    device: &'a Device,
}

impl Init<'_> {
    /// Gaussian with standard deviation sqrt(2 / `fan_in`) (He et al. 2015, "msra" in Caffe).
    fn he<const D: usize>(&mut self, shape: [usize; D], fan_in: usize) -> Param<Tensor<D>> {
        let mut rng = Rng::at(self.seed, &[crate::streams::INIT, self.tensors]);
        self.tensors += 1;
        let std = (2.0 / fan_in as f64).sqrt();
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| (std * rng.normal()) as f32).collect();
        Param::from_tensor(Tensor::from_data(
            TensorData::new(values, shape),
            self.device,
        ))
    }

    fn filled(&self, len: usize, value: f32) -> Param<Tensor<1>> {
        Param::from_tensor(Tensor::full([len], value, self.device))
    }

    fn running(&self, len: usize, value: f32) -> RunningState<Tensor<1>> {
        RunningState::new(Tensor::full([len], value, self.device))
    }
}

/// Class weights for a head, drawn like the network's.
pub(crate) fn class_weights(
    seed: u64,
    classes: usize,
    feature: usize,
    device: &Device,
) -> Param<Tensor<2>> {
    // A place that no layer of a backbone reaches.
    let mut init = Init {
        seed,
        tensors: u64::MAX / 2,
        device,
    };
    init.he([classes, feature], feature)
}

impl Backbone {
    /// Builds a network for images `[channels, height, width]`, its weights drawn from `seed`.
    ///
    /// # Errors
    /// The row cannot be right, or the images are too small for it.
    pub fn new(
        spec: &NetworkSpec,
        image: [usize; 3],
        seed: u64,
        device: &Device,
    ) -> Result<Self, SpecError> {
        spec.weights(image)?;
        let flat: usize = spec.check(image)?.iter().product();
        let mut init = Init {
            seed,
            tensors: 0,
            device,
        };
        let mut blocks = Vec::new();
        let mut pools = Vec::new();
        let mut channels = image[0];
        for stage in &spec.stages {
            for conv in 0..stage.convs {
                let out = stage.channels;
                let kernel = stage.kernel;
                blocks.push(Block {
                    weight: init.he([out, channels, kernel, kernel], channels * kernel * kernel),
                    gamma: init.filled(out, 1.0),
                    beta: init.filled(out, 0.0),
                    slope: init.filled(out, SLOPE),
                    mean: init.running(out, 0.0),
                    var: init.running(out, 1.0),
                    geometry: Geometry {
                        stride: if conv == 0 { stage.stride } else { 1 },
                        padding: kernel / 2,
                    },
                    prepared: Prepared::default(),
                });
                pools.push(stage.pool && conv + 1 == stage.convs);
                channels = out;
            }
        }
        let feature = Feature {
            weight: init.he([flat, spec.feature], flat),
            gamma: init.filled(spec.feature, 1.0),
            beta: init.filled(spec.feature, 0.0),
            mean: init.running(spec.feature, 0.0),
            var: init.running(spec.feature, 1.0),
        };
        Ok(Self {
            blocks,
            feature,
            pools,
        })
    }

    /// Images to features.
    ///
    /// On an autodiff device the normalisations use the batch's statistics and update the
    /// running ones; elsewhere they use the running ones.
    ///
    /// # Shapes
    /// - images: `[batch, channel, height, width]`
    /// - output: `[batch, feature]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = images;
        for (block, &pool) in self.blocks.iter().zip(&self.pools) {
            x = block.forward(x);
            if pool {
                x = ops::pool(x);
            }
        }
        self.feature.forward(x.flatten(1, 3))
    }
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let params = BlockParams {
            weight: self.weight.val(),
            gamma: self.gamma.val(),
            beta: self.beta.val(),
            slope: self.slope.val(),
            geometry: self.geometry,
        };
        if !x.device().is_autodiff() {
            let (mean, var) = (self.mean.value(), self.var.value());
            return ops::block_inference(x, params, mean, var, self.prepared.clone());
        }
        let (y, mean, var) = ops::block(x, params);
        update(&self.mean, mean);
        update(&self.var, var);
        y
    }
}

impl Feature {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let x = x.matmul(self.weight.val());
        let (gamma, beta) = (self.gamma.val(), self.beta.val());
        if !x.device().is_autodiff() {
            return batch_norm(x, gamma, beta, self.mean.value(), self.var.value(), EPSILON);
        }
        let normed = batch_norm_train(x, gamma, beta, EPSILON);
        update(&self.mean, normed.mean);
        update(&self.var, normed.variance);
        normed.output
    }
}

fn update(running: &RunningState<Tensor<1>>, batch: Tensor<1>) {
    let old = running.value_sync();
    running.update(old.mul_scalar(1.0 - MOMENTUM) + batch.detach().mul_scalar(MOMENTUM));
}

#[cfg(test)]
mod tests;
