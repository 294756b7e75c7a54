//! Shared code of the benchmarks, of which each uses some.
#![allow(clippy::print_stdout, dead_code)]

use lsoftmax_kernels::peak::fused_multiply_adds;
use rayon::prelude::*;
use std::time::Instant;

/// Milliseconds of the fastest of several runs: other programs only add time.
pub(crate) fn time(mut work: impl FnMut()) -> f64 {
    work();
    let (mut best, mut spent, mut runs) = (f64::MAX, 0.0, 0);
    while (spent < 250.0 || runs < 3) && runs < 200 {
        let start = Instant::now();
        work();
        let millis = start.elapsed().as_secs_f64() * 1e3;
        best = best.min(millis);
        spent += millis;
        runs += 1;
    }
    best
}

/// Pseudo-random numbers in `[-scale, scale)`.
pub(crate) fn noise(len: usize, seed: u32, scale: f32) -> Vec<f32> {
    let mut state = seed | 1;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            scale * ((state >> 8) as f32 / (1 << 23) as f32 - 1.0)
        })
        .collect()
}

/// GFLOP/s of all threads in a loop of fused multiply-adds, printed as a headline.
pub(crate) fn peak(of: &str) -> f64 {
    let threads = rayon::current_num_threads();
    let mut flops = 0.0;
    let millis = time(|| {
        flops = (0..threads)
            .into_par_iter()
            .map(|_| {
                let (flops, value) = fused_multiply_adds(5_000_000);
                std::hint::black_box(value);
                flops
            })
            .sum();
    });
    let peak = flops / millis / 1e6;
    println!("{of}, {threads} threads, peak {peak:.0} GFLOP/s");
    peak
}

/// The argument at a position, or a default. Cargo also passes flags to benchmarks.
pub(crate) fn argument<T: std::str::FromStr>(at: usize, default: T) -> T {
    let words = std::env::args().skip(1).filter(|a| !a.starts_with('-'));
    words
        .skip(at)
        .find_map(|word| word.parse().ok())
        .unwrap_or(default)
}
