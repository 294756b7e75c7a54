//! Times the head: the cross-entropy of a margin loss with both gradients.
//!
//! `cargo run --release -p lsoftmax-kernels --example head_bench [-- batch [feature]]`
#![allow(clippy::print_stdout)]

use lsoftmax_kernels::head::{
    Batch, Normalisation, Target, TargetLogit, cross_entropy, cross_entropy_with_gradient,
};
use std::time::Instant;

fn noise(len: usize, scale: f32) -> Vec<f32> {
    let mut state = 1u32;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            scale * ((state >> 8) as f32 / (1 << 23) as f32 - 1.0)
        })
        .collect()
}

/// Milliseconds of the best of several runs.
fn time(mut work: impl FnMut()) -> f64 {
    work();
    let (mut best, mut spent, mut runs) = (f64::MAX, 0.0, 0);
    while spent < 1000.0 && runs < 200 {
        let start = Instant::now();
        work();
        let millis = start.elapsed().as_secs_f64() * 1e3;
        best = best.min(millis);
        spent += millis;
        runs += 1;
    }
    best
}

/// L-Softmax with m = 2, which has no branch worth the name.
fn margin(t: Target) -> TargetLogit {
    let (c, product) = (t.cosine, t.feature_norm * t.weight_norm);
    let psi = if c >= 0.0 {
        2.0 * c * c - 1.0
    } else {
        -2.0 * c * c - 1.0
    };
    TargetLogit {
        value: product * psi,
        d_cosine: product * 4.0 * c.abs(),
        d_feature_norm: t.weight_norm * psi,
        d_weight_norm: t.feature_norm * psi,
    }
}

fn main() {
    let numbers: Vec<usize> = std::env::args().skip(1).flat_map(|a| a.parse()).collect();
    let size = numbers.first().copied().unwrap_or(256);
    let columns = numbers.get(1).copied().unwrap_or(512);
    println!(
        "batch {size}, feature {columns}, {} threads: ms (GFLOP/s of what has to be computed: one \
         product forward, three with the gradient)",
        rayon::current_num_threads()
    );
    for classes in [10, 100, 1_000, 10_000, 100_000, 1_000_000] {
        let x = noise(size * columns, 1.0);
        let w = noise(classes * columns, 0.05);
        let labels: Vec<u32> = (0..size).map(|i| (i * 7919 % classes) as u32).collect();
        let batch = Batch::new(&x, &w, &labels, classes, columns).expect("lengths fit");
        let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
        let product = 2e-6 * (size * columns * classes) as f64;
        let none = Normalisation::default();
        let forward = time(|| drop(cross_entropy(&batch, none, &margin)));
        let both = time(|| {
            cross_entropy_with_gradient(&batch, none, &margin, &mut dx, &mut dw)
                .expect("lengths fit");
        });
        println!(
            "{classes:8} classes  loss {forward:9.3} ({:5.0})  with gradient {both:9.3} ({:5.0})",
            product / forward,
            3.0 * product / both
        );
    }
}
