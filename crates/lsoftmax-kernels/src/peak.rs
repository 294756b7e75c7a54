//! Peak throughput of the machine, as a reference for benchmarks.

// The contract of the unsafe functions is that of `Vector`.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn, clippy::inline_always)]

use crate::simd::{Level, Vector, multiversion};

/// Runs register-only fused multiply-adds on this thread. Returns the number of floating-point
/// operations (two per multiply-add) and a value that depends on all of them.
pub fn fused_multiply_adds(rounds: u64) -> (f64, f32) {
    let (mut flops, mut value) = (0.0, 0.0);
    run(Level::get(), rounds, &mut flops, &mut value);
    (flops, value)
}

multiversion! {
    fn run = run_body(rounds: u64, flops: &mut f64, value: &mut f32);
}

#[inline(always)]
unsafe fn run_body<V: Vector>(rounds: u64, flops: &mut f64, value: &mut f32) {
    // More sums than the latency of an FMA in cycles times two units.
    const SUMS: usize = 12;
    let factor = V::splat(0.999_999);
    let mut sums = [V::splat(1.0); SUMS];
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = sum.fma(factor, factor);
        }
    }
    let mut total = V::zero();
    for sum in sums {
        total = total.add(sum);
    }
    let mut lanes = [0.0; 16];
    total.store(lanes.as_mut_ptr());
    *value = lanes.iter().sum();
    *flops = 2.0 * rounds as f64 * (SUMS * V::LANES) as f64;
}
