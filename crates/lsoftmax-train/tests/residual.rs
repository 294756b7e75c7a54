//! Residual networks without normalisation, from training to a file and back.

use burn::tensor::{Device, Tensor};
use lsoftmax_networks::{NetworkSpec, NormLayer, Stage};
use lsoftmax_record::NetworkChoice;
use lsoftmax_train::{Experiment, Model, Settings, Trained, evaluate, load_data, train};

fn settings() -> Settings {
    let stage = |channels| Stage {
        channels,
        convs: 1,
        units: 1,
        kernel: 3,
        stride: 2,
        pool: false,
    };
    Settings {
        loss: Some("l-softmax".into()),
        // At the usual 0.1 the norms blow up, since nothing limits them here.
        learning_rate: Some(0.03),
        train_samples: Some(1_000),
        test_samples: Some(300),
        iterations: Some(80),
        batch: Some(32),
        network: Some(NetworkChoice::Row(NetworkSpec {
            name: "tiny-residual".into(),
            stages: vec![stage(8), stage(16)],
            feature: 24,
            normalisation: NormLayer::None,
        })),
        evaluations: Some(0),
        ..Settings::default()
    }
}

fn run() -> Trained {
    let experiment = Experiment::resolve(settings(), Settings::default()).unwrap();
    let split = load_data(&experiment).unwrap();
    train(&experiment, &split, &Device::flex(), &mut ()).unwrap()
}

#[test]
fn a_residual_network_learns_and_its_file_gives_the_same_bits() {
    let trained = run();
    let error = trained.outcome.evaluation.error_percent;
    assert!(error < 70.0, "{error}");
    let bytes = trained.model.to_bytes(&trained.info).unwrap();
    assert!(bytes == run().model.to_bytes(&trained.info).unwrap());

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    trained.model.save(&trained.info, &path).unwrap();
    let (model, info) = Model::load(&path, &Device::flex()).unwrap();
    assert_eq!(info, trained.info);
    assert!(model.to_bytes(&info).unwrap() == bytes);
    let experiment = Experiment::resolve(settings(), Settings::default()).unwrap();
    let split = load_data(&experiment).unwrap();
    assert_eq!(
        evaluate(&model, &info, &split.test).unwrap().error_percent,
        error
    );
    let features = || {
        let x = Tensor::<4>::ones([2, 1, 28, 28], &Device::flex());
        model.backbone.forward(x).into_data()
    };
    features().assert_eq(&features(), true);
}

#[test]
fn an_experiment_with_a_residual_row_reads_back_from_its_own_file() {
    let experiment = Experiment::resolve(settings(), Settings::default()).unwrap();
    let file = toml::from_str(&experiment.to_toml().unwrap()).unwrap();
    let again = Experiment::resolve(Settings::default(), file).unwrap();
    assert_eq!(again, experiment);
}
