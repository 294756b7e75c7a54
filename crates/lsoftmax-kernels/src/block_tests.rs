use crate::reference::{self, Random, error, single};
use crate::simd::Level;
use crate::*;

struct Case {
    shape: ConvShape,
    x: Vec<f64>,
    w: Vec<f64>,
    gamma: Vec<f64>,
    beta: Vec<f64>,
    slope: Vec<f64>,
    dy: Vec<f64>,
}

const EPS: f64 = 1e-3;

impl Case {
    fn new(shape: ConvShape, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let channels = shape.out_channels;
        Self {
            x: random.values(shape.input_len()),
            w: random.values(shape.weight_len()),
            gamma: random.values(channels).iter().map(|v| v + 1.5).collect(),
            beta: random.values(channels),
            slope: random.values(channels),
            dy: random.values(shape.output_len()),
            shape,
        }
    }

    /// The loss whose gradient for y is `dy`, as a function of all arrays.
    fn loss(&self) -> f64 {
        let z = reference::conv(&self.shape, &self.x, &self.w);
        let (y, _, _) = reference::norm(&z, &self.gamma, &self.beta, &self.slope, EPS);
        y.iter().zip(&self.dy).map(|(y, dy)| y * dy).sum()
    }

    /// Central differences for every element that `part` selects.
    fn differences(&mut self, part: fn(&mut Self) -> &mut Vec<f64>) -> Vec<f64> {
        let step = 1e-6;
        (0..part(self).len())
            .map(|at| {
                let value = part(self)[at];
                part(self)[at] = value + step;
                let above = self.loss();
                part(self)[at] = value - step;
                let below = self.loss();
                part(self)[at] = value;
                (above - below) / (2.0 * step)
            })
            .collect()
    }
}

struct Gradients {
    dx: Vec<f32>,
    dw: Vec<f32>,
    gamma: Vec<f32>,
    beta: Vec<f32>,
    slope: Vec<f32>,
}

/// Destination of the gradient for the input.
#[derive(Clone, Copy, PartialEq)]
enum Dx {
    None,
    Apart,
    OverZ,
}

/// Forward and backward, with `y`, `mean` and `var`.
fn run(case: &Case, to_dx: Dx) -> (Vec<f32>, Vec<f32>, Vec<f32>, Gradients) {
    let shape = &case.shape;
    let channels = shape.out_channels;
    let (x, w, dy) = (single(&case.x), single(&case.w), single(&case.dy));
    let (gamma, beta, slope) = (single(&case.gamma), single(&case.beta), single(&case.slope));
    let affine = Affine {
        gamma: &gamma,
        beta: &beta,
        slope: Some(&slope),
        eps: EPS as f32,
    };
    let nan = |len: usize| vec![f32::NAN; len];
    let (mut z, mut y) = (nan(shape.output_len()), nan(shape.output_len()));
    let (mut mean, mut var) = (nan(channels), nan(channels));
    block_forward(shape, &x, &w, &affine, &mut z, &mut y, &mut mean, &mut var).unwrap();
    let mut g = Gradients {
        dx: nan(shape.input_len()),
        dw: nan(shape.weight_len()),
        gamma: nan(channels),
        beta: nan(channels),
        slope: nan(channels),
    };
    let mut to = AffineGradient {
        gamma: &mut g.gamma,
        beta: &mut g.beta,
        slope: Some(&mut g.slope),
    };
    let input = match to_dx {
        Dx::None => InputGradient::None { z: &z },
        Dx::Apart => InputGradient::Apart {
            z: &z,
            dx: &mut g.dx,
        },
        Dx::OverZ => InputGradient::Over { z: &mut z },
    };
    block_backward(
        shape, &x, input, &w, &affine, &mean, &var, &dy, &mut g.dw, &mut to,
    )
    .unwrap();
    if to_dx == Dx::OverZ {
        g.dx = z;
    }
    (y, mean, var, g)
}

#[test]
fn the_block_agrees_with_double_precision_and_its_gradients_with_differences() {
    for (at, (batch, channels, size, kernel, stride, padding)) in [
        (2, (8, 9), (6, 6), 3, 1, 1),
        (3, (1, 5), (5, 4), 3, 1, 1),
        (2, (3, 4), (7, 6), 3, 2, 1),
        (2, (8, 8), (5, 5), 5, 1, 2),
        (5, (2, 17), (3, 3), 3, 1, 1),
    ]
    .into_iter()
    .enumerate()
    {
        let shape = ConvShape::new(batch, channels, size, kernel, stride, padding).unwrap();
        let mut case = Case::new(shape, at as u64);
        let z = reference::conv(&shape, &case.x, &case.w);
        let (y64, mean64, var64) = reference::norm(&z, &case.gamma, &case.beta, &case.slope, EPS);
        let wanted = [
            case.differences(|case| &mut case.x),
            case.differences(|case| &mut case.w),
            case.differences(|case| &mut case.gamma),
            case.differences(|case| &mut case.beta),
            case.differences(|case| &mut case.slope),
        ];
        for level in Level::available() {
            let (y, mean, var, g) = level.force(|| run(&case, Dx::Apart));
            assert!(error(&y, &y64) < 1e-5);
            assert!(error(&mean, &mean64) < 1e-5);
            assert!(error(&var, &var64) < 1e-5);
            for (found, wanted) in [&g.dx, &g.dw, &g.gamma, &g.beta, &g.slope]
                .into_iter()
                .zip(&wanted)
            {
                let error = error(found, wanted);
                assert!(error < 1e-4, "{level:?} {shape:?}: {error}");
            }
            // Without dx all other results are the same, and dx is not written.
            let (_, _, _, without) = level.force(|| run(&case, Dx::None));
            assert_eq!(without.dw, g.dw);
            assert!(without.dx.iter().all(|value| value.is_nan()));
        }
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let case = Case::new(ConvShape::new(70, (16, 16), (7, 7), 3, 1, 1).unwrap(), 1);
    let bits = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let (y, mean, var, g) = pool.install(|| run(&case, Dx::Apart));
        let all = [y, mean, var, g.dx, g.dw, g.gamma, g.beta, g.slope].concat();
        all.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    let one = bits(1);
    assert_eq!(one, bits(2));
    assert_eq!(one, bits(5));
}

#[test]
fn a_large_mean_costs_no_digits_of_the_variance() {
    let (rows, channels) = (3000, 18);
    let mut random = Random::new(2);
    let x: Vec<f64> = random
        .values(rows * channels)
        .iter()
        .map(|v| 4096.0 + v / 8.0)
        .collect();
    let x = single(&x);
    let x64: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
    let (gamma, beta) = (vec![1.0; channels], vec![0.0; channels]);
    let affine = Affine {
        gamma: &gamma,
        beta: &beta,
        slope: None,
        eps: 1e-5,
    };
    let (mut y, mut mean, mut var) = (x.clone(), vec![0.0; channels], vec![0.0; channels]);
    norm_forward((rows, channels), &x, &affine, &mut y, &mut mean, &mut var).unwrap();
    let ones = vec![1.0; channels];
    let (y64, mean64, var64) = reference::norm(&x64, &ones, &vec![0.0; channels], &ones, 1e-5);
    assert!(error(&mean, &mean64) < 2e-7);
    assert!(error(&var, &var64) < 1e-4, "{var:?} {var64:?}");
    assert!(error(&y, &y64) < 1e-2, "{}", error(&y, &y64)); // the mean itself is rounded
}

#[test]
fn normalisation_without_prelu() {
    let (rows, channels) = (37, 21);
    let mut random = Random::new(4);
    let (x, dy) = (
        random.values(rows * channels),
        random.values(rows * channels),
    );
    let (gamma, beta) = (random.values(channels), random.values(channels));
    let ones = vec![1.0; channels];
    let (x32, dy32) = (single(&x), single(&dy));
    let (gamma32, beta32) = (single(&gamma), single(&beta));
    let affine = Affine {
        gamma: &gamma32,
        beta: &beta32,
        slope: None,
        eps: EPS as f32,
    };
    let (mut y, mut mean, mut var) = (
        vec![f32::NAN; x.len()],
        vec![0.0; channels],
        vec![0.0; channels],
    );
    let size = (rows, channels);
    norm_forward(size, &x32, &affine, &mut y, &mut mean, &mut var).unwrap();
    let (y64, _, _) = reference::norm(&x, &gamma, &beta, &ones, EPS);
    assert!(error(&y, &y64) < 1e-5);
    let (mut dx, mut dgamma, mut dbeta) = (y.clone(), vec![0.0; channels], vec![0.0; channels]);
    let mut to = AffineGradient {
        gamma: &mut dgamma,
        beta: &mut dbeta,
        slope: None,
    };
    norm_backward(size, &x32, &affine, &mean, &var, &dy32, &mut dx, &mut to).unwrap();
    let loss = |x: &[f64]| -> f64 {
        let (y, _, _) = reference::norm(x, &gamma, &beta, &ones, EPS);
        y.iter().zip(&dy).map(|(y, dy)| y * dy).sum()
    };
    let wanted: Vec<f64> = (0..x.len())
        .map(|at| {
            let mut moved = x.clone();
            moved[at] += 1e-6;
            let above = loss(&moved);
            moved[at] -= 2e-6;
            (above - loss(&moved)) / 2e-6
        })
        .collect();
    assert!(error(&dx, &wanted) < 1e-4);
    // With the batch's own statistics, inference equals training.
    let mut again = vec![0.0; x.len()];
    norm_inference(size, &x32, &affine, &mean, &var, &mut again).unwrap();
    assert_eq!(again, y);
}

#[test]
fn inference_with_the_batch_statistics_is_the_training_output() {
    for (channels, kernel) in [((16, 24), 3), ((1, 9), 3), ((8, 8), 5)] {
        let shape = ConvShape::new(3, channels, (10, 11), kernel, 1, kernel / 2).unwrap();
        let case = Case::new(shape, 8);
        for level in Level::available() {
            let (y, mean, var, _) = level.force(|| run(&case, Dx::None));
            let (x, w) = (single(&case.x), single(&case.w));
            let (gamma, beta, slope) =
                (single(&case.gamma), single(&case.beta), single(&case.slope));
            let affine = Affine {
                gamma: &gamma,
                beta: &beta,
                slope: Some(&slope),
                eps: EPS as f32,
            };
            let mut folded = vec![f32::NAN; y.len()];
            level
                .force(|| infer(&shape, &x, &w, &affine, &mean, &var, &mut folded))
                .unwrap();
            let y: Vec<f64> = y.iter().map(|&v| f64::from(v)).collect();
            assert!(error(&folded, &y) < 1e-4);
        }
    }
}

fn pool_shape(height: usize, width: usize, channels: usize, ceil_mode: bool) -> PoolShape {
    PoolShape {
        batch: 2,
        height,
        width,
        channels,
        kernel: 2,
        stride: 2,
        padding: 0,
        ceil_mode,
    }
}

#[test]
fn ceil_mode_halves_as_caffe_does() {
    let sizes: Vec<usize> = std::iter::successors(Some(28), |&size| {
        let out = pool_shape(size, size, 1, true).out_height();
        (size > 4).then_some(out)
    })
    .collect();
    assert_eq!(sizes, [28, 14, 7, 4]);
    // With padding the last window must begin inside: 3 -> 2, not 3.
    let padded = PoolShape {
        padding: 1,
        ..pool_shape(3, 2, 1, true)
    };
    assert_eq!((padded.out_height(), padded.out_width()), (2, 2));
    assert_eq!(pool_shape(7, 7, 1, false).out_height(), 3);
}

#[test]
fn pooling_agrees_with_simple_loops() {
    let mut random = Random::new(6);
    for base in [
        pool_shape(7, 5, 1, true),
        pool_shape(8, 7, 19, false),
        pool_shape(1, 1, 3, true),
    ] {
        for (kernel, stride, padding) in [(2, 2, 0), (3, 2, 1), (3, 1, 1), (2, 2, 1), (2, 3, 1)] {
            let shape = PoolShape {
                kernel,
                stride,
                padding,
                ..base
            };
            if shape.validate().is_err() {
                continue;
            }
            // Few distinct values, so that ties are common.
            let x: Vec<f32> = (0..shape.input_len())
                .map(|_| (random.value() * 3.0).round() as f32)
                .collect();
            let (mut y, mut argmax) = (
                vec![f32::NAN; shape.output_len()],
                vec![255; shape.output_len()],
            );
            max_pool_forward(&shape, &x, &mut y, &mut argmax).unwrap();
            assert_eq!(
                (y.clone(), argmax.clone()),
                reference::pool(&shape, &x),
                "{shape:?}"
            );
            let dy: Vec<f32> = (0..y.len()).map(|at| at as f32 + 1.0).collect();
            let mut dx = vec![f32::NAN; x.len()];
            max_pool_backward(&shape, &dy, &argmax, &mut dx).unwrap();
            assert_eq!(dx.iter().sum::<f32>(), dy.iter().sum::<f32>());
        }
    }
}

#[test]
fn pooling_keeps_nan_and_takes_the_first_of_equals() {
    let shape = PoolShape {
        batch: 1,
        ..pool_shape(2, 4, 1, true)
    };
    let x = [1.0, 1.0, 5.0, f32::NAN, 1.0, 1.0, 7.0, 2.0];
    let (mut y, mut argmax) = ([0.0; 2], [9; 2]);
    max_pool_forward(&shape, &x, &mut y, &mut argmax).unwrap();
    assert!(y[0] == 1.0 && y[1].is_nan());
    assert_eq!(argmax, [0, 1]);
    let mut dx = [0.0; 8];
    max_pool_backward(&shape, &[2.0, 3.0], &argmax, &mut dx).unwrap();
    assert_eq!(dx, [2.0, 0.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0]);
}

#[test]
fn nan_passes_through_the_block() {
    let shape = ConvShape::new(1, (8, 8), (8, 8), 3, 1, 1).unwrap();
    let mut case = Case::new(shape, 1);
    case.x[5] = f64::NAN;
    let (y, mean, var, _) = run(&case, Dx::Apart);
    assert!(
        mean.iter()
            .chain(&var)
            .chain(&y)
            .all(|value| value.is_nan())
    );
}

#[test]
fn wrong_lengths_are_errors() {
    let shape = ConvShape::new(1, (2, 3), (4, 4), 3, 1, 1).unwrap();
    let (x, w, three) = ([0.0; 32], [0.0; 54], [0.0; 3]);
    let short = Affine {
        gamma: &three,
        beta: &three[1..],
        slope: None,
        eps: 1e-5,
    };
    let (mut z, mut y, mut mean, mut var) = ([0.0; 48], [0.0; 48], [0.0; 3], [0.0; 3]);
    let result = block_forward(&shape, &x, &w, &short, &mut z, &mut y, &mut mean, &mut var);
    assert_eq!(
        result,
        Err(KernelError::Length {
            what: "beta",
            expected: 3,
            found: 2
        })
    );
    let pool = pool_shape(4, 4, 1, true);
    assert!(max_pool_forward(&pool, &x, &mut [0.0; 7], &mut [0; 8]).is_err());
    assert!(PoolShape { kernel: 17, ..pool }.validate().is_err());
    assert!(PoolShape { padding: 2, ..pool }.validate().is_err());
    assert!(
        PoolShape {
            height: usize::MAX,
            ..pool
        }
        .validate()
        .is_err()
    );
    assert!(norm_inference((0, 3), &[], &short, &three, &three, &mut []).is_err());
}

fn infer(
    shape: &ConvShape,
    x: &[f32],
    w: &[f32],
    affine: &Affine<'_>,
    mean: &[f32],
    var: &[f32],
    y: &mut [f32],
) -> Result<(), KernelError> {
    InferenceBlock::new(shape, w, affine, mean, var)?.run(shape, x, y)
}

#[test]
fn one_block_runs_any_number_and_size_of_images_on_any_number_of_threads() {
    // Winograd, direct, and more weights than outputs, where Winograd does not pay off.
    for (inputs, outputs, kernel, stride) in
        [(16, 24, 3, 1), (3, 20, 5, 1), (9, 8, 3, 2), (112, 96, 3, 1)]
    {
        let mut random = Random::new(9);
        let shape = |batch, size| {
            ConvShape::new(batch, (inputs, outputs), size, kernel, stride, kernel / 2).unwrap()
        };
        let w = single(&random.values(shape(1, (8, 8)).weight_len()));
        let (gamma, beta) = (vec![1.5; outputs], vec![0.25; outputs]);
        let (slope, mean) = (vec![0.2; outputs], vec![0.1; outputs]);
        let var = vec![0.7; outputs];
        let affine = Affine {
            gamma: &gamma,
            beta: &beta,
            slope: Some(&slope),
            eps: 1e-5,
        };
        let block = InferenceBlock::new(&shape(1, (8, 8)), &w, &affine, &mean, &var).unwrap();
        for size in [(8, 8), (13, 5), (1, 1), (30, 30)] {
            let shape_of = |batch| shape(batch, size);
            let x = single(&random.values(shape_of(5).input_len()));
            let run = |batch: usize, threads| {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap();
                let of = x.len() / 5;
                let mut y = Vec::new();
                for x in x.chunks(batch * of) {
                    let shape = shape_of(x.len() / of);
                    let mut part = vec![f32::NAN; shape.output_len()];
                    pool.install(|| block.run(&shape, x, &mut part)).unwrap();
                    y.extend(part);
                }
                y
            };
            let exact = run(1, 1);
            for (batch, threads) in [(1, 3), (1, 16), (2, 4), (5, 1), (5, 3)] {
                let found = run(batch, threads);
                let off = |a: &f32, b: &f32| (a - b).abs() > 1e-4 * (1.0 + b.abs());
                assert!(
                    !found
                        .iter()
                        .zip(&exact)
                        .any(|(a, b)| off(a, b) || a.is_nan())
                );
            }
        }
    }
}

#[test]
fn the_gradient_can_overwrite_z() {
    // Both methods of summing the weight gradient, and the direct method.
    for (batch, channels, kernel, padding) in [(5, 8, 3, 1), (3, 256, 3, 1), (5, 8, 5, 2)] {
        let channels = (channels, channels);
        let shape = ConvShape::new(batch, channels, (6, 7), kernel, 1, padding).unwrap();
        let case = Case::new(shape, 3);
        for level in Level::available() {
            let (_, _, _, apart) = level.force(|| run(&case, Dx::Apart));
            let (_, _, _, over) = level.force(|| run(&case, Dx::OverZ));
            assert_eq!(over.dx, apart.dx, "{level:?} {shape:?}");
            assert_eq!(over.dw, apart.dw, "{level:?} {shape:?}");
        }
    }
    // A buffer of another length is rejected.
    let shape = ConvShape::new(2, (3, 4), (6, 6), 3, 1, 1).unwrap();
    let case = Case::new(shape, 3);
    assert!(std::panic::catch_unwind(|| run(&case, Dx::OverZ)).is_err());
}
