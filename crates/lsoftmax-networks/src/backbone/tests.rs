use super::*;
use burn::tensor::TensorData;
use lsoftmax_spec::Stage;

#[test]
fn every_named_network_trains_and_evaluates() {
    for name in NetworkSpec::names() {
        if ["lfw", "sphereface-20", "cifar100"].contains(&name) {
            continue; // The same constructor, but minutes of work without optimisation.
        }
        let image = if name == "cifar10" {
            [3, 32, 32]
        } else {
            [1, 28, 28]
        };
        let spec = NetworkSpec::named(name).unwrap();
        let device = Device::flex();
        for device in [device.clone().autodiff(), device] {
            let backbone = Backbone::new(&spec, image, 0, &device).unwrap();
            let x = Tensor::<4>::ones([2, image[0], image[1], image[2]], &device);
            assert_eq!(backbone.forward(x).dims(), [2, spec.feature], "{name}");
        }
    }
}

#[test]
fn the_weights_are_he_and_a_function_of_the_seed() {
    let spec = NetworkSpec::named("compact").unwrap();
    let weights = |seed| {
        let backbone = Backbone::new(&spec, [1, 28, 28], seed, &Device::flex()).unwrap();
        backbone.blocks[3].weight.val().into_data()
    };
    assert_eq!(weights(1), weights(1));
    assert_ne!(weights(1), weights(2));
    let values: Vec<f64> = weights(1).iter::<f64>().collect();
    let std = (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt();
    assert!(
        (std / (2.0f64 / (32.0 * 9.0)).sqrt() - 1.0).abs() < 0.05,
        "{std}"
    );
}

#[test]
fn training_moves_the_running_statistics_and_evaluation_uses_them() {
    let spec = NetworkSpec::named("compact-2d").unwrap();
    let device = Device::flex().autodiff();
    let backbone = Backbone::new(&spec, [1, 28, 28], 0, &device).unwrap();
    let x = Tensor::<4>::random(
        [8, 1, 28, 28],
        burn::tensor::Distribution::Normal(3.0, 1.0),
        &device,
    );
    backbone.forward(x.clone());
    let valid = Module::valid(&backbone);
    let mean = valid.blocks[0]
        .norm
        .as_ref()
        .unwrap()
        .mean
        .value()
        .into_data();
    assert!(mean.iter::<f32>().any(|m| m != 0.0));
    let var = || valid.feature.norm.as_ref().unwrap().var.value().into_data();
    let before = var();
    valid.forward(x.without_autodiff());
    assert_eq!(before, var());
}

#[test]
fn statistics_with_falling_momentum_are_the_mean_over_batches() {
    let spec = NetworkSpec::named("compact-2d").unwrap();
    let device = Device::flex().autodiff();
    let batches: Vec<Tensor<4>> = (0..3)
        .map(|at| {
            let values = (0..4 * 28 * 28).map(|i| ((i * 37 + at * 11) % (19 + at)) as f32);
            let values: Vec<f32> = values.collect();
            Tensor::from_data(TensorData::new(values, [4, 1, 28, 28]), &device)
        })
        .collect();
    let statistics = |momenta: &[f64], batches: &[Tensor<4>]| {
        let mut backbone = Backbone::new(&spec, [1, 28, 28], 0, &device).unwrap();
        for (&momentum, batch) in momenta.iter().zip(batches) {
            backbone = backbone.with_statistics_momentum(momentum);
            backbone.forward(batch.clone());
        }
        let valid = Module::valid(&backbone);
        let mut all = Vec::new();
        for norm in [&valid.blocks[1].norm, &valid.feature.norm] {
            let norm = norm.as_ref().unwrap();
            for running in [&norm.mean, &norm.var] {
                all.extend(running.value().into_data().iter::<f64>());
            }
        }
        all
    };
    let found = statistics(&[1.0, 1.0 / 2.0, 1.0 / 3.0], &batches);
    let each: Vec<_> = (0..3)
        .map(|at| statistics(&[1.0], &batches[at..=at]))
        .collect();
    for (at, found) in found.into_iter().enumerate() {
        let expected = each.iter().map(|one| one[at]).sum::<f64>() / 3.0;
        let error = (found - expected).abs();
        assert!(
            error <= 1e-5 * expected.abs().max(1.0),
            "{found}, {expected}"
        );
    }
}

/// Sizes that are zero or do not fit in memory are errors, before anything is allocated.
#[test]
fn images_that_no_network_can_take_are_refused() {
    let spec = NetworkSpec::named("compact").unwrap();
    let most = usize::MAX;
    for image in [
        [1, most, most],
        [1, 1 << 40, 1 << 40],
        [1, most, 28],
        [most, 28, 28],
        [0, 28, 28],
        [1, 0, 28],
        [1, 28, 0],
    ] {
        let found = Backbone::new(&spec, image, 0, &Device::flex());
        assert!(found.is_err(), "{image:?}");
    }
}

/// The panic message of `forward`.
fn panic_of(backbone: &Backbone, shape: [usize; 4]) -> String {
    let images = Tensor::<4>::ones(shape, &Device::flex());
    let forward = std::panic::AssertUnwindSafe(|| backbone.forward(images));
    let panic = std::panic::catch_unwind(forward).unwrap_err();
    *panic.downcast::<String>().unwrap()
}

#[test]
fn images_of_another_shape_panic_with_it_in_the_message() {
    let spec = NetworkSpec::named("compact").unwrap();
    let backbone = Backbone::new(&spec, [1, 28, 28], 0, &Device::flex()).unwrap();
    let message = panic_of(&backbone, [0, 1, 28, 28]);
    assert!(
        message.contains("[0, 1, 28, 28]: the batch is empty"),
        "{message}"
    );
    let message = panic_of(&backbone, [2, 3, 28, 28]);
    assert!(message.contains("[2, 3, 28, 28], but") && message.contains("for 1 channels"));
    for [height, width] in [[28, 60], [8, 28], [0, 28]] {
        let message = panic_of(&backbone, [2, 1, height, width]);
        assert!(
            message.contains("images that end as 1024 values"),
            "{message}"
        );
    }
}

#[test]
fn images_of_any_size_are_answered_without_taking_memory() {
    let device = Device::flex();
    for name in NetworkSpec::names() {
        let spec = NetworkSpec::named(name).unwrap();
        for image in [
            [1, usize::MAX, usize::MAX],
            [1, 1 << 20, 1 << 20],
            [1, usize::MAX, 1],
            [3, 1, usize::MAX],
            [usize::MAX, 28, 28],
            [usize::MAX; 3],
        ] {
            assert!(Backbone::new(&spec, image, 0, &device).is_err(), "{name}");
        }
        for image in [[0, 28, 28], [1, 0, 28], [1, 28, 0], [0; 3]] {
            assert!(Backbone::new(&spec, image, 0, &device).is_err(), "{name}");
        }
    }
    let spec = NetworkSpec::named("cifar10").unwrap();
    // 64 channels, before and after a convolution.
    assert!(spec.check([3, 1024, 1024]).is_ok());
    let message = spec.check([3, 1024, 1025]).unwrap_err().to_string();
    assert_eq!(
        message,
        "network \"cifar10\": stage 1 makes 64x1024x1025 activations of a 3x1024x1025 image, which \
         takes 512.5 MiB, and at most 512 MiB are allowed: take smaller images, fewer channels or a stride"
    );
}

#[test]
fn sphereface_20_has_the_published_number_of_parameters() {
    let spec = NetworkSpec::named("sphereface-20").unwrap();
    let backbone = Backbone::new(&spec, [3, 112, 96], 0, &Device::flex()).unwrap();
    let blocks = backbone.blocks.iter();
    let weights: usize = blocks
        .map(|b| b.weight.val().dims().iter().product::<usize>())
        .sum();
    let [flat, feature] = backbone.feature.weight.val().dims();
    let weights = weights + flat * feature;
    assert_eq!(spec.weights([3, 112, 96]).unwrap(), weights);
    // The name gives the number of convolutions.
    assert_eq!(backbone.blocks.len(), 20);
    // The authors' Caffe file also has biases in the residual units, with a learning rate of 0: two
    // convolutions per unit.
    let idle = 2 * (64 + 2 * 128 + 4 * 256 + 512);
    // Open Model Zoo, "Sphereface": 22.671 million parameters.
    let published = 22_671_000;
    assert!((backbone.num_params() + idle).abs_diff(published) < 500);
    assert_eq!(backbone.num_params() + idle, 22_670_656);
}

#[test]
fn the_face_networks_take_faces() {
    for (name, image) in [
        ("lfw", [3, 112, 96]),
        ("lfw", [3, 112, 112]),
        ("sphereface-20", [3, 112, 96]),
        ("sphereface-20", [3, 112, 112]),
    ] {
        let spec = NetworkSpec::named(name).unwrap();
        let device = Device::flex();
        let backbone = Backbone::new(&spec, image, 0, &device).unwrap();
        let x = Tensor::<4>::ones([2, image[0], image[1], image[2]], &device);
        let features = [x.clone(), x].map(|x| backbone.forward(x).into_data());
        assert_eq!(features[0].shape()[..], [2, 512], "{name}");
        assert!(features[0].iter::<f32>().all(f32::is_finite), "{name}");
        features[0].assert_eq(&features[1], true);
    }
}

#[test]
fn without_normalisation_the_weights_are_spherefaces() {
    let spec = NetworkSpec::named("sphereface-20").unwrap();
    let backbone = Backbone::new(&spec, [3, 56, 48], 0, &Device::flex()).unwrap();
    let values = |weight: TensorData| weight.iter::<f64>().collect::<Vec<_>>();
    let std =
        |values: &[f64]| (values.iter().map(|v| v * v).sum::<f64>() / values.len() as f64).sqrt();
    // The first block of the second stage: uniform, scaled by its 64 * 9 inputs.
    let first = values(backbone.blocks[3].weight.val().into_data());
    let bound = (3.0f64 / (64.0 * 9.0)).sqrt();
    let largest = first.iter().fold(0.0f64, |most, v| most.max(v.abs()));
    assert!(
        largest <= bound * 1.000_001 && largest > 0.99 * bound,
        "{largest} {bound}"
    );
    assert!((std(&first) * 24.0 - 1.0).abs() < 0.02);
    assert!((std(&values(backbone.blocks[4].weight.val().into_data())) - 0.01).abs() < 2e-4);
    let biases: Vec<_> = backbone.blocks.iter().map(|b| b.bias.is_some()).collect();
    let firsts: Vec<_> = (0..20).map(|at| [0, 3, 8, 17].contains(&at)).collect();
    assert_eq!(biases, firsts);
    assert!(backbone.feature.bias.is_some() && backbone.feature.norm.is_none());
}

#[test]
fn a_unit_adds_its_input_to_what_it_makes() {
    let row = |units| NetworkSpec {
        name: "residual".into(),
        stages: vec![Stage {
            channels: 4,
            convs: 1,
            units,
            kernel: 3,
            stride: 1,
            pool: false,
        }],
        feature: 3,
        normalisation: NormLayer::None,
    };
    let device = Device::flex();
    let image = [2, 5, 4];
    let mut backbone = Backbone::new(&row(1), image, 0, &device).unwrap();
    let x = Tensor::<4>::random(
        [2, 2, 5, 4],
        burn::tensor::Distribution::Normal(0.0, 1.0),
        &device,
    );
    let first = backbone.blocks[0].forward(x.clone());
    let unit = backbone.blocks[2].forward(backbone.blocks[1].forward(first.clone()));
    let expected = backbone
        .feature
        .forward((first + unit.clone()).flatten(1, 3));
    let found = backbone.forward(x.clone()).into_data();
    found.assert_eq(&expected.into_data(), true);
    assert!(
        unit.abs()
            .sum()
            .into_data()
            .iter::<f32>()
            .all(|sum| sum > 0.0)
    );
    // A unit with zero weights is the identity.
    let plain = Backbone::new(&row(0), image, 0, &device).unwrap();
    backbone.blocks[2].weight = backbone.blocks[2].weight.clone().map(|w| w.zeros_like());
    backbone.blocks[0].weight = plain.blocks[0].weight.clone();
    backbone.feature = plain.feature.clone();
    let found = backbone.forward(x.clone()).into_data();
    found.assert_eq(&plain.forward(x).into_data(), true);
}
