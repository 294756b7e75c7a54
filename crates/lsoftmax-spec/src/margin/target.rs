/// The vectors of a logit that are normalised.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Normalisation {
    /// Normalises class weights to length 1.
    pub weights: bool,
    /// Normalises features to this length.
    pub feature_scale: Option<f64>,
}

/// A shorter vector counts as zero when it is normalised: its gradient, about `1 / norm`, must stay
/// finite in f32.
pub const TINY: f64 = 1e-30;

/// 1 / norm, and 0 for a vector that counts as zero.
pub fn inverse(norm: f64) -> f64 {
    if norm < TINY { 0.0 } else { 1.0 / norm }
}

impl Normalisation {
    /// `a_i`, the factor of the logits of a feature with this norm.
    pub fn feature_factor(&self, feature_norm: f64) -> f64 {
        self.feature_scale
            .map_or(1.0, |scale| scale * inverse(feature_norm))
    }

    /// `b_j`, the factor of the logits of a class whose weight has this norm.
    pub fn weight_factor(&self, weight_norm: f64) -> f64 {
        if self.weights {
            inverse(weight_norm)
        } else {
            1.0
        }
    }
}

/// The inputs of a margin for one sample: the angle to its class, and two norms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Target {
    /// Cosine of the angle between the feature and its class weight, in [-1, 1].
    pub cosine: f64,
    /// Norm of the feature, before any normalisation.
    pub feature_norm: f64,
    /// Norm of the class weight, before any normalisation.
    pub weight_norm: f64,
}

impl Target {
    /// The target of the same vectors, with each norm multiplied by a factor.
    #[must_use]
    pub fn rescaled(self, feature: f64, weight: f64) -> Self {
        Self {
            feature_norm: self.feature_norm * feature,
            weight_norm: self.weight_norm * weight,
            ..self
        }
    }
}

/// The target logit and its derivatives.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TargetLogit {
    /// The logit `F`.
    pub value: f64,
    /// `dF / d cosine`.
    pub d_cosine: f64,
    /// `dF / d feature_norm`.
    pub d_feature_norm: f64,
    /// `dF / d weight_norm`.
    pub d_weight_norm: f64,
}
