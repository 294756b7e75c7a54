//! The kernels for graphics processors beside those of the CPU. These run where `LSOFTMAX_GPU_TESTS`
//! names the device.
// A test that was skipped says so.
#![allow(clippy::print_stderr)]

use super::*;
use crate::DeviceChoice;

pub(super) fn device() -> Option<Device> {
    let Ok(name) = std::env::var("LSOFTMAX_GPU_TESTS") else {
        eprintln!("skipped: LSOFTMAX_GPU_TESTS is not set");
        return None;
    };
    Some(name.parse::<DeviceChoice>().unwrap().open().unwrap())
}

#[test]
fn blocks_on_the_device_are_those_of_the_cpu() {
    let Some(device) = device() else { return };
    println!(
        "{:?} {:?}",
        device.supports_dtype(burn::tensor::DType::F16),
        device.supports_dtype(burn::tensor::DType::BF16)
    );
    // One row a channel and many, of more than one part; more channels than lanes.
    for (image, conv, stride) in [
        ([3, 9, 7], [8, 3, 3], 1),
        ([1, 1, 1], [3, 2, 3], 1),
        ([10, 17, 16], [40, 5, 3], 2),
        ([10, 17, 16], [7, 3, 5], 1),
    ] {
        let found = block_with_gradients(block, image, conv, stride, &device);
        let expected = block_with_gradients(block, image, conv, stride, &Device::flex());
        for (found, expected) in found.iter().zip(&expected) {
            found.assert_approx_eq::<f32>(expected, Tolerance::rel_abs(2e-4, 2e-4));
        }
    }
}
