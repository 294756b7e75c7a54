#[path = "../../tests/common/mod.rs"]
mod common;
#[cfg(feature = "_gpu")]
mod device;

use super::*;
use crate::Backbone;
use burn::tensor::{TensorData, Tolerance};
use common::random;
use lsoftmax::{Annealing, Loss, MarginHead, MarginHeadConfig};
use lsoftmax_data::{DataSource, SourceOptions};
use lsoftmax_spec::{NetworkSpec, NormLayer, Stage};

fn params([out, channels, kernel]: [usize; 3], stride: usize, device: &Device) -> BlockParams {
    BlockParams {
        weight: random([out, channels, kernel, kernel], 2, device),
        gamma: random([out], 3, device),
        beta: random([out], 4, device),
        slope: random([out], 5, device),
        geometry: Geometry {
            stride,
            padding: kernel / 2,
        },
    }
}

type Run = fn(Tensor<4>, BlockParams) -> (Tensor<4>, Tensor<1>, Tensor<1>);

/// Output, statistics and all gradients of a block, in logical order.
fn block_with_gradients(
    run: Run,
    [count, height, width]: [usize; 3],
    conv: [usize; 3],
    stride: usize,
    device: &Device,
) -> Vec<TensorData> {
    let device = device.clone().autodiff();
    let x = random([count, conv[1], height, width], 1, &device).require_grad();
    let mut p = params(conv, stride, &device);
    p.weight = p.weight.require_grad();
    p.gamma = p.gamma.require_grad();
    p.beta = p.beta.require_grad();
    p.slope = p.slope.require_grad();
    let (y, mean, var) = run(x.clone(), p.clone());
    let upstream = random(y.dims(), 6, &device);
    let gradients = (y.clone() * upstream).sum().backward();
    vec![
        y.into_data(),
        mean.into_data(),
        var.into_data(),
        x.grad(&gradients).unwrap().into_data(),
        p.weight.grad(&gradients).unwrap().into_data(),
        p.gamma.grad(&gradients).unwrap().into_data(),
        p.beta.grad(&gradients).unwrap().into_data(),
        p.slope.grad(&gradients).unwrap().into_data(),
    ]
}

#[test]
fn the_fused_block_is_the_block_of_burn_operations() {
    for (conv, stride) in [
        ([8, 3, 3], 1),
        ([16, 16, 3], 1),
        ([5, 2, 5], 1),
        ([8, 4, 3], 2),
    ] {
        let [fused, plain] = [block, block_of_burn_operations]
            .map(|run| block_with_gradients(run, [3, 9, 7], conv, stride, &Device::flex()));
        for (fused, plain) in fused.iter().zip(&plain) {
            fused.assert_approx_eq::<f32>(plain, Tolerance::rel_abs(2e-4, 2e-4));
        }
    }
}

#[test]
fn inference_is_the_block_with_given_statistics() {
    let device = Device::flex();
    let x = random([2, 6, 7, 8], 1, &device);
    let params = params([10, 6, 3], 1, &device);
    let (mean, var) = (
        random([10], 7, &device),
        random([10], 8, &device).abs() + 0.1,
    );
    let prepared = Prepared::default();
    // The second time with other weights, for which the cached block must not be used.
    for factor in [1.0, 2.0] {
        let mut params = params.clone();
        params.weight = params.weight * factor;
        let all = (x.clone(), params, mean.clone(), var.clone());
        let (x, params, mean, var) = all.clone();
        let fused = block_inference(x, params, mean, var, prepared.clone());
        let (x, params, mean, var) = all;
        let plain = inference_of_burn_operations(x, params, mean, var);
        fused
            .into_data()
            .assert_approx_eq::<f32>(&plain.into_data(), Tolerance::rel_abs(1e-4, 1e-4));
    }
}

fn conv_params(
    [out, channels, kernel]: [usize; 3],
    stride: usize,
    has_bias: bool,
    device: &Device,
) -> ConvParams {
    let p = params([out, channels, kernel], stride, device);
    ConvParams {
        weight: p.weight,
        bias: has_bias.then_some(p.beta),
        slope: p.slope,
        geometry: p.geometry,
    }
}

#[test]
fn the_convolution_with_prelu_is_that_of_burn_operations_with_its_gradients() {
    type Run = fn(Tensor<4>, ConvParams) -> Tensor<4>;
    let fused: Run = |x, p| conv_prelu(x, p, Prepared::default());
    for (conv, stride, has_bias) in [
        ([8, 3, 3], 2, true),
        ([16, 16, 3], 1, false),
        ([16, 16, 3], 1, true),
        ([5, 2, 5], 1, false),
    ] {
        let [fused, plain] = [fused, conv_prelu_of_burn_operations].map(|run| {
            let device = Device::flex().autodiff();
            let x = random([3, conv[1], 9, 7], 1, &device).require_grad();
            let mut p = conv_params(conv, stride, has_bias, &device);
            p.weight = p.weight.require_grad();
            p.bias = p.bias.map(Tensor::require_grad);
            p.slope = p.slope.require_grad();
            let y = run(x.clone(), p.clone());
            let upstream = random(y.dims(), 6, &device);
            let gradients = (y.clone() * upstream).sum().backward();
            let mut all = vec![
                y.into_data(),
                x.grad(&gradients).unwrap().into_data(),
                p.weight.grad(&gradients).unwrap().into_data(),
                p.slope.grad(&gradients).unwrap().into_data(),
            ];
            all.extend(p.bias.map(|b| b.grad(&gradients).unwrap().into_data()));
            all
        });
        assert_eq!(fused.len(), 4 + usize::from(has_bias));
        for (fused, plain) in fused.iter().zip(&plain) {
            fused.assert_approx_eq::<f32>(plain, Tolerance::rel_abs(2e-4, 2e-4));
        }
    }
}

#[test]
fn a_prepared_convolution_follows_its_tensors() {
    let device = Device::flex();
    let x = random([2, 6, 7, 8], 1, &device);
    let prepared = Prepared::default();
    for (factor, has_bias) in [(1.0, true), (2.0, true), (2.0, false), (2.0, true)] {
        let mut p = conv_params([10, 6, 3], 1, has_bias, &device);
        p.weight = p.weight * factor;
        let run = || conv_prelu(x.clone(), p.clone(), prepared.clone()).into_data();
        let fused = run();
        run().assert_eq(&fused, true);
        let plain = conv_prelu_of_burn_operations(x.clone(), p).into_data();
        fused.assert_approx_eq::<f32>(&plain, Tolerance::rel_abs(1e-4, 1e-4));
    }
}

#[test]
fn a_residual_network_is_that_of_burn_operations_with_its_gradients() {
    let stage = |channels, units, pool| Stage {
        channels,
        convs: 1,
        units,
        kernel: 3,
        stride: 2,
        pool,
    };
    for normalisation in [NormLayer::None, NormLayer::Batch] {
        let spec = NetworkSpec {
            name: "residual".into(),
            stages: vec![stage(8, 1, false), stage(16, 2, true)],
            feature: 5,
            normalisation,
        };
        let [fused, plain] = [false, true].map(|plain| {
            PLAIN.set(plain);
            let device = Device::flex().autodiff();
            let backbone = Backbone::new(&spec, [3, 14, 12], 0, &device).unwrap();
            let y = backbone.forward(random([3, 3, 14, 12], 1, &device));
            let gradients = (y.clone() * random([3, 5], 2, &device)).sum().backward();
            PLAIN.set(false);
            let mut all = vec![y.into_data()];
            for block in &backbone.blocks {
                let gradient = |param: Tensor<1>| param.grad(&gradients).unwrap().into_data();
                all.push(block.weight.val().grad(&gradients).unwrap().into_data());
                all.push(gradient(block.slope.val()));
                all.extend(block.bias.iter().map(|bias| gradient(bias.val())));
            }
            all
        });
        for (fused, plain) in fused.iter().zip(&plain) {
            fused.assert_approx_eq::<f32>(plain, Tolerance::rel_abs(1e-3, 1e-3));
        }
    }
}

#[test]
fn pools_round_up_and_give_burns_gradient() {
    for size in [[2, 3, 7, 5], [1, 4, 8, 8], [2, 1, 1, 1]] {
        let results = [pool, pool_of_burn_operations].map(|pool| {
            let device = Device::flex().autodiff();
            let x = random(size, 1, &device).require_grad();
            let y = pool(x.clone());
            let upstream = random(y.dims(), 2, &device);
            let gradients = (y.clone() * upstream).sum().backward();
            (y.into_data(), x.grad(&gradients).unwrap().into_data())
        });
        let [fused, plain] = &results;
        assert_eq!(fused.0.shape()[2], size[2].div_ceil(2));
        fused.0.assert_eq(&plain.0, true);
        fused.1.assert_eq(&plain.1, true);
    }
}

#[test]
fn the_first_layer_needs_no_input_gradient() {
    let device = Device::flex().autodiff();
    let x = random([2, 3, 6, 6], 1, &device);
    let mut params = params([4, 3, 3], 1, &device);
    params.weight = params.weight.require_grad();
    let weight = params.weight.clone();
    let gradients = block(x.clone(), params).0.sum().backward();
    assert!(x.grad(&gradients).is_none());
    assert!(weight.grad(&gradients).is_some());
}

/// Losses of the steps of a training on generated digits, and the accuracy on the last batch.
fn train(rate: f64, steps: usize, plain: bool) -> (Vec<f64>, f64) {
    const BATCH: usize = 64;
    let options = SourceOptions {
        train_samples: Some(2000),
        test_samples: Some(1000),
        ..SourceOptions::default()
    };
    let split = DataSource::parse("glyphs").unwrap().load(&options).unwrap();
    let device = Device::flex().autodiff();
    let spec = NetworkSpec::named("compact").unwrap();
    let mut backbone = Backbone::new(&spec, [1, 28, 28], 0, &device).unwrap();
    let mut head: MarginHead = MarginHeadConfig::new(spec.feature, 10, Annealing::none())
        .with_loss(Loss::Softmax)
        .init(&device)
        .unwrap();
    head.weight = crate::class_weights(0, 10, spec.feature, &device);
    PLAIN.set(plain);
    let (mut losses, mut right) = (Vec::new(), 0.0);
    for step in 0..steps {
        let images: Vec<usize> = (0..BATCH).map(|i| (step * BATCH + i) % 2000).collect();
        let pixels: Vec<f32> = images
            .iter()
            .flat_map(|&i| {
                split
                    .train
                    .image(i)
                    .iter()
                    .map(|&byte| f32::from(byte) / 255.0 - 0.1)
            })
            .collect();
        let labels: Vec<i32> = images
            .iter()
            .map(|&i| split.train.labels()[i] as i32)
            .collect();
        let x = Tensor::<4>::from_data(TensorData::new(pixels, [BATCH, 1, 28, 28]), &device);
        let labels =
            Tensor::<1, burn::tensor::Int>::from_data(TensorData::new(labels, [BATCH]), &device);
        let features = backbone.forward(x);
        let answers = head.logits(features.clone()).argmax(1).squeeze::<1>();
        let hits = answers.equal(labels.clone()).int().sum().into_data();
        right = hits.iter::<f64>().next().unwrap() / BATCH as f64;
        let loss = head.loss(features, labels, step as u64).unwrap();
        losses.push(loss.to_data().iter::<f64>().next().unwrap());
        let gradients = loss.backward();
        // Plain gradient descent on the convolutions and the class weights.
        for block in &mut backbone.blocks {
            let weight = block.weight.val();
            let gradient = weight.grad(&gradients).unwrap();
            let gradient = Tensor::from_inner(gradient);
            block.weight = block
                .weight
                .clone()
                .map(|weight| (weight - gradient * rate).detach().require_grad());
        }
        let gradient = Tensor::from_inner(head.weight.val().grad(&gradients).unwrap());
        head.weight = head
            .weight
            .clone()
            .map(|weight| (weight - gradient * rate).detach().require_grad());
    }
    PLAIN.set(false);
    (losses, right)
}

#[test]
fn training_matches_plain_burn_operations() {
    // Small steps: with the usual ones, rounding errors grow a hundredfold per step at first.
    let (fused, plain) = (train(1e-4, 10, false).0, train(1e-4, 10, true).0);
    for (fused, plain) in fused.iter().zip(&plain) {
        assert!((fused / plain - 1.0).abs() < 1e-3, "{fused} {plain}");
    }
    // The accuracy is the same too.
    let right = [false, true].map(|plain| train(0.1, 80, plain).1);
    assert!(right[1] > 0.7, "{right:?}: nothing was learned");
    assert!((right[0] - right[1]).abs() < 0.15, "{right:?}");
}
