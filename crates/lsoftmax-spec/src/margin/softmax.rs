use super::{Curve, Margin, Normalisation, Target, TargetLogit, plain_logit};

/// Softmax without a margin: the target logit is the inner product `w · x`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Softmax;

impl Margin for Softmax {
    fn normalisation(&self) -> Normalisation {
        Normalisation::default()
    }

    fn target_logit(&self, target: Target) -> TargetLogit {
        plain_logit(self.normalisation(), target)
    }

    fn curve(&self) -> Option<Curve> {
        Some(Curve::Psi { m: 1 })
    }
}
