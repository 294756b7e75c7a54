//! The one-dimensional Winograd transforms on six points.
//!
//! Convolution is a product of polynomials: `G` and `A` evaluate a polynomial at the points, `B^T`
//! and `A^T` belong to the interpolation.

// Contract of the unsafe functions: the CPU has `V`'s feature.
#![allow(unsafe_code, unsafe_op_in_unsafe_fn, clippy::inline_always)]

use crate::simd::Vector;

/// The points are 0, `NEAR`, `-NEAR`, `FAR`, `-FAR` and infinity. Compared with the usual choice of
/// 1 and 2, the roots of 1/2 and 2 cost three more products per transform and reduce the error to a
/// third.
const NEAR: f32 = std::f32::consts::FRAC_1_SQRT_2;
const FAR: f32 = std::f32::consts::SQRT_2;
/// Their squares, `[NEAR^2, FAR^2]`, whose product is 1.
const SQUARES: [f32; 2] = [0.5, 2.0];
/// `1 / product of (point - other point)` at `NEAR` and `FAR` (either sign); it is 1 at 0.
const WEIGHTS: [f32; 2] = [-2.0 / 3.0, 1.0 / 6.0];

/// `[NEAR^power, FAR^power]`
#[inline(always)]
fn powers(power: usize) -> [f32; 2] {
    let (square, odd) = ((power / 2) as i32, power % 2 == 1);
    let [near, far] = SQUARES.map(|value| value.powi(square));
    if odd {
        [near * NEAR, far * FAR]
    } else {
        [near, far]
    }
}

/// `B^T d`
#[inline(always)]
pub(super) unsafe fn b_transposed<V: Vector>(d: [V; 6]) -> [V; 6] {
    let sum = V::splat(-SQUARES[0] - SQUARES[1]);
    let [near, far] = [V::splat(-SQUARES[0]), V::splat(-SQUARES[1])];
    let (even_near, odd_near) = (far.fma(d[2], d[4]), far.fma(d[1], d[3]));
    let (even_far, odd_far) = (near.fma(d[2], d[4]), near.fma(d[1], d[3]));
    [
        sum.fma(d[2], d[0].add(d[4])),
        V::splat(NEAR).fma(odd_near, even_near),
        V::splat(-NEAR).fma(odd_near, even_near),
        V::splat(FAR).fma(odd_far, even_far),
        V::splat(-FAR).fma(odd_far, even_far),
        sum.fma(d[3], d[1].add(d[5])),
    ]
}

/// The first `M` values of `A^T m`.
#[inline(always)]
pub(super) unsafe fn a_transposed<V: Vector, const M: usize>(m: [V; 6]) -> [V; M] {
    let sums = [m[1].add(m[2]), m[3].add(m[4])];
    let differences = [m[1].sub(m[2]), m[3].sub(m[4])];
    let mut out = [V::zero(); M];
    out[0] = m[0].add(sums[0]).add(sums[1]);
    for (power, out) in out.iter_mut().enumerate().skip(1) {
        let [near, far] = if power % 2 == 0 { sums } else { differences };
        let factors = powers(power);
        *out = V::splat(factors[0]).fma(near, V::splat(factors[1]).mul(far));
    }
    out[M - 1] = out[M - 1].add(m[5]);
    out
}

/// `A d` for `M` values: the polynomial with coefficients `d` at the points.
#[inline(always)]
pub(super) unsafe fn a_plain<V: Vector, const M: usize>(d: [V; M]) -> [V; 6] {
    let mut even = [d[0]; 2];
    let mut odd = [V::splat(NEAR).mul(d[1]), V::splat(FAR).mul(d[1])];
    for (power, &value) in d.iter().enumerate().skip(2) {
        let half = if power % 2 == 0 { &mut even } else { &mut odd };
        let factors = powers(power);
        half[0] = V::splat(factors[0]).fma(value, half[0]);
        half[1] = V::splat(factors[1]).fma(value, half[1]);
    }
    [
        d[0],
        even[0].add(odd[0]),
        even[0].sub(odd[0]),
        even[1].add(odd[1]),
        even[1].sub(odd[1]),
        d[M - 1],
    ]
}

/// `G g` for `K` values: the polynomial at the points, with the points' weights.
#[inline(always)]
pub(super) unsafe fn g_plain<V: Vector, const K: usize>(g: [V; K]) -> [V; 6] {
    weighted(a_plain(g))
}

/// `G^T m`
#[inline(always)]
pub(super) unsafe fn g_transposed<V: Vector, const K: usize>(m: [V; 6]) -> [V; K] {
    a_transposed(weighted(m))
}

#[inline(always)]
unsafe fn weighted<V: Vector>(m: [V; 6]) -> [V; 6] {
    let [near, far] = [V::splat(WEIGHTS[0]), V::splat(WEIGHTS[1])];
    [
        m[0],
        near.mul(m[1]),
        near.mul(m[2]),
        far.mul(m[3]),
        far.mul(m[4]),
        m[5],
    ]
}
