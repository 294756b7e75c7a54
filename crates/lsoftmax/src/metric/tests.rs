use super::*;
use crate::metric::{PairSelection as P, TripletSelection as T};
use burn::module::Module as _;
use burn::tensor::{DType, Device};

/// Features in [-1, 1) as f64.
fn features(batch: usize, size: usize, seed: u64) -> Vec<f64> {
    (0..batch * size)
        .map(|i| (random(seed, 0, i as u64) >> 11) as f64 / (1u64 << 52) as f64 - 1.0)
        .collect()
}

/// Classes of different size, one with a single sample.
const LABELS: [i64; 9] = [4, 0, 0, 7, 4, 4, 0, 2, 7];

type Run = dyn Fn(Tensor<2>, Tensor<1, Int>) -> DistanceLoss;
type Loss<'a> = &'a (dyn Fn(Tensor<2>, Tensor<1, Int>) -> DistanceLoss + 'a);

/// Value, gradient, selected, active.
fn solve(loss: Loss<'_>, x: &[f64], labels: &[i64], dtype: DType) -> (f64, Vec<f64>, u64, u64) {
    let device = Device::flex().autodiff();
    let size = x.len() / labels.len();
    let data = TensorData::new(x.to_vec(), [labels.len(), size]);
    let features = Tensor::<2>::from_data(data, (&device, dtype)).require_grad();
    let labels =
        Tensor::<1, Int>::from_data(TensorData::new(labels.to_vec(), [labels.len()]), &device);
    let out = loss(features.clone(), labels);
    let gradients = out.loss.backward();
    let values = |data: TensorData| data.iter::<f64>().collect::<Vec<_>>();
    let gradient = features.grad(&gradients).unwrap();
    assert_eq!(gradient.dtype(), dtype);
    (
        values(out.loss.into_data())[0],
        values(gradient.into_data()),
        out.selected,
        out.active,
    )
}

fn squared_distance(x: &[f64], size: usize, normalise: bool, i: usize, j: usize) -> f64 {
    let row = |i: usize| {
        let row = &x[i * size..(i + 1) * size];
        let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
        let by = if normalise { norm } else { 1.0 };
        row.iter().map(move |v| v / by).collect::<Vec<f64>>()
    };
    row(i)
        .iter()
        .zip(row(j))
        .map(|(a, b)| (a - b).powi(2))
        .sum()
}

fn contrastive(
    config: ContrastiveLossConfig,
) -> impl Fn(Tensor<2>, Tensor<1, Int>) -> DistanceLoss {
    let loss = ContrastiveLoss::new(config).unwrap();
    move |x, labels| loss.forward(x, labels, 3).unwrap()
}

fn triplet(config: TripletLossConfig) -> impl Fn(Tensor<2>, Tensor<1, Int>) -> DistanceLoss {
    let loss = TripletLoss::new(config).unwrap();
    move |x, labels| loss.forward(x, labels, 3).unwrap()
}

#[test]
fn all_pairs_are_the_double_loop() {
    let x = features(9, 4, 1);
    for normalise in [true, false] {
        let margin = 1.3;
        let (mut sum, mut count) = (0.0, 0);
        for (i, one) in LABELS.iter().enumerate() {
            for (j, other) in LABELS[..i].iter().enumerate() {
                let squared = squared_distance(&x, 4, normalise, i, j);
                sum += if one == other {
                    squared / 2.0
                } else {
                    (margin - squared.sqrt()).max(0.0).powi(2) / 2.0
                };
                count += 1;
            }
        }
        let loss = contrastive(ContrastiveLossConfig {
            margin,
            normalise,
            ..ContrastiveLossConfig::default()
        });
        let (found, _, selected, _) = solve(&loss, &x, &LABELS, DType::F64);
        assert_eq!(selected, count);
        assert!((found - sum / count as f64).abs() < 1e-13, "{found}");
        let (found, ..) = solve(&loss, &x, &LABELS, DType::F32);
        assert!((found - sum / count as f64).abs() < 1e-6, "{found}");
    }
}

/// All triplets and those of each selection, by three loops.
#[test]
fn triplets_are_the_triple_loop() {
    let x = features(9, 4, 2);
    for (margin, normalise) in [(0.2, true), (0.9, false), (3.0, false)] {
        let d = |i, j| squared_distance(&x, 4, normalise, i, j);
        let mut found = Vec::new();
        for (selection, takes) in [
            (
                T::All,
                (|_, _, _, _| true) as fn(f64, f64, f64, [&[f64]; 2]) -> bool,
            ),
            (T::Hard, |_, far, _, [_, negatives]| {
                negatives.iter().all(|&n| far <= n)
            }),
            (T::SemiHard, |near, far, margin, [_, negatives]| {
                far > near
                    && far < near + margin
                    && negatives.iter().all(|&n| n <= near || far <= n)
            }),
            (T::BatchHard, |near, far, _, [positives, negatives]| {
                negatives.iter().all(|&n| far <= n) && positives.iter().all(|&p| near >= p)
            }),
        ] {
            let (mut sum, mut selected, mut active) = (0.0, 0, 0);
            for (a, class) in LABELS.iter().enumerate() {
                let others = |same: bool| {
                    (0..9)
                        .filter(|&i| i != a && (LABELS[i] == *class) == same)
                        .collect::<Vec<usize>>()
                };
                let distances = [true, false]
                    .map(|same| others(same).iter().map(|&i| d(a, i)).collect::<Vec<_>>());
                for &p in &others(true) {
                    for &n in &others(false) {
                        let (near, far) = (d(a, p), d(a, n));
                        if takes(near, far, margin, [&distances[0], &distances[1]]) {
                            let loss = (near - far + margin).max(0.0);
                            sum += loss;
                            selected += 1;
                            active += u64::from(loss > 0.0);
                        }
                    }
                }
            }
            let loss = triplet(TripletLossConfig {
                margin,
                selection,
                normalise,
                seed: 0,
            });
            let (value, _, chosen, with_loss) = solve(&loss, &x, &LABELS, DType::F64);
            assert_eq!((chosen, with_loss), (selected, active), "{selection:?}");
            let expected = sum / active.max(1) as f64;
            assert!(
                (value - expected).abs() < 1e-12,
                "{selection:?}: {value} {expected}"
            );
            found.push(selected);
        }
        assert!(found.iter().all(|&count| count > 0), "{found:?}");
    }
}

#[test]
fn gradients_are_central_differences() {
    let x = features(9, 4, 5);
    let mut losses: Vec<(String, Box<Run>)> = Vec::new();
    for normalise in [true, false] {
        for selection in [P::All, P::Random, P::Hard] {
            let config = ContrastiveLossConfig {
                margin: 1.5,
                selection,
                normalise,
                seed: 6,
            };
            losses.push((format!("{config:?}"), Box::new(contrastive(config))));
        }
        for selection in [T::All, T::Random, T::Hard, T::SemiHard, T::BatchHard] {
            let config = TripletLossConfig {
                margin: 0.7,
                selection,
                normalise,
                seed: 6,
            };
            losses.push((format!("{config:?}"), Box::new(triplet(config))));
        }
    }
    for (name, loss) in losses {
        let (_, gradient, selected, _) = solve(&loss, &x, &LABELS, DType::F64);
        assert!(selected > 0);
        let step = 1e-6;
        for (at, &found) in gradient.iter().enumerate() {
            let value = |by: f64| {
                let mut x = x.clone();
                x[at] += by;
                solve(&loss, &x, &LABELS, DType::F64).0
            };
            let expected = (value(step) - value(-step)) / (2.0 * step);
            assert!(
                (found - expected).abs() < 1e-7,
                "{name} {at}: {found} {expected}"
            );
        }
        let (_, single, ..) = solve(&loss, &x, &LABELS, DType::F32);
        for (a, b) in single.iter().zip(&gradient) {
            assert!((a - b).abs() < 1e-5, "{name}");
        }
    }
}

#[test]
fn features_in_one_place_and_at_the_origin_have_finite_gradients() {
    let spread = features(3, 4, 7);
    let same = spread[..4].repeat(9);
    let zeros = vec![0.0; 36];
    let huge: Vec<f64> = features(9, 4, 8).iter().map(|v| v * 1e30).collect();
    for selection in [P::All, P::Random, P::Hard] {
        let config = ContrastiveLossConfig {
            selection,
            ..ContrastiveLossConfig::default()
        };
        for (name, x) in [("same", &same), ("zeros", &zeros), ("huge", &huge)] {
            let (loss, gradient, ..) = solve(&contrastive(config), x, &LABELS, DType::F32);
            assert!(
                loss.is_finite() && gradient.iter().all(|g| g.is_finite()),
                "{name}"
            );
            if name != "huge" {
                assert!(loss > 0.0);
            }
        }
    }
    for selection in [T::All, T::Random, T::Hard, T::SemiHard, T::BatchHard] {
        let config = TripletLossConfig {
            selection,
            ..TripletLossConfig::default()
        };
        for x in [&same, &zeros, &huge] {
            let (loss, gradient, ..) = solve(&triplet(config), x, &LABELS, DType::F32);
            assert!(loss.is_finite() && gradient.iter().all(|g| g.is_finite()));
        }
    }
}

#[test]
fn nan_reaches_the_loss_and_nothing_to_compare_is_0() {
    let mut x = features(9, 4, 9);
    x[5] = f64::NAN;
    let pair = contrastive(ContrastiveLossConfig::default());
    let three = triplet(TripletLossConfig::default());
    let losses: [Loss<'_>; 2] = [&pair, &three];
    for loss in losses {
        assert!(solve(loss, &x, &LABELS, DType::F32).0.is_nan());
        let (value, gradient, selected, active) = solve(loss, &[1.0, 2.0], &[3], DType::F32);
        assert_eq!(
            (value, gradient, selected, active),
            (0.0, vec![0.0; 2], 0, 0)
        );
    }
    // One class: no negative; all classes different: no positive.
    let x = features(4, 3, 10);
    assert_eq!(solve(&three, &x, &[1; 4], DType::F32).2, 0);
    assert_eq!(solve(&three, &x, &[1, 2, 3, 4], DType::F32).2, 0);
}

#[test]
fn random_negatives_are_a_function_of_seed_and_step() {
    let x = features(9, 4, 11);
    let value = |seed, step| {
        let config = TripletLossConfig {
            selection: T::Random,
            margin: 4.0,
            seed,
            ..TripletLossConfig::default()
        };
        let loss = TripletLoss::new(config).unwrap();
        solve(
            &|x, labels| loss.forward(x, labels, step).unwrap(),
            &x,
            &LABELS,
            DType::F64,
        )
        .0
    };
    assert_eq!(value(1, 2).to_bits(), value(1, 2).to_bits());
    assert_ne!(value(1, 2), value(1, 3));
    assert_ne!(value(1, 2), value(2, 2));
}

#[test]
fn centres_follow_their_classes() {
    let device = Device::flex().autodiff();
    let matrix = |values: &[f64], columns: usize| {
        let data = TensorData::new(values.to_vec(), [values.len() / columns, columns]);
        Tensor::<2>::from_data(data, (&device, DType::F64))
    };
    let ints = |values: &[i64]| {
        Tensor::<1, Int>::from_data(TensorData::new(values.to_vec(), [values.len()]), &device)
    };
    let mut loss = CenterLossConfig::new(3, 2).init(&device).unwrap();
    let centers = [1.0, 0.0, 0.0, 2.0, 5.0, 5.0];
    loss.centers = burn::module::Param::from_tensor(matrix(&centers, 2)).no_grad();
    let x = [3.0, 0.0, 0.0, 0.0, 1.0, 4.0];
    let features = matrix(&x, 2).require_grad();
    let labels = || ints(&[0, 0, 1]);
    let found = loss.forward(features.clone(), labels()).unwrap();
    let gradients = found.backward();
    // Squared distances 4, 1, 5.
    let values = |t: Tensor<2>| t.into_data().iter::<f64>().collect::<Vec<_>>();
    assert_eq!(found.into_data().iter::<f64>().next(), Some(10.0 / 6.0));
    let gradient = values(features.grad(&gradients).unwrap());
    for (found, expected) in gradient.iter().zip([2.0, 0.0, -1.0, 0.0, 1.0, 2.0]) {
        // Burn's own operations round to f32 in the backward pass.
        assert!((found - expected / 3.0).abs() < 1e-7, "{gradient:?}");
    }
    // c -= 0.5 Σ (c - x) / (1 + n); the batch has no sample of the third class.
    let moved = loss.clone().update(features.clone(), labels()).unwrap();
    let expected = [1.0 + 0.5 * 1.0 / 3.0, 0.0, 0.25, 2.5, 5.0, 5.0];
    for (found, expected) in values(moved.centers.val()).iter().zip(expected) {
        assert!((found - expected).abs() < 1e-15, "{found} {expected}");
    }
    let error = loss.forward(features, ints(&[0, 3, 1])).unwrap_err();
    assert!(error.to_string().contains("label 3 in row 1"), "{error}");
}

/// A row of zeros has no direction: its gradient is 0, and the gradients of the others are bounded.
#[test]
fn rows_of_zeros_get_no_gradient_under_normalised_distances() {
    let pair = contrastive(ContrastiveLossConfig::default());
    let triplets = triplet(TripletLossConfig {
        selection: T::All,
        ..TripletLossConfig::default()
    });
    let losses: [Loss<'_>; 2] = [&pair, &triplets];
    for zeros in [0.0, -0.0, 1e-34] {
        let mut x = features(9, 4, 11);
        x[..4].fill(zeros);
        x[16..20].fill(0.0);
        for loss in losses {
            for dtype in [DType::F32, DType::F64, DType::F16] {
                let (value, gradient, ..) = solve(loss, &x, &LABELS, dtype);
                assert!(value.is_finite());
                assert_eq!(gradient[..4], [0.0; 4], "{dtype:?}");
                assert_eq!(gradient[16..20], [0.0; 4], "{dtype:?}");
                assert!(gradient.iter().all(|d| d.abs() < 10.0), "{gradient:?}");
                assert!(gradient[4..8].iter().any(|d| *d != 0.0));
            }
        }
    }
}

/// Distances of half-precision features are computed in f32.
#[test]
fn half_precision_is_measured_in_f32() {
    let pair = contrastive(ContrastiveLossConfig {
        normalise: false,
        ..ContrastiveLossConfig::default()
    });
    // Far from the origin, where f16 resolves a distance to 0.1 at best.
    let near: Vec<f64> = features(9, 4, 5).iter().map(|v| 40.0 + v).collect();
    for dtype in [DType::F16, DType::BF16] {
        let device = Device::flex();
        let data = TensorData::new(near.clone(), [9, 4]);
        let rounded = Tensor::<2>::from_data(data, (&device, dtype));
        let rounded: Vec<f64> = rounded.into_data().iter::<f64>().collect();
        let (half, ..) = solve(&pair, &rounded, &LABELS, dtype);
        let (exact, ..) = solve(&pair, &rounded, &LABELS, DType::F64);
        assert!((half - exact).abs() < 1e-5 * exact.abs(), "{half} {exact}");
        let labels = Tensor::<1, Int>::from_data(LABELS, &device);
        let x = Tensor::<2>::from_data(TensorData::new(rounded, [9, 4]), (&device, dtype));
        let center = CenterLossConfig::new(8, 4).init(&device).unwrap();
        let loss = center.forward(x.clone(), labels.clone()).unwrap();
        assert_eq!(loss.dtype(), DType::F32);
        let center = center.update(x, labels).unwrap();
        assert_eq!(center.centers.val().dtype(), DType::F32);
    }
}

/// In any module: on both kinds of device, tracked or not, before or after a backward pass.
#[test]
fn centres_move_wherever_they_are() {
    let plain = Device::flex();
    let device = plain.clone().autodiff();
    let config = CenterLossConfig::new(8, 4);
    let x = |device: &Device| {
        let data = TensorData::new(features(9, 4, 3), [9, 4]);
        Tensor::<2>::from_data(data, device)
    };
    let labels = |device: &Device| Tensor::<1, Int>::from_data(LABELS, device);
    let centers = |loss: &CenterLoss| loss.centers.val().into_data().iter::<f64>().collect();
    let update = |loss: CenterLoss, x: Tensor<2>| {
        let device = x.device();
        let id = loss.centers.id;
        let moved = loss.update(x, labels(&device)).unwrap();
        assert_eq!(moved.centers.id, id, "the parameter stays the same one");
        moved
    };
    let own = update(config.init(&plain).unwrap(), x(&plain));
    let expected: Vec<f64> = centers(&own);
    let check = |loss: &CenterLoss| assert_eq!(centers(loss), expected);
    check(&update(config.init(&device).unwrap(), x(&device)));
    check(&update(
        config.init(&device).unwrap(),
        x(&device).require_grad(),
    ));
    // Computed features, and a tracked centre.
    let computed = x(&device).require_grad() * 1.0;
    let tracked = |mut loss: CenterLoss| {
        loss.centers = loss.centers.set_require_grad(true);
        loss
    };
    check(&update(
        tracked(config.init(&device).unwrap()),
        computed.clone(),
    ));
    // From a record, switched to training.
    let loaded = config.init(&device).unwrap();
    let loaded = loaded.load_record(config.init(&plain).unwrap().into_record());
    check(&update(loaded, computed.clone()));
    check(&update(
        config.init(&plain).unwrap().train(),
        computed.clone(),
    ));
    // After a backward pass, in which the centres are constants.
    let loss = tracked(config.init(&device).unwrap());
    let features = x(&device).require_grad();
    let value = loss.forward(features.clone(), labels(&device)).unwrap();
    let gradients = value.backward();
    assert!(features.grad(&gradients).is_some());
    assert!(loss.centers.val().grad(&gradients).is_none());
    let moved = update(loss, features);
    check(&moved);
    let again = moved.update(computed, labels(&device)).unwrap();
    assert!(centers(&again) != expected);
}

#[test]
fn what_does_not_fit_is_refused() {
    let device = Device::flex();
    let x = Tensor::<2>::zeros([2, 3], &device);
    let labels = Tensor::<1, Int>::zeros([3], &device);
    let error = |result: Result<DistanceLoss, Error>| result.unwrap_err().to_string();
    let loss = TripletLoss::new(TripletLossConfig::default()).unwrap();
    assert!(error(loss.forward(x.clone(), labels.clone(), 0)).contains("2 features"));
    let loss = ContrastiveLoss::new(ContrastiveLossConfig::default()).unwrap();
    assert!(error(loss.forward(x, labels, 0)).contains("3 labels"));
    for margin in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let triplet = TripletLossConfig {
            margin,
            ..TripletLossConfig::default()
        };
        let pair = ContrastiveLossConfig {
            margin,
            ..ContrastiveLossConfig::default()
        };
        assert!(
            TripletLoss::new(triplet)
                .unwrap_err()
                .to_string()
                .starts_with("margin must be finite")
        );
        assert!(ContrastiveLoss::new(pair).is_err());
    }
    let rate = CenterLossConfig {
        rate: 1.5,
        ..CenterLossConfig::new(2, 2)
    };
    assert!(rate.init(&device).unwrap_err().to_string().contains("rate"));
    assert!(CenterLossConfig::new(0, 2).init(&device).is_err());
}
