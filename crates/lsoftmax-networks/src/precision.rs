//! The precisions in which devices can train.

use crate::device::{is_cuda, is_graphics};
use burn::tensor::{Device, FloatDType};
use lsoftmax_spec::Precision;

pub(crate) fn dtype(precision: Precision) -> FloatDType {
    match precision {
        Precision::F32 => FloatDType::F32,
        Precision::Bf16 => FloatDType::BF16,
        Precision::F16 => FloatDType::F16,
    }
}

/// Whether a device can train in a precision. All devices train in f32, and graphics processors in
/// the other precisions that they support, except with CUDA: networks in bf16 gave wrong losses
/// there (docs/internals/gpu.md).
pub fn trains_in(device: &Device, precision: Precision) -> bool {
    precision == Precision::F32
        || (is_graphics(device) && !is_cuda(device) && device.supports_dtype(dtype(precision)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_trains_in_f32() {
        let cpu = Device::flex().autodiff();
        assert!(trains_in(&cpu, Precision::F32));
        assert!(!trains_in(&cpu, Precision::Bf16));
    }
}
