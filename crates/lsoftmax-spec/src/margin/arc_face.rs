use super::{
    Continuation, Curve, Margin, MarginError, Normalisation, Target, TargetLogit, check,
    check_scale,
};
use std::f64::consts::PI;

/// Additive angular margin (Deng et al., CVPR 2019, arXiv 1801.07698).
///
/// ```text
/// F = s cos(θ + m)            while θ + m <= π
/// F = s (cos θ - m sin m)     beyond
/// ```
///
/// The second line is the continuation of the authors' code, which keeps the logit
/// falling in θ. Published defaults: s = 64, m = 0.5.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ArcFace {
    scale: f64,
    angle: f64,
    sin: f64,
    cos: f64,
    /// cos(π - m): at a smaller cosine, θ + m is beyond π.
    threshold: f64,
    /// m sin m.
    drop: f64,
}

impl ArcFace {
    /// # Errors
    /// `scale` is not above 0, or `margin` (radians) is not from 0 to π/2.
    pub fn new(scale: f64, margin: f64) -> Result<Self, MarginError> {
        check_scale(scale)?;
        check(
            "the angular margin in radians",
            margin,
            "from 0 to π/2",
            |m| (0.0..=PI / 2.0).contains(&m),
        )?;
        let (sin, cos) = margin.sin_cos();
        Ok(Self {
            scale,
            angle: margin,
            sin,
            cos,
            threshold: -cos,
            drop: margin * sin,
        })
    }
}

impl Margin for ArcFace {
    fn normalisation(&self) -> Normalisation {
        Normalisation {
            weights: true,
            feature_scale: Some(self.scale),
        }
    }

    fn target_logit(&self, target: Target) -> TargetLogit {
        let c = target.cosine;
        let (value, slope) = if c < self.threshold {
            (c - self.drop, 1.0)
        } else {
            // Of a NaN, `max` makes 0, but the other term keeps it.
            let sine = ((1.0 - c) * (1.0 + c)).max(0.0).sqrt();
            (
                c * self.cos - sine * self.sin,
                self.cos + c * self.sin * inverse_sine(c),
            )
        };
        TargetLogit {
            value: self.scale * value,
            d_cosine: self.scale * slope,
            ..TargetLogit::default()
        }
    }

    fn curve(&self) -> Option<Curve> {
        Some(Curve::AngularMargin {
            angle: self.angle,
            shift: 0.0,
            continuation: Continuation::Cosine { drop: self.drop },
        })
    }
}

/// 1 / sin θ from cos θ; within 1e-6 of θ = 0 and π, it falls to 0.
///
/// The logit has a cusp there, and no gradient. A finite slope would do, since the tangential
/// part that it is multiplied by vanishes, but rounding errors of that part grow with it.
pub(super) fn inverse_sine(c: f64) -> f64 {
    // Written so that NaN stays NaN.
    let square = (1.0 - c) * (1.0 + c);
    if square < 1e-12 {
        square.sqrt() / 1e-12
    } else {
        1.0 / square.sqrt()
    }
}
