//! What would products of bfloat16 numbers with f32 sums give on this machine?
//!
//! `cargo bench -p lsoftmax-kernels --bench bf16`
//!
//! Compares register-only loops, a product of packed matrices with the sizes of a 3x3 convolution of 64 channels
//! (depth 9 * 64), and the f32 convolution of this crate, which saves products by Winograd's method. All on one
//! thread. Needs a CPU with `avx512_bf16`.
#![allow(clippy::print_stdout)]
#![cfg_attr(target_arch = "x86_64", allow(unsafe_code))]

mod common;

#[cfg(target_arch = "x86_64")]
mod products {
    // SAFETY of all blocks: `run` has checked the CPU. Loads and stores stay within a row of 64 numbers, which
    // `chunks_exact` has cut. Vectors of integers and of bf16 have one size, and all bits are valid.
    use crate::common::{noise, time};
    use lsoftmax_kernels::peak::fused_multiply_adds;
    use lsoftmax_kernels::{ConvShape, conv2d_forward};
    use std::arch::x86_64::{
        __m512, __m512bh, _mm512_dpbf16_ps, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_loadu_si512,
        _mm512_reduce_add_ps, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps,
        _mm512_storeu_ps,
    };

    const ROWS: usize = 384;
    const COLUMNS: usize = 1024;
    const DEPTH: usize = 576;
    /// The tile in registers: 6 rows of 4 vectors.
    const TILE: (usize, usize) = (6, 64);

    /// # Safety
    /// The CPU has AVX-512 with bf16.
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn peak_bf16(rounds: u64) -> f32 {
        let ones = std::hint::black_box(0x3f80_3f80);
        let one: __m512bh = unsafe { std::mem::transmute(_mm512_set1_epi32(ones)) };
        let mut sums = [_mm512_setzero_ps(); 12];
        for _ in 0..rounds {
            for sum in &mut sums {
                *sum = _mm512_dpbf16_ps(*sum, one, one);
            }
        }
        sums.into_iter().map(|sum| _mm512_reduce_add_ps(sum)).sum()
    }

    /// One tile of the product in f32: `a` is `[depth, 6]`, `b` is `[depth, 64]`.
    ///
    /// # Safety
    /// The CPU has AVX-512, and the slices have `DEPTH` rows.
    #[target_feature(enable = "avx512f")]
    unsafe fn tile_f32(a: &[f32], b: &[f32], out: &mut [f32]) {
        let mut sums = [[_mm512_setzero_ps(); 4]; TILE.0];
        for (a, b) in a.chunks_exact(TILE.0).zip(b.chunks_exact(TILE.1)) {
            let b = [0, 1, 2, 3].map(|at| unsafe { _mm512_loadu_ps(b.as_ptr().add(16 * at)) });
            for (sums, &a) in sums.iter_mut().zip(a) {
                let a = _mm512_set1_ps(a);
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = _mm512_fmadd_ps(a, b, *sum);
                }
            }
        }
        unsafe { store(&sums, out) };
    }

    /// The same in bf16: `a` is `[depth / 2, 6, 2]`, `b` is `[depth / 2, 64, 2]`, pairs as one `u32`.
    ///
    /// # Safety
    /// The CPU has AVX-512 with bf16, and the slices have `DEPTH / 2` rows.
    #[target_feature(enable = "avx512f,avx512bf16")]
    unsafe fn tile_bf16(a: &[u32], b: &[u32], out: &mut [f32]) {
        let mut sums = [[_mm512_setzero_ps(); 4]; TILE.0];
        for (a, b) in a.chunks_exact(TILE.0).zip(b.chunks_exact(TILE.1)) {
            let b = [0, 1, 2, 3].map(|at| -> __m512bh {
                unsafe { std::mem::transmute(_mm512_loadu_si512(b.as_ptr().add(16 * at).cast())) }
            });
            for (sums, &a) in sums.iter_mut().zip(a) {
                let a: __m512bh = unsafe { std::mem::transmute(_mm512_set1_epi32(a as i32)) };
                for (sum, b) in sums.iter_mut().zip(b) {
                    *sum = _mm512_dpbf16_ps(*sum, a, b);
                }
            }
        }
        unsafe { store(&sums, out) };
    }

    /// # Safety
    /// The CPU has AVX-512, and `out` takes a tile.
    #[target_feature(enable = "avx512f")]
    unsafe fn store(sums: &[[__m512; 4]; TILE.0], out: &mut [f32]) {
        assert_eq!(out.len(), TILE.0 * TILE.1);
        for (row, out) in sums.iter().zip(out.chunks_exact_mut(TILE.1)) {
            for (at, &sum) in row.iter().enumerate() {
                unsafe { _mm512_storeu_ps(out.as_mut_ptr().add(16 * at), sum) };
            }
        }
    }

    /// Rounded to the nearest, ties to even.
    fn bf16(value: f32) -> u32 {
        let bits = value.to_bits();
        (bits + 0x7fff + (bits >> 16 & 1)) >> 16
    }

    /// `[depth, width]` in f32 as `[depth / 2, width, 2]` in bf16.
    fn packed(values: &[f32], width: usize, out: &mut [u32]) {
        for (rows, out) in values
            .chunks_exact(2 * width)
            .zip(out.chunks_exact_mut(width))
        {
            let (even, odd) = rows.split_at(width);
            for ((out, &even), &odd) in out.iter_mut().zip(even).zip(odd) {
                *out = bf16(even) | bf16(odd) << 16;
            }
        }
    }

    pub(crate) fn run() {
        if !(is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bf16")) {
            println!("this CPU has no avx512_bf16");
            return;
        }
        let rounds = 20_000_000;
        let (mut flops, mut value) = (0.0, 0.0);
        let millis = time(|| (flops, value) = fused_multiply_adds(rounds));
        let wide = flops / 1e6 / millis;
        // 12 vectors of 32 products.
        let flops = 2.0 * rounds as f64 * 12.0 * 32.0;
        let half = flops / 1e6 / time(|| value += unsafe { peak_bf16(rounds) });
        std::hint::black_box(value);
        println!(
            "one thread, in registers: f32 {wide:.0}, bf16 {half:.0} GFLOP/s: {:.2}",
            half / wide
        );

        let a = noise(ROWS * DEPTH, 1, 1.0);
        let b = noise(COLUMNS * DEPTH, 2, 1.0);
        let (mut a_half, mut b_half) = (vec![0; a.len() / 2], vec![0; b.len() / 2]);
        let mut exact = vec![0.0; ROWS * COLUMNS];
        let mut rounded = exact.clone();
        let size = TILE.0 * TILE.1;
        let of_f32 = time(|| {
            let mut out = exact.chunks_exact_mut(size);
            for b in b.chunks_exact(DEPTH * TILE.1) {
                for a in a.chunks_exact(DEPTH * TILE.0) {
                    unsafe { tile_f32(a, b, out.next().unwrap()) };
                }
            }
        });
        let conversion = time(|| {
            for (a, half) in a
                .chunks_exact(DEPTH * TILE.0)
                .zip(a_half.chunks_exact_mut(DEPTH * TILE.0 / 2))
            {
                packed(a, TILE.0, half);
            }
            for (b, half) in b
                .chunks_exact(DEPTH * TILE.1)
                .zip(b_half.chunks_exact_mut(DEPTH * TILE.1 / 2))
            {
                packed(b, TILE.1, half);
            }
        });
        let of_bf16 = time(|| {
            let mut out = rounded.chunks_exact_mut(size);
            for b in b_half.chunks_exact(DEPTH / 2 * TILE.1) {
                for a in a_half.chunks_exact(DEPTH / 2 * TILE.0) {
                    unsafe { tile_bf16(a, b, out.next().unwrap()) };
                }
            }
        });
        let flops = 2.0 * (ROWS * COLUMNS * DEPTH) as f64 / 1e6;
        println!(
            "one thread, [{ROWS}, {DEPTH}] by [{DEPTH}, {COLUMNS}]: f32 {of_f32:.2} ms ({:.0} GFLOP/s), bf16 {of_bf16:.2} \
             ms ({:.0} GFLOP/s): {:.2}, and {:.2} with the conversion of both operands ({conversion:.2} ms)",
            flops / of_f32,
            flops / of_bf16,
            of_f32 / of_bf16,
            of_f32 / (of_bf16 + conversion)
        );
        let square = |values: &mut dyn Iterator<Item = f32>| {
            values.map(|v| f64::from(v).powi(2)).sum::<f64>()
        };
        let error = square(&mut exact.iter().zip(&rounded).map(|(a, b)| a - b));
        let share = (error / square(&mut exact.iter().copied())).sqrt();
        let shape = ConvShape::new(32, (64, 64), (32, 32), 3, 1, 1).unwrap();
        let (x, w) = (
            noise(shape.input_len(), 1, 1.0),
            noise(shape.weight_len(), 2, 1.0),
        );
        let mut y = vec![0.0; shape.output_len()];
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        let convolution = pool.install(|| time(|| conv2d_forward(&shape, &x, &w, &mut y).unwrap()));
        println!(
            "one thread, 3x3 convolution of 64 channels in f32 by Winograd's method: {:.0} GFLOP/s of the direct \
             method",
            shape.flops() / 1e6 / convolution
        );
        println!("difference of the products, root of the mean square: {share:.1e} of f32's");
    }
}

fn main() {
    #[cfg(target_arch = "x86_64")]
    products::run();
    #[cfg(not(target_arch = "x86_64"))]
    println!("for x86-64 only");
}
