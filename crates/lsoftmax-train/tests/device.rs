//! Compares networks, losses and trainings on a graphics device with the CPU, which has its own
//! kernels for all of them. These tests run on the device named by `LSOFTMAX_GPU_TESTS`.
#![cfg(feature = "_gpu")]
// Skipped tests print a note.
#![allow(clippy::print_stderr)]

#[path = "../../lsoftmax-networks/tests/common/mod.rs"]
mod common;

use burn::tensor::{Device, Int, Tensor, TensorData, Tolerance};
use common::random;
use lsoftmax::metric::{
    CenterLossConfig, ContrastiveLoss, ContrastiveLossConfig, TripletLoss, TripletLossConfig,
};
use lsoftmax_networks::{NetworkSpec, NormLayer, Stage};
use lsoftmax_record::NetworkChoice;
use lsoftmax_train::{
    Backbone, Checkpoint, DeviceChoice, Experiment, Observer, Precision, Progress, Saved, Settings,
    TrainError, Trained, load_data, resume, train,
};

fn device() -> Option<Device> {
    let Ok(name) = std::env::var("LSOFTMAX_GPU_TESTS") else {
        eprintln!("skipped: LSOFTMAX_GPU_TESTS is not set");
        return None;
    };
    Some(name.parse::<DeviceChoice>().unwrap().open().unwrap())
}

fn stage(channels: usize, kernel: usize, stride: usize, units: usize) -> Stage {
    Stage {
        channels,
        convs: 1,
        units,
        kernel,
        stride,
        pool: true,
    }
}

fn network(normalisation: NormLayer) -> NetworkSpec {
    NetworkSpec {
        name: "tiny".into(),
        stages: vec![stage(6, 5, 1, 0), stage(8, 3, 2, 1)],
        feature: 7,
        normalisation,
    }
}

/// Features in training and evaluation, and the gradients of all weights.
fn backbone(normalisation: NormLayer, device: &Device) -> Vec<TensorData> {
    let device = device.clone().autodiff();
    // Odd sizes, which the pools round up. Channels-last in memory, as the loader gives them.
    let images = |device: &Device| random([4, 15, 13, 3], 1, device).permute([0, 3, 1, 2]);
    let backbone = Backbone::new(&network(normalisation), [3, 15, 13], 0, &device).unwrap();
    let y = backbone.forward(images(&device));
    let upstream = random([4, 7], 2, &device);
    let gradients = (y.clone() * upstream).sum().backward();
    let mut all = vec![y.into_data()];
    let of = |param: Tensor<1>| param.grad(&gradients).unwrap().into_data();
    for block in &backbone.blocks {
        all.push(block.weight.val().grad(&gradients).unwrap().into_data());
        all.push(of(block.slope.val()));
        all.extend(block.bias.iter().map(|bias| of(bias.val())));
        if let Some(norm) = &block.norm {
            all.push(of(norm.gamma.val()));
            all.push(of(norm.beta.val()));
            all.push(norm.mean.value_sync().into_data());
            all.push(norm.var.value_sync().into_data());
        }
    }
    let weight = backbone.feature.weight.val();
    all.push(weight.grad(&gradients).unwrap().into_data());
    let trained = burn::module::Module::valid(&backbone);
    let plain = device.without_autodiff();
    all.push(trained.forward(images(&plain)).into_data());
    all
}

#[test]
fn networks_on_the_device_have_the_features_and_gradients_of_the_cpu() {
    let Some(device) = device() else { return };
    for normalisation in [NormLayer::Batch, NormLayer::None] {
        let found = backbone(normalisation, &device);
        let expected = backbone(normalisation, &Device::flex());
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            found.assert_approx_eq::<f32>(expected, Tolerance::rel_abs(1e-3, 1e-3));
        }
    }
}

/// Value and gradient of each metric loss.
fn distances(device: &Device) -> Vec<TensorData> {
    let device = device.clone().autodiff();
    let labels = || Tensor::<1, Int>::from_data([0, 0, 1, 1, 2, 2], &device);
    let contrastive = ContrastiveLoss::new(ContrastiveLossConfig::default()).unwrap();
    let triplet = TripletLoss::new(TripletLossConfig::default()).unwrap();
    let center = CenterLossConfig::new(3, 5).init(&device).unwrap();
    let losses: [&dyn Fn(Tensor<2>) -> Tensor<1>; 3] = [
        &|x| contrastive.forward(x, labels(), 0).unwrap().loss,
        &|x| triplet.forward(x, labels(), 0).unwrap().loss,
        &|x| center.forward(x, labels()).unwrap(),
    ];
    let mut all = Vec::new();
    for loss in losses {
        let x = random([6, 5], 3, &device).require_grad();
        let value = loss(x.clone());
        let gradients = value.backward();
        all.push(value.into_data());
        all.push(x.grad(&gradients).unwrap().into_data());
    }
    let moved = center.update(random([6, 5], 3, &device), labels()).unwrap();
    all.push(moved.centers.val().into_data());
    all
}

#[test]
fn losses_on_distances_on_the_device_are_those_of_the_cpu() {
    let Some(device) = device() else { return };
    for (found, expected) in distances(&device).iter().zip(&distances(&Device::flex())) {
        found.assert_approx_eq::<f32>(expected, Tolerance::rel_abs(1e-4, 1e-4));
    }
}

fn experiment(loss: &str, precision: Precision, iterations: u64) -> Experiment {
    let settings = Settings {
        loss: Some(loss.to_owned()),
        train_samples: Some(64),
        test_samples: Some(32),
        iterations: Some(iterations),
        batch: Some(16),
        network: Some(NetworkChoice::Row(network(NormLayer::Batch))),
        evaluations: Some(1),
        precision: Some(precision.name().into()),
        ..Settings::default()
    };
    Experiment::resolve(settings, Settings::default()).unwrap()
}

fn trained(loss: &str, precision: Precision, device: &Device) -> Trained {
    let experiment = experiment(loss, precision, 6);
    let split = load_data(&experiment).unwrap();
    train(&experiment, &split, device, &mut ()).unwrap()
}

/// Asserts that the losses of two trainings are within a relative tolerance throughout.
fn follows(found: &Trained, expected: &Trained, share: f64) {
    let curves = found.outcome.curve.iter().zip(&expected.outcome.curve);
    assert_eq!(found.outcome.curve.len(), 6);
    for (found, expected) in curves {
        let far = (found.loss / expected.loss - 1.0).abs();
        assert!(far < share, "{} and {}", found.loss, expected.loss);
    }
}

#[test]
fn a_training_on_the_device_goes_the_way_of_the_cpu() {
    let Some(device) = device() else { return };
    for loss in ["l-softmax", "arc-face", "softmax+center"] {
        let found = trained(loss, Precision::F32, &device);
        let expected = trained(loss, Precision::F32, &Device::flex());
        follows(&found, &expected, 1e-2);
    }
}

#[test]
fn a_training_in_half_precision_on_the_device_goes_the_way_of_f32() {
    let Some(device) = device() else { return };
    let expected = trained("l-softmax", Precision::F32, &Device::flex());
    for (precision, share) in [(Precision::F16, 3e-2), (Precision::Bf16, 0.1)] {
        if precision.check(&device).is_err() {
            let name = precision.name();
            eprintln!("skipped: the device does not compute in {name}");
            continue;
        }
        follows(&trained("l-softmax", precision, &device), &expected, share);
    }
}

/// Stops a training after a step, and records its events until then.
#[derive(Default)]
struct StopAt {
    last: u64,
    done: u64,
    told: Vec<Progress>,
    saved: Option<Checkpoint>,
}

impl Observer for StopAt {
    fn step(&mut self, step: u64, _: f64) {
        self.done = step;
    }

    fn progress(&mut self, progress: &Progress) -> Result<(), TrainError> {
        self.told.push(Progress {
            images_per_second: 0.0,
            ..progress.clone()
        });
        Ok(())
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        self.saved = Some(checkpoint.clone());
        Ok(())
    }

    fn stops(&self) -> bool {
        self.done == self.last
    }
}

/// Figures are reported every second step here, and the first stop is between two reports.
#[test]
fn a_training_on_the_device_goes_on_to_the_same_bits() {
    let Some(device) = device() else { return };
    for precision in [Precision::F32, Precision::F16] {
        if precision.check(&device).is_err() {
            continue;
        }
        let experiment = experiment("l-softmax", precision, 400);
        let split = load_data(&experiment).unwrap();
        let until = |last: u64, from: Option<Checkpoint>| {
            let mut observer = StopAt {
                last,
                ..StopAt::default()
            };
            let ended = match from {
                None => train(&experiment, &split, &device, &mut observer),
                Some(last) => {
                    let (good, best) = (None, None);
                    let saved = Saved { last, good, best };
                    resume(&experiment, &split, &device, saved, &mut observer)
                }
            };
            assert!(matches!(ended, Err(TrainError::Interrupted { .. })));
            (observer.told, observer.saved.unwrap())
        };
        let (whole_told, whole) = until(8, None);
        let (mut told, half) = until(5, None);
        let (rest, resumed) = until(8, Some(half));
        told.extend(rest);
        assert_eq!(told.len(), 4);
        assert_eq!(told, whole_told);
        let weights = |checkpoint: &Checkpoint| {
            let (model, _) = checkpoint.model(&Device::flex()).unwrap();
            let first = model.backbone.blocks[0].weight.val().into_data();
            (first, model.head.weight.val().into_data())
        };
        let ((found, head), (expected, expected_head)) = (weights(&resumed), weights(&whole));
        found.assert_eq(&expected, true);
        head.assert_eq(&expected_head, true);
    }
}
