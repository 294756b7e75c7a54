//! Shared by the tests in here and by those of the operations.

use burn::tensor::{Device, Tensor, TensorData};
use lsoftmax_data::random::Rng;

/// Normal numbers, the same on every device.
pub(crate) fn random<const D: usize>(shape: [usize; D], place: u64, device: &Device) -> Tensor<D> {
    let mut rng = Rng::at(1, &[place]);
    let values: Vec<f32> = (0..shape.iter().product())
        .map(|_| rng.normal() as f32)
        .collect();
    Tensor::from_data(TensorData::new(values, shape), device)
}
