//! Options that change the loss of a sample or its share in the loss of the batch: reductions,
//! weights, label smoothing, ignored labels, unequal classes. Compared with the formulas in f64 on
//! the host and with finite differences.

mod common;

use burn::config::Config as _;
use burn::module::{Module, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::store::ModuleRecord;
use burn::tensor::{DType, Device, Int, Tensor};
use common::{Problem, Random, all_losses, distance, labels_of, matrix, values};
use lsoftmax::{
    Annealing, Error, Labels, Loss, MarginHead, MarginHeadConfig, Reduction, margin_cross_entropy,
};

const BATCH: usize = 7;
const CLASSES: usize = 4;
const FEATURES: usize = 5;

fn problem(seed: u64) -> Problem {
    Random(seed).turned_problem(BATCH, CLASSES, FEATURES)
}

fn config(loss: Loss) -> MarginHeadConfig {
    let annealing = match loss {
        // λ = 1.
        Loss::LSoftmax { .. } | Loss::ASoftmax { .. } => {
            lsoftmax::Lambda::Constant { lambda: 1.0 }.into()
        }
        _ => Annealing::none(),
    };
    MarginHeadConfig::new(FEATURES, CLASSES, annealing).with_loss(loss)
}

fn head(config: &MarginHeadConfig, problem: &Problem, device: &Device) -> MarginHead {
    let mut head = config.init(device).unwrap();
    let weight = matrix(&problem.w, [CLASSES, FEATURES], device, DType::F64);
    head.weight = Param::from_tensor(weight);
    head
}

fn features(problem: &Problem, device: &Device) -> Tensor<2> {
    matrix(&problem.x, [BATCH, FEATURES], device, DType::F64)
}

/// The loss of the head and its gradients with respect to features and class weights.
fn answer(
    config: &MarginHeadConfig,
    problem: &Problem,
    weights: Option<&[f32]>,
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let device = Device::flex().autodiff();
    let head = head(config, problem, &device);
    let x = features(problem, &device).require_grad();
    let mut labels = Labels::from(labels_of(&problem.labels, &device));
    if let Some(weights) = weights {
        labels = labels.with_weights(weights);
    }
    let loss = head.loss(x.clone(), labels, 0).unwrap();
    // Per-sample losses, each with its own derivative.
    let sum = (loss.clone() * factors(loss.dims()[0], &device)).sum();
    let gradients = sum.backward();
    let dx = x.grad(&gradients).unwrap();
    let dw = head.weight.grad(&gradients).unwrap();
    (values(&loss), values(&dx), values(&dw))
}

/// Arbitrary numbers.
fn factors(count: usize, device: &Device) -> Tensor<1> {
    let factors: Vec<f64> = (0..count).map(|i| 1.0 + i as f64 * 0.25).collect();
    Tensor::from_data(factors.as_slice(), (device, DType::F64))
}

/// The cross-entropy of each sample.
fn losses(problem: &Problem, loss: Loss) -> Vec<f64> {
    let device = Device::flex();
    let lambda = match loss {
        Loss::LSoftmax { .. } | Loss::ASoftmax { .. } => 1.0,
        _ => 0.0,
    };
    (0..BATCH)
        .map(|row| {
            let x = matrix(problem.feature(row), [1, FEATURES], &device, DType::F64);
            let w = matrix(&problem.w, [CLASSES, FEATURES], &device, DType::F64);
            let labels = labels_of(&problem.labels[row..=row], &device);
            let margin = loss.margin().unwrap().into();
            let loss = margin_cross_entropy(x, w, labels, margin, lambda).unwrap();
            values(&loss.loss)[0]
        })
        .collect()
}

#[track_caller]
fn close(found: &[f64], expected: &[f64], tolerance: f64) {
    let error = distance(found, expected);
    assert!(
        error < tolerance,
        "{found:?}, expected {expected:?}: {error:e}"
    );
}

#[test]
fn mean_sum_and_none() {
    let problem = problem(1);
    let weights = [0.5, 2.0, 0.0, 1.0, 1.0, 3.0, 0.25];
    for loss in all_losses() {
        let alone = losses(&problem, loss);
        let reduced = |reduction| config(loss).with_reduction(reduction);
        let value = |reduction, weights| answer(&reduced(reduction), &problem, weights).0;
        let sum: f64 = alone.iter().sum();
        close(&value(Reduction::Mean, None), &[sum / BATCH as f64], 1e-13);
        close(&value(Reduction::Sum, None), &[sum], 1e-13);
        close(&value(Reduction::None, None), &alone, 1e-13);
        let of_samples = weights.map(f64::from);
        let weighted: Vec<f64> = alone.iter().zip(of_samples).map(|(l, w)| l * w).collect();
        let (sum, total): (f64, f64) = (weighted.iter().sum(), of_samples.iter().sum());
        close(
            &value(Reduction::Mean, Some(&weights)),
            &[sum / total],
            1e-13,
        );
        close(&value(Reduction::Sum, Some(&weights)), &[sum], 1e-13);
        close(&value(Reduction::None, Some(&weights)), &weighted, 1e-13);
    }
}

/// All options at once, by central differences.
#[test]
fn gradients_of_every_reduction() {
    const STEP: f64 = 1e-5;
    let weights = [0.5, 2.0, 0.0, 1.0, 1.0, 3.0, 0.25];
    for loss in all_losses() {
        for reduction in [Reduction::Mean, Reduction::Sum, Reduction::None] {
            let problem = problem(2);
            let config = config(loss)
                .with_reduction(reduction)
                .with_label_smoothing(0.2)
                .with_class_weights(Some(vec![1.0, 0.5, 2.0, 1.5]))
                .with_ignore_index(Some(problem.labels[5].into()));
            let value = |problem: &Problem| {
                let loss = answer(&config, problem, Some(&weights)).0;
                let factors = (0..loss.len()).map(|i| 1.0 + i as f64 * 0.25);
                loss.iter().zip(factors).map(|(l, f)| l * f).sum::<f64>()
            };
            let slopes = |entries: fn(&mut Problem) -> &mut Vec<f64>| -> Vec<f64> {
                let mut problem = problem.clone();
                (0..entries(&mut problem).len())
                    .map(|i| {
                        let before = entries(&mut problem)[i];
                        entries(&mut problem)[i] = before + STEP;
                        let up = value(&problem);
                        entries(&mut problem)[i] = before - STEP;
                        let down = value(&problem);
                        entries(&mut problem)[i] = before;
                        (up - down) / (2.0 * STEP)
                    })
                    .collect()
            };
            let (_, dx, dw) = answer(&config, &problem, Some(&weights));
            for (name, found, expected) in [
                ("features", dx, slopes(|p| &mut p.x)),
                ("weights", dw, slopes(|p| &mut p.w)),
            ] {
                let error = distance(&found, &expected);
                assert!(error < 1e-4, "{loss}, {reduction:?}, {name}: {error:e}");
            }
        }
    }
}

/// Burn's own loss, smoothed and with class weights, on the logits of plain softmax.
#[test]
fn smoothing_and_class_weights_are_burns() {
    let device = Device::flex();
    let problem = problem(3);
    let weights = vec![1.0f32, 0.5, 2.0, 1.5];
    let labels = labels_of(&problem.labels, &device);
    for smoothing in [0.0, 0.1, 0.7] {
        let config = config(Loss::Softmax).with_label_smoothing(smoothing);
        let head = head(&config, &problem, &device);
        let found = (head.loss(features(&problem, &device), labels.clone(), 0)).unwrap();
        let logits = head.logits(features(&problem, &device)).cast(DType::F32);
        let smoothed = (smoothing > 0.0).then_some(smoothing as f32);
        let burns = CrossEntropyLossConfig::new().with_smoothing(smoothed);
        let expected = burns.init(&device).forward(logits, labels.clone());
        close(&values(&found), &values(&expected), 1e-6);
    }
    let config = config(Loss::Softmax).with_class_weights(Some(weights.clone()));
    let head = head(&config, &problem, &device);
    let found = (head.loss(features(&problem, &device), labels.clone(), 0)).unwrap();
    let logits = head.logits(features(&problem, &device)).cast(DType::F32);
    let burns = CrossEntropyLossConfig::new().with_weights(Some(weights));
    let expected = burns.init(&device).forward(logits, labels);
    close(&values(&found), &values(&expected), 1e-6);
}

/// A batch with ignored samples equals the batch without them, also for the gate of λ.
#[test]
fn ignored_samples_change_nothing() {
    let device = Device::flex().autodiff();
    let problem = problem(4);
    let m4 = Loss::LSoftmax { m: 4 };
    for annealing in [
        Annealing::auto(100),
        lsoftmax::Lambda::Constant { lambda: 2.0 }.into(),
    ] {
        let config = MarginHeadConfig::new(FEATURES, CLASSES, annealing)
            .with_loss(m4)
            .with_label_smoothing(0.1)
            .with_ignore_index(Some(-100));
        let head = head(&config, &problem, &device);
        let kept = [0, 2, 3, 6];
        let all: Vec<i64> = (0..BATCH)
            .map(|row| {
                if kept.contains(&row) {
                    problem.labels[row].into()
                } else {
                    -100
                }
            })
            .collect();
        let all = Tensor::<1, Int>::from_data(all.as_slice(), &device);
        let x = features(&problem, &device).require_grad();
        let found = head.loss(x.clone(), all, 99).unwrap();
        let rows = Tensor::<1, Int>::from_data(kept.map(|row| row as i64), &device);
        let few = features(&problem, &device).select(0, rows);
        let labels: Vec<u32> = kept.map(|row| problem.labels[row]).to_vec();
        let expected = head
            .loss(few, Labels::from_host(&labels, &device), 99)
            .unwrap();
        close(&values(&found), &values(&expected), 1e-12);
        let dx = values(&x.grad(&found.backward()).unwrap());
        for row in 0..BATCH {
            let of_row = &dx[row * FEATURES..(row + 1) * FEATURES];
            assert_eq!(
                of_row.iter().any(|&d| d != 0.0),
                kept.contains(&row),
                "row {row}"
            );
        }
    }
    // No samples are left.
    let config = config(m4).with_ignore_index(Some(-100));
    let head = head(&config, &problem, &device);
    let none = Tensor::<1, Int>::from_data([-100; BATCH], &device);
    let loss = head.loss(features(&problem, &device), none, 0).unwrap();
    assert_eq!(values(&loss), [0.0]);
    let other = Tensor::<1, Int>::from_data([-1; BATCH], &device);
    let error = head
        .loss(features(&problem, &device), other, 0)
        .unwrap_err();
    assert!(error.to_string().contains("-1"), "{error}");
}

/// A frequent class gets a λ whose 1 / (1 + λ) is smaller by the ratio of the sample counts.
#[test]
fn a_common_class_has_a_smaller_share_of_the_margin() {
    let device = Device::flex();
    let problem = problem(5);
    let m3 = Loss::LSoftmax { m: 3 };
    let counts = vec![10, 40, 20, 0];
    let annealing = Annealing {
        class_balance: Some(1.0),
        ..lsoftmax::Lambda::Constant { lambda: 1.0 }.into()
    };
    let config = MarginHeadConfig::new(FEATURES, CLASSES, annealing)
        .with_loss(m3)
        .with_reduction(Reduction::None)
        .with_class_counts(Some(counts));
    let head = head(&config, &problem, &device);
    let labels = labels_of(&problem.labels, &device);
    let found = values(&head.loss(features(&problem, &device), labels, 0).unwrap());
    let lambdas = [1.0, 7.0, 3.0, 1.0];
    for (row, found) in found.into_iter().enumerate() {
        let x = matrix(problem.feature(row), [1, FEATURES], &device, DType::F64);
        let w = matrix(&problem.w, [CLASSES, FEATURES], &device, DType::F64);
        let labels = labels_of(&problem.labels[row..=row], &device);
        let lambda = lambdas[problem.labels[row] as usize];
        let margin = m3.margin().unwrap().into();
        let expected = margin_cross_entropy(x, w, labels, margin, lambda).unwrap();
        close(&[found], &values(&expected.loss), 1e-13);
    }
}

#[test]
fn all_of_a_batch_in_one_call() {
    let device = Device::flex();
    let problem = problem(6);
    let loss = Loss::LSoftmax { m: 4 };
    let labels = || labels_of(&problem.labels, &device);
    let head = head(&config(loss), &problem, &device);
    let all = head
        .forward(features(&problem, &device), labels(), 0)
        .unwrap();
    assert_eq!(all.lambda, 1.0);
    let x = features(&problem, &device);
    assert_eq!(values(&all.logits), values(&head.logits(x.clone())));
    let alone = head.loss_with_targets(x.clone(), labels(), 0).unwrap();
    assert_eq!(values(&all.loss), values(&alone.loss));
    assert_eq!(values(&all.targets), values(&alone.targets));
    let gated = head.with_annealing(Annealing::auto(10)).unwrap();
    let all = gated.forward(x, labels(), 0).unwrap();
    assert!(all.lambda.is_infinite(), "the gate is shut: {}", all.lambda);
}

#[test]
fn a_record_of_another_loss_or_schedule_is_refused() {
    let device = Device::flex();
    let saved = config(Loss::LSoftmax { m: 4 }).init(&device).unwrap();
    let bytes = saved.clone().into_record().into_bytes().unwrap();
    let load = |config: MarginHeadConfig| {
        let record = ModuleRecord::from_bytes(bytes.clone()).unwrap();
        config.init(&device).unwrap().try_load_record(record)
    };
    let loaded = load(config(Loss::LSoftmax { m: 4 })).unwrap();
    assert_eq!(values(&loaded.weight.val()), values(&saved.weight.val()));
    for other in [
        config(Loss::LSoftmax { m: 3 }),
        config(Loss::ARC_FACE),
        MarginHeadConfig::new(FEATURES, CLASSES, Annealing::auto(10)),
    ] {
        let error = format!("{:?}", load(other).unwrap_err());
        assert!(
            error.contains("L-Softmax m = 4") || error.contains("trained_with"),
            "{error}"
        );
    }
}

#[test]
fn a_configuration_is_text() {
    let config = config(Loss::LSoftmax { m: 2 })
        .with_reduction(Reduction::Sum)
        .with_class_weights(Some(vec![1.0; CLASSES]))
        .with_class_counts(Some(vec![3; CLASSES]))
        .with_ignore_index(Some(-100))
        .with_label_smoothing(0.1);
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(
        serde_json::from_str::<MarginHeadConfig>(&text).unwrap(),
        config
    );
    let path = std::env::temp_dir().join(format!("lsoftmax-head-{}.json", std::process::id()));
    config.save(&path).unwrap();
    assert_eq!(MarginHeadConfig::load(&path).unwrap(), config);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn wrong_numbers_are_errors() {
    let device = Device::flex();
    let base = || config(Loss::LSoftmax { m: 2 });
    let error = |config: MarginHeadConfig| config.init(&device).unwrap_err();
    for smoothing in [-0.1, 1.0, f64::NAN] {
        let error = error(base().with_label_smoothing(smoothing));
        assert!(matches!(error, Error::LabelSmoothing(_)), "{error}");
    }
    let short = error(base().with_class_weights(Some(vec![1.0; 3])));
    assert_eq!(short.to_string(), "4 class weights expected, 3 found");
    let counts = error(base().with_class_counts(Some(vec![1; 5])));
    assert_eq!(counts.to_string(), "4 class counts expected, 5 found");
    for bad in [-1.0, f32::NAN, f32::INFINITY] {
        let error = error(base().with_class_weights(Some(vec![1.0, bad, 1.0, 1.0])));
        let text = error.to_string();
        assert!(text.starts_with("class weights: number 1 is"), "{text}");
    }
    let problem = problem(7);
    let head = head(&base(), &problem, &device);
    let with = |weights: &[f32]| {
        let labels = Labels::from(labels_of(&problem.labels, &device)).with_weights(weights);
        head.loss(features(&problem, &device), labels, 0)
            .unwrap_err()
    };
    assert_eq!(
        with(&[1.0]).to_string(),
        "7 sample weights expected, 1 found"
    );
    let text = with(&[1.0, 1.0, f32::NAN, 1.0, 1.0, 1.0, 1.0]).to_string();
    assert!(
        text.starts_with("sample weights: number 2 is NaN"),
        "{text}"
    );
}
