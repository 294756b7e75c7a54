//! Precision and length of the rows of a matrix.

use burn::tensor::{DType, FloatDType, Tensor, TensorData};

/// The precision of all arithmetic, at least f32.
pub(crate) fn precision(features: DType, weights: DType) -> FloatDType {
    if features == DType::F64 || weights == DType::F64 {
        FloatDType::F64
    } else {
        FloatDType::F32
    }
}

/// Casts a tensor, unless it already has the precision.
pub(crate) fn in_precision(tensor: Tensor<2>, precision: FloatDType) -> Tensor<2> {
    if tensor.dtype() == precision.into() {
        tensor
    } else {
        tensor.cast(precision)
    }
}

/// Creates a tensor with the type and device of another.
pub(crate) fn values_like<const D: usize, const E: usize>(
    tensor: &Tensor<E>,
    values: Vec<f64>,
    shape: [usize; D],
) -> Tensor<D> {
    let data = TensorData::new(values, shape).convert_dtype(tensor.dtype());
    Tensor::from_data(data, (&tensor.device(), tensor.dtype()))
}

/// Scales rows to length 1. A row shorter than `shortest` counts as zero: it becomes a zero row,
/// and its gradient is 0. The gradient is finite everywhere.
pub(crate) fn unit_rows(rows: Tensor<2>, shortest: f64) -> Tensor<2> {
    let shape = rows.dims();
    // Divide by the largest entry first, because squares of very large and small values leave the
    // range of f32. The result does not depend on it, so it is treated as a constant.
    let largest = rows.clone().detach().abs().max_dim(1);
    let is_zero = largest.clone().equal_elem(0.0);
    let rows = rows / largest.clone().mask_fill(is_zero.clone(), 1.0);
    let squares = rows.clone().square().sum_dim(1);
    let norms = squares.mask_fill(is_zero, 1.0).sqrt();
    let is_short = (norms.clone().detach() * largest).lower_elem(shortest);
    (rows / norms).mask_fill(is_short.expand(shape), 0.0)
}
