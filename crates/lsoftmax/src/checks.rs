//! Checks of shapes and labels, before they reach the backend.

use crate::error::Error;
use burn::tensor::Tensor;
use lsoftmax_kernels::head::{HeadError, checked_label};
use std::sync::Arc;

/// Checks that features and class weights have the same length.
pub(crate) fn check_size(features: &Tensor<2>, weights: &Tensor<2>) -> Result<(), Error> {
    let [batch, found] = features.dims();
    let [classes, expected] = weights.dims();
    if found == expected {
        Ok(())
    } else {
        Err(Error::FeatureSize {
            batch,
            found,
            classes,
            expected,
        })
    }
}

/// Checks that features, class weights and labels fit together.
pub(crate) fn check(features: &Tensor<2>, weights: &Tensor<2>, labels: usize) -> Result<(), Error> {
    check_size(features, weights)?;
    let [batch, size] = features.dims();
    if labels != batch {
        return Err(Error::BatchSize {
            features: batch,
            labels,
        });
    }
    for (name, size) in [
        ("the batch", batch),
        ("the class list", weights.dims()[0]),
        ("the feature", size),
    ] {
        if size == 0 {
            return Err(HeadError::Empty(name).into());
        }
    }
    Ok(())
}

pub(crate) fn checked_labels(
    labels: impl Iterator<Item = i64>,
    classes: usize,
) -> Result<Arc<[u32]>, HeadError> {
    labels
        .enumerate()
        .map(|(row, label)| checked_label(row, label, classes))
        .collect()
}
