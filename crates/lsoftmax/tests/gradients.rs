//! The gradient of the head against central differences, in f64.

mod common;

use common::{Problem, Random, Worst, all_losses, distance, kernel, loss_of};
use lsoftmax::{Loss, Margin};
use std::f64::consts::PI;

const STEP: f64 = 1e-4;

/// Derivatives with respect to each entry by the five-point rule, whose error falls with the fourth
/// power of the step.
fn central_differences(
    problem: &Problem,
    entries: impl Fn(&mut Problem) -> &mut Vec<f64>,
    loss: impl Fn(&Problem) -> f64,
) -> Vec<f64> {
    let mut problem = problem.clone();
    (0..entries(&mut problem).len())
        .map(|i| {
            let value = entries(&mut problem)[i];
            let mut at = |steps: f64| {
                entries(&mut problem)[i] = value + steps * STEP;
                loss(&problem)
            };
            let slope = (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * STEP);
            entries(&mut problem)[i] = value;
            slope
        })
        .collect()
}

/// The angles at which the second derivative of the target logit, or the logit itself, jumps. A
/// difference across one of them does not approximate a derivative.
fn kinks(loss: Loss) -> Vec<f64> {
    match loss {
        Loss::LSoftmax { m } | Loss::ASoftmax { m } => {
            (1..m).map(|k| f64::from(k) * PI / f64::from(m)).collect()
        }
        Loss::ArcFace { margin, .. } => vec![PI - margin],
        Loss::Combined { m1, m2, .. } => (0..=17).map(|k| (f64::from(k) * PI - m2) / m1).collect(),
        _ => Vec::new(),
    }
}

fn is_smooth(problem: &Problem, loss: Loss) -> bool {
    (0..problem.batch).all(|row| {
        let angle = problem.target_angle(row);
        let shorter = common::norm(problem.feature(row))
            .min(common::norm(problem.weight(problem.labels[row])));
        let reach = 3.0 * STEP / shorter;
        let angular = !matches!(
            loss,
            Loss::Softmax | Loss::LSoftmax { .. } | Loss::ASoftmax { .. }
        );
        // In the angle, but not in the cosine, the losses with a real margin have a cusp at 0, π.
        let cusps = if angular { vec![0.0, PI] } else { Vec::new() };
        let far_from = |knot: &f64, steps: f64| (angle - knot).abs() > steps * reach;
        shorter > 0.05
            && kinks(loss).iter().all(|knot| far_from(knot, 1.0))
            && cusps.iter().all(|knot| far_from(knot, 30.0))
    })
}

fn check(worst: &mut Worst, problem: &Problem, loss: Loss, lambda: f64) {
    let margin = loss.margin().unwrap();
    let margin: &dyn Margin = &*margin;
    let (answer, _) = kernel::<f64>(problem, margin, lambda);
    let value = |problem: &Problem| loss_of(problem, margin, lambda);
    let place = format!(
        "{loss}, lambda {lambda}, [{}, {}, {}]",
        problem.batch, problem.classes, problem.features
    );
    let mut compare = |name, found: &[f64], expected: &[f64]| {
        // For a saturated loss, differences are all rounding error.
        if found.iter().chain(expected).any(|v| v.abs() > 1e-3) {
            worst.see(distance(found, expected), format_args!("{place}, {name}"));
        }
    };
    let dx = central_differences(problem, |p| &mut p.x, value);
    compare("dX", &answer.dx, &dx);
    let dw = central_differences(problem, |p| &mut p.w, value);
    compare("dW", &answer.dw, &dw);
}

#[test]
fn every_m_and_lambda_over_random_shapes() {
    let mut random = Random(2016);
    let (mut worst, mut checked) = (Worst::default(), 0);
    for m in 1..=16 {
        for lambda in [0.0, 0.5, 5.0, 1000.0] {
            for _ in 0..5 {
                let (batch, classes) = (random.whole(1, 6), random.whole(2, 8));
                let features = random.whole(1, 9);
                let problem = random.turned_problem(batch, classes, features);
                for loss in [Loss::LSoftmax { m }, Loss::ASoftmax { m }] {
                    // Scaling a single number does not change its direction: the A-Softmax of one
                    // feature has a zero gradient, for which a relative error is undefined.
                    let flat = features == 1 && loss == Loss::ASoftmax { m };
                    if is_smooth(&problem, loss) && !flat {
                        check(&mut worst, &problem, loss, lambda);
                        checked += 1;
                    }
                }
            }
        }
    }
    assert!(checked > 550, "only {checked}");
    worst.below(1e-7);
}

#[test]
fn every_loss_of_the_family() {
    let mut random = Random(2019);
    let (mut worst, mut checked) = (Worst::default(), 0);
    for loss in all_losses() {
        for lambda in [0.0, 0.5, 5.0, 1000.0] {
            for _ in 0..5 {
                let (batch, classes) = (random.whole(1, 6), random.whole(2, 8));
                let features = random.whole(2, 9);
                let mut problem = random.turned_problem(batch, classes, features);
                // Far from 0, where normalisation curves too strongly for the step.
                for v in problem.x.iter_mut().chain(&mut problem.w) {
                    *v *= 3.0;
                }
                if is_smooth(&problem, loss) {
                    check(&mut worst, &problem, loss, lambda);
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 350, "only {checked}");
    worst.below(1e-7);
}

/// The slope is continuous at the knots, so a step across one costs only the jump of the second
/// derivative times the step.
#[test]
fn at_the_knots() {
    let mut worst = Worst::default();
    for m in 2..=16 {
        for k in 1..m {
            let angle = f64::from(k) * PI / f64::from(m);
            let x = [2.0 * angle.cos(), 2.0 * angle.sin()];
            let problem = Problem::new(2, &[&x], &[&[1.5, 0.0], &[-0.5, 0.5]], &[0]);
            let margin = Loss::LSoftmax { m }.margin().unwrap();
            let (answer, _) = kernel::<f64>(&problem, &*margin, 0.0);
            let value = |problem: &Problem| loss_of(problem, &*margin, 0.0);
            let dx = central_differences(&problem, |p| &mut p.x, value);
            worst.see(
                distance(&answer.dx, &dx) / f64::from(m * m),
                format_args!("m = {m}, k = {k}"),
            );
        }
    }
    worst.below(STEP);
}
