//! The optimisers of a training.

use crate::sgd::Descending;
use burn::module::ParamGroup;
use burn::optim::{AdamWConfig, LearningRate, ModuleOptimizer, Optimizer};
use burn::tensor::{Bytes, DType, Device, Tensor};
use burn_pack::{Reader, Scalar};
use lsoftmax_spec::{Method, Optimiser, ParameterGroup};
use std::collections::BTreeMap;

/// Matches the paths of the backbone's weights, like [`Optimiser::group_of`].
const WEIGHTS: &str = r"(^|\.)weight$";
/// Matches the path of the class weights.
const HEAD: &str = r"^head\.";

/// The module optimiser, with its parameter groups.
pub(crate) fn module_optimiser(optimiser: Optimiser) -> ModuleOptimizer {
    match optimiser.method {
        Method::Sgd { momentum, nesterov } => grouped(optimiser, |decay| Descending {
            momentum,
            nesterov,
            decay,
        }),
        Method::AdamW {
            beta1,
            beta2,
            epsilon,
        } => grouped(optimiser, |decay| {
            AdamWConfig::new()
                .with_beta_1(beta1 as f32)
                .with_beta_2(beta2 as f32)
                .with_epsilon(epsilon as f32)
                .with_weight_decay(decay as f32)
                .build()
        }),
    }
}

fn grouped<O: Optimizer>(optimiser: Optimiser, with: impl Fn(f64) -> O) -> ModuleOptimizer {
    let of = |group: ParameterGroup| Scaled {
        of: with(group.decay),
        factor: group.rate,
    };
    let at = |pattern| ParamGroup::from_regex(pattern).expect("a fixed pattern");
    ModuleOptimizer::from(of(optimiser.norms))
        .with_group(at(WEIGHTS), of(optimiser.backbone), None)
        .with_group(at(HEAD), of(optimiser.head), None)
}

/// An optimiser whose learning rate is multiplied by a factor.
#[derive(Clone)]
struct Scaled<O> {
    of: O,
    factor: f64,
}

impl<O: Optimizer> Optimizer for Scaled<O> {
    type State<const D: usize> = O::State<D>;

    fn step<const D: usize>(
        &self,
        rate: LearningRate,
        parameter: Tensor<D>,
        gradient: Tensor<D>,
        state: Option<O::State<D>>,
    ) -> (Tensor<D>, Option<O::State<D>>) {
        (self.of).step(rate * self.factor, parameter, gradient, state)
    }

    fn to_device<const D: usize>(state: O::State<D>, device: &Device) -> O::State<D> {
        O::to_device(state, device)
    }
}

/// Key of a parameter's number of dimensions in Burn's record.
const RANK: &str = "__rank";
/// Key of AdamW's step count in Burn's record.
const TIME: &str = "momentum.time";

/// The keys of the tensors that a method keeps for each parameter in Burn's record, with their
/// descriptions.
fn tensors(method: Method) -> &'static [(&'static str, &'static str)] {
    match method {
        Method::Sgd { .. } => &[("momentum.velocity", "velocity")],
        Method::AdamW { .. } => &[
            ("momentum.moment_1", "mean gradient"),
            ("momentum.moment_2", "mean square of the gradient"),
        ],
    }
}

/// The tensors of a record by name: type, shape, parameter number, bytes.
type Found = BTreeMap<String, (DType, Vec<usize>, u64, Bytes)>;

/// Checks a record of Burn's optimiser before Burn loads it. Burn panics at a tensor that belongs
/// to no parameter, and silently drops what does not fit.
///
/// `parameters` holds names and shapes, ordered by number, counting from 1. `moves` tells whether a
/// parameter must have a state after this many steps.
pub(crate) fn check_record(
    record: Vec<u8>,
    optimiser: &Optimiser,
    parameters: &[(String, Vec<usize>)],
    steps: u64,
    moves: impl Fn(&str) -> bool,
) -> Result<(), String> {
    let unreadable = |error: burn_pack::Error| format!("the optimiser's state: {error}");
    let reader = Reader::from_bytes(Bytes::from_bytes_vec(record)).map_err(unreadable)?;
    let scalars = reader.scalars().clone();
    let paths = reader.metadata().clone();
    let mut found = Found::new();
    for tensor in reader.into_tensors().map_err(unreadable)? {
        let (name, kind, shape, number, bytes) = tensor.into_parts().map_err(unreadable)?;
        let Some(number) = number else {
            return Err(format!(
                "{name} of the optimiser's state belongs to no parameter"
            ));
        };
        found.insert(name, (kind, shape.to_vec(), number, bytes));
    }
    for (number, (parameter, shape)) in (1_u64..).zip(parameters) {
        let wrong = |what: &str| Err(format!("the optimiser's {what} of {parameter} is wrong"));
        if !check_tensors(&mut found, optimiser.method, number, parameter, shape)? {
            if moves(parameter) {
                let (_, what) = tensors(optimiser.method)[0];
                return Err(format!("the optimiser's {what} of {parameter} is missing"));
            }
            continue;
        }
        let prefix = number.to_string();
        let whole = |name: &str| {
            let scalar = scalars.get(&format!("{prefix}.{name}")).copied();
            scalar.and_then(|scalar: Scalar| u64::try_from(scalar).ok())
        };
        if whole(RANK) != Some(shape.len() as u64) {
            return wrong("number of dimensions");
        }
        let is_adam = matches!(optimiser.method, Method::AdamW { .. });
        if is_adam && !whole(TIME).is_some_and(|time| (1..=steps).contains(&time)) {
            return wrong("number of steps");
        }
        // Identifies the parameter group.
        let kind = |name: &str| (name.starts_with("head."), name.ends_with(".weight"));
        if paths
            .get(&prefix)
            .is_none_or(|path| kind(path) != kind(parameter))
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

/// Removes the tensors of a parameter from a record and checks them. Returns whether there were
/// any.
fn check_tensors(
    found: &mut Found,
    method: Method,
    number: u64,
    parameter: &str,
    shape: &[usize],
) -> Result<bool, String> {
    let mut seen = 0;
    for (name, what) in tensors(method) {
        let Some((kind, size, of, bytes)) = found.remove(&format!("{number}.{name}")) else {
            continue;
        };
        seen += 1;
        if of != number || kind != DType::F32 || size != shape {
            return Err(format!("the optimiser's {what} of {parameter} is wrong"));
        }
        if !are_finite(&bytes) {
            return Err(format!(
                "the optimiser's {what} of {parameter} has values that are not finite"
            ));
        }
    }
    match seen {
        0 => Ok(false),
        _ if seen == tensors(method).len() => Ok(true),
        _ => Err(format!(
            "the optimiser's state of {parameter} is incomplete"
        )),
    }
}

/// Whether all values of an f32 buffer are finite.
pub(crate) fn are_finite(bytes: &[u8]) -> bool {
    bytes
        .chunks_exact(size_of::<f32>())
        .all(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]).is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sgd::tests::steps;

    #[derive(serde::Deserialize)]
    struct Case {
        beta1: f64,
        beta2: f64,
        epsilon: f64,
        decay: f64,
        clip_norm: Option<f64>,
        weights: Vec<f32>,
    }

    /// Computed by tests/golden/adamw.py.
    #[test]
    fn steps_of_adamw_are_those_of_pytorch() {
        let cases = include_str!("../tests/golden/adamw.json");
        let cases: Vec<Case> = serde_json::from_str(cases).unwrap();
        assert_eq!(cases.len(), 18);
        for case in cases {
            let method = Method::AdamW {
                beta1: case.beta1,
                beta2: case.beta2,
                epsilon: case.epsilon,
            };
            let optimiser = Optimiser::new(method, case.decay);
            let (found, _) = steps(module_optimiser(optimiser), case.clip_norm);
            for (found, expected) in found.into_iter().zip(case.weights) {
                assert!(
                    (found - expected).abs() < 2e-6,
                    "{optimiser:?}: {found}, {expected}"
                );
            }
        }
    }

    #[test]
    fn a_group_has_its_factor_and_its_decay() {
        let plain = Optimiser::sgd(0.9, 0.0);
        let (once, _) = steps(module_optimiser(plain), None);
        let frozen = Optimiser {
            backbone: ParameterGroup {
                rate: 0.0,
                decay: 0.5,
            },
            ..plain
        };
        let (found, _) = steps(module_optimiser(frozen), None);
        assert_eq!(found, [0.5, -1.0, 2.0, 0.1, 0.0, -3.0]);
        // Settings of the other methods do not affect it.
        let others = Optimiser {
            norms: frozen.backbone,
            head: frozen.backbone,
            ..plain
        };
        assert_eq!(steps(module_optimiser(others), None).0, once);
        // Doubling the factor doubles the rate.
        let double = |rate: f64| {
            let group = ParameterGroup { rate, decay: 0.1 };
            Optimiser {
                backbone: group,
                ..plain
            }
        };
        let (doubled, _) = steps(module_optimiser(double(2.0)), None);
        let (single, _) = steps(module_optimiser(double(1.0)), None);
        assert_ne!(doubled, single);
    }
}
