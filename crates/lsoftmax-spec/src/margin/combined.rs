use super::arc_face::inverse_sine;
use super::{
    Continuation, Curve, Margin, MarginError, Normalisation, Target, TargetLogit, check,
    check_scale,
};
use std::f64::consts::PI;

/// The combined margin of the `ArcFace` paper (arXiv 1801.07698, section 2.3): all three
/// parts at once.
///
/// ```text
/// F = s (cos(m1 θ + m2) - m3),   other logits s cos θ_j
/// ```
///
/// Where u = m1 θ + m2 leaves [0, π], cos u would rise again; it goes on as ψ does, as
/// `(-1)^k cos u - 2k` on [kπ, (k+1)π], which is continuous with its slope and falls.
/// Published: (m1, m2, m3) = (1, 0.3, 0.2), s = 64 (`InsightFace`).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Combined {
    scale: f64,
    multiplier: f64,
    angle: f64,
    cosine: f64,
}

impl Combined {
    /// `multiplier` is m1, `angle` is m2 in radians, `cosine` is m3.
    ///
    /// # Errors
    /// `scale` or `multiplier` is not above 0, `angle` is not from 0 to π/2, or
    /// `cosine` is not from 0 to 2.
    pub fn new(scale: f64, multiplier: f64, angle: f64, cosine: f64) -> Result<Self, MarginError> {
        check_scale(scale)?;
        check("m1", multiplier, "above 0 and at most 16", |m| {
            m > 0.0 && m <= 16.0
        })?;
        check("m2 in radians", angle, "from 0 to π/2", |m| {
            (0.0..=PI / 2.0).contains(&m)
        })?;
        check("m3", cosine, "from 0 to 2", |m| (0.0..=2.0).contains(&m))?;
        Ok(Self {
            scale,
            multiplier,
            angle,
            cosine,
        })
    }
}

impl Margin for Combined {
    fn normalisation(&self) -> Normalisation {
        Normalisation {
            weights: true,
            feature_scale: Some(self.scale),
        }
    }

    fn target_logit(&self, target: Target) -> TargetLogit {
        let u = self.multiplier * target.cosine.acos() + self.angle;
        let k = (u / PI).floor();
        let sign = if k.rem_euclid(2.0) == 0.0 { 1.0 } else { -1.0 };
        TargetLogit {
            value: self.scale * (sign * u.cos() - 2.0 * k - self.cosine),
            d_cosine: self.scale * sign * self.multiplier * u.sin() * inverse_sine(target.cosine),
            ..TargetLogit::default()
        }
    }

    fn curve(&self) -> Option<Curve> {
        (self.multiplier == 1.0).then_some(Curve::AngularMargin {
            angle: self.angle,
            shift: self.cosine,
            continuation: Continuation::Fold,
        })
    }
}
