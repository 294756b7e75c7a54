//! The head in f64, for golden values and checks. The products use the `gemm` crate.

use super::real::sealed::Kernels;
use super::rows::Rows;
use crate::simd::Level;
use gemm::{Parallelism, gemm};

impl Kernels for f64 {
    type Packed = ();

    fn pack(_: Level, _: &Rows<'_, Self>, _: usize) {}

    fn logits(
        _: Level,
        weights: &Rows<'_, Self>,
        features: &Rows<'_, Self>,
        (): &(),
        logits: &mut [Self],
    ) {
        let columns = features.columns();
        product(
            [weights.rows(), columns, features.rows()],
            (weights.values(), [columns, 1]),
            (features.values(), [1, columns]),
            logits,
            false,
        );
    }

    fn weight_gradient(
        _: Level,
        block: &[Self],
        features: &Rows<'_, Self>,
        (): &(),
        d_weights: &mut [Self],
    ) {
        let (samples, columns) = (features.rows(), features.columns());
        product(
            [block.len() / samples, samples, columns],
            (block, [samples, 1]),
            (features.values(), [columns, 1]),
            d_weights,
            false,
        );
    }

    fn feature_gradient(
        _: Level,
        block: &[Self],
        weights: &Rows<'_, Self>,
        d_features: &mut [Self],
        accumulate: bool,
    ) {
        let (classes, columns) = (weights.rows(), weights.columns());
        let samples = block.len() / classes;
        product(
            [samples, classes, columns],
            (block, [1, samples]),
            (weights.values(), [columns, 1]),
            d_features,
            accumulate,
        );
    }

    fn statistics(_: Level, block: &[Self], max: &mut [Self], sum: &mut [Self]) {
        let rows = || block.chunks_exact(sum.len());
        for row in rows() {
            for (max, &value) in max.iter_mut().zip(row) {
                *max = max.max(value);
            }
        }
        let mut sums = vec![0.0; sum.len()];
        for row in rows() {
            for ((sum, &max), value) in sums.iter_mut().zip(&*max).zip(row) {
                *sum += (value - max).exp();
            }
        }
        sum.copy_from_slice(&sums);
    }

    fn scaled_exp(_: Level, block: &mut [Self], max: &[Self], factor: &[Self]) {
        for row in block.chunks_exact_mut(max.len()) {
            for ((value, max), factor) in row.iter_mut().zip(max).zip(factor) {
                *value = factor * (*value - max).exp();
            }
        }
    }

    fn dot(_: Level, a: &[Self], b: &[Self]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    fn inner_products(level: Level, a: &[Self], b: &[Self]) -> [f64; 3] {
        [(a, b), (a, a), (b, b)].map(|(a, b)| Self::dot(level, a, b))
    }

    fn add_scaled(_: Level, row: &mut [Self], factor: f64, direction: &[Self]) {
        for (value, d) in row.iter_mut().zip(direction) {
            *value += factor * d;
        }
    }

    fn take(len: usize) -> Vec<Self> {
        vec![0.0; len]
    }

    fn give(_: Vec<Self>) {}
}

/// `out (+)= lhs * rhs` for `[m, k]` times `[k, n]` into row-major `[m, n]`; each operand has a row
/// and a column stride.
fn product(
    [m, k, n]: [usize; 3],
    (lhs, [lhs_rs, lhs_cs]): (&[f64], [usize; 2]),
    (rhs, [rhs_rs, rhs_cs]): (&[f64], [usize; 2]),
    out: &mut [f64],
    add: bool,
) {
    if m == 0 || n == 0 || k == 0 {
        return;
    }
    assert!((m - 1) * lhs_rs + (k - 1) * lhs_cs < lhs.len());
    assert!((k - 1) * rhs_rs + (n - 1) * rhs_cs < rhs.len());
    assert!(m * n <= out.len());
    // SAFETY: the asserts above bound every element that the product accesses, and `out` is
    // borrowed mutably, so it does not overlap an operand.
    unsafe {
        gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            add,
            lhs.as_ptr(),
            lhs_cs as isize,
            lhs_rs as isize,
            rhs.as_ptr(),
            rhs_cs as isize,
            rhs_rs as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            // The blocks of classes already run in parallel.
            Parallelism::None,
        );
    }
}
