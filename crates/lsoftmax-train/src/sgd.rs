//! SGD with momentum.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{
    GradientsParams, LearningRate, Optimizer, RecordState, StateSink, StateSource, join_path,
};
use burn::tensor::{Bytes, DType, Device, Tensor};
use burn_pack::Reader;
use lsoftmax_networks::{Descent, descend};
use lsoftmax_spec::Sgd;
use std::collections::BTreeMap;

/// SGD with momentum and weight decay as Caffe and PyTorch have it: [`descend`].
///
/// Burn's gives the same numbers, and keeps the same record, in five operations a parameter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Descending(pub(crate) Sgd);

/// Scales the gradients down so that together they are not longer than `most`, as PyTorch's
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
    // A norm of NaN makes all gradients NaN, and the training ends with an error.
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

/// What a parameter keeps between steps.
#[derive(Clone, Debug)]
pub(crate) struct Velocity<const D: usize>(Tensor<D>);

/// Where Burn's record has it.
const MOMENTUM: &str = "momentum";
const VELOCITY: &str = "velocity";
const RANK: &str = "__rank";

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

/// Checks a record of Burn's optimiser before that gets it. Burn panics at a tensor that belongs to no
/// parameter, and leaves out without a word what does not fit.
///
/// `parameters` are names and shapes in the order of their numbers, from 1; `moves` says whose velocity
/// must be there.
pub(crate) fn check_record(
    record: Vec<u8>,
    parameters: &[(String, Vec<usize>)],
    moves: impl Fn(&str) -> bool,
) -> Result<(), String> {
    let unreadable = |error: burn_pack::Error| format!("the optimiser's state: {error}");
    let reader = Reader::from_bytes(Bytes::from_bytes_vec(record)).map_err(unreadable)?;
    let ranks = reader.scalars().clone();
    let paths = reader.metadata().clone();
    let mut found = BTreeMap::new();
    for tensor in reader.into_tensors().map_err(unreadable)? {
        let (name, kind, shape, number, bytes) = tensor.into_parts().map_err(unreadable)?;
        let Some(number) = number else {
            return Err(format!(
                "{name} of the optimiser's state belongs to no parameter"
            ));
        };
        found.insert(name, (kind, shape, number, bytes));
    }
    for (number, (parameter, shape)) in (1_u64..).zip(parameters) {
        let wrong = |what: &str| Err(format!("the optimiser's {what} of {parameter} is wrong"));
        let prefix = number.to_string();
        let Some(velocity) = found.remove(&format!("{prefix}.{MOMENTUM}.{VELOCITY}")) else {
            if moves(parameter) {
                return Err(format!(
                    "the optimiser's velocity of {parameter} is missing"
                ));
            }
            continue;
        };
        let (kind, size, of, bytes) = velocity;
        if of != number || kind != DType::F32 || size.to_vec() != *shape {
            return wrong("velocity");
        }
        if !are_finite(&bytes) {
            return Err(format!(
                "the optimiser's velocity of {parameter} has values that are not finite"
            ));
        }
        let rank = ranks.get(&format!("{prefix}.{RANK}")).copied();
        if rank.and_then(|rank| usize::try_from(rank).ok()) != Some(shape.len()) {
            return wrong("number of dimensions");
        }
        // It tells whether the parameter decays.
        let decays = |name: &str| name.ends_with(".weight");
        if paths
            .get(&prefix)
            .is_none_or(|path| decays(path) != decays(parameter))
        {
            return wrong("path");
        }
    }
    match found.keys().next() {
        Some(name) => Err(format!(
            "{name} of the optimiser's state belongs to no parameter"
        )),
        None => Ok(()),
    }
}

/// Whether the bytes of f32 are all finite numbers.
pub(crate) fn are_finite(bytes: &[u8]) -> bool {
    bytes
        .chunks_exact(size_of::<f32>())
        .all(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]).is_finite())
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
            momentum: self.0.momentum,
            decay: self.0.decay,
            nesterov: self.0.nesterov,
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
mod tests {
    use super::*;
    use burn::optim::decay::WeightDecayConfig;
    use burn::optim::momentum::MomentumConfig;
    use burn::optim::{ModuleOptimizer, SgdConfig};

    #[derive(Module, Debug)]
    struct Line {
        weight: Param<Tensor<2>>,
    }

    fn steps(mut optimiser: ModuleOptimizer, clip_norm: Option<f64>) -> (Vec<f32>, Vec<u8>) {
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

    /// tests/golden/sgd.py has made these.
    #[test]
    fn steps_are_those_of_pytorch() {
        let cases = include_str!("../tests/golden/sgd.json");
        let cases: Vec<Case> = serde_json::from_str(cases).unwrap();
        assert_eq!(cases.len(), 12);
        for case in cases {
            let sgd = Sgd {
                momentum: case.momentum,
                nesterov: case.nesterov,
                decay: case.decay,
                clip_norm: case.clip_norm,
            };
            let (found, _) = steps(Descending(sgd).into(), sgd.clip_norm);
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
            let ours = Descending(Sgd::new(0.9, decay));
            let (found, record) = steps(ModuleOptimizer::from(ours), None);
            let (expected, _) = steps(config.init(), None);
            assert_eq!(found, expected);
            // Checkpoints of the one are read by the other.
            let restored = config.init().from_bytes(Bytes::from_bytes_vec(record));
            assert!(restored.is_ok());
        }
    }
}
