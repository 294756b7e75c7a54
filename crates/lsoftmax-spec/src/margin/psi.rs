use super::MarginError;
use std::f64::consts::PI;

/// The largest angular multiplier offered.
pub const MAX_MULTIPLIER: u32 = 16;

/// The monotone angle function of L-Softmax (arXiv 1612.02295, equation 6), as a
/// function of the cosine `c = cos θ`:
///
/// ```text
/// ψ(θ) = (-1)^k cos(mθ) - 2k,   θ in [kπ/m, (k+1)π/m],   k = 0 .. m-1
///      = (-1)^k T_m(c) - 2k
/// dψ/dc = (-1)^k m U_{m-1}(c)
/// ```
///
/// with the Chebyshev polynomials `T` and `U` by recursion. No arccosine is taken: k is
/// the number of thresholds cos(iπ/m) above c, so that nothing is lost near c = ±1, where
/// the derivative stays finite (m²). ψ is 1 at θ = 0, falls strictly, and reaches
/// -(2m - 1) at θ = π; its slope is continuous everywhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Psi {
    m: u32,
    /// cos(iπ/m) for i = 1 .. m-1, falling.
    thresholds: [f64; MAX_MULTIPLIER as usize - 1],
}

impl Psi {
    /// ψ for the multiplier `m`.
    ///
    /// # Errors
    /// `m` is not from 1 to [`MAX_MULTIPLIER`].
    pub fn new(m: u32) -> Result<Self, MarginError> {
        if !(1..=MAX_MULTIPLIER).contains(&m) {
            return Err(MarginError::Multiplier(m));
        }
        let mut thresholds = [f64::NEG_INFINITY; MAX_MULTIPLIER as usize - 1];
        for (i, threshold) in (1..m).zip(&mut thresholds) {
            // An exact zero at π/2, where cos would leave 6e-17.
            *threshold = if 2 * i == m {
                0.0
            } else {
                (f64::from(i) * PI / f64::from(m)).cos()
            };
        }
        Ok(Self { m, thresholds })
    }

    /// The multiplier m.
    pub fn multiplier(&self) -> u32 {
        self.m
    }

    /// ψ and dψ/dc at the cosine `c` in [-1, 1]; NaN stays NaN.
    pub fn at(&self, c: f64) -> (f64, f64) {
        let m = self.m;
        // A tie may fall on either side: value and slope agree there.
        let k = self.thresholds[..m as usize - 1]
            .iter()
            .filter(|&&t| c < t)
            .count();
        let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
        let (mut t, mut t_next) = (1.0, c);
        // U_{-1} = 0, U_0 = 1.
        let (mut u_previous, mut u) = (0.0, 1.0);
        for step in 1..=m {
            if step < m {
                (u_previous, u) = (u, 2.0 * c * u - u_previous);
            }
            (t, t_next) = (t_next, 2.0 * c * t_next - t);
        }
        (sign * t - 2.0 * k as f64, sign * f64::from(m) * u)
    }
}
