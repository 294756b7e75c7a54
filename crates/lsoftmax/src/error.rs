use crate::annealing::AnnealingError;
use crate::margin::{Loss, MarginError};
use lsoftmax_kernels::head::HeadError;

/// Why the head refuses a configuration or a batch.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
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
    /// A device whose backend the operation has not been registered for.
    #[error(
        "the head is not built for the device {0}: move features and head to Device::flex(), or \
         build lsoftmax with its feature cuda, metal, vulkan or webgpu"
    )]
    Device(String),
    /// Features and labels of different number.
    #[error("{features} features came with {labels} labels")]
    BatchSize {
        /// Rows of the features.
        features: usize,
        /// Labels.
        labels: usize,
    },
}
