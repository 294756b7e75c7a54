use super::{Curve, Margin, MarginError, Normalisation, Psi, Target, TargetLogit};

/// Large-margin softmax (Liu et al., ICML 2016, arXiv 1612.02295).
///
/// ```text
/// F = |w| |x| ψ(θ)
/// ```
///
/// with [`Psi`]. The other logits are plain inner products. The paper uses m = 2, 3, 4.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LSoftmax(Psi);

/// Angular softmax, `SphereFace` (Liu et al., CVPR 2017, arXiv 1704.08063).
///
/// ```text
/// F = |x| ψ(θ),   other logits |x| cos θ_j
/// ```
///
/// that is L-Softmax with unit class weights. The authors' face experiments use m = 4
/// with λ from 1000 down to 5 (wy1iu/sphereface).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ASoftmax(Psi);

impl LSoftmax {
    /// # Errors
    /// `m` is not from 1 to 16.
    pub fn new(m: u32) -> Result<Self, MarginError> {
        Psi::new(m).map(Self)
    }
}

impl ASoftmax {
    /// # Errors
    /// `m` is not from 1 to 16.
    pub fn new(m: u32) -> Result<Self, MarginError> {
        Psi::new(m).map(Self)
    }
}

impl Margin for LSoftmax {
    fn normalisation(&self) -> Normalisation {
        Normalisation::default()
    }

    fn target_logit(&self, target: Target) -> TargetLogit {
        let (psi, slope) = self.0.at(target.cosine);
        TargetLogit {
            value: target.weight_norm * target.feature_norm * psi,
            d_cosine: target.weight_norm * target.feature_norm * slope,
            d_feature_norm: target.weight_norm * psi,
            d_weight_norm: target.feature_norm * psi,
        }
    }

    fn curve(&self) -> Option<Curve> {
        let m = self.0.multiplier();
        Some(Curve::Psi { m })
    }
}

impl Margin for ASoftmax {
    fn normalisation(&self) -> Normalisation {
        Normalisation {
            weights: true,
            feature_scale: None,
        }
    }

    fn target_logit(&self, target: Target) -> TargetLogit {
        let (psi, slope) = self.0.at(target.cosine);
        TargetLogit {
            value: target.feature_norm * psi,
            d_cosine: target.feature_norm * slope,
            d_feature_norm: psi,
            d_weight_norm: 0.0,
        }
    }

    fn curve(&self) -> Option<Curve> {
        let m = self.0.multiplier();
        Some(Curve::Psi { m })
    }
}
