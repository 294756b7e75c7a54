//! The head as a Burn module: records, gradients, devices, outputs, errors.

mod common;

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::store::ModuleRecord;
use burn::tensor::{DType, Device, Int, Tensor};
use common::{Problem, Random, all_losses, distance, labels_of, matrix, norm, values};
use lsoftmax::{
    Annealing, Error, Gate, Labels, Lambda, Loss, MarginHead, MarginHeadConfig, MarginStage,
    StepLambda, margin_cross_entropy,
};
use std::sync::Arc;

const SHAPE: [usize; 3] = [6, 4, 5];

fn problem() -> Problem {
    let [batch, classes, features] = SHAPE;
    Random(101).turned_problem(batch, classes, features)
}

fn features(problem: &Problem, device: &Device) -> Tensor<2> {
    matrix(
        &problem.x,
        [problem.batch, problem.features],
        device,
        DType::F32,
    )
}

fn head(loss: Loss, device: &Device) -> MarginHead {
    let [_, classes, features] = SHAPE;
    MarginHeadConfig::new(features, classes, Annealing::none())
        .with_loss(loss)
        .init(device)
        .unwrap()
}

#[derive(Module, Debug)]
struct Model {
    backbone: Linear,
    head: MarginHead,
}

fn model(device: &Device) -> Model {
    Model {
        backbone: LinearConfig::new(3, 5).init(device),
        head: head(Loss::LSoftmax { m: 3 }, device),
    }
}

fn weights_of(model: &Model) -> Vec<Vec<f64>> {
    vec![
        values(&model.backbone.weight.val()),
        values(&model.backbone.bias.as_ref().unwrap().val()),
        values(&model.head.weight.val()),
    ]
}

#[test]
fn weights_are_part_of_the_models_record() {
    let device = Device::flex();
    let (trained, fresh) = (model(&device), model(&device));
    let expected = weights_of(&trained);
    assert_ne!(weights_of(&fresh), expected);
    assert_eq!(trained.num_params(), 3 * 5 + 5 + 4 * 5);
    let record = trained.clone().into_record();
    assert_eq!(record.len(), 4);
    let bytes = record.into_bytes().unwrap();
    let loaded = fresh.load_record(ModuleRecord::from_bytes(bytes).unwrap());
    assert_eq!(weights_of(&loaded), expected);
    assert_eq!(loaded.head.config(), trained.head.config());

    let path = std::env::temp_dir().join(format!("lsoftmax-head-{}.bpk", std::process::id()));
    trained.save_file(&path).unwrap();
    let loaded = model(&device).try_load_file(&path).unwrap();
    // Burn reads the file only when the values are used.
    assert_eq!(weights_of(&loaded), expected);
    std::fs::remove_file(&path).unwrap();

    // Other sizes are refused, not truncated.
    let other = MarginHeadConfig::new(5, 7, Annealing::none())
        .init(&device)
        .unwrap();
    let record = head(Loss::Softmax, &device).into_record();
    assert!(other.try_load_record(record).is_err());
}

#[test]
fn gradient_goes_through_the_model() {
    let device = Device::flex().autodiff();
    let model = model(&device);
    let x = matrix(&Random(103).vector(18), [6, 3], &device, DType::F32);
    let labels = labels_of(&[0, 1, 2, 3, 0, 1], &device);
    let loss = model
        .head
        .loss(model.backbone.forward(x.clone()), labels.clone(), 0)
        .unwrap();
    let gradients = loss.backward();
    let d_head = model.head.weight.val().grad(&gradients).unwrap();
    let d_backbone = model.backbone.weight.val().grad(&gradients).unwrap();
    assert!(norm(&values(&d_head)) > 0.0);

    // A step against the gradient lowers the loss as much as it predicts.
    let step = 1e-3;
    let moved = Model {
        backbone: Linear {
            weight: stepped(&model.backbone.weight, &d_backbone, step),
            ..model.backbone.clone()
        },
        head: {
            let mut head = model.head.clone();
            head.weight = stepped(&model.head.weight, &d_head, step);
            head
        },
    };
    let after = moved
        .head
        .loss(moved.backbone.forward(x), labels, 0)
        .unwrap();
    let squares = norm(&values(&d_head)).powi(2) + norm(&values(&d_backbone)).powi(2);
    let fallen = values(&loss)[0] - values(&after)[0];
    assert!((fallen / (step * squares) - 1.0).abs() < 0.05, "{fallen}");
}

fn stepped(weight: &Param<Tensor<2>>, gradient: &Tensor<2>, step: f64) -> Param<Tensor<2>> {
    let moved = weight.val().inner() - gradient.clone() * step;
    Param::from_tensor(Tensor::from_inner(moved))
}

#[test]
fn gradient_scales_with_the_upstream() {
    let device = Device::flex().autodiff();
    let problem = problem();
    for loss in all_losses() {
        let head = head(loss, &device);
        let labels = labels_of(&problem.labels, &device);
        let gradient = |upstream: &dyn Fn(Tensor<1>) -> Tensor<1>| {
            let x = features(&problem, &device).require_grad();
            let out = upstream(head.loss(x.clone(), labels.clone(), 0).unwrap());
            let gradients = out.backward();
            let of_head = head.weight.val().grad(&gradients).unwrap();
            [values(&x.grad(&gradients).unwrap()), values(&of_head)].concat()
        };
        let one = gradient(&|loss| loss);
        let expected: Vec<f64> = one.iter().map(|d| d * 3.0).collect();
        assert!(distance(&gradient(&|loss| loss * 3.0), &expected) < 1e-6);
        // d(l^2) = 2 l dl.
        let value = values(
            &head
                .loss(features(&problem, &device), labels.clone(), 0)
                .unwrap(),
        )[0];
        let expected: Vec<f64> = one.iter().map(|d| d * 2.0 * value).collect();
        assert!(distance(&gradient(&|loss| loss.clone() * loss), &expected) < 1e-6);
        // If the weights are used twice, the gradients add up.
        let expected: Vec<f64> = one.iter().map(|d| d * 2.0).collect();
        assert!(distance(&gradient(&|loss| loss.clone() + loss), &expected) < 1e-6);
    }
}

#[test]
fn only_what_requires_a_gradient_gets_one() {
    let device = Device::flex().autodiff();
    let problem = problem();
    let [batch, classes, size] = SHAPE;
    let tensors = || {
        let w = matrix(&problem.w, [classes, size], &device, DType::F32);
        (features(&problem, &device), w)
    };
    let run = |x: &Tensor<2>, w: &Tensor<2>| {
        let labels = labels_of(&problem.labels, &device);
        let margin = Arc::from(Loss::LSoftmax { m: 4 }.margin().unwrap());
        margin_cross_entropy(x.clone(), w.clone(), labels, margin, 0.0).unwrap()
    };
    let (x, w) = tensors();
    let (x, w) = (x.require_grad(), w.require_grad());
    let gradients = run(&x, &w).loss.backward();
    let both = [x.grad(&gradients), w.grad(&gradients)].map(|g| values(&g.unwrap()));

    let (x, w) = tensors();
    let x = x.require_grad();
    let gradients = run(&x, &w).loss.backward();
    assert_eq!(values(&x.grad(&gradients).unwrap()), both[0]);
    assert!(w.grad(&gradients).is_none());

    let (x, w) = tensors();
    let w = w.require_grad();
    let out = run(&x, &w);
    let gradients = out.loss.backward();
    assert_eq!(values(&w.grad(&gradients).unwrap()), both[1]);
    assert!(x.grad(&gradients).is_none());
    // The target statistics are for display only, so they have no gradient.
    assert_eq!(out.targets.dims(), [batch, 4]);
    assert!(!out.targets.is_require_grad());
}

#[test]
fn an_inference_device_gives_the_same_loss_and_bits_repeat() {
    let problem = problem();
    for loss in all_losses() {
        let trained = head(loss, &Device::flex());
        let at = |device: &Device| {
            let mut head = head(loss, device);
            let w = values(&trained.weight.val());
            head.weight = Param::from_tensor(matrix(&w, [4, 5], device, DType::F32));
            let labels = labels_of(&problem.labels, device);
            let out = head
                .loss_with_targets(features(&problem, device), labels, 3)
                .unwrap();
            let bits = |values: Vec<f64>| values.into_iter().map(f64::to_bits).collect::<Vec<_>>();
            [bits(values(&out.loss)), bits(values(&out.targets))]
        };
        let first = at(&Device::flex().autodiff());
        assert_eq!(at(&Device::flex()), first, "{loss}");
        assert_eq!(at(&Device::flex().autodiff()), first, "{loss}");
    }
}

#[test]
fn a_large_batch_repeats_its_bits() {
    let problem = Random(107).turned_problem(128, 300, 64);
    let margin = || Loss::LSoftmax { m: 4 }.margin().unwrap().into();
    let first = common::burn(&problem, margin(), 5.0);
    for _ in 0..5 {
        assert_eq!(common::burn(&problem, margin(), 5.0), first);
    }
}

#[test]
fn targets_are_cosine_norms_and_confidence() {
    let device = Device::flex();
    let problem = problem();
    for loss in all_losses() {
        let w = matrix(&problem.w, [4, 5], &device, DType::F32);
        let out = margin_cross_entropy(
            features(&problem, &device),
            w,
            labels_of(&problem.labels, &device),
            loss.margin().unwrap().into(),
            5.0,
        )
        .unwrap();
        let normalisation = loss.margin().unwrap().normalisation();
        for (row, target) in values(&out.targets).chunks(4).enumerate() {
            let x = problem.feature(row);
            let logits: Vec<f64> = (0..4)
                .map(|class| {
                    let w = problem.weight(class as u32);
                    let inner: f64 = x.iter().zip(w).map(|(x, w)| x * w).sum();
                    let of_x = normalisation.feature_scale.map_or(1.0, |s| s / norm(x));
                    inner * of_x * normalisation.weight_factor(norm(w))
                })
                .collect();
            let largest = logits.iter().copied().fold(f64::MIN, f64::max);
            let sum: f64 = logits.iter().map(|z| (z - largest).exp()).sum();
            let label = problem.labels[row];
            let expected = [
                problem.target_angle(row).cos(),
                norm(x),
                norm(problem.weight(label)),
                (logits[label as usize] - largest).exp() / sum,
            ];
            assert!(distance(target, &expected) < 1e-6, "{loss}");
        }
    }
}

#[test]
fn labels_of_the_host_are_those_of_the_device() {
    let device = Device::flex();
    let problem = problem();
    let head = head(Loss::LSoftmax { m: 4 }, &device);
    let by_tensor = |labels: &[u32]| {
        let tensor = labels_of(labels, &device);
        head.loss_with_targets(features(&problem, &device), tensor, 3)
    };
    let by_host = |labels: &[u32]| {
        let labels = Labels::from_host(labels, &device);
        head.loss_with_targets(features(&problem, &device), labels, 3)
    };
    let by_both = |labels: &[u32]| {
        let labels = Labels::from(labels_of(labels, &device)).with_host(labels);
        head.loss_with_targets(features(&problem, &device), labels, 3)
    };
    let expected = by_tensor(&problem.labels).unwrap();
    for found in [by_host(&problem.labels), by_both(&problem.labels)] {
        let found = found.unwrap();
        assert_eq!(values(&found.loss), values(&expected.loss));
        assert_eq!(values(&found.targets), values(&expected.targets));
    }
    let mut out_of_range = problem.labels.clone();
    out_of_range[2] = 4;
    for wrong in [&out_of_range[..], &problem.labels[1..], &[]] {
        let expected = by_tensor(wrong).unwrap_err();
        assert_eq!(by_host(wrong).unwrap_err(), expected);
        assert_eq!(by_both(wrong).unwrap_err(), expected);
    }
    let shorter = labels_of(&problem.labels[1..], &device);
    let features = features(&problem, &device);
    let labels = Labels::from(shorter).with_host(&problem.labels);
    let error = head.loss(features, labels, 3);
    assert!(matches!(error, Err(Error::BatchSize { .. })), "{error:?}");
    let labels = Labels::from(labels_of(&problem.labels, &device)).with_host(&problem.labels[1..]);
    let error = head.loss(self::features(&problem, &device), labels, 3);
    assert!(matches!(error, Err(Error::Length { .. })), "{error:?}");
}

/// Behind a gate, the loss and its gradients equal those of a fixed λ, which is the λ that the head
/// reports.
#[test]
fn a_batch_chooses_its_lambda_by_its_signal() {
    let device = Device::flex().autodiff();
    let problem = problem();
    let loss = Loss::LSoftmax { m: 4 };
    let gate = Gate {
        from: 0.3,
        ..Gate::AUTO
    };
    let annealing = Annealing {
        gate: Some(gate),
        ..Annealing::auto(600)
    };
    let lambda = annealing.at(500, loss).1;
    let labels = || labels_of(&problem.labels, &device);
    let run = |w: &[f64], lambda: StepLambda| {
        let x = features(&problem, &device).require_grad();
        let w = matrix(w, [4, 5], &device, DType::F32).require_grad();
        let margin = loss.margin().unwrap().into();
        let out = margin_cross_entropy(x.clone(), w.clone(), labels(), margin, lambda).unwrap();
        let gradients = out.loss.backward();
        let gradients = [x.grad(&gradients), w.grad(&gradients)].map(|g| values(&g.unwrap()));
        (values(&out.loss), gradients, values(&out.targets))
    };
    // Class weights that point towards their samples, and away from them.
    let mut seen = Vec::new();
    for towards in [-3.0, 1.0, 3.0, 6.0, 100.0] {
        let mut w = vec![0.0; 4 * 5];
        for (row, &label) in problem.labels.iter().enumerate() {
            for (w, x) in w[label as usize * 5..].iter_mut().zip(problem.feature(row)) {
                *w += towards * x / norm(problem.feature(row));
            }
        }
        let (found, gradients, targets) = run(&w, lambda);
        let confidences: Vec<f64> = targets.iter().skip(3).step_by(4).copied().collect();
        let mean = gate.signal.of_batch(&confidences, &problem.labels);
        let fixed = lambda.of(mean, 4);
        let (expected, fixed_gradients, _) = run(&w, fixed.into());
        assert!(distance(&found, &expected) < 1e-6, "{mean}: λ {fixed}");
        for (found, expected) in gradients.iter().zip(&fixed_gradients) {
            assert!(distance(found, expected) < 1e-5, "{mean}: λ {fixed}");
        }
        seen.push(fixed);
    }
    assert_eq!(seen[0], f64::INFINITY);
    assert!(seen.is_sorted_by(|a, b| a >= b), "{seen:?}");
    assert!(
        seen.iter().any(|&l| l > 1.1 * lambda.least() && l < 1e3),
        "{seen:?}"
    );
}

#[test]
fn the_three_readings() {
    type Length = fn(f64, f64) -> f64;
    let device = Device::flex();
    let problem = problem();
    let plain: Length = |x, w| x * w;
    let readings: [(Loss, Length); 6] = [
        (Loss::Softmax, plain),
        (Loss::LSoftmax { m: 4 }, plain),
        (Loss::ASoftmax { m: 4 }, |x, _| x),
        (Loss::AM_SOFTMAX, |_, _| 30.0),
        (Loss::ARC_FACE, |_, _| 64.0),
        (Loss::COMBINED, |_, _| 64.0),
    ];
    for (loss, length) in readings {
        let mut head = head(loss, &device);
        head.weight = Param::from_tensor(matrix(&problem.w, [4, 5], &device, DType::F32));
        let logits = values(&head.logits(features(&problem, &device)));
        let cosines = values(&head.cosines(features(&problem, &device)));
        for row in 0..6 {
            for class in 0..4u32 {
                let (x, w) = (problem.feature(row), problem.weight(class));
                let at = row * 4 + class as usize;
                let cosine = common::angle(x, w).cos();
                let logit = length(norm(x), norm(w)) * cosine;
                assert!((logits[at] - logit).abs() < 1e-6 * logit.abs().max(1.0));
                assert!((cosines[at] - cosine).abs() < 1e-6);
            }
        }
    }
}

/// Half precision is computed in f32, like the loss. Zero rows stay zero.
#[test]
fn readings_of_half_precision_are_f32() {
    let device = Device::flex();
    let problem = problem();
    for dtype in [DType::F16, DType::BF16] {
        for loss in [Loss::Softmax, Loss::ASoftmax { m: 4 }, Loss::ARC_FACE] {
            let mut head = head(loss, &device);
            let mut x = problem.x.clone();
            x[..5].fill(0.0);
            let x = matrix(&x, [6, 5], &device, dtype);
            let w = matrix(&problem.w, [4, 5], &device, dtype);
            head.weight = Param::from_tensor(w.clone());
            for read in [MarginHead::logits, MarginHead::cosines] {
                let found = read(&head, x.clone());
                assert_eq!(found.dtype(), DType::F32);
                let found = values(&found);
                assert_eq!(found[..4], [0.0; 4]);
                assert!(
                    found[4..]
                        .iter()
                        .all(|value| value.is_finite() && *value != 0.0)
                );
                // Computed from the same numbers in f64.
                let mut exact = head.clone();
                exact.weight = Param::from_tensor(w.clone().cast(DType::F64));
                let exact = values(&read(&exact, x.clone().cast(DType::F64)));
                assert!(distance(&found, &exact) < 1e-6, "{loss} in {dtype:?}");
            }
        }
    }
    // If either is f64, everything is computed in f64.
    let head = head(Loss::ARC_FACE, &device);
    let x = matrix(&problem.x, [6, 5], &device, DType::F64);
    assert_eq!(head.logits(x).dtype(), DType::F64);
}

/// Logits are differentiable with respect to features and class weights, also for zero rows.
#[test]
fn gradients_of_logits_are_finite_and_right() {
    let device = Device::flex().autodiff();
    let mut problem = problem();
    problem.x[..5].fill(0.0);
    for loss in [Loss::ASoftmax { m: 2 }, Loss::AM_SOFTMAX] {
        let mut head = head(loss, &device);
        let w = matrix(&problem.w, [4, 5], &device, DType::F64);
        head.weight = head.weight.map(|_| w.require_grad());
        let x = |x: &[f64]| matrix(x, [6, 5], &device, DType::F64);
        let tracked = x(&problem.x).require_grad();
        let gradients = head.logits(tracked.clone()).square().sum().backward();
        let dw = values(&head.weight.val().grad(&gradients).unwrap());
        assert!(dw.iter().all(|value| value.is_finite()));
        let dx = values(&tracked.grad(&gradients).unwrap());
        assert!(dx.iter().all(|value| value.is_finite()));
        let sum = |x: Tensor<2>| values(&head.logits(x).square().sum())[0];
        let scale = norm(&dx);
        for at in 5..problem.x.len() {
            let mut moved = [problem.x.clone(), problem.x.clone()];
            moved[0][at] += 1e-5;
            moved[1][at] -= 1e-5;
            let [above, below] = moved.map(|moved| sum(x(&moved)));
            let expected = (above - below) / 2e-5;
            assert!((dx[at] - expected).abs() < 1e-7 * scale, "{loss} {at}");
        }
    }
}

#[test]
#[should_panic(expected = "features are [2, 7], but the class weights are [4, 5]")]
fn logits_of_another_feature_size_panic_with_both_shapes() {
    let device = Device::flex();
    let _ = head(Loss::ARC_FACE, &device).logits(Tensor::ones([2, 7], &device));
}

#[test]
#[should_panic(expected = "features are [2, 3], but the class weights are [4, 5]")]
fn cosines_of_another_feature_size_panic_with_both_shapes() {
    let device = Device::flex();
    let _ = head(Loss::Softmax, &device).cosines(Tensor::ones([2, 3], &device));
}

/// λ and stages only apply to losses that have them.
#[test]
fn a_schedule_for_a_loss_without_one_is_refused() {
    let device = Device::flex();
    let stage = MarginStage { step: 5, m: 2 };
    let schedules = [
        Lambda::Constant { lambda: 5.0 }.into(),
        Annealing::from(Lambda::PowerLaw {
            base: 1000.0,
            gamma: 0.1,
            power: 35.0,
            min: 0.0,
        }),
        Annealing {
            stages: vec![stage],
            ..Annealing::none()
        },
    ];
    for loss in [
        Loss::Softmax,
        Loss::COS_FACE,
        Loss::AM_SOFTMAX,
        Loss::ARC_FACE,
        Loss::COMBINED,
    ] {
        let init = |annealing: &Annealing| {
            let config = MarginHeadConfig::new(5, 4, annealing.clone());
            config.with_loss(loss).init(&device)
        };
        for schedule in &schedules {
            let error = init(schedule).unwrap_err();
            assert_eq!(error, Error::NoAnnealing(loss));
            assert!(error.to_string().contains(&loss.to_string()), "{error}");
        }
        assert!(init(&Annealing::auto(100)).is_ok() && init(&Annealing::none()).is_ok());
    }
    for loss in [Loss::LSoftmax { m: 1 }, Loss::ASoftmax { m: 4 }] {
        for schedule in &schedules {
            let config = MarginHeadConfig::new(5, 4, schedule.clone()).with_loss(loss);
            assert!(config.init(&device).is_ok());
        }
    }
}

#[test]
fn cosines_of_hard_vectors() {
    let device = Device::flex();
    let mut head = MarginHeadConfig::new(2, 3, Annealing::none())
        .init(&device)
        .unwrap();
    let w = matrix(
        &[0.0, 0.0, 1e30, 0.0, 1e-30, 1e-30],
        [3, 2],
        &device,
        DType::F32,
    );
    head.weight = Param::from_tensor(w);
    let x = matrix(
        &[0.0, 0.0, 3e38, 3e38, -1e-37, 0.0],
        [3, 2],
        &device,
        DType::F32,
    );
    let half = 0.5f64.sqrt();
    let expected = [0.0, 0.0, 0.0, 0.0, half, 1.0, 0.0, -1.0, -half];
    let found = values(&head.cosines(x));
    assert!(distance(&found, &expected) < 1e-6, "{found:?}");
    // Verification uses them as cosines, so they must not exceed 1.
    assert!(found.iter().all(|c| c.abs() <= 1.0));
}

#[test]
fn a_margin_of_ones_own() {
    use lsoftmax::Margin;
    use lsoftmax::margin::{Normalisation, Target, TargetLogit};

    /// The plain logit minus a constant.
    #[derive(Debug)]
    struct Shifted(f64);

    impl Margin for Shifted {
        fn normalisation(&self) -> Normalisation {
            Normalisation::default()
        }

        fn target_logit(&self, t: Target) -> TargetLogit {
            TargetLogit {
                value: t.feature_norm * t.weight_norm * t.cosine - self.0,
                d_cosine: t.feature_norm * t.weight_norm,
                d_feature_norm: t.weight_norm * t.cosine,
                d_weight_norm: t.feature_norm * t.cosine,
            }
        }
    }

    let problem = problem();
    let none = common::burn(&problem, Arc::new(Shifted(0.0)), 0.0);
    let softmax = common::burn(&problem, Arc::from(Loss::Softmax.margin().unwrap()), 0.0);
    assert!(distance(&none.dw, &softmax.dw) < 1e-6);
    let shifted = common::burn(&problem, Arc::new(Shifted(2.0)), 0.0);
    assert!(shifted.loss > none.loss);
    // Annealed halfway.
    let half = common::burn(&problem, Arc::new(Shifted(4.0)), 1.0);
    assert!(distance(&half.dw, &shifted.dw) < 1e-6);
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let device = Device::flex();
    let head = head(Loss::Softmax, &device);
    let labels = |count: usize| Tensor::<1, Int>::zeros([count], &device);
    let message = |x: [usize; 2], count| {
        let x = Tensor::<2>::ones(x, &device);
        head.loss(x, labels(count), 0).unwrap_err().to_string()
    };
    assert_eq!(
        message([2, 7], 2),
        "features are [2, 7], but the class weights are [4, 5]: both need the same feature size"
    );
    assert_eq!(message([2, 5], 3), "2 features came with 3 labels");
    // A size of zero is also an error, in every dimension.
    for [batch, classes, size] in [[2, 3, 0], [2, 0, 5], [0, 3, 5]] {
        let x = Tensor::<2>::zeros([batch, size], &device);
        let w = Tensor::<2>::zeros([classes, size], &device);
        let margin = Loss::LSoftmax { m: 2 }.margin().unwrap();
        let found = margin_cross_entropy(x, w, labels(batch), margin.into(), 0.0);
        let message = found.unwrap_err().to_string();
        assert!(message.contains("is empty"), "{message}");
    }
    let config = |features, classes| {
        MarginHeadConfig::new(features, classes, Annealing::none()).init(&device)
    };
    assert_eq!(
        config(0, 3).unwrap_err().to_string(),
        "the feature is empty: batch, classes and feature size must be at least 1"
    );
    assert!(config(3, 0).is_err());
    let wrong = Loss::ArcFace {
        scale: -1.0,
        margin: 0.5,
    };
    let error = MarginHeadConfig::new(2, 2, Annealing::none())
        .with_loss(wrong)
        .init(&device)
        .unwrap_err();
    assert!(matches!(error, Error::Margin(_)));
    assert_eq!(
        error.to_string(),
        "scale must be finite and above 0, found -1"
    );
}

#[test]
fn losses_check_their_numbers() {
    let nan = f64::NAN;
    for loss in [
        Loss::CosFace {
            scale: 0.0,
            margin: 0.3,
        },
        Loss::CosFace {
            scale: f64::INFINITY,
            margin: 0.3,
        },
        Loss::CosFace {
            scale: 1.0,
            margin: -0.1,
        },
        Loss::CosFace {
            scale: 1.0,
            margin: 2.1,
        },
        Loss::ArcFace {
            scale: nan,
            margin: 0.3,
        },
        Loss::ArcFace {
            scale: 1.0,
            margin: 1.6,
        },
        Loss::ArcFace {
            scale: 1.0,
            margin: nan,
        },
        Loss::Combined {
            scale: 1.0,
            m1: 0.0,
            m2: 0.0,
            m3: 0.0,
        },
        Loss::Combined {
            scale: 1.0,
            m1: 17.0,
            m2: 0.0,
            m3: 0.0,
        },
        Loss::Combined {
            scale: 1.0,
            m1: 1.0,
            m2: -0.1,
            m3: 0.0,
        },
        Loss::Combined {
            scale: 1.0,
            m1: 1.0,
            m2: 0.0,
            m3: nan,
        },
    ] {
        assert!(loss.margin().is_err(), "{loss:?}");
    }
    assert!(all_losses().iter().all(|loss| loss.margin().is_ok()));
}

#[test]
fn the_head_shows_what_it_is() {
    let text = format!("{}", head(Loss::LSoftmax { m: 4 }, &Device::flex()));
    for part in ["L-Softmax m = 4", "feature_size: 5", "classes: 4"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn the_head_knows_its_schedule() {
    let annealing = Annealing::auto(100);
    let head = MarginHeadConfig::new(2, 3, annealing.clone())
        .with_loss(Loss::LSoftmax { m: 2 })
        .init(&Device::flex())
        .unwrap();
    assert_eq!(head.config().annealing, annealing);
    let (loss, lambda) = head.at(50);
    assert_eq!(loss, Loss::LSoftmax { m: 2 });
    assert_eq!(lambda, annealing.at(50, Loss::LSoftmax { m: 2 }).1);
}
