/// A margin that kernels compute themselves: with A the scale or the feature norm, and B 1 or the norm
/// of the class weight, as the [`Normalisation`](super::Normalisation) has it,
///
/// ```text
/// F = A B g(cos θ)
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Curve {
    /// g = ψ(θ) of this multiplier ([`Psi`](super::Psi)); with m = 1 the plain cosine.
    Psi {
        /// The multiplier m.
        m: u32,
    },
    /// g = cos(θ + angle) - shift while θ + angle <= π.
    AngularMargin {
        /// In radians, from 0 to π/2.
        angle: f64,
        /// Subtracted from the cosine.
        shift: f64,
        /// g where θ + angle is above π.
        continuation: Continuation,
    },
}

/// g of [`Curve::AngularMargin`] where θ + angle is above π.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Continuation {
    /// g = cos θ - drop - shift.
    Cosine {
        /// Subtracted in addition to the shift.
        drop: f64,
    },
    /// g = -cos(θ + angle) - 2 - shift, as ψ continues.
    Fold,
}
