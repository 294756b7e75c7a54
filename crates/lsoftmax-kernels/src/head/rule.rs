//! The target logits of a margin with λ.

use super::{HeadError, Normalisation, Target, TargetLogit, TargetLogits};
use lsoftmax_spec::StepLambda;
use lsoftmax_spec::margin::{Margin, blend};
use std::sync::Arc;

/// The loss of a batch by a [`Margin`], λ and labels: all of it that is not an array of numbers.
#[derive(Clone, Debug)]
pub struct TargetRule {
    /// The scalar function.
    pub margin: Arc<dyn Margin>,
    /// Its share: see [`blend`].
    pub lambda: StepLambda,
    /// The class of each row, each below the number of classes.
    pub labels: Arc<[u32]>,
    /// How many classes there are.
    pub classes: usize,
    /// How the samples of the batch differ in the loss.
    pub samples: Samples,
}

/// How the samples of a batch differ in the loss. By default they do not.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// Weight of the cross-entropy of each sample, `[batch]`. Without, the loss is the mean.
    pub weights: Option<Arc<[f64]>>,
    /// Share of the margin for each sample, `[batch]`, above 0 and at most 1. Without, each gets all
    /// of it.
    pub shares: Option<Arc<[f64]>>,
    /// Multiple of the target logit to add to each cross-entropy.
    pub target_pull: f64,
    /// Samples that do not count in the gate of λ, `[batch]`.
    pub ignored: Option<Arc<[bool]>>,
}

impl Samples {
    /// Gives each sample the share of its class, if the classes have any: `[class]`.
    #[must_use]
    pub fn with_class_shares(self, shares: Option<&[f64]>, labels: &[u32]) -> Self {
        let of_labels =
            |shares: &[f64]| labels.iter().map(|&label| shares[label as usize]).collect();
        Self {
            shares: shares.map(of_labels),
            ..self
        }
    }

    /// Whether they do not differ, and the loss is the plain mean.
    pub fn are_alike(&self) -> bool {
        let Self {
            weights,
            shares,
            target_pull,
            ignored,
        } = self;
        weights.is_none() && shares.is_none() && ignored.is_none() && *target_pull == 0.0
    }
}

/// The label of a row, if it is a class.
///
/// # Errors
/// It is none.
pub fn checked_label(row: usize, label: i64, classes: usize) -> Result<u32, HeadError> {
    match u32::try_from(label) {
        Ok(class) if (class as usize) < classes => Ok(class),
        _ => Err(HeadError::Label {
            row,
            label,
            classes,
        }),
    }
}

impl TargetLogits for TargetRule {
    fn lambda(&self, confidences: &[f64]) -> f64 {
        let (lambda, classes) = (&self.lambda, self.classes);
        let Some(ignored) = &self.samples.ignored else {
            return lambda.of_batch(confidences, &self.labels, classes);
        };
        let counted = || (0..ignored.len()).filter(|&row| !ignored[row]);
        let confidences: Vec<f64> = counted().map(|row| confidences[row]).collect();
        let labels: Vec<u32> = counted().map(|row| self.labels[row]).collect();
        lambda.of_batch(&confidences, &labels, classes)
    }

    fn target_logit(&self, row: usize, target: Target, lambda: f64) -> TargetLogit {
        let lambda = match &self.samples.shares {
            Some(shares) if shares[row] < 1.0 => (1.0 + lambda) / shares[row] - 1.0,
            _ => lambda,
        };
        blend(&*self.margin, lambda, target)
    }

    fn weights(&self) -> Option<&[f64]> {
        self.samples.weights.as_deref()
    }

    fn target_pull(&self) -> f64 {
        self.samples.target_pull
    }
}

impl TargetRule {
    /// What the margin normalises.
    pub fn normalisation(&self) -> Normalisation {
        self.margin.normalisation()
    }
}
