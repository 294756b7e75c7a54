//! Weight initialisation: each tensor depends only on the seed and its position.

use burn::module::{Param, RunningState};
use burn::tensor::{Device, Tensor, TensorData};
use lsoftmax_spec::random::Rng;

/// The random stream of initial weights.
const STREAM: u64 = 0x1;

/// The random numbers of a network, with one stream per tensor.
pub(super) struct Init<'a> {
    seed: u64,
    tensors: u64,
    device: &'a Device,
}

impl<'a> Init<'a> {
    /// Starts with the stream of tensor number `tensors`.
    pub(super) fn new(seed: u64, tensors: u64, device: &'a Device) -> Self {
        Self {
            seed,
            tensors,
            device,
        }
    }

    /// Gaussian with standard deviation sqrt(2 / `fan_in`) (He et al. 2015, "msra" in Caffe).
    pub(super) fn he<const D: usize>(
        &mut self,
        shape: [usize; D],
        fan_in: usize,
    ) -> Param<Tensor<D>> {
        self.gaussian(shape, (2.0 / fan_in as f64).sqrt())
    }

    /// Uniform in ±sqrt(3 / `fan_in`), with variance 1 / `fan_in` (Glorot and Bengio 2010, "xavier"
    /// in Caffe, which only considers the inputs).
    pub(super) fn xavier<const D: usize>(
        &mut self,
        shape: [usize; D],
        fan_in: usize,
    ) -> Param<Tensor<D>> {
        let bound = (3.0 / fan_in as f64).sqrt();
        self.drawn(shape, |rng| rng.between(-bound, bound))
    }

    pub(super) fn gaussian<const D: usize>(
        &mut self,
        shape: [usize; D],
        std: f64,
    ) -> Param<Tensor<D>> {
        self.drawn(shape, |rng| std * rng.normal())
    }

    fn drawn<const D: usize>(
        &mut self,
        shape: [usize; D],
        draw: impl Fn(&mut Rng) -> f64,
    ) -> Param<Tensor<D>> {
        let mut rng = Rng::at(self.seed, &[STREAM, self.tensors]);
        self.tensors += 1;
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| draw(&mut rng) as f32).collect();
        let values = TensorData::new(values, shape);
        Param::from_tensor(Tensor::from_data(values, self.device))
    }

    pub(super) fn filled(&self, len: usize, value: f32) -> Param<Tensor<1>> {
        Param::from_tensor(Tensor::full([len], value, self.device))
    }

    pub(super) fn running(&self, len: usize, value: f32) -> RunningState<Tensor<1>> {
        RunningState::new(Tensor::full([len], value, self.device))
    }
}

/// Class weights for a head, initialised like the weights of the network.
pub fn class_weights(
    seed: u64,
    classes: usize,
    feature: usize,
    device: &Device,
) -> Param<Tensor<2>> {
    // A position that no layer of a backbone uses.
    Init::new(seed, u64::MAX / 2, device).he([classes, feature], feature)
}
