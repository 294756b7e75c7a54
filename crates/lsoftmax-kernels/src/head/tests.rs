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
        for block_bytes in [1 << 20, 8 * 5, 8 * 5 * 2, 8 * 5 * 4] {
            let mut dx = vec![f64::NAN; x.len()];
            let mut dw = vec![f64::NAN; w.len()];
            let outcome = with_block_bytes(
                &arrays,
                normalisation,
                &plain,
                &mut dx,
                &mut dw,
                block_bytes,
            )
            .unwrap();
            assert_eq!(
                cross_entropy(&arrays, normalisation, &plain).loss.to_bits() >> 8,
                outcome.loss.to_bits() >> 8
            );
            let found: Vec<f64> = [outcome.loss].into_iter().chain(dx).chain(dw).collect();
            let reference = reference.get_or_insert_with(|| found.clone());
            for (a, b) in found.iter().zip(reference.iter()) {
                assert!(
                    (a - b).abs() < 1e-13,
                    "{normalisation:?} {block_bytes}: {a} {b}"
                );
            }
        }
    }
}

#[test]
fn refuses_what_does_not_fit() {
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
    assert_eq!(norm(&[3e300f64, 4e300]), 5e300);
    assert!((norm(&[3e-300f64, 4e-300]) / 5e-300 - 1.0).abs() < 1e-15);
    assert!((norm(&[3e38f32, 3e38]) / (f64::from(3e38f32) * 2f64.sqrt()) - 1.0).abs() < 1e-15);
    assert!(norm(&[f32::NAN, 1.0]).is_nan());
    assert_eq!(norm(&[f32::INFINITY, 1.0]), f64::INFINITY);
    assert_eq!(norm(&[0.0f32; 3]), 0.0);
}

/// A margin that looks at the norms of vectors that are normalised (as `MagFace` does).
fn by_norms(t: Target) -> TargetLogit {
    TargetLogit {
        value: 8.0 * t.cosine - t.feature_norm.ln() + 2.0 * t.weight_norm.ln(),
        d_cosine: 8.0,
        d_feature_norm: -1.0 / t.feature_norm,
        d_weight_norm: 2.0 / t.weight_norm,
    }
}

#[test]
fn extreme_vectors_are_rescaled_unseen() {
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
        let (true_x, true_w) = (norm(&x), norm(&w[own.clone()]));
        assert!((feature_norm / true_x - 1.0).abs() < 1e-14);
        assert!((weight_norm / true_w - 1.0).abs() < 1e-14);
        let logit = 8.0 * cosine - true_x.ln() + 2.0 * true_w.ln();
        assert!((outcome.samples[0].logit - logit).abs() < 1e-12);
        // Along itself, a vector has the margin's derivative by its length and no other.
        let p = (-outcome.loss).exp();
        assert!((dot(&dx, &x) - (1.0 - p)).abs() < 1e-12);
        assert!((dot(&dw[own.clone()], &w[own]) - 2.0 * (p - 1.0)).abs() < 1e-12);
    }
}
