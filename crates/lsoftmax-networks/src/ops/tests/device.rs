//! Compares the kernels for graphics processors with those of the CPU. These tests run on the
//! device named by `LSOFTMAX_GPU_TESTS`.
// Skipped tests print a note.
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
    // A single row per channel, and many, in more than one part; more channels than lanes.
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

#[test]
fn parameters_and_statistics_move_on_the_device_as_on_the_cpu() {
    let Some(device) = device() else { return };
    let descent = Descent {
        rate: 0.1,
        momentum: 0.9,
        decay: 5e-4,
        nesterov: false,
    };
    let run = |device: &Device| {
        let mut weight = random([7, 3, 5, 4], 1, device);
        let mut velocity = None;
        for step in 2..5 {
            // As a convolution returns it: channels last.
            let gradient = random([7, 5, 4, 3], step, device).permute([0, 3, 1, 2]);
            let (lower, faster) = descend(weight, gradient, velocity, descent);
            (weight, velocity) = (lower, Some(faster));
        }
        let (slope, _) = descend(
            random([9], 6, device),
            random([9], 7, device),
            None,
            descent,
        );
        let running = blend(random([9], 8, device), random([9], 9, device), 0.1);
        [
            weight.into_data(),
            velocity.unwrap().into_data(),
            slope.into_data(),
            running.into_data(),
        ]
    };
    for (found, expected) in run(&device).iter().zip(&run(&Device::flex())) {
        found.assert_approx_eq::<f32>(expected, Tolerance::rel_abs(1e-6, 1e-6));
    }
}

/// Features, and the gradients of all weights multiplied by `1 / factor`, for a loss with this
/// factor.
fn network_in(precision: Precision, factor: f32, device: &Device) -> Vec<Vec<f32>> {
    let device = device.clone().autodiff();
    let stage = |channels, units, pool| Stage {
        channels,
        convs: 1,
        units,
        kernel: 3,
        stride: 1,
        pool,
    };
    let spec = NetworkSpec {
        name: "residual".into(),
        stages: vec![stage(8, 1, true), stage(16, 0, true)],
        feature: 5,
        normalisation: Normalisation::Batch,
    };
    let backbone = Backbone::new(&spec, [3, 12, 12], 0, &device).unwrap();
    let features = backbone.forward_in(random([6, 3, 12, 12], 1, &device), precision);
    let upstream = random([6, 5], 2, &device) * factor;
    let gradients = (features.clone() * upstream).sum().backward();
    let of = |data: TensorData, by: f32| data.iter::<f32>().map(|v| v * by).collect();
    let mut all: Vec<Vec<f32>> = vec![of(features.into_data(), 1.0)];
    for block in &backbone.blocks {
        let weight = block.weight.val().grad(&gradients).unwrap();
        all.push(of(weight.into_data(), 1.0 / factor));
        let norm = block.norm.as_ref().unwrap();
        for param in [norm.gamma.val(), norm.beta.val(), block.slope.val()] {
            let gradient = param.grad(&gradients).unwrap();
            all.push(of(gradient.into_data(), 1.0 / factor));
        }
    }
    all
}

/// The relative distance of two vectors.
fn far(found: &[f32], expected: &[f32]) -> f32 {
    let length = |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
    let differences = &mut found.iter().zip(expected).map(|(a, b)| a - b);
    length(differences) / length(&mut expected.iter().copied())
}

#[test]
fn half_precision_on_the_device_loses_neither_small_gradients_nor_large_ones() {
    let Some(device) = device() else { return };
    let expected = network_in(Precision::F32, 1.0, &device);
    for precision in [Precision::F16, Precision::Bf16] {
        if precision.check(&device).is_err() {
            eprintln!(
                "skipped: the device does not compute in {}",
                precision.name()
            );
            continue;
        }
        // Scaled as for a mean over 256 images. The differences come mostly from pixels that a pool
        // chooses between and from values near 0.
        let normal = network_in(precision, 1.0 / 256.0, &device);
        for (found, expected) in normal.iter().zip(&expected) {
            assert!(far(found, expected) < 0.1, "{found:?} {expected:?}");
        }
        // And a thousandth of that, where the results must not differ more.
        let small = network_in(precision, 1e-3 / 256.0, &device);
        for (found, expected) in small.iter().zip(&normal) {
            assert!(far(found, expected) < 0.01, "{found:?} {expected:?}");
        }
        let found = network_in(precision, 1e9, &device);
        assert!(found.iter().flatten().all(|value| value.is_finite()));
    }
}
