//! Benchmarks the kernels on the layers of the experiments' networks.
//!
//! `cargo bench -p lsoftmax-kernels --bench blocks [-- batch [network]]`
//!
//! Prints milliseconds and, in parentheses, the share in percent of the machine's measured peak
//! that the direct method would need for the same time. Winograd needs a quarter of the products
//! for 3x3 kernels (0.36 for 5x5), so that 400 (278) would be a perfect score.
#![allow(clippy::print_stdout)]

mod common;

use common::{argument, noise, peak, time};
use lsoftmax_kernels::{
    Affine, AffineGradient, ConvShape, InferenceBlock, InputGradient, PoolShape, block_backward,
    block_forward, conv2d_backward_input, conv2d_backward_weight, conv2d_forward,
    max_pool_backward, max_pool_forward,
};
use std::collections::HashMap;

/// A network as `(channels, size, kernel)` of its convolutions in order, starting from an image.
struct Network {
    name: &'static str,
    image: (usize, usize),
    kernel: usize,
    /// Convolutions with these widths, followed by a pool.
    stages: &'static [&'static [usize]],
}

const NETWORKS: &[Network] = &[
    Network {
        name: "MNIST",
        image: (1, 28),
        kernel: 3,
        stages: &[&[64, 64, 64, 64], &[64, 64, 64], &[64, 64, 64]],
    },
    Network {
        name: "CIFAR10",
        image: (3, 32),
        kernel: 3,
        stages: &[
            &[64, 64, 64, 64, 64],
            &[96, 96, 96, 96],
            &[128, 128, 128, 128],
        ],
    },
    Network {
        name: "CIFAR100",
        image: (3, 32),
        kernel: 3,
        stages: &[
            &[96, 96, 96, 96, 96],
            &[192, 192, 192, 192],
            &[384, 384, 384, 384],
        ],
    },
    Network {
        name: "5x5",
        image: (1, 28),
        kernel: 5,
        stages: &[&[32, 32], &[64, 64], &[128, 128]],
    },
    Network {
        name: "compact",
        image: (1, 28),
        kernel: 3,
        stages: &[&[16, 16], &[32, 32], &[64, 64]],
    },
];

/// Forward and backward of a block, in milliseconds.
fn bench_block(shape: &ConvShape, first: bool, peak: f64) -> (f64, f64) {
    let channels = shape.out_channels;
    let x = noise(shape.input_len(), 1, 1.0);
    let w = noise(shape.weight_len(), 2, 1.0);
    let dy = noise(shape.output_len(), 3, 1.0);
    let (gamma, beta, slope) = (
        vec![1.0; channels],
        vec![0.0; channels],
        vec![0.25; channels],
    );
    let affine = Affine {
        gamma: &gamma,
        beta: &beta,
        slope: Some(&slope),
        eps: 1e-5,
    };
    let (mut z, mut y) = (vec![0.0; dy.len()], vec![0.0; dy.len()]);
    let (mut mean, mut var) = (vec![0.0; channels], vec![0.0; channels]);
    let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
    let mut small = [
        vec![0.0; channels],
        vec![0.0; channels],
        vec![0.0; channels],
    ];
    let conv = time(|| conv2d_forward(shape, &x, &w, &mut z).unwrap());
    let input = time(|| conv2d_backward_input(shape, &dy, &w, &mut dx).unwrap());
    let weights = time(|| conv2d_backward_weight(shape, &x, &dy, &mut dw).unwrap());
    let forward = time(|| {
        block_forward(shape, &x, &w, &affine, &mut z, &mut y, &mut mean, &mut var).unwrap();
    });
    let backward = time(|| {
        let [gamma, beta, slope] = &mut small;
        let mut to = AffineGradient {
            gamma,
            beta,
            slope: Some(slope),
        };
        let input = if first {
            InputGradient::None { z: &z }
        } else {
            InputGradient::Apart { z: &z, dx: &mut dx }
        };
        block_backward(
            shape, &x, input, &w, &affine, &mean, &var, &dy, &mut dw, &mut to,
        )
        .unwrap();
    });
    let prepared = InferenceBlock::new(shape, &w, &affine, &mean, &var).unwrap();
    let inference = time(|| prepared.run(shape, &x, &mut y).unwrap());
    let share = |millis: f64| shape.flops() / millis / 1e4 / peak;
    println!(
        "{:4}x{:<2} {:4} -> {:<4} {}x{}  conv {conv:7.2} ({:5.0})  dx {input:7.2} ({:5.0})  dw \
         {weights:7.2} ({:5.0})  block {forward:7.2} + {backward:7.2}  inference {inference:7.2}",
        shape.height,
        shape.width,
        shape.in_channels,
        shape.out_channels,
        shape.kernel,
        shape.kernel,
        share(conv),
        share(input),
        share(weights),
    );
    (forward, backward)
}

fn bench_pool(batch: usize, size: usize, channels: usize) -> f64 {
    let shape = PoolShape {
        batch,
        height: size,
        width: size,
        channels,
        kernel: 2,
        stride: 2,
        padding: 0,
        ceil_mode: true,
    };
    let mut x = noise(shape.input_len(), 1, 1.0);
    let mut y = vec![0.0; shape.output_len()];
    let mut argmax = vec![0; y.len()];
    let forward = time(|| max_pool_forward(&shape, &x, &mut y, &mut argmax).unwrap());
    let backward = time(|| max_pool_backward(&shape, &y, &argmax, &mut x).unwrap());
    println!("{size:4}x{size:<2} {channels:4} pool  {forward:7.2} + {backward:7.2}");
    forward + backward
}

fn main() {
    let batch = argument(0, 64);
    let filter = argument(1, String::new());
    let peak = peak(&format!("batch {batch}"));
    let mut known: HashMap<(usize, usize, usize, usize), (f64, f64)> = HashMap::new();
    for network in NETWORKS
        .iter()
        .filter(|network| network.name.contains(&filter))
    {
        println!("\n{}", network.name);
        let (mut channels, mut size) = network.image;
        let mut total = 0.0;
        let mut first = true;
        for stage in network.stages {
            for &width in *stage {
                let key = (channels, width, size, network.kernel);
                let (forward, backward) = *known.entry(key).or_insert_with(|| {
                    let padding = network.kernel / 2;
                    let shape = ConvShape::new(
                        batch,
                        (channels, width),
                        (size, size),
                        network.kernel,
                        1,
                        padding,
                    );
                    bench_block(&shape.expect("a valid shape"), first, peak)
                });
                total += forward + backward;
                channels = width;
                first = false;
            }
            total += bench_pool(batch, size, channels);
            size = size.div_ceil(2);
        }
        println!(
            "{}: {total:.1} ms a step, {:.0} img/s",
            network.name,
            batch as f64 / total * 1e3
        );
    }
}
