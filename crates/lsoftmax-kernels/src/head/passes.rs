//! Passes of the head over a block of f32 logits `[class, sample]`. Lanes are samples, so that a
//! sum over classes is a plain sum of vectors.

// The unsafe functions have the contract of `Vector`; each states further requirements.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn, clippy::inline_always)]

use crate::simd::{Level, Vector, WHOLE, multiversion};

/// `exp(x)` for `x <= 0`, with a relative error below 2e-7; 0 below -87; NaN stays NaN.
///
/// `x = n ln 2 + r`, `|r| <= ln 2 / 2`, `exp(r) = 1 + r + r^2 q(r)`. The coefficients of `q` minimise
/// the largest relative error (3e-9 before rounding; Lawson's weighted least squares).
#[inline(always)]
unsafe fn exp<V: Vector>(x: V) -> V {
    const Q: [f32; 5] = [
        0.499_999_94,
        0.166_665_21,
        0.041_668_39,
        0.008_368_71,
        0.001_381_461_3,
    ];
    // ln 2 as a sum whose first term has few enough bits that its product with n is exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let lowest = V::splat(-87.0);
    // Written to propagate NaN.
    let clamped = lowest.sub(x).if_positive(lowest, x);
    let n = V::splat(std::f32::consts::LOG2_E).fma(clamped, V::splat(WHOLE));
    let whole = n.sub(V::splat(WHOLE));
    let r = whole.fma(V::splat(-LN_2[0]), clamped);
    let r = whole.fma(V::splat(-LN_2[1]), r);
    let mut q = V::splat(Q[4]);
    for at in (0..4).rev() {
        q = q.fma(r, V::splat(Q[at]));
    }
    let value = q.fma(r.mul(r), r).add(V::splat(1.0));
    let value = value.mul(n.power_of_two());
    lowest.sub(x).if_positive(V::zero(), value)
}

/// Raises `max` to the largest logit of each sample in the block and writes the sums of
/// `exp(logit - max)` over the block. A NaN makes its sum NaN.
pub(super) fn statistics(level: Level, logits: &[f32], max: &mut [f32], sum: &mut [f32]) {
    assert_eq!(max.len(), sum.len());
    assert_eq!(logits.len() % max.len(), 0);
    run_statistics(level, logits, max, sum);
}

/// `logit = factor * exp(logit - max)`, with one factor and one maximum per sample.
pub(super) fn scaled_exp(level: Level, logits: &mut [f32], max: &[f32], factor: &[f32]) {
    assert_eq!(max.len(), factor.len());
    assert_eq!(logits.len() % max.len(), 0);
    run_scaled_exp(level, logits, max, factor);
}

/// The inner product in f64.
pub(super) fn dot(level: Level, a: &[f32], b: &[f32]) -> f64 {
    let mut sum = 0.0;
    run_dot(level, a, b, &mut sum);
    sum
}

/// `a . b`, `a . a` and `b . b` in f64. The arrays have the same length.
pub(super) fn inner_products(level: Level, a: &[f32], b: &[f32]) -> [f64; 3] {
    let mut sums = [0.0; 3];
    run_inner_products(level, a, b, &mut sums);
    sums
}

/// `row += factor * direction`, each entry rounded once.
pub(super) fn add_scaled(level: Level, row: &mut [f32], factor: f64, direction: &[f32]) {
    run_add_scaled(level, row, factor, direction);
}

multiversion! {
    fn run_statistics = statistics_body(logits: &[f32], max: &mut [f32], sum: &mut [f32]);
}
multiversion! {
    fn run_scaled_exp = scaled_exp_body(logits: &mut [f32], max: &[f32], factor: &[f32]);
}
multiversion! {
    fn run_dot = dot_body(a: &[f32], b: &[f32], sum: &mut f64);
}
multiversion! {
    fn run_inner_products = inner_products_body(a: &[f32], b: &[f32], sums: &mut [f64; 3]);
}
multiversion! {
    fn run_add_scaled = add_scaled_body(row: &mut [f32], factor: f64, direction: &[f32]);
}

/// # Safety
/// `max` and `sum` have the length of a row of `logits`.
#[inline(always)]
unsafe fn statistics_body<V: Vector>(logits: &[f32], max: &mut [f32], sum: &mut [f32]) {
    let columns = max.len();
    for at in (0..columns).step_by(V::LANES) {
        if at + V::LANES <= columns {
            statistics_of::<V, false>(logits, max, sum, at);
        } else {
            statistics_of::<V, true>(logits, max, sum, at);
        }
    }
}

/// # Safety
/// As `statistics_body`. `at` is below their length; `PART` if fewer than `LANES` are left.
#[inline(always)]
unsafe fn statistics_of<V: Vector, const PART: bool>(
    logits: &[f32],
    max: &mut [f32],
    sum: &mut [f32],
    at: usize,
) {
    let columns = max.len();
    let part = columns - at;
    let rows = logits.len() / columns;
    let logit = |row: usize| V::load_if::<PART>(logits.as_ptr().add(row * columns + at), part);
    let mut largest = V::load_if::<PART>(max.as_ptr().add(at), part);
    for row in 0..rows {
        let value = logit(row);
        largest = value.sub(largest).if_positive(value, largest);
    }
    largest.store_if::<PART>(max.as_mut_ptr().add(at), part);
    let mut total = V::zero();
    for row in 0..rows {
        total = total.add(exp(logit(row).sub(largest)));
    }
    total.store_if::<PART>(sum.as_mut_ptr().add(at), part);
}

/// # Safety
/// `max` and `factor` have the length of a row of `logits`.
#[inline(always)]
unsafe fn scaled_exp_body<V: Vector>(logits: &mut [f32], max: &[f32], factor: &[f32]) {
    let columns = max.len();
    for at in (0..columns).step_by(V::LANES) {
        if at + V::LANES <= columns {
            scaled_exp_of::<V, false>(logits, max, factor, at);
        } else {
            scaled_exp_of::<V, true>(logits, max, factor, at);
        }
    }
}

/// # Safety
/// As `scaled_exp_body`. `at` is below their length; `PART` if fewer than `LANES` are left.
#[inline(always)]
unsafe fn scaled_exp_of<V: Vector, const PART: bool>(
    logits: &mut [f32],
    max: &[f32],
    factor: &[f32],
    at: usize,
) {
    let columns = max.len();
    let part = columns - at;
    let max = V::load_if::<PART>(max.as_ptr().add(at), part);
    let factor = V::load_if::<PART>(factor.as_ptr().add(at), part);
    for row in 0..logits.len() / columns {
        let place = logits.as_mut_ptr().add(row * columns + at);
        let value = V::load_if::<PART>(place, part).sub(max);
        exp(value).mul(factor).store_if::<PART>(place, part);
    }
}

// The compiler vectorises plain loops over arrays for the level.

#[inline(always)]
unsafe fn dot_body<V: Vector>(a: &[f32], b: &[f32], sum: &mut f64) {
    const LANES: usize = 32;
    let mut sums = [0.0; LANES];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            sums[lane] += f64::from(a[lane]) * f64::from(b[lane]);
        }
    }
    for (lane, (&a, &b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] += f64::from(a) * f64::from(b);
    }
    *sum = sums.iter().sum();
}

#[inline(always)]
unsafe fn inner_products_body<V: Vector>(a: &[f32], b: &[f32], sums: &mut [f64; 3]) {
    /// Three times so many sums stay in the registers of AVX2.
    const LANES: usize = 16;
    let [mut ab, mut aa, mut bb] = [[0.0; LANES]; 3];
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            let (a, b) = (f64::from(a[lane]), f64::from(b[lane]));
            ab[lane] += a * b;
            aa[lane] += a * a;
            bb[lane] += b * b;
        }
    }
    for (lane, (&a, &b)) in a_rest.iter().zip(b_rest).enumerate() {
        let (a, b) = (f64::from(a), f64::from(b));
        ab[lane] += a * b;
        aa[lane] += a * a;
        bb[lane] += b * b;
    }
    *sums = [ab, aa, bb].map(|lanes| lanes.iter().sum());
}

#[inline(always)]
unsafe fn add_scaled_body<V: Vector>(row: &mut [f32], factor: f64, direction: &[f32]) {
    for (value, &d) in row.iter_mut().zip(direction) {
        *value = (f64::from(*value) + factor * f64::from(d)) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_has_single_precision_on_every_level() {
        let count = 100_003;
        let values: Vec<f32> = (0..count)
            .map(|i| -100.0 * i as f32 / count as f32)
            .collect();
        for level in Level::available() {
            let mut found = values.clone();
            let zeros = vec![0.0; count];
            scaled_exp(level, &mut found, &zeros, &vec![1.0; count]);
            for (&x, &found) in values.iter().zip(&found) {
                let exact = f64::from(x).exp();
                if x < -87.0 {
                    assert_eq!(found, 0.0, "{x}");
                } else {
                    let error = (f64::from(found) / exact - 1.0).abs();
                    assert!(error < 2e-7, "{level:?} exp({x}): {found}, {error:e}");
                }
            }
            let mut odd = [f32::NAN, f32::NEG_INFINITY, 0.0, -0.0, f32::MIN];
            scaled_exp(level, &mut odd, &[0.0; 5], &[2.0; 5]);
            assert!(odd[0].is_nan());
            assert_eq!(odd[1..], [0.0, 2.0, 2.0, 0.0]);
        }
    }

    #[test]
    fn sums_of_exponentials_on_every_level() {
        for (rows, columns) in [(1, 1), (3, 5), (7, 16), (5, 33)] {
            let logits: Vec<f32> = (0..rows * columns)
                .map(|i| ((i * 37 % 101) as f32 - 50.0) / 5.0)
                .collect();
            for level in Level::available() {
                let (mut max, mut sum) = (vec![-3.0; columns], vec![f32::NAN; columns]);
                statistics(level, &logits, &mut max, &mut sum);
                for column in 0..columns {
                    let of_column = logits.iter().skip(column).step_by(columns);
                    let largest = of_column.clone().fold(-3.0f32, |a, &b| a.max(b));
                    let exact: f64 = of_column.map(|&v| f64::from(v - largest).exp()).sum();
                    assert_eq!(max[column], largest);
                    assert!((f64::from(sum[column]) / exact - 1.0).abs() < 1e-6);
                }
            }
        }
    }

    #[test]
    fn inner_products_and_sums_of_rows_on_every_level() {
        for len in [0, 1, 31, 32, 33, 100] {
            let a: Vec<f32> = (0..len).map(|i| (i as f32).sin()).collect();
            let b: Vec<f32> = (0..len).map(|i| (i as f32).cos() * 1e10).collect();
            let exact: f64 = a
                .iter()
                .zip(&b)
                .map(|(&a, &b)| f64::from(a) * f64::from(b))
                .sum();
            for level in Level::available() {
                assert!((dot(level, &a, &b) - exact).abs() <= 1e-12 * exact.abs());
                let found = inner_products(level, &a, &b);
                let expected = [(&a, &b), (&a, &a), (&b, &b)].map(|(a, b)| dot(level, a, b));
                for (found, expected) in found.iter().zip(&expected) {
                    assert!((found - expected).abs() <= 1e-12 * expected.abs());
                }
                let mut sum = a.clone();
                add_scaled(level, &mut sum, 0.5, &b);
                for ((&sum, &a), &b) in sum.iter().zip(&a).zip(&b) {
                    assert_eq!(sum, (f64::from(a) + 0.5 * f64::from(b)) as f32);
                }
            }
        }
    }
}
