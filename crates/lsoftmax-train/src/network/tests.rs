use super::*;

#[test]
fn the_rows_of_table_1_flatten_as_in_caffe() {
    let flat = |name, image: [usize; 3]| -> Vec<usize> {
        NetworkSpec::named(name)
            .unwrap()
            .check(image)
            .unwrap()
            .to_vec()
    };
    // 28 -> 14 -> 7 -> 4: Caffe's pools round up.
    assert_eq!([28, 14, 7].map(pooled_size), [14, 7, 4]);
    assert_eq!(flat("mnist-2d", [1, 28, 28]), [128, 4, 4]);
    assert_eq!(flat("mnist", [1, 28, 28]), [64, 4, 4]);
    assert_eq!(flat("cifar10", [3, 32, 32]), [128, 4, 4]);
    assert_eq!(flat("cifar100", [3, 32, 32]), [384, 4, 4]);
    assert_eq!(flat("lfw", [3, 112, 96]), [256, 4, 3]);
}

#[test]
fn every_named_network_trains_and_evaluates() {
    for name in NetworkSpec::names() {
        if name == "lfw" || name == "cifar100" {
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
    let mean = valid.blocks[0].mean.value().into_data();
    assert!(mean.iter::<f32>().any(|m| m != 0.0));
    let before = valid.feature.var.value().into_data();
    valid.forward(x.without_autodiff());
    assert_eq!(before, valid.feature.var.value().into_data());
}

#[test]
fn rows_that_cannot_be_are_refused() {
    let good = NetworkSpec::named("compact").unwrap();
    let with = |change: fn(&mut NetworkSpec)| {
        let mut spec = good.clone();
        change(&mut spec);
        spec.check([1, 28, 28]).unwrap_err().to_string()
    };
    assert!(with(|s| s.feature = 0).contains("feature must be from 1 to 65536, found 0"));
    assert!(with(|s| s.stages.clear()).contains("the number of stages"));
    assert!(with(|s| s.stages[0].kernel = 4).contains("kernel must be odd"));
    assert!(with(|s| s.stages[1].stride = 3).contains("stride must be 1 or 2"));
    assert!(with(|s| s.stages[1].channels = usize::MAX).contains("channels"));
    assert!(
        NetworkSpec::named("mnits")
            .unwrap_err()
            .to_string()
            .contains("mnist-2d")
    );
}

#[test]
fn a_row_reads_back_from_toml() {
    for name in NetworkSpec::names() {
        let spec = NetworkSpec::named(name).unwrap();
        let text = toml::to_string(&spec).unwrap();
        assert_eq!(toml::from_str::<NetworkSpec>(&text).unwrap(), spec);
    }
}
