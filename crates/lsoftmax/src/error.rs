use crate::annealing::AnnealingError;
use crate::margin::{Loss, MarginError};
use lsoftmax_kernels::head::HeadError;

/// Why the head refuses a configuration or a batch.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A loss with a parameter out of range.
    #[error(transparent)]
    Margin(#[from] MarginError),
    /// A schedule with a number out of range.
    #[error(transparent)]
    Annealing(#[from] AnnealingError),
    /// A schedule for a loss that has nothing to anneal.
    #[error(
        "{0} has no λ and no m to change over the steps, only L-Softmax and A-Softmax have: give it \
         Annealing::none()"
    )]
    NoAnnealing(Loss),
    /// Shapes that do not fit, or a label out of range.
    #[error(transparent)]
    Batch(#[from] HeadError),
    /// Features and class weights of different length.
    #[error(
        "features are [{batch}, {found}], but the class weights are [{classes}, {expected}]: \
         both need the same feature size"
    )]
    FeatureSize {
        /// Rows of the features.
        batch: usize,
        /// Columns of the features.
        found: usize,
        /// Rows of the class weights.
        classes: usize,
        /// Columns of the class weights.
        expected: usize,
    },
    /// Something of each class or sample that has another length.
    #[error("{expected} {name} expected, {found} found")]
    Length {
        /// What there is one of for each class or sample.
        name: &'static str,
        /// Number expected.
        expected: usize,
        /// Number found.
        found: usize,
    },
    /// A weight that is negative or not finite.
    #[error("{name}: number {index} is {found}, expected a finite number that is at least 0")]
    Weight {
        /// Which weights.
        name: &'static str,
        /// Its position, counted from 0.
        index: usize,
        /// The value found.
        found: f32,
    },
    /// Label smoothing out of range.
    #[error("label smoothing must be at least 0 and below 1, found {0}")]
    LabelSmoothing(f64),
    /// Features and labels of different number.
    #[error("{features} features came with {labels} labels")]
    BatchSize {
        /// Rows of the features.
        features: usize,
        /// Labels.
        labels: usize,
    },
}
