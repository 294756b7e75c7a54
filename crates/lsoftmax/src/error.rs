use crate::annealing::AnnealingError;
use crate::margin::{Loss, MarginError};
use lsoftmax_kernels::head::HeadError;

/// An error in the configuration of a head or in a batch.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter of the loss is out of range.
    #[error(transparent)]
    Margin(#[from] MarginError),
    /// A parameter of the annealing schedule is out of range.
    #[error(transparent)]
    Annealing(#[from] AnnealingError),
    /// The loss has nothing to anneal, but a schedule was given.
    #[error(
        "{0} has no λ or m to anneal, unlike L-Softmax and A-Softmax: give it \
         Annealing::none()"
    )]
    NoAnnealing(Loss),
    /// The shapes do not match, or a label is out of range.
    #[error(transparent)]
    Batch(#[from] HeadError),
    /// Features and class weights have different lengths.
    #[error(
        "features are [{batch}, {found}], but the class weights are [{classes}, {expected}]: \
         both need the same feature size"
    )]
    FeatureSize {
        /// Number of rows of the features.
        batch: usize,
        /// Number of columns of the features.
        found: usize,
        /// Number of rows of the class weights.
        classes: usize,
        /// Number of columns of the class weights.
        expected: usize,
    },
    /// A list with one entry per class or sample has the wrong length.
    #[error("{expected} {name} expected, {found} found")]
    Length {
        /// The name of the list.
        name: &'static str,
        /// Expected number of entries.
        expected: usize,
        /// Actual number of entries.
        found: usize,
    },
    /// A weight is negative or not finite.
    #[error("{name}: number {index} is {found}, expected a finite number that is at least 0")]
    Weight {
        /// The name of the weights.
        name: &'static str,
        /// The index of the weight, counted from 0.
        index: usize,
        /// The value of the weight.
        found: f32,
    },
    /// The label smoothing is out of range.
    #[error("label smoothing must be at least 0 and below 1, found {0}")]
    LabelSmoothing(f64),
    /// The numbers of features and labels differ.
    #[error("{features} features came with {labels} labels")]
    BatchSize {
        /// Number of rows of the features.
        features: usize,
        /// Number of labels.
        labels: usize,
    },
}
