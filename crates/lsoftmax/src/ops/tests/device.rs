//! Compares the head on a graphics device with the kernel of the CPU. These tests run if
//! `LSOFTMAX_GPU_TESTS` is set, on `Device::default()`.
// Skipped tests print a note.
#![allow(clippy::print_stderr)]

use super::*;
use burn::backend::ops::{FloatTensorOps as _, IntTensorOps as _};
use burn::backend::{CubeDevice, DispatchDevice};
use burn::tensor::{Device, read_sync};
use burn_cubecl::CubeBackend;
use burn_cubecl::tensor::CubeTensor;

fn device() -> Option<CubeDevice> {
    if std::env::var_os("LSOFTMAX_GPU_TESTS").is_none() {
        eprintln!("skipped: LSOFTMAX_GPU_TESTS is not set");
        return None;
    }
    match Device::default().as_dispatch() {
        DispatchDevice::Cube(device) => Some(device.clone()),
        other => panic!("{other:?} is no graphics device"),
    }
}

fn on_host(tensor: CubeTensor) -> Vec<f64> {
    let data = read_sync(CubeBackend::float_into_data(tensor)).unwrap();
    data.iter::<f64>().collect()
}

/// Runs on the device, with this number of logits in a block.
fn by_device(
    problem: &Problem,
    rule: &TargetRule,
    device: &CubeDevice,
    block: usize,
) -> (Answer, Vec<f64>) {
    let tensor = |values: &[f64], rows: usize| {
        let data = TensorData::new(values.to_vec(), [rows, problem.features]);
        CubeBackend::float_from_data(data.convert_dtype(DType::F32), device)
    };
    let x = tensor(&problem.x, problem.batch);
    let w = tensor(&problem.w, problem.classes);
    let (loss, targets, dx, dw) = composed::with_gradient::<CubeBackend>(
        x,
        w,
        CubeBackend::int_from_data(labels(rule), device),
        rule,
        block,
    );
    let answer = Answer {
        loss: on_host(loss)[0],
        dx: on_host(dx),
        dw: on_host(dw),
    };
    (answer, on_host(targets))
}

fn all(answer: &Answer) -> Vec<f64> {
    [&[1.0, answer.loss], &answer.dx[..], &answer.dw[..]].concat()
}

#[test]
fn the_device_agrees_with_the_kernel_for_all_losses() {
    let Some(device) = device() else { return };
    let mut worst = Worst::default();
    let mut random = Random(7);
    for loss in all_losses() {
        let (_, gated) = crate::Annealing::auto(600).at(500, crate::Loss::LSoftmax { m: 4 });
        for lambda in [StepLambda::from(0.0), StepLambda::from(5.0), gated] {
            let problem = random.turned_problem(6, 11, 9);
            let rule = rule(&problem, loss, lambda);
            let (expected, expected_targets) = by_kernel(&problem, &rule, DType::F32);
            // All classes in one block, and in three blocks of which the last is smaller.
            for block in [BLOCK, 4 * 6] {
                let (found, targets) = by_device(&problem, &rule, &device, block);
                let place = format!("{loss}, {lambda:?}, {block} logits a block");
                worst.see(distance(&all(&found), &all(&expected)), &place);
                worst.see(distance(&targets, &expected_targets), &place);
            }
        }
    }
    worst.below(5e-6);
}

#[test]
fn the_device_gives_the_golden_values() {
    let Some(device) = device() else { return };
    let mut worst = Worst::default();
    for case in golden() {
        let rule = rule(&case.problem, case.margin, case.lambda);
        let (answer, _) = by_device(&case.problem, &rule, &device, BLOCK);
        for (name, found, expected) in [
            ("loss", &[answer.loss][..], &[case.loss][..]),
            ("dX", &answer.dx, &case.dx),
            ("dW", &answer.dw, &case.dw),
        ] {
            let place = format!("{}, {name}", case.name);
            worst.see(distance(found, expected), place);
        }
    }
    worst.below(5e-6);
}

/// More classes than there are units per row, and more than fit in a block.
#[test]
fn many_classes_are_walked_in_blocks_on_the_device() {
    let Some(device) = device() else { return };
    let problem = Random(8).turned_problem(5, 3_001, 4);
    for loss in [crate::Loss::LSoftmax { m: 3 }, crate::Loss::COS_FACE] {
        let rule = rule(&problem, loss, 0.0);
        let (expected, _) = by_kernel(&problem, &rule, DType::F64);
        for block in [BLOCK, 5 * 1_300] {
            let (found, _) = by_device(&problem, &rule, &device, block);
            let place = format!("{loss}, {block} logits a block");
            let mut worst = Worst::default();
            worst.see(distance(&[found.loss], &[expected.loss]), &place);
            worst.see(distance(&found.dx, &expected.dx), &place);
            worst.see(distance(&found.dw, &expected.dw), &place);
            worst.below(1e-5);
        }
    }
}

#[test]
fn zero_vectors_and_a_single_class_are_finite_on_the_device() {
    let Some(device) = device() else { return };
    let (one, zero) = (&[1.0, 2.0, -1.0][..], &[0.0; 3][..]);
    let across = &[1.0, 0.0, 1.0][..];
    for (name, problem) in [
        (
            "zeros",
            Problem::new(3, &[zero, one], &[zero, across], &[0, 1]),
        ),
        (
            "one class",
            Problem::new(3, &[one, across], &[across], &[0, 0]),
        ),
    ] {
        for loss in all_losses() {
            let rule = rule(&problem, loss, 0.0);
            let (expected, _) = by_kernel(&problem, &rule, DType::F32);
            let (found, _) = by_device(&problem, &rule, &device, BLOCK);
            assert!(found.is_finite(), "{name}, {loss}: {found:?}");
            let far = distance(&all(&found), &all(&expected));
            assert!(far < 5e-6, "{name}, {loss}: {far}");
        }
    }
}

#[test]
fn nan_reaches_the_loss_on_the_device() {
    let Some(device) = device() else { return };
    for loss in all_losses() {
        let mut problem = Random(3).problem(3, 4, 3);
        problem.x[4] = f64::NAN;
        let rule = rule(&problem, loss, 0.0);
        let found = by_device(&problem, &rule, &device, BLOCK).0.loss;
        assert!(found.is_nan(), "{loss}: {found}");
    }
}

/// A margin without a kernel.
#[derive(Debug)]
struct Unknown(Box<dyn crate::Margin>);

impl crate::Margin for Unknown {
    fn normalisation(&self) -> crate::margin::Normalisation {
        self.0.normalisation()
    }

    fn target_logit(&self, target: crate::margin::Target) -> crate::margin::TargetLogit {
        self.0.target_logit(target)
    }
}

#[test]
fn a_margin_that_the_device_does_not_know_is_asked_on_the_host() {
    let Some(device) = device() else { return };
    let problem = Random(9).turned_problem(300, 7, 5);
    for loss in all_losses() {
        let known = rule(&problem, loss, 2.0);
        let unknown = TargetRule {
            margin: std::sync::Arc::new(Unknown(loss.margin().unwrap())),
            ..known.clone()
        };
        assert!(unknown.margin.curve().is_none());
        // More rows than units: some units take two.
        let (found, targets) = by_device(&problem, &known, &device, BLOCK);
        let (expected, expected_targets) = by_device(&problem, &unknown, &device, BLOCK);
        let mut worst = Worst::default();
        worst.see(distance(&all(&found), &all(&expected)), format!("{loss}"));
        worst.see(distance(&targets, &expected_targets), format!("{loss}"));
        worst.below(5e-6);
    }
}
