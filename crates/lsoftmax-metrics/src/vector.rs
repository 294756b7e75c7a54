//! Vector arithmetic in `f64`, in a fixed order.

/// Partial sums of a dot product, independent so that the compiler can use vector registers.
const LANES: usize = 8;

/// The inner product, with every product and sum in `f64`. The longer vector is truncated.
pub(crate) fn dot<A, B>(a: &[A], b: &[B]) -> f64
where
    A: Copy + Into<f64>,
    B: Copy + Into<f64>,
{
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a.into() * b.into();
        }
    }
    let rest: f64 = a_rest
        .iter()
        .zip(b_rest)
        .map(|(&a, &b)| a.into() * b.into())
        .sum();
    lanes.iter().sum::<f64>() + rest
}

/// The Euclidean norm. `f32` values cannot overflow it, because the squares are `f64`.
pub(crate) fn norm<A: Copy + Into<f64>>(a: &[A]) -> f64 {
    dot(a, a).sqrt()
}

/// Whether a vector with this norm has a direction.
pub(crate) fn has_direction(norm: f64) -> bool {
    norm > 0.0 && norm.is_finite()
}

/// The angle of a cosine. Cosines are clamped only here.
pub(crate) fn angle_rad(cosine: f64) -> f64 {
    cosine.clamp(-1.0, 1.0).acos()
}

/// Adds `scale * row` to `sum`.
pub(crate) fn add_scaled(sum: &mut [f64], row: &[f32], scale: f64) {
    for (sum, &value) in sum.iter_mut().zip(row) {
        *sum += scale * f64::from(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_covers_chunks_and_rest() {
        for length in [0, 1, 7, 8, 9, 16, 19] {
            let a: Vec<f32> = (0..length).map(|i| i as f32).collect();
            let b: Vec<f64> = (0..length).map(|i| f64::from(i) + 0.5).collect();
            let expected: f64 = (0..length)
                .map(|i| f64::from(i) * (f64::from(i) + 0.5))
                .sum();
            assert_eq!(dot(&a, &b), expected);
        }
    }

    #[test]
    fn norms_of_extreme_values_are_finite() {
        assert!(norm(&[f32::MAX; 64]).is_finite());
        assert!(
            norm(&[f32::from_bits(1)]) > 0.0,
            "the smallest subnormal still has a norm"
        );
        assert!(!has_direction(norm(&[f32::NAN, 1.0])));
        assert!(!has_direction(norm(&[f32::INFINITY, 1.0])));
        assert!(!has_direction(norm(&[0.0_f32; 3])));
    }
}
