//! The scalars of one sample: all that a margin changes.

use super::{Normalisation, TINY, Target, TargetLogit, ZERO};

/// A sample before its margin: where the feature stands to its own class weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// What a margin sees.
    pub target: Target,
    /// The plain logit of the own class.
    pub plain: f64,
    /// `a_i`: every logit of the row carries this factor.
    pub feature_factor: f64,
    /// `b_y` of the own class.
    weight_factor: f64,
    /// Whether there is an angle: neither vector has length zero.
    angle: bool,
    normalisation: Normalisation,
}

impl Pair {
    /// From `x . w` and the two lengths.
    pub fn new(
        inner: f64,
        feature_norm: f64,
        weight_norm: f64,
        normalisation: Normalisation,
    ) -> Self {
        let feature_factor = normalisation.feature_factor(feature_norm);
        let weight_factor = normalisation.weight_factor(weight_norm);
        let shortest = |normalised| if normalised { TINY } else { ZERO };
        let angle = !(feature_norm < shortest(normalisation.feature_scale.is_some())
            || weight_norm < shortest(normalisation.weights));
        // `clamp` keeps NaN.
        let cosine = if angle {
            (inner / feature_norm / weight_norm).clamp(-1.0, 1.0)
        } else {
            0.0
        };
        Self {
            target: Target {
                cosine,
                feature_norm,
                weight_norm,
            },
            plain: feature_factor * weight_factor * inner,
            feature_factor,
            weight_factor,
            angle,
            normalisation,
        }
    }
}

/// What the margin makes of one sample.
///
/// With `d` the derivative of the loss by the target logit, the gradient is that
/// of a plain softmax head but for three scalars: the target entry of the matrix
/// that both products use is `d * entry`, and `d * along_feature` times the feature
/// (`d * along_weight` times the class weight) is added to its own gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// What the margin saw.
    pub target: Target,
    /// The target logit.
    pub logit: f64,
    /// See the description of the type.
    pub entry: f64,
    /// See the description of the type.
    pub along_feature: f64,
    /// See the description of the type.
    pub along_weight: f64,
}

impl Sample {
    /// Asks `margin` about a sample.
    ///
    /// A vector of length zero has no angle: the plain inner product stands in.
    pub fn new(pair: &Pair, margin: &dyn Fn(Target) -> TargetLogit) -> Self {
        let Pair {
            target,
            normalisation,
            ..
        } = *pair;
        if !pair.angle {
            return Self {
                target,
                logit: pair.plain,
                entry: pair.feature_factor * pair.weight_factor,
                along_feature: 0.0,
                along_weight: 0.0,
            };
        }
        let Target {
            cosine,
            feature_norm,
            weight_norm,
        } = target;
        let logit = margin(target);
        // The part of the cosine's gradient along a normalised vector is taken away
        // again by the projection that every one of its logits goes through.
        let turn = |normalised: bool, norm: f64| {
            if normalised {
                0.0
            } else {
                cosine * logit.d_cosine / norm
            }
        };
        let feature_turn = turn(normalisation.feature_scale.is_some(), feature_norm);
        let weight_turn = turn(normalisation.weights, weight_norm);
        Self {
            target,
            logit: logit.value,
            entry: logit.d_cosine / feature_norm / weight_norm,
            along_feature: (logit.d_feature_norm - feature_turn) / feature_norm,
            along_weight: (logit.d_weight_norm - weight_turn) / weight_norm,
        }
    }
}
