//! Margins: the target logit as a scalar function, one file a loss.
//!
//! A [`Margin`] sees one sample (the cosine between its feature and its class weight,
//! and the two norms) and answers with the target logit and its derivatives. It knows
//! nothing of tensors, batches or λ. All scalars are f64 whatever the tensors are:
//! they cost `O(batch)`, and cosines near ±1 amplify errors by up to m².

mod arc_face;
mod combined;
mod cos_face;
mod curve;
mod loss;
mod psi;
mod softmax;
mod sphere;
mod target;

use crate::names::UnknownName;
pub use arc_face::ArcFace;
pub use combined::Combined;
pub use cos_face::CosFace;
pub use curve::{Continuation, Curve};
pub use loss::{Loss, LossParameters};
pub use psi::{MAX_MULTIPLIER, Psi};
pub use softmax::Softmax;
pub use sphere::{ASoftmax, LSoftmax};
pub use target::{Normalisation, TINY, Target, TargetLogit, inverse};

/// The target logit of a loss as a scalar function with its derivative.
///
/// Implement it for a loss of your own and pass it to `lsoftmax::margin_cross_entropy`.
pub trait Margin: Send + Sync + std::fmt::Debug {
    /// Which vectors are brought to a fixed length; it applies to every logit.
    fn normalisation(&self) -> Normalisation;

    /// The target logit at this angle and these norms, with its three derivatives.
    ///
    /// `target` comes with both norms above zero and a cosine in [-1, 1] (or NaN, which
    /// has to stay NaN).
    fn target_logit(&self, target: Target) -> TargetLogit;

    /// The same as a [`Curve`], if it is one, so that a graphics processor computes it without asking
    /// the host: [`target_logit`](Self::target_logit) costs one wait for the device a step.
    fn curve(&self) -> Option<Curve> {
        None
    }
}

/// The logit that a plain inner product gives under a normalisation.
pub(crate) fn plain_logit(normalisation: Normalisation, target: Target) -> TargetLogit {
    let Target {
        cosine,
        feature_norm,
        weight_norm,
    } = target;
    let (x, dx) = match normalisation.feature_scale {
        Some(scale) => (scale, 0.0),
        None => (feature_norm, 1.0),
    };
    let (w, dw) = if normalisation.weights {
        (1.0, 0.0)
    } else {
        (weight_norm, 1.0)
    };
    TargetLogit {
        value: x * w * cosine,
        d_cosine: x * w,
        d_feature_norm: dx * w * cosine,
        d_weight_norm: dw * x * cosine,
    }
}

/// The target logit with annealing: `z + (F - z) / (1 + λ)`, where `z` is the plain logit.
///
/// This form of the paper's `(λ z + F) / (1 + λ)` is exact at λ = 0 and at λ = ∞, and
/// never forms the large product λ z.
///
/// # Panics
/// Never; a λ that is negative or NaN gives a NaN logit rather than a silent number.
pub fn blend(margin: &dyn Margin, lambda: f64, target: Target) -> TargetLogit {
    let lambda = if lambda >= 0.0 { lambda } else { f64::NAN };
    let z = plain_logit(margin.normalisation(), target);
    if lambda == f64::INFINITY {
        return z;
    }
    let f = margin.target_logit(target);
    if lambda == 0.0 {
        return f;
    }
    let share = 1.0 / (1.0 + lambda);
    let mix = |z: f64, f: f64| z + (f - z) * share;
    TargetLogit {
        value: mix(z.value, f.value),
        d_cosine: mix(z.d_cosine, f.d_cosine),
        d_feature_norm: mix(z.d_feature_norm, f.d_feature_norm),
        d_weight_norm: mix(z.d_weight_norm, f.d_weight_norm),
    }
}

/// A loss that does not exist, or one with a parameter outside its range.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MarginError {
    /// The angular multiplier m is outside its range.
    #[error("the angular margin m must be a whole number from 1 to {MAX_MULTIPLIER}, found {0}")]
    Multiplier(u32),
    /// A margin that is not an angular multiplier, for a loss that needs one.
    #[error("margin must be a whole number from 1 to {MAX_MULTIPLIER} for {loss}, found {found}")]
    NotAMultiplier {
        /// The name of the loss.
        loss: &'static str,
        /// The value found.
        found: f64,
    },
    /// A number of margins other than three.
    #[error("margins must be three numbers, found {0}")]
    Margins(usize),
    /// An unknown name.
    #[error(transparent)]
    Name(#[from] UnknownName),
    /// A real-valued parameter is outside its range.
    #[error("{name} must be {expected}, found {found}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// Its range.
        expected: &'static str,
        /// The value found.
        found: f64,
    },
}

/// Checks a scale: finite and above zero.
pub(crate) fn check_scale(scale: f64) -> Result<(), MarginError> {
    check("scale", scale, "finite and above 0", |v| v > 0.0)
}

/// Checks that a parameter is finite and in its range.
///
/// # Errors
/// [`MarginError::Parameter`], which names the parameter and its range.
pub fn check(
    name: &'static str,
    found: f64,
    expected: &'static str,
    ok: impl Fn(f64) -> bool,
) -> Result<(), MarginError> {
    if found.is_finite() && ok(found) {
        Ok(())
    } else {
        Err(MarginError::Parameter {
            name,
            expected,
            found,
        })
    }
}
