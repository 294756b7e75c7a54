use super::{
    Continuation, Curve, Margin, MarginError, Normalisation, Target, TargetLogit, check,
    check_scale,
};

/// Additive cosine margin: `CosFace` (Wang et al., arXiv 1801.09414), also AM-Softmax
/// (arXiv 1801.05599).
///
/// ```text
/// F = s (cos θ - m),   other logits s cos θ_j
/// ```
///
/// Published defaults: `CosFace` s = 64, m = 0.35; AM-Softmax s = 30, m = 0.35.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CosFace {
    scale: f64,
    margin: f64,
}

impl CosFace {
    /// # Errors
    /// `scale` is not above 0, or `margin` is not from 0 to 2.
    pub fn new(scale: f64, margin: f64) -> Result<Self, MarginError> {
        check_scale(scale)?;
        check("the cosine margin", margin, "from 0 to 2", |m| {
            (0.0..=2.0).contains(&m)
        })?;
        Ok(Self { scale, margin })
    }
}

impl Margin for CosFace {
    fn normalisation(&self) -> Normalisation {
        Normalisation {
            weights: true,
            feature_scale: Some(self.scale),
        }
    }

    fn target_logit(&self, target: Target) -> TargetLogit {
        TargetLogit {
            value: self.scale * (target.cosine - self.margin),
            d_cosine: self.scale,
            ..TargetLogit::default()
        }
    }

    fn curve(&self) -> Option<Curve> {
        Some(Curve::AngularMargin {
            angle: 0.0,
            shift: self.margin,
            continuation: Continuation::Fold,
        })
    }
}
