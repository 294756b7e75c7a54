//! Properties that hold for every angle, every multiplier and every loss.

mod common;

use common::{
    Answer, Problem, Random, Worst, all_losses, distance, dot, kernel, norm, psi_of_angle, solve,
};
use lsoftmax::margin::{Normalisation, Psi, Target, TargetLogit, blend};
use lsoftmax::{Loss, Margin};
use lsoftmax_kernels::head::{Pair, Sample};
use proptest::prelude::*;
use std::f64::consts::PI;

fn multipliers() -> impl Strategy<Value = u32> {
    1..=16u32
}

fn losses() -> impl Strategy<Value = Loss> {
    let scales = || 0.5..80.0f64;
    prop_oneof![
        Just(Loss::Softmax),
        multipliers().prop_map(|m| Loss::LSoftmax { m }),
        multipliers().prop_map(|m| Loss::ASoftmax { m }),
        (scales(), 0.0..1.0f64).prop_map(|(scale, margin)| Loss::CosFace { scale, margin }),
        (scales(), 0.0..PI / 2.0).prop_map(|(scale, margin)| Loss::ArcFace { scale, margin }),
        (scales(), 0.3..3.0f64, 0.0..PI / 2.0, 0.0..1.0f64)
            .prop_map(|(scale, m1, m2, m3)| Loss::Combined { scale, m1, m2, m3 }),
    ]
}

prop_compose! {
    fn targets()(
        angle in 0.0..PI,
        feature_norm in 0.01..100.0f64,
        weight_norm in 0.01..100.0f64,
    ) -> Target {
        Target { cosine: angle.cos(), feature_norm, weight_norm }
    }
}

prop_compose! {
    fn problems()(
        seed in any::<u64>(),
        batch in 1..6usize,
        classes in 1..7usize,
        features in 1..8usize,
    ) -> Problem {
        Random(seed).turned_problem(batch, classes, features)
    }
}

fn lambdas() -> impl Strategy<Value = f64> {
    prop_oneof![Just(0.0), 0.0..10.0f64, Just(1000.0)]
}

/// The loss as written in the papers, with arccosines and without blocks, clamps or other tricks.
fn naive_loss(problem: &Problem, loss: Loss, lambda: f64) -> f64 {
    let total: f64 = (0..problem.batch)
        .map(|row| {
            let (x, label) = (problem.feature(row), problem.labels[row]);
            let mut logits = Vec::new();
            for class in 0..problem.classes as u32 {
                let w = problem.weight(class);
                let theta = common::angle(x, w);
                let length = match loss {
                    Loss::Softmax | Loss::LSoftmax { .. } => norm(x) * norm(w),
                    Loss::ASoftmax { .. } => norm(x),
                    Loss::CosFace { scale, .. }
                    | Loss::ArcFace { scale, .. }
                    | Loss::Combined { scale, .. } => scale,
                };
                let plain = length * theta.cos();
                if class != label {
                    logits.push(plain);
                    continue;
                }
                let factor = match loss {
                    Loss::Softmax => theta.cos(),
                    Loss::LSoftmax { m } | Loss::ASoftmax { m } => psi_of_angle(m, theta),
                    Loss::CosFace { margin, .. } => theta.cos() - margin,
                    Loss::ArcFace { margin, .. } if theta + margin > PI => {
                        theta.cos() - margin * margin.sin()
                    }
                    Loss::ArcFace { margin, .. } => (theta + margin).cos(),
                    Loss::Combined { m1, m2, m3, .. } => {
                        let u = m1 * theta + m2;
                        let k = (u / PI).floor();
                        (-1f64).powi(k as i32) * u.cos() - 2.0 * k - m3
                    }
                };
                logits.push((lambda * plain + length * factor) / (1.0 + lambda));
            }
            let sum: f64 = logits.iter().map(|v| v.exp()).sum();
            sum.ln() - logits[label as usize]
        })
        .sum();
    total / problem.batch as f64
}

/// Softmax with its textbook gradient, independent of the crate.
fn naive_softmax(problem: &Problem) -> Answer {
    let mut answer = Answer {
        loss: 0.0,
        dx: vec![0.0; problem.x.len()],
        dw: vec![0.0; problem.w.len()],
    };
    let size = problem.batch as f64;
    for row in 0..problem.batch {
        let x = problem.feature(row);
        let logits: Vec<f64> = (0..problem.classes as u32)
            .map(|class| dot(x, problem.weight(class)))
            .collect();
        let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logits.iter().map(|v| (v - largest).exp()).sum();
        let label = problem.labels[row] as usize;
        answer.loss += (largest + sum.ln() - logits[label]) / size;
        for (class, logit) in logits.iter().enumerate() {
            let one = if class == label { 1.0 } else { 0.0 };
            let g = ((logit - largest).exp() / sum - one) / size;
            let of_row = row * problem.features..(row + 1) * problem.features;
            for (d, w) in answer.dx[of_row]
                .iter_mut()
                .zip(problem.weight(class as u32))
            {
                *d += g * w;
            }
            let of_class = class * problem.features..(class + 1) * problem.features;
            for (d, x) in answer.dw[of_class].iter_mut().zip(x) {
                *d += g * x;
            }
        }
    }
    answer
}

/// Whether a target angle is so close to 0 or π that an arccosine loses half its digits, since the
/// angular forms have a cusp there. With one feature, all angles are.
fn is_steep(problem: &Problem) -> bool {
    (0..problem.batch).any(|row| problem.target_angle(row).sin() < 1e-3)
}

/// The largest difference between two answers, relative to the largest entry of the second or to 1.
fn difference(a: &Answer, b: &Answer) -> f64 {
    let all = |answer: &Answer| [&[answer.loss, 1.0], &answer.dx[..], &answer.dw[..]].concat();
    distance(&all(a), &all(b))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, max_global_rejects: 1 << 16, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn psi_is_the_definition(m in multipliers(), theta in 0.0..=PI) {
        let (value, slope) = Psi::new(m).unwrap().at(theta.cos());
        prop_assert!((value - psi_of_angle(m, theta)).abs() < 1e-12);
        // dψ/dθ = -sin θ dψ/dc, on both sides without a division.
        let k = (f64::from(m) * theta / PI).floor().min(f64::from(m) - 1.0);
        let by_angle = -(-1f64).powi(k as i32) * f64::from(m) * (f64::from(m) * theta).sin();
        prop_assert!((-theta.sin() * slope - by_angle).abs() < 1e-11);
    }

    #[test]
    fn psi_falls_strictly(m in multipliers(), a in 0.0..=PI, b in 0.0..=PI) {
        let (near, far) = (a.min(b), a.max(b));
        // Two angles about a knot differ by (m Δ)² / 2 / 2 at least.
        prop_assume!(far - near > 1e-6);
        let psi = Psi::new(m).unwrap();
        prop_assert!(psi.at(near.cos()).0 > psi.at(far.cos()).0);
    }

    #[test]
    fn psi_is_smooth_across_every_knot(m in 2..=16u32, k in 1..16u32, step in 1e-9..1e-4f64) {
        let k = 1 + (k - 1) % (m - 1);
        let psi = Psi::new(m).unwrap();
        let knot = f64::from(k) * PI / f64::from(m);
        let there = 1.0 - 2.0 * f64::from(k);
        for angle in [knot - step, knot, knot + step] {
            let (value, slope) = psi.at(angle.cos());
            let reach = f64::from(m) * step;
            prop_assert!((value - there).abs() <= reach * reach + 1e-12);
            let by_angle = slope * angle.sin();
            prop_assert!(by_angle.abs() <= f64::from(m) * reach + 1e-11);
            // Never in the wrong direction, except in the last bits.
            prop_assert!(slope >= -1e-10);
        }
    }

    #[test]
    fn m_of_1_is_softmax(problem in problems()) {
        let plain = solve(&problem, Loss::Softmax, 0.0);
        let of_1 = solve(&problem, Loss::LSoftmax { m: 1 }, 0.0);
        prop_assert!(difference(&of_1, &plain) < 4e-15);
        prop_assert!(difference(&naive_softmax(&problem), &plain) < 4e-15);
    }

    #[test]
    fn large_lambda_is_softmax(problem in problems(), m in multipliers()) {
        let loss = Loss::LSoftmax { m };
        let plain = solve(&problem, Loss::Softmax, 0.0);
        prop_assert_eq!(&solve(&problem, loss, f64::INFINITY), &plain);
        prop_assert!(difference(&solve(&problem, loss, f64::MAX), &plain) < 1e-14);
        // It is passed as 1 / λ.
        let far = |lambda| difference(&solve(&problem, loss, lambda), &plain);
        prop_assert!(far(1e9) < 1e-5 && far(1e12) < 1e-8);
    }

    #[test]
    fn without_a_margin_the_family_is_softmax(problem in problems()) {
        let same = |a, b| difference(&solve(&problem, a, 0.0), &solve(&problem, b, 0.0)) < 1e-9;
        let scale = 8.0;
        let norm_face = Loss::CosFace { scale, margin: 0.0 };
        let arc_face = Loss::ArcFace { scale, margin: 0.0 };
        let combined = Loss::Combined { scale, m1: 1.0, m2: 0.0, m3: 0.0 };
        prop_assume!(!is_steep(&problem));
        prop_assert!(same(norm_face, arc_face));
        prop_assert!(same(norm_face, combined));
    }

    #[test]
    fn combined_has_the_others_as_parts(problem in problems(), margin in 0.0..1.0f64) {
        prop_assume!(!is_steep(&problem));
        let same = |a, b| difference(&solve(&problem, a, 0.0), &solve(&problem, b, 0.0)) < 1e-9;
        let scale = 8.0;
        let cos_face = Loss::CosFace { scale, margin };
        let arc_face = Loss::ArcFace { scale, margin };
        let combined = |m2, m3| Loss::Combined { scale, m1: 1.0, m2, m3 };
        prop_assert!(same(cos_face, combined(0.0, margin)));
        if (0..problem.batch).all(|row| problem.target_angle(row) + margin < PI) {
            prop_assert!(same(arc_face, combined(margin, 0.0)));
        }
    }

    #[test]
    fn the_loss_is_the_written_one(
        problem in problems(),
        loss in losses(),
        lambda in lambdas(),
    ) {
        let expected = naive_loss(&problem, loss, lambda);
        let found = solve(&problem, loss, lambda).loss;
        // An arccosine close to 0 or π has half the digits.
        prop_assert!((found - expected).abs() < 1e-5 * expected.max(1.0), "{found} {expected}");
        if !is_steep(&problem) {
            prop_assert!((found - expected).abs() < 1e-9 * expected.max(1.0), "{found} {expected}");
        }
    }

    /// The target logit is homogeneous of degree 1 in each vector that is not normalised, and of
    /// degree 0 in one that is.
    #[test]
    fn eulers_identity(
        target in targets(),
        loss in losses(),
        lambda in lambdas(),
    ) {
        let margin = loss.margin().unwrap();
        let Target { cosine, feature_norm, weight_norm } = target;
        let inner = cosine * feature_norm * weight_norm;
        let Normalisation { weights, feature_scale } = margin.normalisation();
        let pair = Pair::new(inner, feature_norm, weight_norm, margin.normalisation());
        let sample = Sample::new(&pair, &|t| blend(&*margin, lambda, t));
        let size = feature_norm * weight_norm * 32.0;
        if feature_scale.is_none() {
            let along = sample.entry * inner + sample.along_feature * feature_norm.powi(2);
            prop_assert!((along - sample.logit).abs() < 1e-11 * size);
        }
        if !weights {
            let along = sample.entry * inner + sample.along_weight * weight_norm.powi(2);
            prop_assert!((along - sample.logit).abs() < 1e-11 * size);
        }
    }

    /// With two classes and the other weight zero, the loss depends on the target logit alone, so
    /// the gradients themselves obey the identity.
    #[test]
    fn eulers_identity_of_the_gradient(
        x in prop::collection::vec(-2.0..2.0f64, 3),
        w in prop::collection::vec(-2.0..2.0f64, 3),
        m in multipliers(),
        lambda in lambdas(),
    ) {
        let problem = Problem::new(3, &[&x], &[&w, &[0.0; 3]], &[0]);
        let margin = Loss::LSoftmax { m }.margin().unwrap();
        let (answer, samples) = kernel::<f64>(&problem, &*margin, lambda);
        let f = samples[0].logit;
        // loss = ln(1 + exp(-f)).
        let expected = -f / (1.0 + f.exp());
        let size = norm(&x) * norm(&w) * 32.0 + 1e-300;
        prop_assert!((dot(&x, &answer.dx) - expected).abs() < 1e-12 * size);
        prop_assert!((dot(&w, &answer.dw[..3]) - expected).abs() < 1e-12 * size);
    }

    #[test]
    fn a_normalised_vector_has_no_radial_gradient(
        problem in problems(),
        loss in losses(),
    ) {
        let Normalisation { weights, feature_scale } = loss.margin().unwrap().normalisation();
        let answer = solve(&problem, loss, 0.0);
        // The slope with respect to the cosine, from which the radial part is subtracted, grows as
        // 1 / sin θ.
        let sines = (0..problem.batch).map(|row| problem.target_angle(row).sin());
        let slope = 1.0 / sines.fold(1.0, f64::min).max(1e-6);
        let straight = |rows: &[f64], gradients: &[f64]| {
            rows.chunks(problem.features)
                .zip(gradients.chunks(problem.features))
                .all(|(row, d)| dot(row, d).abs() <= 1e-13 * slope * norm(row) * norm(d).max(1.0))
        };
        prop_assert!(feature_scale.is_none() || straight(&problem.x, &answer.dx));
        prop_assert!(!weights || straight(&problem.w, &answer.dw));
    }

    #[test]
    fn the_target_logit_falls_with_the_angle(
        loss in losses(),
        lambda in lambdas(),
        a in 0.0..=PI,
        b in 0.0..=PI,
    ) {
        let (near, far) = (a.min(b), a.max(b));
        prop_assume!(far - near > 1e-5);
        let margin = loss.margin().unwrap();
        let at = |angle: f64| {
            let target = Target { cosine: angle.cos(), feature_norm: 3.0, weight_norm: 0.5 };
            blend(&*margin, lambda, target).value
        };
        prop_assert!(at(near) > at(far), "{} {}", at(near), at(far));
    }

    #[test]
    fn the_derivatives_are_central_differences(
        target in targets(),
        loss in losses(),
        lambda in lambdas(),
    ) {
        let margin = loss.margin().unwrap();
        let angle = target.cosine.acos();
        prop_assume!(angle.sin() > 0.02);
        // Angles are roots of the distance to the ends, where every derivative is larger than
        // the last by one over that distance: the step must be small beside it.
        let step = 1e-3 * angle.sin().powi(2);
        // The cosine moves by `step`, the angle by `step / sin`: no kink within.
        let kinks: Vec<f64> = match loss {
            Loss::LSoftmax { m } | Loss::ASoftmax { m } => {
                (1..m).map(|k| f64::from(k) * PI / f64::from(m)).collect()
            }
            Loss::ArcFace { margin, .. } => vec![PI - margin],
            Loss::Combined { m1, m2, .. } => {
                (0..4).map(|k| (f64::from(k) * PI - m2) / m1).collect()
            }
            _ => Vec::new(),
        };
        prop_assume!(kinks.iter().all(|k| (angle - k).abs() > 3.0 * step / angle.sin()));
        let value = |t: Target| blend(&*margin, lambda, t).value;
        let slope = |change: &dyn Fn(f64) -> Target| {
            let at = |steps: f64| value(change(steps * step));
            (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * step)
        };
        let TargetLogit { d_cosine, d_feature_norm, d_weight_norm, .. } =
            blend(&*margin, lambda, target);
        let size = 1.0 + d_cosine.abs() + value(target).abs();
        let close = |a: f64, b: f64| (a - b).abs() < 1e-6 * size;
        let by_cosine = slope(&|d| Target { cosine: target.cosine + d, ..target });
        prop_assert!(close(d_cosine, by_cosine), "{d_cosine} {by_cosine}");
        let by_feature = slope(&|d| Target { feature_norm: target.feature_norm + d, ..target });
        prop_assert!(close(d_feature_norm, by_feature), "{d_feature_norm} {by_feature}");
        let by_weight = slope(&|d| Target { weight_norm: target.weight_norm + d, ..target });
        prop_assert!(close(d_weight_norm, by_weight), "{d_weight_norm} {by_weight}");
    }

    #[test]
    fn the_blend_is_the_papers(target in targets(), loss in losses(), lambda in 0.0..2000.0f64) {
        let margin = loss.margin().unwrap();
        let (full, plain) = (margin.target_logit(target), blend(&*margin, f64::INFINITY, target));
        let found = blend(&*margin, lambda, target);
        for part in [
            |t: TargetLogit| t.value,
            |t: TargetLogit| t.d_cosine,
            |t: TargetLogit| t.d_feature_norm,
            |t: TargetLogit| t.d_weight_norm,
        ] {
            let expected = (lambda * part(plain) + part(full)) / (1.0 + lambda);
            let size = part(plain).abs() + part(full).abs();
            prop_assert!((part(found) - expected).abs() <= 1e-14 * size);
        }
        prop_assert_eq!(blend(&*margin, 0.0, target), full);
        prop_assert_eq!(blend(&*margin, -0.0, target), full);
    }

    /// Changes that do not alter the problem do not alter the answer: here the order of the
    /// samples.
    #[test]
    fn the_order_of_samples_does_not_matter(problem in problems(), loss in losses()) {
        prop_assume!(!is_steep(&problem));
        let turn = |rows: &[f64]| -> Vec<f64> {
            rows.chunks(problem.features).rev().flatten().copied().collect()
        };
        let mut turned = problem.clone();
        turned.labels.reverse();
        turned.x = turn(&problem.x);
        let mut other = solve(&turned, loss, 0.0);
        other.dx = turn(&other.dx);
        prop_assert!(difference(&other, &solve(&problem, loss, 0.0)) < 1e-12);
    }

    #[test]
    fn a_larger_margin_is_a_larger_loss(problem in problems(), m in 1..16u32) {
        let loss_at = |m| solve(&problem, Loss::LSoftmax { m }, 0.0).loss;
        prop_assert!(loss_at(m + 1) >= loss_at(m) * (1.0 - 1e-12) - 1e-12);
    }
}

#[test]
fn psi_at_the_ends_and_in_the_middle() {
    let mut worst = Worst::default();
    for m in 1..=16 {
        let psi = Psi::new(m).unwrap();
        let (square, m) = (f64::from(m * m), f64::from(m));
        for (c, value) in [(1.0, 1.0), (-1.0, 1.0 - 2.0 * m), (0.0, 1.0 - m)] {
            worst.see(
                (psi.at(c).0 - value).abs(),
                format_args!("m = {m}, c = {c}"),
            );
        }
        for c in [1.0, -1.0] {
            worst.see(
                (psi.at(c).1 - square).abs(),
                format_args!("m = {m}, slope at {c}"),
            );
        }
        let slope = if m % 2.0 == 0.0 { 0.0 } else { m };
        worst.see(
            (psi.at(0.0).1 - slope).abs(),
            format_args!("m = {m}, slope at 0"),
        );
        assert!(psi.at(f64::NAN).0.is_nan());
    }
    // Whole numbers, so the result is exact.
    worst.below(f64::MIN_POSITIVE);
}

/// The angle beyond which the target is pushed outwards for λ = 0: 90/m degrees, the first zero of
/// ψ.
#[test]
fn psi_is_zero_at_90_over_m_degrees() {
    for m in 1..=16 {
        let angle = PI / 2.0 / f64::from(m);
        assert!(
            Psi::new(m).unwrap().at(angle.cos()).0.abs() < 1e-14,
            "m = {m}"
        );
    }
}

#[test]
fn every_loss_has_a_loss_above_zero() {
    let mut random = Random(7);
    for loss in all_losses() {
        let margin: &dyn Margin = &*loss.margin().unwrap();
        for _ in 0..50 {
            let problem = random.turned_problem(5, 4, 3);
            assert!(kernel::<f32>(&problem, margin, 0.0).0.loss > 0.0, "{loss}");
        }
    }
}
