use super::real::sealed::Kernels;
use super::rows::norm;
use super::*;

/// The plain target logit of raw vectors.
fn plain(t: Target) -> TargetLogit {
    TargetLogit {
        value: t.feature_norm * t.weight_norm * t.cosine,
        d_cosine: t.feature_norm * t.weight_norm,
        d_feature_norm: t.weight_norm * t.cosine,
        d_weight_norm: t.feature_norm * t.cosine,
    }
}

fn pseudo_random(n: usize, seed: u64) -> Vec<f64> {
    (0..n)
        .map(|i| {
            let mut z = seed.wrapping_add((i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 * 2.0 - 1.0
        })
        .collect()
}

#[test]
fn blocks_of_any_size_give_the_same_result() {
    let (batch, classes, size) = (5, 11, 7);
    let x = pseudo_random(batch * size, 1);
    let w = pseudo_random(classes * size, 2);
    let labels = [0, 3, 10, 3, 7];
    let arrays = Batch::new(&x, &w, &labels, classes, size).unwrap();
    for normalisation in [
        Normalisation::default(),
        Normalisation {
            weights: true,
            feature_scale: None,
        },
        Normalisation {
            weights: true,
            feature_scale: Some(7.5),
        },
    ] {
        let mut reference = None;
        for (block, part, keep) in [
            (11, 11, true),
            (1, 1, true),
            (2, 6, false),
            (3, 3, true),
            (4, 8, false),
            (48, 48, false),
        ] {
            let plan = Plan { block, part, keep };
            let mut dx = vec![f64::NAN; x.len()];
            let mut dw = vec![f64::NAN; w.len()];
            let outcome =
                with_plan(&arrays, normalisation, &plain, &mut dx, &mut dw, plan).unwrap();
            assert_eq!(
                cross_entropy(&arrays, normalisation, &plain).loss.to_bits() >> 8,
                outcome.loss.to_bits() >> 8
            );
            let found: Vec<f64> = [outcome.loss].into_iter().chain(dx).chain(dw).collect();
            let reference = reference.get_or_insert_with(|| found.clone());
            for (a, b) in found.iter().zip(reference.iter()) {
                assert!((a - b).abs() < 1e-13, "{normalisation:?} {plan:?}: {a} {b}");
            }
        }
    }
}

#[test]
fn arrays_that_do_not_fit_are_rejected() {
    let x = [0.0f32; 6];
    let w = [0.0f32; 9];
    assert_eq!(
        Batch::new(&x, &w, &[0, 3], 3, 3).unwrap_err(),
        HeadError::Label {
            row: 1,
            label: 3,
            classes: 3
        }
    );
    assert!(matches!(
        Batch::new(&x, &w, &[0, 1, 2], 3, 3),
        Err(HeadError::Length {
            name: "features",
            ..
        })
    ));
    assert!(matches!(
        Batch::new(&x[..0], &w, &[], 3, 3),
        Err(HeadError::Empty(_))
    ));
    let batch = Batch::new(&x, &w, &[0, 1], 3, 3).unwrap();
    let error = cross_entropy_with_gradient(
        &batch,
        Normalisation::default(),
        &plain,
        &mut [0.0; 5],
        &mut [0.0; 9],
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "d_features has 5 values, expected 2 x 3"
    );
}

#[test]
fn norms_survive_the_ends_of_the_range() {
    assert_eq!(norm(Level::get(), &[3e300f64, 4e300]), 5e300);
    assert!((norm(Level::get(), &[3e-300f64, 4e-300]) / 5e-300 - 1.0).abs() < 1e-15);
    assert!(
        (norm(Level::get(), &[3e38f32, 3e38]) / (f64::from(3e38f32) * 2f64.sqrt()) - 1.0).abs()
            < 1e-15
    );
    assert!(norm(Level::get(), &[f32::NAN, 1.0]).is_nan());
    assert_eq!(norm(Level::get(), &[f32::INFINITY, 1.0]), f64::INFINITY);
    assert_eq!(norm(Level::get(), &[0.0f32; 3]), 0.0);
}

/// A margin that uses the norms of normalised vectors (as `MagFace` does).
fn by_norms(t: Target) -> TargetLogit {
    TargetLogit {
        value: 8.0 * t.cosine - t.feature_norm.ln() + 2.0 * t.weight_norm.ln(),
        d_cosine: 8.0,
        d_feature_norm: -1.0 / t.feature_norm,
        d_weight_norm: 2.0 / t.weight_norm,
    }
}

#[test]
fn extreme_vectors_are_rescaled_without_effect() {
    let (classes, size) = (4, 5);
    let normalisation = Normalisation {
        weights: true,
        feature_scale: Some(8.0),
    };
    for [of_x, of_w] in [
        [1e-20, 1.0],
        [1e20, 1.0],
        [1.0, 1e20],
        [1e-20, 1e-20],
        [1e25, 1e25],
    ] {
        let scaled = |values: Vec<f64>, by: f64| values.iter().map(|v| v * by).collect::<Vec<_>>();
        let x = scaled(pseudo_random(size, 3), of_x);
        let w = scaled(pseudo_random(classes * size, 4), of_w);
        let arrays = Batch::new(&x, &w, &[2], classes, size).unwrap();
        let (mut dx, mut dw) = (vec![0.0; size], vec![0.0; classes * size]);
        let outcome =
            cross_entropy_with_gradient(&arrays, normalisation, &by_norms, &mut dx, &mut dw)
                .unwrap();
        let Target {
            cosine,
            feature_norm,
            weight_norm,
        } = outcome.samples[0].target;
        let own = 2 * size..3 * size;
        let (true_x, true_w) = (norm(Level::get(), &x), norm(Level::get(), &w[own.clone()]));
        assert!((feature_norm / true_x - 1.0).abs() < 1e-14);
        assert!((weight_norm / true_w - 1.0).abs() < 1e-14);
        let logit = 8.0 * cosine - true_x.ln() + 2.0 * true_w.ln();
        assert!((outcome.samples[0].logit - logit).abs() < 1e-12);
        // Along itself, a vector has only the margin's derivative with respect to its length.
        let p = (-outcome.loss).exp();
        assert!((f64::dot(Level::get(), &dx, &x) - (1.0 - p)).abs() < 1e-12);
        assert!(
            (f64::dot(Level::get(), &dw[own.clone()], &w[own]) - 2.0 * (p - 1.0)).abs() < 1e-12
        );
    }
}

/// The largest difference between two arrays divided by the largest value.
fn distance(found: &[f32], exact: &[f64]) -> f64 {
    let largest = exact.iter().fold(f64::MIN_POSITIVE, |a, b| a.max(b.abs()));
    let differences = found
        .iter()
        .zip(exact)
        .map(|(a, b)| (f64::from(*a) - b).abs());
    differences.fold(0.0, f64::max) / largest
}

#[test]
fn single_precision_agrees_with_double_precision_on_every_level() {
    let none = Normalisation::default();
    let both = Normalisation {
        weights: true,
        feature_scale: Some(6.0),
    };
    // One class, few classes, more than a block, more than a part; odd sizes; one sample.
    for (size, classes, columns) in [
        (1, 1, 1),
        (1, 3, 2),
        (3, 7, 17),
        (70, 47, 5),
        (70, 48, 5),
        (5, 49, 33),
        (64, 130, 130),
        (65, 1000, 3),
        (2, 5000, 1),
        (300, 100, 20),
    ] {
        let x: Vec<f32> = pseudo_random(size * columns, 5)
            .iter()
            .map(|&v| v as f32)
            .collect();
        let w: Vec<f32> = pseudo_random(classes * columns, 6)
            .iter()
            .map(|&v| v as f32)
            .collect();
        let labels: Vec<u32> = (0..size).map(|i| (i * 7 % classes) as u32).collect();
        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let (wide_x, wide_w) = (wide(&x), wide(&w));
        for normalisation in [none, both] {
            let batch = Batch::new(&wide_x, &wide_w, &labels, classes, columns).unwrap();
            let (mut exact_dx, mut exact_dw) = (vec![f64::NAN; x.len()], vec![f64::NAN; w.len()]);
            let exact = cross_entropy_with_gradient(
                &batch,
                normalisation,
                &plain,
                &mut exact_dx,
                &mut exact_dw,
            )
            .unwrap();
            let batch = Batch::new(&x, &w, &labels, classes, columns).unwrap();
            for level in Level::available() {
                for keep in [true, false] {
                    let (mut dx, mut dw) = (vec![f32::NAN; x.len()], vec![f32::NAN; w.len()]);
                    let plan = Plan {
                        keep,
                        ..Plan::new(&batch)
                    };
                    let found = level
                        .force(|| with_plan(&batch, normalisation, &plain, &mut dx, &mut dw, plan))
                        .unwrap();
                    let case = format!("{size} x {classes} x {columns}, {level:?}");
                    assert!(
                        (found.loss / exact.loss - 1.0).abs() < 1e-5 || classes == 1,
                        "{case}"
                    );
                    // A single normalised feature has no gradient; only rounding is left.
                    let cancels = normalisation == both && columns == 1;
                    if classes > 1 && !cancels {
                        assert!(
                            distance(&dx, &exact_dx) < 2e-5,
                            "{case}: {}",
                            distance(&dx, &exact_dx)
                        );
                        assert!(
                            distance(&dw, &exact_dw) < 2e-5,
                            "{case}: {}",
                            distance(&dw, &exact_dw)
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let (size, classes, columns) = (33, 7000, 9);
    let x: Vec<f32> = pseudo_random(size * columns, 7)
        .iter()
        .map(|&v| v as f32)
        .collect();
    let w: Vec<f32> = pseudo_random(classes * columns, 8)
        .iter()
        .map(|&v| v as f32)
        .collect();
    let labels: Vec<u32> = (0..size).map(|i| (i * 211) as u32).collect();
    let batch = Batch::new(&x, &w, &labels, classes, columns).unwrap();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
            let none = Normalisation::default();
            let found =
                cross_entropy_with_gradient(&batch, none, &plain, &mut dx, &mut dw).unwrap();
            (found.loss.to_bits(), dx, dw)
        })
    };
    assert!(run(1) == run(5));
}
