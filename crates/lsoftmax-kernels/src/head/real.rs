//! The two element types of the head, and what is fast for each.

use gemm::{Parallelism, gemm};

/// f32 or f64.
pub trait Real:
    sealed::Sealed + Copy + Send + Sync + std::ops::Mul<Output = Self> + 'static
{
    /// 0.
    const ZERO: Self;

    /// Rounds to the nearest value of this type.
    fn from_f64(value: f64) -> Self;

    /// Widens.
    fn to_f64(self) -> f64;

    /// The largest value of a row; NaN if there is one.
    fn max_of(row: &[Self]) -> Self;

    /// `sum_j exp(row_j - shift)`.
    fn sum_exp(row: &[Self], shift: Self) -> f64;

    /// `row_j = factor * exp(row_j - shift)`.
    fn scaled_exp(row: &mut [Self], shift: Self, factor: Self);

    /// `out (+)= lhs * rhs` for `[m, k]` times `[k, n]` into row-major `[m, n]`.
    ///
    /// Each operand comes with its row and column stride.
    ///
    /// # Panics
    /// If a slice is too short for its shape and strides.
    fn gemm(
        shape: [usize; 3],
        lhs: (&[Self], [usize; 2]),
        rhs: (&[Self], [usize; 2]),
        out: &mut [Self],
        add: bool,
    ) {
        let [m, k, n] = shape;
        let ((lhs, [lhs_rs, lhs_cs]), (rhs, [rhs_rs, rhs_cs])) = (lhs, rhs);
        if m == 0 || n == 0 || k == 0 {
            return;
        }
        assert!(
            (m - 1) * lhs_rs + (k - 1) * lhs_cs < lhs.len(),
            "gemm: lhs is too short"
        );
        assert!(
            (k - 1) * rhs_rs + (n - 1) * rhs_cs < rhs.len(),
            "gemm: rhs is too short"
        );
        assert!(m * n <= out.len(), "gemm: out is too short");
        // Forking for a small product costs more than it saves.
        let parallelism = if m * k * n < 32 * 32 * 32 {
            Parallelism::None
        } else {
            Parallelism::Rayon(0)
        };
        // SAFETY: the asserts above bound every element that the product reads or writes,
        // and `out` is borrowed mutably, so it overlaps neither operand.
        #[allow(unsafe_code)]
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
                Self::from_f64(1.0),
                Self::from_f64(1.0),
                false,
                false,
                false,
                parallelism,
            );
        }
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

macro_rules! real {
    ($t:ty) => {
        impl Real for $t {
            const ZERO: Self = 0.0;

            fn from_f64(value: f64) -> Self {
                value as $t
            }

            fn to_f64(self) -> f64 {
                self as f64
            }

            fn max_of(row: &[Self]) -> Self {
                let mut max = <$t>::NEG_INFINITY;
                let mut nan = false;
                for &value in row {
                    nan |= value.is_nan();
                    max = if value > max { value } else { max };
                }
                if nan { <$t>::NAN } else { max }
            }

            fn sum_exp(row: &[Self], shift: Self) -> f64 {
                row.iter()
                    .map(|&value| f64::from((value - shift).exp()))
                    .sum()
            }

            fn scaled_exp(row: &mut [Self], shift: Self, factor: Self) {
                for value in row {
                    *value = factor * (*value - shift).exp();
                }
            }
        }
    };
}

real!(f32);
real!(f64);
