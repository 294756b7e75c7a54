//! One test for each defect found in other implementations of these losses.
//!
//! The comment above each test names where the defect was found. Line numbers are those of the
//! default branches in 2026.

mod common;

use burn::module::Module as _;
use burn::tensor::{DType, Device, Tensor, TensorData};
use common::{
    Answer, Problem, Random, Worst, all_losses, burn, burn_as, distance, dot, kernel, labels_of,
    matrix, norm, solve, values,
};
use lsoftmax::margin::{Normalisation, Psi, Target, TargetLogit, blend};
use lsoftmax::{
    Annealing, Error, Lambda, Loss, MarginError, MarginHead, MarginHeadConfig, margin_cross_entropy,
};
use lsoftmax_kernels::head::{HeadError, Pair, Sample};
use std::sync::Arc;

const MULTIPLIERS: std::ops::RangeInclusive<u32> = 1..=16;

/// The results of the kernel in f64 and f32 and of the Burn operation.
fn answers(problem: &Problem, loss: Loss, lambda: f64) -> [Answer; 3] {
    let margin: Arc<dyn lsoftmax::Margin> = loss.margin().unwrap().into();
    [
        kernel::<f64>(problem, &*margin, lambda).0,
        kernel::<f32>(problem, &*margin, lambda).0,
        burn(problem, margin, lambda),
    ]
}

fn l_softmax() -> impl Iterator<Item = Loss> {
    MULTIPLIERS.map(|m| Loss::LSoftmax { m })
}

// wy1iu/LargeMargin_Softmax_Loss largemargin_inner_product_layer.cu:40 (0 / 0) and .cpp:392-393,
// 424-425, 457-458 (inf * 0); jihunchoi, mx-lsoftmax lsoftmax.py:67, tf.extra_losses, auroua
// nets/l_softmax.py:10 and face-recognition-caffe2 lsoftmax_with_loss.cc:158 have no epsilon
// either. pytorch-metric-learning large_margin_softmax_loss.py: finite, but the gradient is zero,
// and the sample never leaves the origin.
#[test]
fn zero_feature_divides_by_its_norm() {
    let problem = Problem::new(
        2,
        &[&[0.0, 0.0]],
        &[&[1.0, 2.0], &[-0.5, 0.25], &[0.75, -1.0]],
        &[1],
    );
    let softmax = solve(&problem, Loss::Softmax, 0.0);
    // All logits are 0, and the gradient pulls towards the own class weight.
    assert!((softmax.loss - 3f64.ln()).abs() < 1e-15);
    assert!(dot(&softmax.dx, problem.weight(1)) < -0.1);
    for loss in l_softmax() {
        for answer in answers(&problem, loss, 0.0) {
            assert!((answer.loss - 3f64.ln()).abs() < 1e-7);
            assert!(distance(&answer.dx, &softmax.dx) < 1e-7, "{loss}");
            assert!(answer.dw.iter().all(|&d| d == 0.0), "{loss}");
        }
    }
    for loss in all_losses() {
        for answer in answers(&problem, loss, 0.0) {
            assert!((answer.loss - 3f64.ln()).abs() < 1e-7, "{loss}");
            assert!(answer.is_finite(), "{loss}");
        }
        // If the length is not normalised, a margin lets the sample move away.
        if loss
            .margin()
            .unwrap()
            .normalisation()
            .feature_scale
            .is_none()
        {
            assert!(norm(&solve(&problem, loss, 0.0).dx) > 0.1, "{loss}");
        }
    }
}

// The same lines, and mx-lsoftmax lsoftmax.py:105 -> :36 "can not find k".
#[test]
fn zero_class_weight_divides_by_its_norm() {
    let problem = Problem::new(2, &[&[1.0, 2.0]], &[&[0.5, -0.25], &[0.0, 0.0]], &[1]);
    let softmax = solve(&problem, Loss::Softmax, 0.0);
    for loss in l_softmax() {
        for answer in answers(&problem, loss, 0.0) {
            assert!(distance(&answer.dw, &softmax.dw) < 1e-7, "{loss}");
            assert!(distance(&answer.dx, &softmax.dx) < 1e-7, "{loss}");
            // The class weight leaves the origin towards its sample.
            assert!(dot(&answer.dw[2..], &problem.x) < -0.1);
        }
    }
    for loss in all_losses() {
        for answer in answers(&problem, loss, 0.0) {
            assert!(answer.is_finite(), "{loss}");
        }
    }
}

// The same as users see it, wy1iu/LargeMargin_Softmax_Loss issues #3, #8, #10 ("loss = 87.3365"):
// ReLU features die, and whole rows are zero next to others that are not.
#[test]
fn dead_relu_features_poison_the_batch() {
    let mut random = Random(11);
    for loss in all_losses() {
        let mut problem = random.turned_problem(6, 4, 5);
        let alive = Problem {
            batch: 4,
            x: problem.x[2 * 5..].to_vec(),
            labels: problem.labels[2..].to_vec(),
            ..problem.clone()
        };
        problem.x[..2 * 5].fill(0.0);
        let expected = solve(&alive, loss, 0.0);
        let [answer, in_f32, in_burn] = answers(&problem, loss, 0.0);
        assert!(in_f32.is_finite() && in_burn.is_finite(), "{loss}");
        let total = 4.0 * expected.loss + 2.0 * 4f64.ln();
        assert!((answer.loss * 6.0 / total - 1.0).abs() < 1e-13, "{loss}");
        let living: Vec<f64> = answer.dx[2 * 5..].iter().map(|d| d * 6.0 / 4.0).collect();
        assert!(distance(&living, &expected.dx) < 1e-12, "{loss}");
    }
    // All rows are zero.
    let problem = Problem::new(2, &[&[0.0; 2][..]; 3], &[&[0.0; 2][..]; 4], &[0, 1, 3]);
    for loss in all_losses() {
        for answer in answers(&problem, loss, 0.0) {
            assert!((answer.loss - 4f64.ln()).abs() < 1e-6 && answer.is_finite());
        }
    }
}

// mx-lsoftmax operator/lsoftmax.cu:60, 179, 228 and face-recognition-caffe2 lsoftmax_with_loss.cc:77,
// 259, 292 divide by cos^2; mx-lsoftmax lsoftmax.py:122, 142 and auroua nets/l_softmax.py:116 take
// c^(-1) * 0; tf.extra_losses grad .cc:171 takes c^(m-2p-1).
#[test]
fn cosine_of_exactly_0_divides_by_itself() {
    let problem = Problem::new(2, &[&[3.0, 0.0]], &[&[0.0, 2.0], &[-1.0, 1.0]], &[0]);
    for m in MULTIPLIERS {
        let loss = Loss::LSoftmax { m };
        let margin = loss.margin().unwrap();
        let (answer, samples) = kernel::<f64>(&problem, &*margin, 0.0);
        let m = f64::from(m);
        assert_eq!(samples[0].target.cosine, 0.0);
        assert_eq!(samples[0].logit, -(m - 1.0) * 6.0);
        // Even m: no tangential pull at all. Odd m: m times the plain one.
        let slope = if m % 2.0 == 0.0 { 0.0 } else { m };
        assert_eq!(samples[0].entry, slope);
        assert_eq!(samples[0].along_feature, -(m - 1.0) * 2.0 / 3.0);
        assert!(answer.is_finite());
        for answer in answers(&problem, loss, 0.0) {
            // The negative class has logit -3; p is the softmax of the target.
            let f = -(m - 1.0) * 6.0;
            let expected = (-3.0 - f).exp().ln_1p();
            assert!((answer.loss - expected).abs() < 1e-6 * expected.max(1.0));
            assert!(answer.is_finite());
        }
    }
    for loss in all_losses() {
        assert!(answers(&problem, loss, 0.0).iter().all(Answer::is_finite));
    }
}

// jihunchoi/lsoftmax-pytorch lsoftmax.py:32: arccosine of an unclamped cosine; tf.extra_losses
// py_loss.py:88: sqrt(1 - c^2) unclamped; pytorch-metric-learning arcface_loss.py:29-33: derivative
// of the arccosine at +-1 is infinite.
#[test]
fn cosine_beyond_1_by_rounding_is_nan() {
    for inner in [1.0, 1.0 + 1e-6, -1.0, -1.0 - 1e-6] {
        for loss in all_losses() {
            let margin = loss.margin().unwrap();
            let pair = Pair::new(inner * 6.0, 2.0, 3.0, margin.normalisation());
            let sample = Sample::new(&pair, &|t| blend(&*margin, 0.0, t));
            assert_eq!(sample.target.cosine, inner.clamp(-1.0, 1.0));
            let scalars = [
                sample.logit,
                sample.entry,
                sample.along_feature,
                sample.along_weight,
            ];
            assert!(scalars.iter().all(|v| v.is_finite()), "{loss} at {inner}");
        }
    }
    // Parallel and opposite vectors in f32, where f32 sums put a third of the cosines above 1.
    let mut random = Random(64);
    for _ in 0..50 {
        let w = random.vector(64);
        let scale = random.real(0.1, 10.0);
        for sign in [1.0, -1.0] {
            let x: Vec<f64> = w
                .iter()
                .map(|v| f64::from((v * sign * scale) as f32))
                .collect();
            let other = random.vector(64);
            let problem = Problem::new(64, &[&x], &[&w, &other], &[0]);
            for loss in all_losses() {
                assert!(
                    answers(&problem, loss, 0.0).iter().all(Answer::is_finite),
                    "{loss}"
                );
            }
        }
    }
}

// A clamp that is differentiated has a zero gradient outside: the margin's slope at +-1 is m^2.
#[test]
fn clamping_the_cosine_kills_the_gradient() {
    for m in MULTIPLIERS {
        let margin = Loss::LSoftmax { m }.margin().unwrap();
        for inner in [1.0, -1.0, 1.0 + 1e-6] {
            let pair = Pair::new(inner, 1.0, 1.0, Normalisation::default());
            let sample = Sample::new(&pair, &|t| blend(&*margin, 0.0, t));
            assert_eq!(sample.entry, f64::from(m * m));
        }
    }
}

// tf.extra_losses l_softmax_op.cc:167-173 (.cu:89-95, grad .cc:148-154, grad .cu:85-91): at c = -1 no
// threshold matches, k stays 0, and the worst sample gets +1 for even m. mx-lsoftmax
// operator/lsoftmax.cu:49 does so below -1 - 1e-5.
#[test]
fn cosine_of_minus_1_falls_back_to_sector_0() {
    for m in MULTIPLIERS {
        let worst = 1.0 - 2.0 * f64::from(m);
        for cosine in [-1.0, -1.0 + 1e-16] {
            let (value, slope) = Psi::new(m).unwrap().at(cosine);
            assert!((value - worst).abs() < 1e-13, "m = {m}: {value}");
            assert!((slope - f64::from(m * m)).abs() < 1e-10);
        }
        let problem = Problem::new(2, &[&[-3.0, -4.0]], &[&[6.0, 8.0], &[1.0, 0.0]], &[0]);
        let margin = Loss::LSoftmax { m }.margin().unwrap();
        for samples in [
            kernel::<f64>(&problem, &*margin, 0.0).1,
            kernel::<f32>(&problem, &*margin, 0.0).1,
        ] {
            assert_eq!(samples[0].target.cosine, -1.0);
            assert!(
                (samples[0].logit / (50.0 * worst) - 1.0).abs() < 1e-7,
                "m = {m}"
            );
        }
    }
}

// mx-lsoftmax operator/lsoftmax.cu:43 reads one past the end of its table when nothing matched.
#[test]
fn every_sector_up_to_the_last_is_found() {
    for m in MULTIPLIERS {
        for k in 0..m {
            let middle = (f64::from(k) + 0.5) * std::f64::consts::PI / f64::from(m);
            let value = Psi::new(m).unwrap().at(middle.cos()).0;
            assert!(
                (value + 2.0 * f64::from(k)).abs() < 1e-13,
                "m = {m}, k = {k}"
            );
        }
    }
}

// wy1iu/LargeMargin_Softmax_Loss issue #10: the log shows a feature length of inf; squares of f16
// above 65504 and of f32 above 3.4e38 overflow where the logits do not.
#[test]
fn squares_of_norms_overflow_or_vanish() {
    let (x, other) = ([0.6, 0.5, -0.3], [0.1, -0.7, 0.2]);
    let (w, wrong) = ([0.5, 0.9, 0.4], [-0.2, 0.8, 0.6]);
    let scaled = |v: &[f64], by: f64| v.iter().map(|v| v * by).collect::<Vec<f64>>();
    let at = |of_x: f64, of_w: f64| {
        Problem::new(
            3,
            &[&scaled(&x, of_x), &scaled(&other, of_x)],
            &[&scaled(&w, of_w), &scaled(&wrong, of_w)],
            &[0, 1],
        )
    };
    for loss in all_losses() {
        let Normalisation {
            weights,
            feature_scale,
        } = loss.margin().unwrap().normalisation();
        let unit = solve(&at(1.0, 1.0), loss, 0.0);
        for [of_x, of_w] in [
            [1e15, 1e-15],
            [1e-25, 1e25],
            [1e25, 1e-25],
            [1e-28, 1e28],
            [1e29, 1e-29],
            [1e-29, 1.0],
            [1.0, 1e35],
            [1e36, 1e36],
        ] {
            // Logits that the margin does not change must stay as they are.
            let same = match (feature_scale, weights) {
                (Some(_), true) => true,
                (None, true) => of_x == 1.0,
                _ => of_x * of_w == 1.0,
            };
            if !same {
                continue;
            }
            let problem = at(of_x, of_w);
            for answer in answers(&problem, loss, 0.0) {
                let place = format!("{loss}, x {of_x:e}, w {of_w:e}");
                assert!(
                    (answer.loss / unit.loss - 1.0).abs() < 2e-5,
                    "{place}: {}",
                    answer.loss
                );
                // For a vector of twice the length, half the gradient.
                let dx = scaled(&answer.dx, of_x);
                let dw = scaled(&answer.dw, of_w);
                assert!(distance(&dx, &unit.dx) < 2e-5, "{place}, dX");
                let fits = of_w < 1e30;
                assert!(!fits || distance(&dw, &unit.dw) < 2e-5, "{place}, dW");
            }
        }
    }
}

// The same in the margin's own operation, with vectors of ordinary size in half precision: 512
// features of rms 12 have squares that sum to 73,728.
#[test]
fn squares_of_norms_overflow_in_half_precision() {
    let mut random = Random(512);
    let mut problem = random.problem(4, 5, 512);
    for x in &mut problem.x {
        *x *= 20.0;
    }
    for w in &mut problem.w {
        *w *= 0.01;
    }
    let margin: Arc<dyn lsoftmax::Margin> = Loss::LSoftmax { m: 4 }.margin().unwrap().into();
    let answer = burn_as(&problem, margin, 0.0, [DType::F16; 2]);
    assert!(answer.is_finite(), "{}", answer.loss);
}

// A logit difference of a thousand is a loss of a thousand: where softmax is taken before the
// logarithm, the loss stops at -ln(FLT_MIN) = 87.3365 and the gradient with it (wy1iu issues #3,
// #8, #10; wy1iu/sphereface issues #40, #103).
#[test]
fn loss_stops_at_87() {
    let problem = Problem::new(1, &[&[-10.0]], &[&[10.0], &[0.0]], &[0]);
    for m in MULTIPLIERS {
        let expected = 100.0 * (2.0 * f64::from(m) - 1.0);
        for answer in answers(&problem, Loss::LSoftmax { m }, 0.0) {
            assert!((answer.loss / expected - 1.0).abs() < 1e-6, "m = {m}");
            assert!(answer.is_finite() && answer.dx[0] != 0.0);
        }
    }
}

// A class without a sample in the batch only pushes away: no NaN from an empty mean, no outdated
// norm.
#[test]
fn class_absent_from_the_batch() {
    let mut random = Random(23);
    for loss in all_losses() {
        let mut problem = random.turned_problem(4, 6, 5);
        problem.labels = vec![0, 2, 2, 5];
        let answer = solve(&problem, loss, 0.0);
        assert!(answer.is_finite(), "{loss}");
        let margin = loss.margin().unwrap();
        let (_, samples) = kernel::<f64>(&problem, &*margin, 0.0);
        if margin.normalisation() == Normalisation::default() {
            // dw_j = sum_i p_ij x_i / batch, with p of the margin's logits.
            for class in [1u32, 3, 4] {
                let mut expected = vec![0.0; 5];
                for (row, sample) in samples.iter().enumerate() {
                    let x = problem.feature(row);
                    let mut logits: Vec<f64> = (0..6).map(|j| dot(x, problem.weight(j))).collect();
                    logits[problem.labels[row] as usize] = sample.logit;
                    let sum: f64 = logits.iter().map(|v| v.exp()).sum();
                    let p = logits[class as usize].exp() / sum;
                    for (e, v) in expected.iter_mut().zip(x) {
                        *e += p * v / 4.0;
                    }
                }
                let found = &answer.dw[class as usize * 5..][..5];
                assert!(distance(found, &expected) < 1e-12, "{loss}");
            }
        }
        // Zero entries of the features give zero entries of its gradient if nothing is normalised.
        for row in 0..4 {
            problem.x[row * 5 + 3] = 0.0;
        }
        if margin.normalisation() == Normalisation::default() {
            let answer = solve(&problem, loss, 0.0);
            assert!(
                [1, 3, 4].iter().all(|j| answer.dw[j * 5 + 3] == 0.0),
                "{loss}"
            );
        }
    }
}

#[test]
fn one_class_only() {
    let mut random = Random(29);
    for loss in all_losses() {
        let problem = random.turned_problem(3, 1, 4);
        for answer in answers(&problem, loss, 0.0) {
            assert_eq!(answer.loss, 0.0, "{loss}");
            let zero = |d: &f64| d.abs() == 0.0;
            assert!(
                answer.dx.iter().all(zero) && answer.dw.iter().all(zero),
                "{loss}"
            );
        }
    }
}

// The mean over a batch is the mean of its samples computed one by one.
#[test]
fn batch_of_one() {
    let mut random = Random(31);
    for loss in all_losses() {
        let problem = random.turned_problem(5, 4, 3);
        let whole = solve(&problem, loss, 5.0);
        let mut sum = Answer {
            loss: 0.0,
            dx: Vec::new(),
            dw: vec![0.0; whole.dw.len()],
        };
        for row in 0..5 {
            let one = Problem {
                batch: 1,
                x: problem.feature(row).to_vec(),
                labels: vec![problem.labels[row]],
                ..problem.clone()
            };
            let answer = solve(&one, loss, 5.0);
            sum.loss += answer.loss / 5.0;
            sum.dx.extend(answer.dx.iter().map(|d| d / 5.0));
            for (s, d) in sum.dw.iter_mut().zip(answer.dw) {
                *s += d / 5.0;
            }
        }
        assert!((sum.loss / whole.loss - 1.0).abs() < 1e-12);
        assert!(distance(&sum.dx, &whole.dx) < 1e-12);
        assert!(distance(&sum.dw, &whole.dw) < 1e-12);
    }
}

fn with_labels(labels: &[i64]) -> Result<(), Error> {
    let device = Device::flex();
    let x = Tensor::<2>::ones([labels.len(), 2], &device);
    let w = Tensor::<2>::ones([3, 2], &device);
    let data = TensorData::new(labels.to_vec(), [labels.len()]);
    let labels = Tensor::from_data(data, (&device, DType::I64));
    margin_cross_entropy(x, w, labels, Arc::new(lsoftmax::margin::Softmax), 0.0).map(drop)
}

// An unchecked label reads past a row, is clamped, or is dropped from the loss.
#[test]
fn label_out_of_range_is_not_noticed() {
    assert_eq!(with_labels(&[0, 1, 2]), Ok(()));
    for wrong in [3, -1, i64::from(i32::MAX), i64::from(i32::MIN)] {
        let error = with_labels(&[0, wrong, 2]).unwrap_err();
        assert_eq!(
            error,
            Error::Batch(HeadError::Label {
                row: 1,
                label: wrong,
                classes: 3
            })
        );
        assert_eq!(
            error.to_string(),
            format!("label {wrong} in row 1 is out of range: there are 3 classes (0 to 2)")
        );
    }
    // A label of 2^32 must not wrap around to 0 either.
    assert!(with_labels(&[1 << 32]).is_err());
}

// wy1iu/LargeMargin_Softmax_Loss has m up to 4 only; auroua nets/l_softmax.py:33-38 swallows "cannot
// find k"; tf.extra_losses takes any m and overflows (next test).
#[test]
fn m_out_of_range_is_not_noticed() {
    for m in [0, 17, u32::MAX] {
        for loss in [Loss::LSoftmax { m }, Loss::ASoftmax { m }] {
            assert_eq!(loss.margin().unwrap_err(), MarginError::Multiplier(m));
            let config = MarginHeadConfig::new(2, 3, Annealing::none()).with_loss(loss);
            let error = config.init(&Device::flex()).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("the angular margin m must be a whole number from 1 to 16, found {m}")
            );
        }
    }
}

// tf.extra_losses l_softmax_op.cu: 32-bit factorials overflow from m = 13 on. Horner's rule in
// monomials, as in the closed forms, is wrong by 1e-2 at m = 16 in f32.
#[test]
fn large_m_loses_all_digits() {
    let mut worst = Worst::default();
    for m in 13..=16 {
        let psi = Psi::new(m).unwrap();
        for i in 0..=4000 {
            let theta = f64::from(i) / 4000.0 * std::f64::consts::PI;
            let error = psi.at(theta.cos()).0 - common::psi_of_angle(m, theta);
            worst.see(error.abs(), format_args!("m = {m}, {theta}"));
        }
    }
    worst.below(1e-12);
}

// mx-lsoftmax operator/lsoftmax.cu:49 takes k = 0 for NaN; caffe's clamps turn NaN into a number.
#[test]
fn nan_or_infinity_becomes_a_silent_number() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for loss in all_losses() {
            for lambda in [0.0, 5.0, f64::INFINITY] {
                let mut problem = Random(37).problem(3, 4, 5);
                problem.x[7] = bad;
                for answer in answers(&problem, loss, lambda) {
                    assert!(answer.loss.is_nan(), "{loss}, {bad}: {}", answer.loss);
                }
                let mut problem = Random(37).problem(3, 4, 5);
                problem.labels[0] = 2;
                problem.w[2 * 5 + 1] = bad;
                for answer in answers(&problem, loss, lambda) {
                    assert!(answer.loss.is_nan(), "{loss}, w {bad}: {}", answer.loss);
                }
            }
        }
    }
    // A class weight that is not the target of any sample.
    for loss in all_losses() {
        let mut problem = Random(37).problem(1, 4, 5);
        problem.labels[0] = 2;
        problem.w[5 + 1] = f64::NAN;
        for answer in answers(&problem, loss, 0.0) {
            assert!(answer.loss.is_nan(), "{loss}");
        }
    }
}

#[test]
fn negative_or_nan_lambda_becomes_a_silent_number() {
    let problem = Random(41).problem(3, 4, 5);
    for lambda in [-1.0, -0.5, f64::NAN, f64::NEG_INFINITY] {
        for loss in all_losses() {
            assert!(
                solve(&problem, loss, lambda).loss.is_nan(),
                "{loss}, {lambda}"
            );
        }
    }
}

// gluon-face issue #28: labels are cast to the type of the features, and a class above 65504 is
// infinity in f16 (above 2048, an odd one is another class).
#[test]
fn label_above_65504_in_half_precision() {
    let (classes, features) = (70_000, 2);
    let mut random = Random(43);
    let problem = Problem {
        batch: 3,
        classes,
        features,
        x: random.vector(3 * features),
        w: random.vector(classes * features),
        labels: vec![2049, 65_505, 69_999],
    };
    for dtype in [DType::F16, DType::BF16] {
        for loss in [Loss::Softmax, Loss::LSoftmax { m: 3 }, Loss::COS_FACE] {
            let margin = || loss.margin().unwrap().into();
            let half = burn_as(&problem, margin(), 0.0, [dtype; 2]);
            let single = burn(&problem, margin(), 0.0);
            assert!((half.loss / single.loss - 1.0).abs() < 0.02, "{loss}");
            // Each sample pulls its own target class.
            for (row, &label) in problem.labels.iter().enumerate() {
                let own = &half.dw[label as usize * features..][..features];
                assert!(dot(own, problem.feature(row)) < 0.0, "{loss}");
            }
        }
    }
}

fn head_with(loss: Loss, annealing: Annealing, device: &Device) -> MarginHead {
    MarginHeadConfig::new(5, 4, annealing)
        .with_loss(loss)
        .init(device)
        .unwrap()
}

// wy1iu/LargeMargin_Softmax_Loss .cpp:23, 108 and .cu:298, face-recognition-caffe2 (iter_),
// amirhfarzaneh/lsoftmax-pytorch lsoftmax.py:14-16, 80, mx-lsoftmax (beta, in backward, a copy a
// device) and auroua (a global): λ is counted inside the layer. An extra forward pass advances it,
// a checkpoint does not have it, and a resumed run starts over (wy1iu/sphereface issue #14).
#[test]
fn lambda_is_counted_inside_the_layer() {
    let device = Device::flex();
    let annealing: Annealing = Lambda::PowerLaw {
        base: 1000.0,
        gamma: 0.12,
        power: 1.0,
        min: 0.0,
    }
    .into();
    let loss = Loss::LSoftmax { m: 4 };
    let head = head_with(loss, annealing.clone(), &device);
    let problem = Random(47).turned_problem(3, 4, 5);
    let x = matrix(&problem.x, [3, 5], &device, DType::F32);
    let labels = labels_of(&problem.labels, &device);
    let at = |head: &MarginHead, step| {
        let loss = head.loss(x.clone(), labels.clone(), step).unwrap();
        values(&loss)[0].to_bits()
    };
    let first = at(&head, 500);
    assert_eq!(at(&head, 500), first);
    let _ = (at(&head, 0), at(&head, 501), head.logits(x.clone()));
    assert_eq!(at(&head, 500), first);
    assert_ne!(at(&head, 501), first);
    // A head that is built anew and given the weights continues exactly.
    let resumed = head_with(loss, annealing, &device).load_record(head.clone().into_record());
    assert_eq!(at(&resumed, 500), first);
    assert_eq!(resumed.at(500), head.at(500));
}

// auroua nets/mnist_lsoftmax.py:93-100, 159: accuracy from the margin's logits with the true label;
// jihunchoi/lsoftmax-pytorch asserts that there is no label at test, where others ask for one.
#[test]
fn accuracy_is_read_from_the_margins_logits() {
    let device = Device::flex();
    let head = head_with(Loss::LSoftmax { m: 4 }, Annealing::none(), &device);
    let w = values(&head.weight.val());
    let mut problem = Random(53).problem(6, 4, 5);
    problem.w = w;
    // Nearest to its target class, but not within the margin.
    for row in 0..6 {
        let label = problem.labels[row];
        let own = problem.weight(label).to_vec();
        for (x, w) in problem.x[row * 5..(row + 1) * 5].iter_mut().zip(own) {
            *x = 0.2 * *x + w;
        }
    }
    let x = matrix(&problem.x, [6, 5], &device, DType::F32);
    let logits = values(&head.logits(x.clone()));
    for row in 0..6 {
        for class in 0..4u32 {
            let plain = dot(problem.feature(row), problem.weight(class));
            let found = logits[row * 4 + class as usize];
            assert!((found - plain).abs() < 1e-5 * plain.abs().max(1.0));
        }
    }
    // Computing the loss in between does not change them.
    let _ = head.loss(x.clone(), labels_of(&problem.labels, &device), 0);
    assert_eq!(values(&head.logits(x)), logits);
}

// insightface recognition/arcface_torch/losses.py: arccosine and cosine run without gradient, so
// that the backward pass is that of s * c.
#[test]
fn arc_face_has_the_gradient_of_the_plain_cosine() {
    let margin = Loss::ARC_FACE.margin().unwrap();
    for degrees in [10.0f64, 60.0, 90.0, 120.0] {
        let theta = degrees.to_radians();
        let target = Target {
            cosine: theta.cos(),
            feature_norm: 2.0,
            weight_norm: 3.0,
        };
        let TargetLogit {
            value, d_cosine, ..
        } = margin.target_logit(target);
        assert!((value - 64.0 * (theta + 0.5).cos()).abs() < 1e-12);
        let exact = 64.0 * (theta + 0.5).sin() / theta.sin();
        assert!((d_cosine / exact - 1.0).abs() < 1e-12);
        assert!((d_cosine / 64.0 - 1.0).abs() > 0.1, "straight through");
    }
}

// tf.extra_losses py_loss.py:92-97: the easy margin sets the target to a constant 0 where the cosine
// is negative, and the sample gets no gradient.
#[test]
fn arc_face_of_a_negative_cosine_has_no_gradient() {
    for loss in [Loss::ARC_FACE, Loss::COMBINED] {
        let margin = loss.margin().unwrap();
        for cosine in [-0.01, -0.5, -0.9, -0.999] {
            let target = Target {
                cosine,
                feature_norm: 1.0,
                weight_norm: 1.0,
            };
            assert!(
                margin.target_logit(target).d_cosine > 1.0,
                "{loss} at {cosine}"
            );
        }
    }
}

// insightface CombinedMarginLoss: m3 > 0 ignores m1 and m2, m1 != 1 raises; the published (1, 0.3,
// 0.2) cannot be run.
#[test]
fn combined_margin_ignores_a_part() {
    let at = |m1, m2, m3| {
        let loss = Loss::Combined {
            scale: 64.0,
            m1,
            m2,
            m3,
        };
        let target = Target {
            cosine: 0.8f64.cos(),
            feature_norm: 1.0,
            weight_norm: 1.0,
        };
        loss.margin().unwrap().target_logit(target).value
    };
    for (m1, m2, m3) in [(1.0, 0.3, 0.2), (0.9, 0.4, 0.15), (1.35, 0.0, 0.0)] {
        let exact = 64.0 * ((m1 * 0.8f64 + m2).cos() - m3);
        assert!((at(m1, m2, m3) - exact).abs() < 1e-12);
    }
    let Loss::Combined { m1, m2, m3, .. } = Loss::COMBINED else {
        unreachable!("it is")
    };
    let published = at(m1, m2, m3);
    assert!(published < at(m1, m2, 0.0) && published < at(m1, 0.0, m3));
    assert!(at(1.2, m2, m3) < published);
}

// pytorch-metric-learning large_margin_softmax_loss.py:92-99 (issue #309) casts the class weights in
// place to the type of the features.
#[test]
fn half_precision_features_change_the_weights() {
    let problem = Random(59).turned_problem(6, 5, 8);
    for loss in all_losses() {
        for half in [DType::F16, DType::BF16] {
            let margin: Arc<dyn lsoftmax::Margin> = loss.margin().unwrap().into();
            let device = Device::flex().autodiff();
            let x = matrix(&problem.x, [6, 8], &device, half).require_grad();
            let w = matrix(&problem.w, [5, 8], &device, DType::F32).require_grad();
            let labels = labels_of(&problem.labels, &device);
            // The scale of mixed-precision training, which f16 cannot hold beside the loss.
            let scale = 65_536.0;
            let out = margin_cross_entropy(x.clone(), w.clone(), labels, margin.clone(), 0.0)
                .unwrap()
                .loss;
            assert_eq!(out.dtype(), DType::F32, "the loss keeps its digits");
            let gradients = (out.clone() * scale).backward();
            let (dx, dw) = (x.grad(&gradients).unwrap(), w.grad(&gradients).unwrap());
            assert_eq!((dx.dtype(), dw.dtype()), (half, DType::F32));
            assert_eq!(
                values(&w),
                values(&matrix(&problem.w, [5, 8], &device, DType::F32))
            );

            // Exact for the rounded features.
            let rounded = Problem {
                x: values(&x),
                ..problem.clone()
            };
            let exact = kernel::<f32>(&rounded, &*margin, 0.0).0;
            assert!((values(&out)[0] / exact.loss - 1.0).abs() < 1e-6, "{loss}");
            let unscaled: Vec<f64> = values(&dw).iter().map(|d| d / scale).collect();
            assert!(distance(&unscaled, &exact.dw) < 1e-5, "{loss}");
        }
    }
}

#[test]
fn half_precision_gradients_are_close() {
    let problem = Random(61).problem(6, 5, 8);
    for loss in [
        Loss::Softmax,
        Loss::LSoftmax { m: 2 },
        Loss::LSoftmax { m: 4 },
        Loss::ASoftmax { m: 4 },
        Loss::AM_SOFTMAX,
        Loss::ARC_FACE,
        Loss::COMBINED,
    ] {
        let margin = || loss.margin().unwrap().into();
        let single = burn(&problem, margin(), 0.0);
        for (half, digits) in [(DType::F16, 1.0 / 1024.0), (DType::BF16, 1.0 / 128.0)] {
            let found = burn_as(&problem, margin(), 0.0, [half; 2]);
            // The margin multiplies an error of the features by at most m^2.
            let allowed = 16.0 * digits;
            assert!(
                (found.loss - single.loss).abs() < allowed * single.loss,
                "{loss}"
            );
            assert!(distance(&found.dx, &single.dx) < allowed, "{loss} dX");
            assert!(distance(&found.dw, &single.dw) < allowed, "{loss} dW");
        }
    }
}

// Section 2.7 of the facts: (λ z + F) / (1 + λ) with λ = 1000 forms λ z, which f16 cannot hold for
// |z| > 65.
#[test]
fn lambda_times_the_logit_overflows() {
    let problem = Problem::new(1, &[&[200.0]], &[&[200.0], &[199.0]], &[0]);
    let margin = || Loss::LSoftmax { m: 4 }.margin().unwrap().into();
    for lambda in [1000.0, 1e30, f64::MAX, f64::INFINITY] {
        let answer = burn_as(&problem, margin(), lambda, [DType::F16; 2]);
        assert!(answer.is_finite(), "λ = {lambda}");
    }
}

// wy1iu/sphereface margin_inner_product_layer: the weights are overwritten by their normalised
// value in forward, dW ignores normalisation and margin (issues #24, #38), and dX of the margin is
// rescaled (.cu:153, 182, 211).
#[test]
fn a_softmax_overwrites_and_ignores_the_norm() {
    let problem = Random(67).turned_problem(6, 5, 8);
    let device = Device::flex();
    let head = head_with(Loss::ASoftmax { m: 4 }, Annealing::none(), &device);
    let before = values(&head.weight.val());
    let x = matrix(&problem.x[..15], [3, 5], &device, DType::F32);
    let _ = head.loss(x, labels_of(&[0, 1, 3], &device), 0).unwrap();
    assert_eq!(values(&head.weight.val()), before);

    let loss = Loss::ASoftmax { m: 4 };
    let answer = solve(&problem, loss, 0.0);
    for class in 0..5u32 {
        let d = &answer.dw[class as usize * 8..][..8];
        assert!(dot(d, problem.weight(class)).abs() < 1e-14 * norm(d).max(1.0));
    }
    // Class weights of twice the length: the same loss, half the gradient.
    let mut doubled = problem;
    doubled.w.iter_mut().for_each(|w| *w *= 2.0);
    let other = solve(&doubled, loss, 0.0);
    assert!((other.loss / answer.loss - 1.0).abs() < 1e-14);
    let half: Vec<f64> = answer.dw.iter().map(|d| d / 2.0).collect();
    assert!(distance(&other.dw, &half) < 1e-13);
}

// jihunchoi/lsoftmax-pytorch lsoftmax.py:18 and amirhfarzaneh/lsoftmax-pytorch lsoftmax.py:21 (its
// issue #7): the class weights are uninitialised memory. pytorch-metric-learning draws them from
// N(0, 1), whose norm grows with the feature size.
#[test]
fn class_weights_are_uninitialised() {
    let device = Device::flex();
    device.seed(71);
    let (features, classes) = (128, 200);
    let head = MarginHeadConfig::new(features, classes, Annealing::none())
        .init(&device)
        .unwrap();
    let w = values(&head.weight.val());
    assert_eq!(w.len(), features * classes);
    let mean = w.iter().sum::<f64>() / w.len() as f64;
    let variance = dot(&w, &w) / w.len() as f64;
    let expected = 2.0 / features as f64;
    assert!(mean.abs() < 4.0 * (expected / w.len() as f64).sqrt());
    assert!((variance / expected - 1.0).abs() < 0.04);
}

// Authors' issue #13 (mx-lsoftmax #4): with λ = 0 the margin's gradient shrinks features beyond
// 90/m degrees, and training collapses to ln C. That is the loss as published, so λ has to be
// able to prevent it: the radial pull turns outward at these angles.
#[test]
fn lambda_does_not_move_the_radial_pull() {
    for (lambda, angles) in [
        (0.0, [45.0, 30.0, 22.5]),
        (1.0, [60.0, 45.0, 36.0]),
        (5.0, [79.3, 75.0, 66.9]),
        (10.0, [84.4, 81.1, 75.4]),
        (100.0, [89.4, 88.9, 88.3]),
    ] {
        for (m, degrees) in (2..=4).zip(angles) {
            let margin = Loss::LSoftmax { m }.margin().unwrap();
            let pull = |degrees: f64| {
                let target = Target {
                    cosine: degrees.to_radians().cos(),
                    feature_norm: 1.0,
                    weight_norm: 1.0,
                };
                blend(&*margin, lambda, target).d_feature_norm
            };
            assert!(
                pull(degrees - 0.1) > 0.0 && pull(degrees + 0.1) < 0.0,
                "{m}, {lambda}"
            );
        }
    }
}

// wy1iu/LargeMargin_Softmax_Loss .cpp:65-98 and pytorch-metric-learning
// large_margin_softmax_loss.py:113-117 hold several matrices of batch x class, of which only the
// target column is used. The kernel holds one, and above 32 MiB not even that.
#[test]
fn many_classes_in_blocks() {
    // 300 x 30,000 logits of f32 are 34 MiB: more than is kept.
    let problem = Random(73).problem(300, 30_000, 3);
    for loss in [Loss::LSoftmax { m: 4 }, Loss::AM_SOFTMAX] {
        let margin = loss.margin().unwrap();
        let (in_f32, _) = kernel::<f32>(&problem, &*margin, 0.0);
        let (in_f64, _) = kernel::<f64>(&problem, &*margin, 0.0);
        assert!((in_f32.loss / in_f64.loss - 1.0).abs() < 1e-6, "{loss}");
        assert!(distance(&in_f32.dx, &in_f64.dx) < 1e-5, "{loss}");
        assert!(distance(&in_f32.dw, &in_f64.dw) < 1e-5, "{loss}");
    }
}
