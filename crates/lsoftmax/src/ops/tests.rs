//! Compares the composed operations with the fused kernel.

#[path = "../../tests/common/mod.rs"]
mod common;

use super::composed::BLOCK;
use super::{MarginBackend, Samples, TargetRule, composed, tensors};
use crate::StepLambda;
use burn::backend::Flex;
use burn::tensor::{DType, Device, TensorData};
use burn_flex::FlexTensor;
use common::{Answer, Problem, Random, Worst, all_losses, distance, golden};
use lsoftmax_kernels::head::TargetLogits;

impl composed::HeadPasses for Flex {}

type Outputs = (FlexTensor, FlexTensor, FlexTensor, FlexTensor);

fn rule(problem: &Problem, loss: crate::Loss, lambda: impl Into<StepLambda>) -> TargetRule {
    TargetRule {
        margin: loss.margin().unwrap().into(),
        lambda: lambda.into(),
        labels: problem.labels.as_slice().into(),
        classes: problem.classes,
        samples: Samples::default(),
    }
}

/// A batch whose samples differ in every option.
fn uneven(random: &mut Random, batch: usize) -> Samples {
    let mut column = |from, to| (0..batch).map(|_| random.real(from, to)).collect();
    Samples {
        weights: Some(column(0.0, 1.0)),
        shares: Some(column(0.1, 1.0)),
        target_pull: 0.1,
        ignored: Some((0..batch).map(|row| row > 0 && row % 3 == 0).collect()),
    }
}

fn arrays(problem: &Problem, dtype: DType) -> [FlexTensor; 2] {
    let tensor = |values: &[f64], rows: usize| {
        let data = TensorData::new(values.to_vec(), [rows, problem.features]);
        FlexTensor::from_data(data.convert_dtype(dtype))
    };
    [
        tensor(&problem.x, problem.batch),
        tensor(&problem.w, problem.classes),
    ]
}

fn labels(rule: &TargetRule) -> TensorData {
    let labels: Vec<i32> = rule.labels.iter().map(|&label| label as i32).collect();
    let count = labels.len();
    TensorData::new(labels, [count])
}

fn values(tensor: FlexTensor) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn answer((loss, targets, dx, dw): Outputs) -> (Answer, Vec<f64>) {
    let answer = Answer {
        loss: values(loss)[0],
        dx: values(dx),
        dw: values(dw),
    };
    (answer, values(targets))
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn by_operations(problem: &Problem, rule: &TargetRule, dtype: DType) -> (Answer, Vec<f64>) {
    let found = in_blocks(problem, rule, dtype, BLOCK);
    // The forward pass alone gives the same loss.
    let [x, w] = arrays(problem, dtype);
    let (loss, targets) =
        composed::forward::<Flex>(x, w, FlexTensor::from_data(labels(rule)), rule, BLOCK);
    assert_eq!(values(loss)[0].to_bits(), found.0.loss.to_bits());
    assert_eq!(bits(&values(targets)), bits(&found.1));
    // So do the per-sample losses.
    let [x, w] = arrays(problem, dtype);
    let labels = FlexTensor::from_data(labels(rule));
    let (losses, _) = composed::each::<Flex>(x, w, labels, rule, BLOCK);
    let losses = values(losses);
    let reduced = (rule as &dyn TargetLogits).reduce(&losses);
    if reduced.is_finite() {
        assert!(distance(&[reduced, 1.0], &[found.0.loss, 1.0]) < 1e-6);
    }
    found
}

/// Runs the composed operations with this number of logits in a block.
fn in_blocks(
    problem: &Problem,
    rule: &TargetRule,
    dtype: DType,
    block: usize,
) -> (Answer, Vec<f64>) {
    let [x, w] = arrays(problem, dtype);
    answer(composed::with_gradient::<Flex>(
        x,
        w,
        FlexTensor::from_data(labels(rule)),
        rule,
        block,
    ))
}

fn by_kernel(problem: &Problem, rule: &TargetRule, dtype: DType) -> (Answer, Vec<f64>) {
    let [x, w] = arrays(problem, dtype);
    answer(Flex::margin_cross_entropy_with_gradient(
        x,
        w,
        FlexTensor::from_data(labels(rule)),
        rule.clone(),
    ))
}

/// Runs Burn's tensor operations, differentiated by Burn.
fn by_tensors(problem: &Problem, rule: &TargetRule, dtype: DType) -> (Answer, Vec<f64>) {
    let device = Device::flex().autodiff();
    let tensor = |values: &[f64], rows: usize| {
        common::matrix(values, [rows, problem.features], &device, dtype).require_grad()
    };
    let (x, w) = (
        tensor(&problem.x, problem.batch),
        tensor(&problem.w, problem.classes),
    );
    let labels = common::labels_of(&problem.labels, &device);
    let (loss, targets) = tensors::loss(x.clone(), w.clone(), labels, rule);
    let gradients = loss.backward();
    let answer = Answer {
        loss: common::values(&loss)[0],
        dx: common::values(&x.grad(&gradients).unwrap()),
        dw: common::values(&w.grad(&gradients).unwrap()),
    };
    (answer, common::values(&targets))
}

fn golden_error(dtype: DType) -> Worst {
    let mut worst = Worst::default();
    for case in golden() {
        let rule = rule(&case.problem, case.margin, case.lambda);
        let (answer, _) = by_operations(&case.problem, &rule, dtype);
        for (name, found, expected) in [
            ("loss", &[answer.loss][..], &[case.loss][..]),
            ("dX", &answer.dx, &case.dx),
            ("dW", &answer.dw, &case.dw),
        ] {
            let place = format_args!("{}, {name}", case.name).to_string();
            worst.see(distance(found, expected), place);
        }
    }
    worst
}

#[test]
fn golden_values_in_f64() {
    golden_error(DType::F64).below(5e-14);
}

#[test]
fn golden_values_in_f32() {
    golden_error(DType::F32).below(5e-6);
}

#[test]
fn kernel_and_operations_agree_for_all_losses() {
    let mut random = Random(42);
    let (mut in_f64, mut in_f32) = (Worst::default(), Worst::default());
    for loss in all_losses() {
        let (_, gated) = crate::Annealing::auto(600).at(500, crate::Loss::LSoftmax { m: 4 });
        let fixed = [0.0, 5.0, 1000.0, f64::INFINITY].map(StepLambda::from);
        for lambda in fixed.into_iter().chain([gated]) {
            for _ in 0..4 {
                let (batch, classes) = (random.whole(1, 9), random.whole(1, 12));
                let features = random.whole(2, 10);
                let problem = random.turned_problem(batch, classes, features);
                let mut rule = rule(&problem, loss, lambda);
                if random.whole(0, 1) == 1 {
                    rule.samples = uneven(&mut random, batch);
                }
                for (dtype, worst) in [(DType::F64, &mut in_f64), (DType::F32, &mut in_f32)] {
                    let (expected, expected_targets) = by_kernel(&problem, &rule, dtype);
                    let all = |a: &Answer| [&[1.0, a.loss], &a.dx[..], &a.dw[..]].concat();
                    let place = format!(
                        "{loss}, {lambda:?}, [{batch}, {classes}, {features}], {:?}",
                        rule.samples
                    );
                    for (found, targets) in [
                        by_operations(&problem, &rule, dtype),
                        by_tensors(&problem, &rule, dtype),
                    ] {
                        worst.see(distance(&all(&found), &all(&expected)), &place);
                        worst.see(distance(&targets, &expected_targets), &place);
                    }
                    // Blocks of three classes, of which the last may be smaller, and of one class.
                    for block in [3 * batch, 1] {
                        let (found, targets) = in_blocks(&problem, &rule, dtype, block);
                        let place = format!("{place}, {block} logits a block");
                        worst.see(distance(&all(&found), &all(&expected)), &place);
                        worst.see(distance(&targets, &expected_targets), &place);
                    }
                }
            }
        }
    }
    in_f32.below(5e-6);
    in_f64.below(5e-14);
}

/// Zero vectors, a class without samples, parallel and opposite vectors, extreme lengths.
#[test]
fn kernel_and_operations_agree_where_it_is_hard() {
    let (one, zero) = (&[1.0, 2.0, -1.0][..], &[0.0; 3][..]);
    let opposite = &[-2.0, -4.0, 2.0][..];
    let across = &[1.0, 0.0, 1.0][..];
    let scaled = |row: &[f64], by: f64| row.iter().map(|v| v * by).collect::<Vec<f64>>();
    let problems = [
        (
            "zero feature",
            Problem::new(3, &[zero, one], &[across, opposite], &[0, 1]),
        ),
        (
            "zero class weight",
            Problem::new(3, &[across, one], &[zero, opposite], &[0, 1]),
        ),
        (
            "all zero",
            Problem::new(3, &[zero, zero], &[zero, zero, zero], &[0, 2]),
        ),
        (
            "absent class",
            Problem::new(3, &[one, across], &[one, opposite, across], &[0, 0]),
        ),
        (
            "one class",
            Problem::new(3, &[one, across], &[opposite], &[0, 0]),
        ),
        (
            "tiny feature, huge class weight",
            Problem::new(
                3,
                &[&scaled(across, 1e-25), &scaled(one, 1e-25)],
                &[&scaled(one, 1e25), &scaled(&[1.0, 1.0, 0.5], 1e25)],
                &[0, 1],
            ),
        ),
        (
            "huge feature, tiny class weight",
            Problem::new(
                3,
                &[&scaled(across, 1e15), &scaled(one, 1e15)],
                &[&scaled(one, 1e-15), &scaled(&[1.0, 1.0, 0.5], 1e-15)],
                &[0, 1],
            ),
        ),
    ];
    let mut worst = Worst::default();
    for (name, problem) in problems {
        for loss in all_losses() {
            for dtype in [DType::F64, DType::F32] {
                let rule = rule(&problem, loss, 0.0);
                let (expected, expected_targets) = by_kernel(&problem, &rule, dtype);
                let place = format!("{name}, {loss}, {dtype:?}");
                for (found, found_targets) in [
                    by_operations(&problem, &rule, dtype),
                    by_tensors(&problem, &rule, dtype),
                ] {
                    assert!(
                        found.is_finite() && expected.is_finite(),
                        "{place}: {expected:?}"
                    );
                    worst.see(distance(&[found.loss, 1.0], &[expected.loss, 1.0]), &place);
                    if name.contains("tiny") {
                        worst.see(distance(&found.dx, &expected.dx), &place);
                        worst.see(distance(&found.dw, &expected.dw), &place);
                    } else {
                        // If parallel, the gradient of a normalised vector is 0, so only rounding
                        // errors remain.
                        let all = |a: &Answer| [&[1.0], &a.dx[..], &a.dw[..]].concat();
                        worst.see(distance(&all(&found), &all(&expected)), &place);
                    }
                    worst.see(distance(&found_targets, &expected_targets), &place);
                }
            }
        }
    }
    worst.below(5e-6);
}

#[test]
fn nan_reaches_the_loss() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for loss in all_losses() {
            let mut problem = Random(3).problem(3, 4, 3);
            problem.x[4] = bad;
            let rule = rule(&problem, loss, 0.0);
            assert!(
                by_operations(&problem, &rule, DType::F32).0.loss.is_nan(),
                "{loss}"
            );
            assert!(
                by_tensors(&problem, &rule, DType::F32).0.loss.is_nan(),
                "{loss}"
            );
            assert!(
                by_kernel(&problem, &rule, DType::F32).0.loss.is_nan(),
                "{loss}"
            );
        }
    }
}

#[test]
fn labels_of_many_classes_are_whole_numbers() {
    let classes = 70_000;
    let mut problem = Random(5).problem(2, classes, 2);
    problem.labels = vec![65_535, 69_999];
    for loss in [crate::Loss::LSoftmax { m: 2 }, crate::Loss::COS_FACE] {
        let rule = rule(&problem, loss, 0.0);
        let (found, _) = by_operations(&problem, &rule, DType::F32);
        let (expected, _) = by_kernel(&problem, &rule, DType::F32);
        assert!(distance(&found.dw, &expected.dw) < 1e-5, "{loss}");
    }
}

#[test]
fn half_precision_is_widened_for_all_arithmetic() {
    for loss in all_losses() {
        let problem = Random(9).problem(4, 5, 6);
        let rule = rule(&problem, loss, 0.0);
        for dtype in [DType::F16, DType::BF16] {
            let [x, w] = arrays(&problem, dtype);
            let (loss_tensor, _, dx, dw) = composed::with_gradient::<Flex>(
                x.clone(),
                w.clone(),
                FlexTensor::from_data(labels(&rule)),
                &rule,
                BLOCK,
            );
            assert_eq!(
                [loss_tensor.dtype(), dx.dtype(), dw.dtype()],
                [DType::F32; 3]
            );
            let (found, _) = by_operations(&problem, &rule, dtype);
            let (expected, _) = by_kernel(&problem, &rule, dtype);
            assert!(distance(&found.dx, &expected.dx) < 1e-4, "{loss}");
        }
    }
}

#[cfg(feature = "_gpu")]
mod device;
