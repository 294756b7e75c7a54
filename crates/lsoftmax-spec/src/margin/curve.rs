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
    Turned {
        /// In radians, from 0 to π/2.
        angle: f64,
        /// What is taken away.
        shift: f64,
        /// How it goes on.
        beyond: Beyond,
    },
}

/// How [`Curve::Turned`] goes on where θ + angle is beyond π.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Beyond {
    /// As cos θ - drop - shift.
    Cosine {
        /// What is taken away besides.
        drop: f64,
    },
    /// As -cos(θ + angle) - 2 - shift, the way ψ does.
    Fold,
}
