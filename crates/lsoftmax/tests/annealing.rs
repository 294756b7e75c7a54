//! λ and the staged m over the steps.

use lsoftmax::{
    Annealing, AnnealingError, Floor, Gate, Lambda, Loss, MarginHeadConfig, MarginStage,
    RunningSignal, Signal, StepLambda,
};
use proptest::prelude::*;

fn power_law(base: f64, gamma: f64, power: f64, min: f64) -> Lambda {
    Lambda::PowerLaw {
        base,
        gamma,
        power,
        min,
    }
}

/// The settings of the authors' prototxts (`wy1iu/LargeMargin_Softmax_Loss`, myexamples) and of
/// wy1iu/sphereface.
fn authors() -> [Lambda; 4] {
    [
        power_law(1000.0, 2.5e-5, 35.0, 0.0),
        power_law(1000.0, 2e-5, 45.0, 0.0),
        power_law(1000.0, 1e-5, 45.0, 0.0),
        power_law(1000.0, 0.12, 1.0, 5.0),
    ]
}

fn close(found: f64, expected: f64, digits: i32) {
    let error = (found / expected - 1.0).abs();
    assert!(error < 0.5 * 10f64.powi(1 - digits), "{found} {expected}");
}

/// The layer of the authors counts from 1: its first forward pass is t = 1, our step 0.
#[test]
fn the_authors_power_law() {
    let [mnist, cifar10, cifar10_plus, sphere_face] = authors();
    for (law, t, lambda, digits) in [
        (mnist, 1_000, 421.0, 3),
        (mnist, 5_000, 16.2, 3),
        (mnist, 7_500, 2.44, 3),
        (mnist, 10_000, 0.406, 3),
        (mnist, 15_000, 0.0144, 3),
        (mnist, 30_000, 3.1e-6, 2),
        (cifar10, 1_000, 410.0, 3),
        (cifar10, 5_000, 13.7, 3),
        (cifar10, 7_500, 1.86, 3),
        (cifar10, 10_000, 0.273, 3),
        // The log of iteration 12,000, which is the 12,001st, in issue #10 of the authors.
        (cifar10, 12_001, 0.062_475_3, 6),
        (cifar10, 15_000, 0.00746, 3),
        (cifar10, 30_000, 6.5e-7, 2),
        (cifar10_plus, 1_000, 639.0, 3),
        (cifar10_plus, 8_000, 31.3, 3),
        (cifar10_plus, 12_000, 6.1, 2),
        (cifar10_plus, 18_000, 0.583, 3),
        (cifar10_plus, 30_000, 0.00746, 3),
        (sphere_face, 1_000, 8.26, 3),
        (sphere_face, 28_000, 5.0, 15),
    ] {
        close(law.at(t - 1, 4), lambda, digits);
    }
    assert!(sphere_face.at(1657, 4) > 5.0);
    assert_eq!(sphere_face.at(1658, 4), 5.0);
    assert_eq!(sphere_face.at(u64::MAX, 4), 5.0);
}

/// mx-lsoftmax: beta 100, scale 0.99, and 1.0 at step 458, 0.01 at step 917.
#[test]
fn the_geometric_schedule() {
    let schedule = |min| Lambda::Geometric {
        base: 100.0,
        factor: 0.99,
        min,
    };
    close(schedule(0.0).at(0, 2), 99.0, 12);
    close(schedule(0.0).at(457, 2), 1.0, 2);
    close(schedule(0.0).at(916, 2), 0.01, 2);
    assert_eq!(schedule(3.0).at(10_000, 2), 3.0);
    assert_eq!(schedule(0.0).at(u64::MAX, 2), 0.0);
}

#[test]
fn constant_and_none() {
    for step in [0, 1, 1_000_000] {
        assert_eq!(Lambda::Constant { lambda: 2.5 }.at(step, 4), 2.5);
        assert_eq!(Lambda::None.at(step, 4), 0.0);
    }
}

#[test]
fn stages_of_m() {
    let annealing = Annealing {
        lambda: Lambda::Constant { lambda: 5.0 },
        stages: vec![
            MarginStage { step: 100, m: 2 },
            MarginStage { step: 200, m: 4 },
        ],
        floor: None,
        gate: None,
        class_balance: None,
    };
    annealing.check().unwrap();
    let at = |step| {
        let (loss, lambda) = annealing.at(step, Loss::LSoftmax { m: 1 });
        (loss, lambda.least())
    };
    // λ has no effect while m is 1.
    assert_eq!(at(0), (Loss::LSoftmax { m: 1 }, 0.0));
    assert_eq!(at(99), (Loss::LSoftmax { m: 1 }, 0.0));
    assert_eq!(at(100), (Loss::LSoftmax { m: 2 }, 5.0));
    assert_eq!(at(199), (Loss::LSoftmax { m: 2 }, 5.0));
    assert_eq!(at(200), (Loss::LSoftmax { m: 4 }, 5.0));
    assert_eq!(at(u64::MAX), (Loss::LSoftmax { m: 4 }, 5.0));
    // A loss without m is not changed.
    assert_eq!(
        annealing.at(300, Loss::ARC_FACE),
        (Loss::ARC_FACE, 0.0.into())
    );
    assert_eq!(
        annealing.at(300, Loss::ASoftmax { m: 3 }),
        (Loss::ASoftmax { m: 4 }, 5.0.into())
    );
}

/// A schedule rescaled from `from` to `to` steps has the same values at the same fractions of the
/// training.
#[test]
fn stretched_keeps_the_shape() {
    let geometric = Lambda::Geometric {
        base: 100.0,
        factor: 0.999,
        min: 0.01,
    };
    for lambda in authors().into_iter().chain([geometric]) {
        let annealing = Annealing::from(lambda);
        for to in [1_000u64, 20_000, 150_000] {
            let from = 30_000;
            let stretched = annealing.stretched(from, to);
            stretched.check().unwrap();
            for share in [0.1, 0.5, 0.9] {
                let at = |a: &Annealing, steps: u64| {
                    let step = (share * steps as f64).round() as u64 - 1;
                    a.at(step, Loss::LSoftmax { m: 4 }).1.least()
                };
                close(at(&stretched, to), at(&annealing, from), 9);
            }
        }
        assert_eq!(annealing.stretched(500, 500), annealing);
    }
    assert_eq!(
        Annealing::auto(100).stretched(100, 700),
        Annealing::auto(700)
    );
    let constant = Annealing::from(Lambda::Constant { lambda: 3.0 });
    assert_eq!(constant.stretched(10, 1000), constant);
}

#[test]
fn a_floor_keeps_lambda_up_for_a_while() {
    let floor = Floor {
        lambda: 8.0,
        step: 10,
        until: 14,
    };
    let annealing = Annealing {
        floor: Some(floor),
        ..Lambda::Constant { lambda: 3.0 }.into()
    };
    annealing.check().unwrap();
    let lambda = |step| annealing.at(step, Loss::LSoftmax { m: 4 }).1.least();
    assert_eq!(
        [9, 10, 11, 12, 13, 14].map(lambda),
        [3.0, 8.0, 6.0, 4.0, 3.0, 3.0]
    );
    // A loss without λ has nothing to keep up.
    assert_eq!(annealing.at(10, Loss::Softmax).1, 0.0.into());
    let stretched = annealing.stretched(100, 200).floor.unwrap();
    assert_eq!((stretched.step, stretched.until), (20, 28));
    let negative = Annealing {
        floor: Some(Floor {
            lambda: -1.0,
            ..floor
        }),
        ..Annealing::none()
    };
    assert!(negative.check().is_err());
}

#[test]
fn stretched_stages() {
    let stages = |steps: &[(u64, u32)]| Annealing {
        lambda: Lambda::None,
        stages: steps
            .iter()
            .map(|&(step, m)| MarginStage { step, m })
            .collect(),
        floor: None,
        gate: None,
        class_balance: None,
    };
    let schedule = stages(&[(100, 2), (200, 3), (205, 4)]);
    assert_eq!(
        schedule.stretched(1000, 2000),
        stages(&[(200, 2), (400, 3), (410, 4)])
    );
    // If several stages start at the same step, the last one applies, and the schedule is valid.
    let short = schedule.stretched(1000, 10);
    short.check().unwrap();
    assert_eq!(short, stages(&[(1, 2), (2, 4)]));
}

#[test]
fn check_names_what_is_wrong() {
    let nan = f64::NAN;
    for (lambda, name) in [
        (Lambda::Constant { lambda: -1.0 }, "lambda"),
        (Lambda::Constant { lambda: nan }, "lambda"),
        (power_law(-1.0, 0.1, 1.0, 0.0), "base"),
        (power_law(1.0, nan, 1.0, 0.0), "gamma"),
        (power_law(1.0, 0.1, -2.0, 0.0), "power"),
        (power_law(1.0, 0.1, 1.0, -0.5), "min"),
        (
            Lambda::Geometric {
                base: nan,
                factor: 0.9,
                min: 0.0,
            },
            "base",
        ),
        (
            Lambda::Geometric {
                base: 1.0,
                factor: 1.01,
                min: 0.0,
            },
            "factor",
        ),
        (
            Lambda::Geometric {
                base: 1.0,
                factor: 0.0,
                min: 0.0,
            },
            "factor",
        ),
        (
            Lambda::Geometric {
                base: 1.0,
                factor: 0.5,
                min: -1.0,
            },
            "min",
        ),
        (Lambda::Auto { iterations: 0 }, "iterations"),
    ] {
        match Annealing::from(lambda).check() {
            Err(AnnealingError::Parameter { name: found, .. }) => assert_eq!(found, name),
            other => panic!("{lambda:?}: {other:?}"),
        }
    }
    let error = Annealing::from(Lambda::Constant { lambda: -1.0 })
        .check()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "annealing: lambda must be at least 0, found -1"
    );

    let staged = |stages: &[(u64, u32)]| {
        Annealing {
            lambda: Lambda::None,
            stages: stages
                .iter()
                .map(|&(step, m)| MarginStage { step, m })
                .collect(),
            floor: None,
            gate: None,
            class_balance: None,
        }
        .check()
    };
    assert_eq!(staged(&[(0, 1), (5, 2)]), Ok(()));
    assert_eq!(staged(&[(5, 1), (5, 2)]), Err(AnnealingError::Order(5)));
    assert_eq!(staged(&[(6, 1), (5, 2)]), Err(AnnealingError::Order(5)));
    for m in [0, 17] {
        assert!(matches!(staged(&[(5, m)]), Err(AnnealingError::Margin(_))));
    }
    // A head refuses the schedule before training starts.
    let config = MarginHeadConfig::new(2, 3, Annealing::auto(0));
    assert!(config.init(&burn::tensor::Device::flex()).is_err());
}

#[test]
fn json_and_back() {
    for (annealing, json) in [
        (Annealing::none(), r#"{"lambda":{"schedule":"none"}}"#),
        (
            Annealing::auto(18_000),
            r#"{"lambda":{"schedule":"auto","iterations":18000}}"#,
        ),
        (
            Lambda::Constant { lambda: 0.5 }.into(),
            r#"{"lambda":{"schedule":"constant","lambda":0.5}}"#,
        ),
        (
            authors()[0].into(),
            r#"{"lambda":{"schedule":"power-law","base":1000.0,"gamma":0.000025,"power":35.0,"min":0.0}}"#,
        ),
        (
            Annealing {
                lambda: Lambda::Geometric {
                    base: 100.0,
                    factor: 0.99,
                    min: 5.0,
                },
                stages: vec![MarginStage { step: 10, m: 2 }],
                floor: None,
                gate: None,
                class_balance: None,
            },
            r#"{"lambda":{"schedule":"geometric","base":100.0,"factor":0.99,"min":5.0},"stages":[{"step":10,"m":2}]}"#,
        ),
    ] {
        let written = serde_json::to_string(&annealing).unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&written).unwrap(),
            serde_json::from_str::<serde_json::Value>(json).unwrap()
        );
        for text in [written.as_str(), json] {
            assert_eq!(serde_json::from_str::<Annealing>(text).unwrap(), annealing);
        }
    }
    // A misspelt name is an error, not a default.
    for wrong in [
        r#"{"lambda":{"schedule":"nothing"}}"#,
        r#"{"lambda":{"schedule":"constant","lamda":0.5}}"#,
        r#"{"lambda":{"schedule":"constant","lambda":0.5,"min":1.0}}"#,
        r#"{"lambda":{"schedule":"none"},"stage":[]}"#,
        r#"{"lambda":{"schedule":"none"},"stages":[{"step":1,"m":2,"n":3}]}"#,
    ] {
        assert!(serde_json::from_str::<Annealing>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn losses_in_json_and_back() {
    for (loss, json) in [
        (Loss::Softmax, r#"{"loss":"softmax"}"#),
        (Loss::LSoftmax { m: 4 }, r#"{"loss":"l-softmax","m":4}"#),
        (Loss::ASoftmax { m: 3 }, r#"{"loss":"a-softmax","m":3}"#),
        (
            Loss::COS_FACE,
            r#"{"loss":"cos-face","scale":64.0,"margin":0.35}"#,
        ),
        (
            Loss::ARC_FACE,
            r#"{"loss":"arc-face","scale":64.0,"margin":0.5}"#,
        ),
        (
            Loss::COMBINED,
            r#"{"loss":"combined","scale":64.0,"m1":1.0,"m2":0.3,"m3":0.2}"#,
        ),
    ] {
        assert_eq!(serde_json::to_string(&loss).unwrap(), json);
        assert_eq!(serde_json::from_str::<Loss>(json).unwrap(), loss);
        assert!(json.contains(&format!("\"{}\"", loss.name())));
    }
    assert!(serde_json::from_str::<Loss>(r#"{"loss":"l-softmax"}"#).is_err());
    assert!(serde_json::from_str::<Loss>(r#"{"loss":"l-softmax","m":-1}"#).is_err());
    assert!(serde_json::from_str::<Loss>(r#"{"loss":"l-softmax","m":2,"s":1}"#).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// λ of any schedule that `check` accepts is a number that the blend can use.
    #[test]
    fn lambda_is_never_negative_or_nan(
        [a, b, c, d] in prop::array::uniform4(prop_oneof![
            0.0..1.0f64,
            Just(0.0),
            Just(f64::INFINITY),
            Just(f64::MAX),
            Just(1e-300),
        ]),
        iterations in any::<u64>(),
        step in any::<u64>(),
        m in 2..=16u32,
        share in 0.0..=1.0f64,
        classes in 1..100_000usize,
    ) {
        for lambda in [
            Lambda::None,
            Lambda::Constant { lambda: a },
            power_law(a, b, c, d),
            Lambda::Geometric { base: a, factor: b, min: c },
            Lambda::Auto { iterations },
        ] {
            let annealing = Annealing::from(lambda);
            if annealing.check().is_ok() {
                for step in [step, 0, 1, step % 1000, iterations / 2, iterations] {
                    let (_, found) = annealing.at(step, Loss::LSoftmax { m });
                    for confidence in [0.0, 0.1, share, 1.0] {
                        let found = found.of(confidence, classes);
                        prop_assert!(found >= 0.0, "{lambda:?} at {step}, {confidence}: {found}");
                    }
                }
                prop_assert_eq!(annealing.at(step, Loss::LSoftmax { m: 1 }).1, 0.0.into());
            }
        }
    }

    #[test]
    fn auto_needs_no_lambda_for_an_m_of_1(iterations in 1.0..1e6f64) {
        prop_assert_eq!(lsoftmax::annealing::auto_lambda(iterations, 1), 0.0);
    }
}

fn gated(gate: Gate) -> Annealing {
    Annealing {
        gate: Some(gate),
        ..Annealing::auto(600)
    }
}

/// Half of the way at a mean confidence of 0.6.
const CONFIDENT: Gate = Gate {
    signal: Signal::Confidence,
    from: 0.3,
    to: 0.9,
    memory: 0.0,
};

/// Half of the way at 0.75 of the information.
const LEARNED: Gate = Gate {
    signal: Signal::Information,
    from: 0.5,
    to: 1.0,
    memory: 0.0,
};

fn at(annealing: &Annealing) -> StepLambda {
    annealing.at(300, Loss::LSoftmax { m: 4 }).1
}

/// 1 / (1 + λ) = g / (1 + λ(t)), with g from 0 at `from` to 1 at `to` of the way from guessing to
/// certainty.
#[test]
fn a_gate_divides_the_share_of_the_margin() {
    let lambda = at(&gated(CONFIDENT));
    let open = lambda.least();
    assert_eq!(open, Lambda::Auto { iterations: 600 }.at(300, 4));
    // For ten classes, c of the way is p = 0.1 + 0.9 c.
    let of = |c: f64| lambda.of(0.1 + 0.9 * c, 10);
    for certain in [0.9, 0.95, 1.0] {
        close(of(certain), open, 12);
    }
    close(of(0.6), 2.0 * (1.0 + open) - 1.0, 12);
    close(of(0.45), 4.0 * (1.0 + open) - 1.0, 12);
    for guessing in [-0.1, 0.0, 0.2, 0.3 - 1e-12] {
        assert_eq!(of(guessing), f64::INFINITY);
    }
    assert_eq!(lambda.of_steps(0.1, 10), 1e6, "shown as a number");
    // The way is as long for any number of classes; a single class needs no separation.
    close(lambda.of(0.6 * 0.999 + 0.001, 1000), of(0.6), 12);
    assert_eq!(lambda.of(1.0, 1), open);
    assert!(lambda.of(f64::NAN, 10).is_nan());
    // Schedules without a gate have one λ for every batch.
    for other in [Lambda::None, Lambda::Constant { lambda: 3.0 }] {
        let lambda = at(&other.into());
        assert_eq!(lambda.of(0.1, 10), lambda.least());
    }
    // A floor also limits λ behind a gate.
    let floor = Floor {
        lambda: 50.0,
        step: 0,
        until: 600,
    };
    let kept_up = Annealing {
        floor: Some(floor),
        ..gated(CONFIDENT)
    };
    assert_eq!(at(&kept_up).least(), 25.0);
    close(at(&kept_up).of(0.64, 10), 51.0, 12);
    assert_eq!(Annealing::auto(600).gate(), Some(Gate::AUTO));
    assert_eq!(Annealing::none().gate(), None);
}

/// The learned share of ln C: the more confident a wrong answer, the lower.
#[test]
fn information_is_the_share_of_the_labels_that_is_learned() {
    let lambda = at(&gated(LEARNED));
    let open = lambda.least();
    for classes in [2, 10, 1000] {
        // ln p is (c - 1) ln C (ln C / ln 10)^(1/2): c of the way.
        let of = |c: f64| {
            let guessing = (classes as f64).ln();
            let p = ((c - 1.0) * guessing * (guessing / 10f64.ln()).sqrt()).exp();
            lambda.of_batch(&[p; 4], &[0, 1, 1, 0], classes)
        };
        assert_eq!(of(0.0), f64::INFINITY);
        assert_eq!(of(0.499), f64::INFINITY);
        close(of(0.75), 2.0 * (1.0 + open) - 1.0, 10);
        close(of(1.0), open, 12);
    }
    let labels = [0, 1, 2, 3, 4];
    let sure = |wrong: f64| lambda.of_batch(&[1.0, 1.0, 1.0, 1.0, wrong], &labels, 10);
    assert!(sure(0.1) < sure(0.01));
    // A probability of 0 has no infinite weight.
    assert_eq!(sure(0.0), sure(1e-10));
    assert!(sure(f64::NAN).is_nan());
    assert_eq!(lambda.of_batch(&[1.0], &[0], 1), open);
}

#[test]
fn a_rare_class_counts_as_much_as_a_frequent_one() {
    let signal = Signal::Information;
    // Seven samples of class 3, one of class 5.
    let labels = [3, 3, 3, 5, 3, 3, 3, 3];
    let weights = signal.weights(&labels);
    close(weights.iter().sum::<f64>(), 1.0, 14);
    close(weights[0], 1.0 / 14.0, 14);
    close(weights[3], 0.5, 14);
    let mut p = [1.0; 8];
    p[3] = 0.1;
    close(signal.of_batch(&p, &labels), 0.5 * 0.1f64.ln(), 14);
    // For the confidence signal, all samples count the same.
    close(Signal::Confidence.of_batch(&p, &labels), 7.1 / 8.0, 14);
    // Over many batches the weights are those of the training set, so that a batch without the rare
    // class does not hide it.
    let mut running = RunningSignal::default();
    let counts = [0, 0, 0, 700, 0, 100];
    running.push(signal, &p, &labels, &counts, 100.0);
    running.push(signal, &[1.0; 8], &[3; 8], &counts, 100.0);
    // Class 3: 15 samples of weight 1/700; class 5: one of weight 1/100.
    let weight = 15.0 / 700.0 + 1.0 / 100.0;
    close(running.mean(), 0.1f64.ln() / 100.0 / weight, 12);
}

#[test]
fn a_gate_with_a_memory_looks_at_the_steps_before() {
    let gate = Gate {
        memory: 0.01,
        ..CONFIDENT
    };
    let lambda = at(&gated(gate));
    let labels = [0; 8];
    // Before the first step the batch decides, also for users who keep no signal.
    assert_eq!(lambda.gate_of_batch(), Some(gate));
    assert_eq!(lambda.of_batch(&[1.0; 8], &labels, 10), lambda.least());
    assert_eq!(lambda.of_batch(&[0.3; 8], &labels, 10), f64::INFINITY);
    let mut running = RunningSignal::default();
    let push = |running: &mut RunningSignal, p: f64| {
        running.push(Signal::Confidence, &[p; 8], &labels, &[80], 6.0);
    };
    // The mean of the first six, and then the newest counts for a sixth.
    for p in [0.0, 1.0, 1.0, 1.0, 1.0, 1.0] {
        push(&mut running, p);
    }
    close(running.mean(), 5.0 / 6.0, 12);
    push(&mut running, 0.0);
    close(running.mean(), 5.0 / 6.0 * 5.0 / 6.0, 12);
    let before = running;
    push(&mut running, f64::NAN);
    assert_eq!(running, before);
    let mut learned = RunningSignal::default();
    for _ in 0..100 {
        push(&mut learned, 0.7);
    }
    let after = lambda.after(learned);
    assert_eq!(after.gate_of_batch(), None);
    for batch in [[0.0; 8], [1.0; 8]] {
        close(after.of_batch(&batch, &labels, 10), after.of(0.7, 10), 12);
        close(after.of_steps(batch[0], 10), after.of(0.7, 10), 12);
    }
    assert!(after.of_batch(&[0.0], &[0], 10) < 1e3);
    let earlier: RunningSignal = serde_json::from_str(r#"{"mean":0.5,"steps":0}"#).unwrap();
    assert_eq!(earlier, RunningSignal::default());
}

#[test]
fn a_gate_may_stand_before_any_schedule_and_its_numbers_are_checked() {
    let loss = Loss::LSoftmax { m: 2 };
    let annealing = Annealing {
        gate: Some(LEARNED),
        ..Lambda::Constant { lambda: 3.0 }.into()
    };
    assert_eq!(annealing.check(), Ok(()));
    let lambda = annealing.at(0, loss).1;
    assert_eq!(lambda.of(0.1f64.ln(), 10), f64::INFINITY);
    close(lambda.of(0.0, 10), 3.0, 12);
    let back: Annealing =
        serde_json::from_str(&serde_json::to_string(&annealing).unwrap()).unwrap();
    assert_eq!(back, annealing);
    assert_eq!(annealing.stretched(100, 200).gate, Some(LEARNED));
    let wrong = |gate: Gate| match gated(gate).check().unwrap_err() {
        AnnealingError::Parameter { name, .. } => name,
        other => panic!("{other}"),
    };
    for from in [-0.1, f64::NAN] {
        assert_eq!(wrong(Gate { from, ..LEARNED }), "gate.from");
    }
    for to in [0.5, 0.3, 1.1, f64::NAN] {
        assert_eq!(wrong(Gate { to, ..LEARNED }), "gate.to");
    }
    for memory in [-0.1, 1.0, f64::NAN] {
        assert_eq!(wrong(Gate { memory, ..LEARNED }), "gate.memory");
    }
}

#[test]
fn frequent_classes_get_a_smaller_share_of_the_margin() {
    let auto = Annealing::auto(100);
    let shares = |annealing: &Annealing, counts: &[usize]| annealing.class_shares(counts);
    assert_eq!(shares(&auto, &[10, 40, 20]), Some(vec![1.0, 0.25, 0.5]));
    // A class without samples has no effect.
    assert_eq!(shares(&auto, &[10, 0, 20]), Some(vec![1.0, 1.0, 0.5]));
    for even in [&[7, 7, 7][..], &[0, 0], &[3], &[]] {
        assert_eq!(shares(&auto, even), None, "{even:?}");
    }
    let with = |class_balance| Annealing {
        class_balance: Some(class_balance),
        ..Annealing::auto(100)
    };
    assert_eq!(shares(&with(0.0), &[10, 40, 20]), None);
    assert_eq!(shares(&with(0.5), &[10, 40, 10]), Some(vec![1.0, 0.5, 1.0]));
    // Other schedules treat all classes the same, unless configured otherwise.
    assert_eq!(shares(&Annealing::none(), &[10, 40]), None);
    let constant = Annealing {
        class_balance: Some(1.0),
        ..Lambda::Constant { lambda: 1.0 }.into()
    };
    assert_eq!(shares(&constant, &[10, 40]), Some(vec![1.0, 0.25]));
    for wrong in [-1.0, f64::NAN, f64::INFINITY] {
        let error = with(wrong).check().unwrap_err().to_string();
        assert!(error.contains("class-balance"), "{error}");
    }
}
