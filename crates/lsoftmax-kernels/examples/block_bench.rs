//! Times the kernels on the layers of the experiments' networks.
//!
//! `cargo run --release -p lsoftmax-kernels --example block_bench [-- batch [filter]]`
//!
//! GFLOP/s count the direct method's operations, whatever method is used. The time of a layer is the
//! best of several runs, since other programs disturb in one direction only.
#![allow(clippy::print_stdout)]

use lsoftmax_kernels::{
    Affine, AffineGradient, ConvShape, PoolShape, block_backward, block_forward, block_inference,
    conv2d_backward_input, conv2d_backward_weight, conv2d_forward, max_pool_backward,
    max_pool_forward,
};
use std::collections::HashMap;
use std::time::Instant;

/// A network as `(channels, size, kernel)` of its convolutions in order, starting from an image.
struct Network {
    name: &'static str,
    image: (usize, usize),
    kernel: usize,
    /// Convolutions with these widths, then a pool.
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

/// Milliseconds of the best of several runs.
fn time(mut work: impl FnMut()) -> f64 {
    work();
    let (mut best, mut spent, mut runs) = (f64::MAX, 0.0, 0);
    while (spent < 250.0 || runs < 3) && runs < 40 {
        let start = Instant::now();
        work();
        let millis = start.elapsed().as_secs_f64() * 1e3;
        best = best.min(millis);
        spent += millis;
        runs += 1;
    }
    best
}

fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

/// Forward and backward of a block, in milliseconds.
fn bench_block(shape: &ConvShape, first: bool) -> (f64, f64) {
    let channels = shape.out_channels;
    let x = noise(shape.input_len(), 1);
    let w = noise(shape.weight_len(), 2);
    let dy = noise(shape.output_len(), 3);
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
        let dx = (!first).then_some(dx.as_mut_slice());
        block_backward(
            shape, &x, &z, &w, &affine, &mean, &var, &dy, dx, &mut dw, &mut to,
        )
        .unwrap();
    });
    let inference = time(|| block_inference(shape, &x, &w, &affine, &mean, &var, &mut y).unwrap());
    let rate = |millis: f64| shape.flops() / millis / 1e6;
    println!(
        "{:4}x{:<2} {:4} -> {:<4} {}x{}  conv {conv:7.2} ({:5.0})  dx {input:7.2} ({:5.0})  dw \
         {weights:7.2} ({:5.0})  block {forward:7.2} + {backward:7.2}  inference {inference:7.2}",
        shape.height,
        shape.width,
        shape.in_channels,
        shape.out_channels,
        shape.kernel,
        shape.kernel,
        rate(conv),
        rate(input),
        rate(weights),
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
    let mut x = noise(shape.input_len(), 1);
    let mut y = vec![0.0; shape.output_len()];
    let mut argmax = vec![0; y.len()];
    let forward = time(|| max_pool_forward(&shape, &x, &mut y, &mut argmax).unwrap());
    let backward = time(|| max_pool_backward(&shape, &y, &argmax, &mut x).unwrap());
    println!("{size:4}x{size:<2} {channels:4} pool  {forward:7.2} + {backward:7.2}");
    forward + backward
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let batch = arguments
        .first()
        .and_then(|batch| batch.parse().ok())
        .unwrap_or(64);
    let filter = arguments.get(1).map_or("", String::as_str);
    println!(
        "batch {batch}, {} threads, ms (GFLOP/s)",
        rayon::current_num_threads()
    );
    let mut known: HashMap<(usize, usize, usize, usize), (f64, f64)> = HashMap::new();
    for network in NETWORKS
        .iter()
        .filter(|network| network.name.contains(filter))
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
                    bench_block(&shape.expect("a good shape"), first)
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
