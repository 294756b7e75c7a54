//! Golden values: the closed forms of the authors' Caffe layer, the definition with 50 digits,
//! and the family of normalised losses, by the programs in tests/golden.

mod common;

use burn::tensor::{DType, Device, Tensor};
use common::{
    Answer, Case, Float, Problem, Worst, burn, burn_as, distance, golden, kernel, labels_of,
    matrix, values,
};
use lsoftmax::margin::Normalisation;
use lsoftmax::{Annealing, Loss, MarginHeadConfig};
use lsoftmax_kernels::head::Batch;
use std::sync::Arc;

fn compare(worst: &mut Worst, case: &Case, found: &Answer) {
    let name = &case.name;
    worst.see(
        distance(&[found.loss], &[case.loss]),
        format_args!("{name}, loss"),
    );
    worst.see(distance(&found.dx, &case.dx), format_args!("{name}, dX"));
    worst.see(distance(&found.dw, &case.dw), format_args!("{name}, dW"));
}

fn kernel_error<T: Float>() -> Worst {
    let mut worst = Worst::default();
    for case in golden() {
        let margin = case.margin.margin().unwrap();
        let (answer, samples) = kernel::<T>(&case.problem, &*margin, case.lambda);
        compare(&mut worst, &case, &answer);
        let logits: Vec<f64> = samples.iter().map(|sample| sample.logit).collect();
        worst.see(
            distance(&logits, &case.target_logits),
            format_args!("{}, target logits", case.name),
        );
    }
    worst
}

#[test]
fn the_files_have_what_the_issue_asks_for() {
    let cases = golden();
    for m in 1..=16 {
        let of_m: Vec<&Case> = cases
            .iter()
            .filter(|case| case.margin == Loss::LSoftmax { m })
            .collect();
        assert!(!of_m.is_empty(), "m = {m}");
        for k in 0..m {
            let has_sector = |case: &&Case| case.sectors.as_ref().unwrap().contains(&k);
            assert!(of_m.iter().any(has_sector), "m = {m}, sector {k}");
        }
    }
}

#[test]
fn kernel_in_f64() {
    kernel_error::<f64>().below(2e-14);
}

#[test]
fn kernel_in_f32() {
    kernel_error::<f32>().below(1e-6);
}

/// The scalars alone: the target logit and the loss of each sample.
#[test]
fn samples_one_by_one() {
    let mut worst = Worst::default();
    for case in golden() {
        let margin = case.margin.margin().unwrap();
        for (row, &loss) in case.losses.iter().enumerate() {
            let one = Problem {
                batch: 1,
                x: case.problem.feature(row).to_vec(),
                labels: vec![case.problem.labels[row]],
                ..case.problem.clone()
            };
            let (answer, samples) = kernel::<f64>(&one, &*margin, case.lambda);
            let place = format!("{}, row {row}", case.name);
            let expected = case.target_logits[row];
            // Either may be close to 0 while the terms it is computed from are not.
            let size = expected.abs().max(1.0);
            worst.see((answer.loss - loss).abs() / size, &place);
            worst.see((samples[0].logit - expected).abs() / size, &place);
        }
    }
    worst.below(2e-13);
}

#[test]
fn burn_operation_in_f32() {
    let mut worst = Worst::default();
    for case in golden() {
        let margin: Arc<_> = case.margin.margin().unwrap().into();
        compare(&mut worst, &case, &burn(&case.problem, margin, case.lambda));
    }
    worst.below(1e-6);
}

#[test]
fn burn_operation_in_f64() {
    let mut worst = Worst::default();
    for case in golden() {
        let margin: Arc<_> = case.margin.margin().unwrap().into();
        let answer = burn_as(&case.problem, margin, case.lambda, [DType::F64; 2]);
        compare(&mut worst, &case, &answer);
    }
    worst.below(2e-14);
}

/// The index of the largest of each row.
fn argmax(rows: &[f64], columns: usize) -> Vec<usize> {
    let largest = |row: &[f64]| {
        let columns = row.iter().enumerate();
        columns.max_by(|a, b| a.1.total_cmp(b.1)).unwrap().0
    };
    rows.chunks(columns).map(largest).collect()
}

/// Class weights whose norms differ by a factor of ten, and features whose nearest class by inner
/// product is not the one by cosine: tests the kernel's logits and their argmax.
#[test]
fn logits_are_those_that_the_loss_trains() {
    let mut worst = [Worst::default(), Worst::default()];
    let mut told_apart = 0;
    for case in golden() {
        let Problem {
            x,
            w,
            labels,
            classes,
            features,
            ..
        } = &case.problem;
        let normalisation = case.margin.margin().unwrap().normalisation();
        let batch = Batch::new(x, w, labels, *classes, *features).unwrap();
        let found = batch.plain_logits(normalisation);
        let place = format!("{}, logits", case.name);
        worst[0].see(distance(&found, &case.logits), &place);
        assert_eq!(argmax(&found, *classes), argmax(&case.logits, *classes));
        if case.name.contains("norms of class weights") && normalisation.weights {
            let inner = batch.plain_logits(Normalisation::default());
            let (inner, found) = (argmax(&inner, *classes), argmax(&found, *classes));
            assert!(inner.iter().zip(&found).all(|(a, b)| a != b), "{place}");
            told_apart += 1;
        }
        let single = |values: &[f64]| values.iter().map(|&v| v as f32).collect::<Vec<_>>();
        let (x, w) = (single(x), single(w));
        let batch = Batch::new(&x, &w, labels, *classes, *features).unwrap();
        let found: Vec<f64> = batch
            .plain_logits(normalisation)
            .into_iter()
            .map(f64::from)
            .collect();
        worst[1].see(distance(&found, &case.logits), &place);
    }
    assert_eq!(told_apart, 5);
    let [double, single] = worst;
    double.below(1e-15);
    single.below(1e-7);
}

/// Through the module, as users call it: weights in a `Param`, λ from a schedule.
#[test]
fn burn_head() {
    let device = Device::flex().autodiff();
    let mut worst = Worst::default();
    for case in golden() {
        let Problem {
            batch,
            classes,
            features,
            ..
        } = case.problem;
        let constant = lsoftmax::Lambda::Constant {
            lambda: case.lambda,
        };
        let annealing = if case.margin.has_multiplier() {
            constant.into()
        } else {
            Annealing::none()
        };
        let mut head = MarginHeadConfig::new(features, classes, annealing)
            .with_loss(case.margin)
            .init(&device)
            .unwrap();
        let w = matrix(&case.problem.w, [classes, features], &device, DType::F32);
        head.weight = head.weight.map(|_| w.require_grad());
        let x = matrix(&case.problem.x, [batch, features], &device, DType::F32).require_grad();
        let labels = labels_of(&case.problem.labels, &device);
        let loss = head.loss(x.clone(), labels, 0).unwrap();
        let gradients = loss.backward();
        let gradient = |tensor: &Tensor<2>| values(&tensor.grad(&gradients).unwrap());
        let answer = Answer {
            loss: values(&loss)[0],
            dx: gradient(&x),
            dw: gradient(&head.weight.val()),
        };
        compare(&mut worst, &case, &answer);
        let logits = values(&head.logits(x));
        worst.see(
            distance(&logits, &case.logits),
            format_args!("{}, logits", case.name),
        );
    }
    worst.below(1e-6);
}
