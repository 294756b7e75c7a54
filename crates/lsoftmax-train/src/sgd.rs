//! SGD with momentum.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{
    GradientsParams, LearningRate, Optimizer, RecordState, StateSink, StateSource, join_path,
};
use burn::tensor::{Device, Tensor};
use lsoftmax_networks::{Descent, descend};

/// SGD with momentum and weight decay as in Caffe and PyTorch; see [`descend`].
///
/// Burn's optimiser gives the same numbers and has the same record format, but takes five
/// operations per parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descending {
    pub(crate) momentum: f64,
    pub(crate) nesterov: bool,
    pub(crate) decay: f64,
}

/// Scales the gradients down so that their joint norm is at most `most`, like PyTorch's
/// `clip_grad_norm_`.
pub(crate) fn clip<M: Module>(gradients: GradientsParams, model: &M, most: f64) -> GradientsParams {
    let mut norm = Norm {
        gradients: &gradients,
        squares: None,
    };
    model.visit(&mut norm);
    let Some(squares) = norm.squares else {
        return gradients;
    };
    let norm = squares.into_data().iter::<f64>().sum::<f64>().sqrt();
    let by = most / (norm + 1e-6);
    // If the norm is NaN, all gradients become NaN, and the training ends with an error.
    if by >= 1.0 {
        return gradients;
    }
    let mut scaled = Scaled { gradients, by };
    model.visit(&mut scaled);
    scaled.gradients
}

struct Norm<'a> {
    gradients: &'a GradientsParams,
    squares: Option<Tensor<1>>,
}

impl ModuleVisitor for Norm<'_> {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(parameter.id) {
            let square = gradient.square().sum();
            self.squares = Some(match self.squares.take() {
                Some(squares) => squares + square,
                None => square,
            });
        }
    }
}

struct Scaled {
    gradients: GradientsParams,
    by: f64,
}

impl ModuleVisitor for Scaled {
    fn visit_float<const D: usize>(&mut self, parameter: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(parameter.id) {
            let gradient = gradient.mul_scalar(self.by);
            self.gradients.register(parameter.id, gradient);
        }
    }
}

/// The state that a parameter keeps between steps.
#[derive(Clone, Debug)]
pub(crate) struct Velocity<const D: usize>(Tensor<D>);

/// Its key in Burn's record.
const MOMENTUM: &str = "momentum";
const VELOCITY: &str = "velocity";

impl<const D: usize> RecordState for Velocity<D> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        out.push_tensor(&join_path(prefix, MOMENTUM), VELOCITY, self.0.to_data());
    }

    fn state_unflatten(prefix: &str, src: &mut StateSource, device: &Device) -> Option<Self> {
        let data = src.take_tensor(&join_path(prefix, MOMENTUM), VELOCITY)?;
        // A damaged record may have another rank.
        (data.shape().num_dims() == D).then(|| Self(Tensor::from_data(data, device)))
    }
}

impl Optimizer for Descending {
    type State<const D: usize> = Velocity<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        velocity: Option<Velocity<D>>,
    ) -> (Tensor<D>, Option<Velocity<D>>) {
        let descent = Descent {
            rate,
            momentum: self.momentum,
            decay: self.decay,
            nesterov: self.nesterov,
        };
        let velocity = velocity.map(|Velocity(velocity)| velocity);
        let (parameter, velocity) = descend(parameter, gradient, velocity, descent);
        (parameter, Some(Velocity(velocity)))
    }

    fn to_device<const D: usize>(Velocity(velocity): Velocity<D>, device: &Device) -> Velocity<D> {
        Velocity(velocity.to_device(device))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use burn::optim::decay::WeightDecayConfig;
    use burn::optim::momentum::MomentumConfig;
    use burn::optim::{ModuleOptimizer, SgdConfig};
    use burn::tensor::Bytes;

    #[derive(Module, Debug)]
    struct Line {
        weight: Param<Tensor<2>>,
    }

    /// The weights after five steps on a small problem, and the optimiser's record.
    pub(crate) fn steps(
        mut optimiser: ModuleOptimizer,
        clip_norm: Option<f64>,
    ) -> (Vec<f32>, Vec<u8>) {
        let device = Device::flex().autodiff();
        let weight = Tensor::from_data([[0.5, -1.0, 2.0], [0.1, 0.0, -3.0]], &device);
        let mut line = Line {
            weight: Param::from_tensor(weight),
        };
        for step in 0..5 {
            let x = Tensor::<2>::from_data([[1.0, 2.0], [-0.5, 0.25 * f64::from(step)]], &device);
            let loss = x.matmul(line.weight.val()).powi_scalar(2).sum();
            let mut gradients = GradientsParams::from_grads(loss.backward(), &line);
            if let Some(most) = clip_norm {
                gradients = clip(gradients, &line, most);
            }
            line = optimiser.step(0.01, line, gradients);
        }
        let weight = line.weight.val().into_data();
        (
            weight.iter::<f32>().collect(),
            optimiser.into_bytes().unwrap().to_vec(),
        )
    }

    #[derive(serde::Deserialize)]
    struct Case {
        momentum: f64,
        decay: f64,
        nesterov: bool,
        clip_norm: Option<f64>,
        weights: Vec<f32>,
    }

    /// Computed by tests/golden/sgd.py.
    #[test]
    fn steps_are_those_of_pytorch() {
        let cases = include_str!("../tests/golden/sgd.json");
        let cases: Vec<Case> = serde_json::from_str(cases).unwrap();
        assert_eq!(cases.len(), 12);
        for case in cases {
            let sgd = Descending {
                momentum: case.momentum,
                nesterov: case.nesterov,
                decay: case.decay,
            };
            let (found, _) = steps(sgd.into(), case.clip_norm);
            for (found, expected) in found.into_iter().zip(case.weights) {
                assert!(
                    (found - expected).abs() < 2e-6,
                    "{sgd:?}: {found}, {expected}"
                );
            }
        }
    }

    #[test]
    fn steps_and_record_are_those_of_burns_optimiser() {
        for decay in [0.0, 0.05] {
            let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.0);
            let config = SgdConfig::new()
                .with_momentum(Some(momentum))
                .with_weight_decay((decay > 0.0).then(|| WeightDecayConfig::new(decay as f32)));
            let ours = Descending {
                momentum: 0.9,
                nesterov: false,
                decay,
            };
            let (found, record) = steps(ModuleOptimizer::from(ours), None);
            let (expected, _) = steps(config.init(), None);
            assert_eq!(found, expected);
            // Each optimiser reads the other's checkpoints.
            let restored = config.init().from_bytes(Bytes::from_bytes_vec(record));
            assert!(restored.is_ok());
        }
    }
}
