use super::*;
use crate::reference::{self, Random, error, single};

fn shape(
    batch: usize,
    channels: (usize, usize),
    size: (usize, usize),
    kernel: usize,
    stride: usize,
    padding: usize,
) -> ConvShape {
    ConvShape::new(batch, channels, size, kernel, stride, padding).unwrap()
}

/// The errors of the three products against double precision.
fn errors(shape: &ConvShape, seed: u64) -> [f64; 3] {
    let mut random = Random::new(seed);
    let x = random.values(shape.input_len());
    let w = random.values(shape.weight_len());
    let dy = random.values(shape.output_len());
    let (x32, w32, dy32) = (single(&x), single(&w), single(&dy));
    // Results start as NaN, which exposes any value that is not written.
    let mut y = vec![f32::NAN; shape.output_len()];
    let mut dx = vec![f32::NAN; shape.input_len()];
    let mut dw = vec![f32::NAN; shape.weight_len()];
    conv2d_forward(shape, &x32, &w32, &mut y).unwrap();
    conv2d_backward_input(shape, &dy32, &w32, &mut dx).unwrap();
    conv2d_backward_weight(shape, &x32, &dy32, &mut dw).unwrap();
    [
        error(&y, &reference::conv(shape, &x, &w)),
        error(&dx, &reference::conv_dx(shape, &dy, &w)),
        error(&dw, &reference::conv_dw(shape, &x, &dy)),
    ]
}

fn assert_close(shape: &ConvShape, seed: u64) {
    for level in Level::available() {
        let errors = level.force(|| errors(shape, seed));
        assert!(
            errors.iter().all(|&e| e < 5e-5),
            "{level:?} {shape:?}: {errors:?}"
        );
    }
}

#[test]
fn known_shapes_agree_with_double_precision() {
    for shape in [
        shape(2, (1, 64), (28, 28), 3, 1, 1),
        shape(2, (3, 64), (32, 32), 3, 1, 1),
        shape(2, (64, 64), (14, 14), 3, 1, 1),
        shape(9, (64, 64), (7, 7), 3, 1, 1),
        shape(1, (96, 128), (8, 8), 3, 1, 1),
        shape(2, (32, 32), (28, 28), 5, 1, 2),
        shape(3, (1, 32), (28, 28), 5, 1, 2),
        shape(3, (16, 24), (14, 14), 3, 2, 1),
        shape(3, (16, 24), (7, 9), 3, 1, 1),
        shape(2, (9, 17), (13, 8), 3, 1, 0),
        shape(2, (9, 17), (13, 8), 3, 1, 2),
        shape(2, (8, 10), (9, 12), 5, 1, 4),
        shape(2, (8, 10), (9, 12), 5, 1, 0),
        shape(1, (8, 8), (1, 1), 3, 1, 1),
        shape(1, (8, 8), (3, 2), 3, 1, 1),
        shape(1, (5, 7), (4, 6), 1, 1, 0),
        shape(1, (5, 7), (5, 6), 1, 2, 0),
        shape(1, (2, 3), (6, 5), 2, 3, 0),
        shape(1, (2, 3), (3, 4), 3, 1, 5),
        shape(1, (2, 3), (3, 4), 3, 2, 4),
        shape(1, (1, 1), (1, 1), 1, 1, 0),
        // Stored transforms: several rounds, and a partial last group.
        shape(70, (32, 33), (8, 8), 3, 1, 1),
    ] {
        assert_close(&shape, 7);
    }
}

#[test]
fn random_shapes_agree_with_double_precision() {
    let mut random = Random::new(11);
    let mut below = |most: usize| (random.value().abs() * most as f64) as usize;
    for seed in 0..150 {
        let kernel = [1, 2, 3, 3, 3, 4, 5, 5][below(8)];
        let stride = [1, 1, 1, 2, 3][below(5)];
        let padding = below(kernel + 1);
        let least = kernel.saturating_sub(2 * padding).max(1);
        let size = (least + below(14), least + below(14));
        let channels = (1 + below(40), 1 + below(40));
        assert_close(
            &shape(1 + below(4), channels, size, kernel, stride, padding),
            seed,
        );
    }
}

#[test]
fn the_winograd_error_is_small() {
    for (shape, bound) in [
        (shape(1, (64, 64), (32, 32), 3, 1, 1), 2e-5),
        (shape(1, (128, 128), (8, 8), 3, 1, 1), 2e-5),
        (shape(1, (64, 64), (14, 14), 5, 1, 2), 2e-5),
    ] {
        assert!(shape.suits_winograd());
        let errors = errors(&shape, 3);
        assert!(errors.iter().all(|&e| e < bound), "{shape:?}: {errors:?}");
    }
}

#[test]
fn nan_reaches_every_output_that_depends_on_it() {
    for shape in [
        shape(2, (16, 16), (12, 12), 3, 1, 1),
        shape(2, (2, 16), (12, 12), 3, 2, 1),
        shape(2, (8, 8), (12, 12), 5, 1, 2),
    ] {
        let mut x = vec![1.0; shape.input_len()];
        x[(6 * 12 + 5) * shape.in_channels] = f32::NAN;
        let mut y = vec![0.0; shape.output_len()];
        conv2d_forward(&shape, &x, &vec![0.5; shape.weight_len()], &mut y).unwrap();
        let (row, column) = (6 / shape.stride, 5 / shape.stride);
        let at = (row * shape.out_width() + column) * shape.out_channels;
        assert!(
            y[at..at + shape.out_channels]
                .iter()
                .all(|value| value.is_nan())
        );
        // The other image is not affected.
        assert!(y[y.len() / 2..].iter().all(|value| value.is_finite()));
    }
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    for channels in [(16, 24), (33, 40)] {
        bits_of(&shape(23, channels, (9, 9), 3, 1, 1));
    }
}

fn bits_of(shape: &ConvShape) {
    let mut random = Random::new(5);
    let x = single(&random.values(shape.input_len()));
    let dy = single(&random.values(shape.output_len()));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let mut dw = vec![0.0; shape.weight_len()];
        pool.install(|| conv2d_backward_weight(shape, &x, &dy, &mut dw))
            .unwrap();
        dw.iter().map(|value| value.to_bits()).collect::<Vec<_>>()
    };
    let one = run(1);
    for threads in [2, 3, 8] {
        assert_eq!(one, run(threads));
    }
}

#[test]
fn bad_sizes_are_errors() {
    let good = shape(2, (3, 4), (6, 6), 3, 1, 1);
    let is_error = |change: &dyn Fn(&mut ConvShape)| {
        let mut shape = good;
        change(&mut shape);
        assert!(shape.validate().is_err(), "{shape:?}");
    };
    is_error(&|s| s.batch = 0);
    is_error(&|s| s.in_channels = 0);
    is_error(&|s| s.out_channels = 0);
    is_error(&|s| s.height = 0);
    is_error(&|s| s.kernel = 0);
    is_error(&|s| s.kernel = 9);
    is_error(&|s| s.stride = 0);
    is_error(&|s| s.padding = usize::MAX);
    is_error(&|s| s.width = usize::MAX);
    is_error(&|s| s.batch = usize::MAX / 2);
    is_error(&|s| s.out_channels = usize::MAX / 8);
    let (x, w, mut y) = (vec![0.0; 216], vec![0.0; 108], vec![0.0; 287]);
    assert_eq!(
        conv2d_forward(&good, &x, &w, &mut y),
        Err(KernelError::Length {
            what: "y",
            expected: 288,
            found: 287
        })
    );
    assert!(conv2d_forward(&good, &x[1..], &w, &mut [0.0; 288]).is_err());
    assert!(conv2d_backward_input(&good, &[0.0; 288], &w[1..], &mut [0.0; 216]).is_err());
    assert!(conv2d_backward_weight(&good, &x, &[0.0; 288], &mut [0.0; 1]).is_err());
}
