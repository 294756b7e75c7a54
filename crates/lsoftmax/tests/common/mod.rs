//! Shared code of the mathematical tests: problems, golden cases, and ways to solve them.

#![allow(dead_code, reason = "each test binary uses its own part")]

use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use lsoftmax::margin::blend;
use lsoftmax::{Loss, Margin, margin_cross_entropy};
use lsoftmax_kernels::head::{self, Batch, Real, Sample};
use serde::Deserialize;
use std::sync::Arc;

/// A batch of features with class weights and labels.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Problem {
    pub(crate) batch: usize,
    pub(crate) classes: usize,
    pub(crate) features: usize,
    pub(crate) x: Vec<f64>,
    pub(crate) w: Vec<f64>,
    pub(crate) labels: Vec<u32>,
}

/// A case of the golden files. tests/golden/cases.py documents the entries.
#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) margin: Loss,
    pub(crate) lambda: f64,
    #[serde(flatten)]
    pub(crate) problem: Problem,
    pub(crate) sectors: Option<Vec<u32>>,
    pub(crate) logits: Vec<f64>,
    pub(crate) target_logits: Vec<f64>,
    pub(crate) losses: Vec<f64>,
    pub(crate) loss: f64,
    pub(crate) dx: Vec<f64>,
    pub(crate) dw: Vec<f64>,
}

/// The cases of the golden files: closed forms, definition, family, uneven norms.
pub(crate) fn golden() -> Vec<Case> {
    #[derive(Deserialize)]
    struct File {
        cases: Vec<Case>,
    }
    [
        include_str!("../golden/closed_form.json"),
        include_str!("../golden/definition.json"),
        include_str!("../golden/family.json"),
        include_str!("../golden/norms.json"),
    ]
    .into_iter()
    .flat_map(|text| {
        serde_json::from_str::<File>(text)
            .expect("a golden file")
            .cases
    })
    .collect()
}

/// Loss and gradients of a problem.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) loss: f64,
    pub(crate) dx: Vec<f64>,
    pub(crate) dw: Vec<f64>,
}

impl Answer {
    pub(crate) fn is_finite(&self) -> bool {
        self.loss.is_finite() && self.dx.iter().chain(&self.dw).all(|v| v.is_finite())
    }
}

pub(crate) trait Float: Real {
    fn of(values: &[f64]) -> Vec<Self> {
        values.iter().map(|&v| Self::from_f64(v)).collect()
    }
}

impl Float for f32 {}
impl Float for f64 {}

/// Solves a problem with the fused kernel.
pub(crate) fn kernel<T: Float>(
    problem: &Problem,
    margin: &dyn Margin,
    lambda: f64,
) -> (Answer, Vec<Sample>) {
    let (x, w) = (T::of(&problem.x), T::of(&problem.w));
    let batch = Batch::new(&x, &w, &problem.labels, problem.classes, problem.features).unwrap();
    let mut dx = vec![T::from_f64(f64::NAN); x.len()];
    let mut dw = vec![T::from_f64(f64::NAN); w.len()];
    let rule = |target: head::Target| blend(margin, lambda, target);
    let normalisation = margin.normalisation();
    let outcome =
        head::cross_entropy_with_gradient(&batch, normalisation, &rule, &mut dx, &mut dw).unwrap();
    let alone = head::cross_entropy(&batch, normalisation, &rule);
    assert_eq!(
        outcome.loss.to_bits(),
        alone.loss.to_bits(),
        "with and without gradient"
    );
    let wide = |values: Vec<T>| values.into_iter().map(Real::to_f64).collect();
    let answer = Answer {
        loss: outcome.loss,
        dx: wide(dx),
        dw: wide(dw),
    };
    (answer, outcome.samples)
}

/// Solves a problem with the fused kernel in f64, and returns only the answer.
pub(crate) fn solve(problem: &Problem, loss: Loss, lambda: f64) -> Answer {
    kernel::<f64>(problem, &*loss.margin().unwrap(), lambda).0
}

/// The loss by the fused kernel in f64.
pub(crate) fn loss_of(problem: &Problem, margin: &dyn Margin, lambda: f64) -> f64 {
    let batch = Batch::new(
        &problem.x,
        &problem.w,
        &problem.labels,
        problem.classes,
        problem.features,
    )
    .unwrap();
    head::cross_entropy(&batch, margin.normalisation(), &|t: head::Target| {
        blend(margin, lambda, t)
    })
    .loss
}

pub(crate) fn matrix(
    values: &[f64],
    shape: [usize; 2],
    device: &Device,
    dtype: DType,
) -> Tensor<2> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), (device, dtype))
}

pub(crate) fn labels_of(labels: &[u32], device: &Device) -> Tensor<1, Int> {
    let labels: Vec<i64> = labels.iter().copied().map(i64::from).collect();
    Tensor::from_data(TensorData::new(labels.clone(), [labels.len()]), device)
}

pub(crate) fn values<const D: usize>(tensor: &Tensor<D>) -> Vec<f64> {
    tensor.to_data().iter::<f64>().collect()
}

/// Solves a problem with the Burn operation and `backward`, with features and class weights of
/// these types.
pub(crate) fn burn_as(
    problem: &Problem,
    margin: Arc<dyn Margin>,
    lambda: f64,
    [feature_type, weight_type]: [DType; 2],
) -> Answer {
    let device = Device::flex().autodiff();
    let Problem {
        batch,
        classes,
        features,
        ..
    } = *problem;
    let x = matrix(&problem.x, [batch, features], &device, feature_type).require_grad();
    let w = matrix(&problem.w, [classes, features], &device, weight_type).require_grad();
    let labels = labels_of(&problem.labels, &device);
    let loss = margin_cross_entropy(x.clone(), w.clone(), labels, margin, lambda)
        .unwrap()
        .loss;
    let gradients = loss.backward();
    let (dx, dw) = (x.grad(&gradients).unwrap(), w.grad(&gradients).unwrap());
    assert_eq!((dx.dtype(), dw.dtype()), (feature_type, weight_type));
    Answer {
        loss: values(&loss)[0],
        dx: values(&dx),
        dw: values(&dw),
    }
}

/// Solves a problem with the Burn operation in f32.
pub(crate) fn burn(problem: &Problem, margin: Arc<dyn Margin>, lambda: f64) -> Answer {
    burn_as(problem, margin, lambda, [DType::F32; 2])
}

/// The largest difference between two arrays, relative to the largest entry of the second.
pub(crate) fn distance(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    let size = expected
        .iter()
        .fold(f64::MIN_POSITIVE, |m, v| m.max(v.abs()));
    found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs() / size)
        // `max` would ignore NaN.
        .fold(0.0, |m, e| if e <= m { m } else { e })
}

/// Keeps the largest of many errors and its location.
#[derive(Default)]
pub(crate) struct Worst {
    error: f64,
    place: String,
}

impl Worst {
    pub(crate) fn see(&mut self, error: f64, place: impl std::fmt::Display) {
        if error.is_nan() || error > self.error {
            self.error = error;
            self.place = place.to_string();
        }
    }

    #[track_caller]
    pub(crate) fn below(&self, tolerance: f64) {
        assert!(
            self.error < tolerance,
            "the worst error is {:.3e} at {}, allowed {tolerance:e}",
            self.error,
            self.place
        );
    }
}

/// A small random generator (`SplitMix64`), so that the problems never change.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in [from, to).
    pub(crate) fn real(&mut self, from: f64, to: f64) -> f64 {
        from + (to - from) * (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform from `from` to `to`, both included.
    pub(crate) fn whole(&mut self, from: usize, to: usize) -> usize {
        from + (self.bits() % (to - from + 1) as u64) as usize
    }

    /// Independent uniform entries in [-1, 1).
    pub(crate) fn vector(&mut self, size: usize) -> Vec<f64> {
        (0..size).map(|_| self.real(-1.0, 1.0)).collect()
    }

    pub(crate) fn problem(&mut self, batch: usize, classes: usize, features: usize) -> Problem {
        Problem {
            batch,
            classes,
            features,
            x: self.vector(batch * features),
            w: self.vector(classes * features),
            labels: (0..batch)
                .map(|_| self.whole(0, classes - 1) as u32)
                .collect(),
        }
    }

    /// A problem whose target angles cover [0, π]. Random vectors would concentrate around π/2.
    pub(crate) fn turned_problem(
        &mut self,
        batch: usize,
        classes: usize,
        features: usize,
    ) -> Problem {
        let mut problem = self.problem(batch, classes, features);
        for i in 0..batch {
            let own = problem.weight(problem.labels[i]).to_vec();
            let mix = self.real(-1.5, 1.5);
            for (x, w) in problem.x[i * features..(i + 1) * features]
                .iter_mut()
                .zip(own)
            {
                *x = *x * 0.5 + mix * w;
            }
        }
        problem
    }
}

impl Problem {
    pub(crate) fn new(features: usize, x: &[&[f64]], w: &[&[f64]], labels: &[u32]) -> Self {
        Self {
            batch: x.len(),
            classes: w.len(),
            features,
            x: x.concat(),
            w: w.concat(),
            labels: labels.to_vec(),
        }
    }

    pub(crate) fn feature(&self, row: usize) -> &[f64] {
        &self.x[row * self.features..(row + 1) * self.features]
    }

    pub(crate) fn weight(&self, class: u32) -> &[f64] {
        let class = class as usize;
        &self.w[class * self.features..(class + 1) * self.features]
    }

    /// The angle between a feature and its class weight.
    pub(crate) fn target_angle(&self, row: usize) -> f64 {
        angle(self.feature(row), self.weight(self.labels[row]))
    }
}

pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

pub(crate) fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

pub(crate) fn angle(a: &[f64], b: &[f64]) -> f64 {
    (dot(a, b) / norm(a) / norm(b)).clamp(-1.0, 1.0).acos()
}

/// ψ as the paper defines it.
pub(crate) fn psi_of_angle(m: u32, theta: f64) -> f64 {
    let m = f64::from(m);
    let k = (m * theta / std::f64::consts::PI).floor().min(m - 1.0);
    let sign = if k % 2.0 == 0.0 { 1.0 } else { -1.0 };
    sign * (m * theta).cos() - 2.0 * k
}

/// One loss of each kind, with published and other parameters.
pub(crate) fn all_losses() -> Vec<Loss> {
    let mut losses = vec![
        Loss::Softmax,
        Loss::COS_FACE,
        Loss::AM_SOFTMAX,
        Loss::ARC_FACE,
        Loss::COMBINED,
        Loss::CosFace {
            scale: 4.0,
            margin: 0.1,
        },
        Loss::ArcFace {
            scale: 4.0,
            margin: 1.2,
        },
        Loss::Combined {
            scale: 4.0,
            m1: 1.7,
            m2: 0.2,
            m3: 0.1,
        },
        Loss::Combined {
            scale: 4.0,
            m1: 0.9,
            m2: 0.4,
            m3: 0.15,
        },
    ];
    for m in [1, 2, 3, 4, 7, 16] {
        losses.push(Loss::LSoftmax { m });
        losses.push(Loss::ASoftmax { m });
    }
    losses
}
