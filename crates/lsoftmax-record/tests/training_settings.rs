//! Settings of the optimiser, the average and the augmentation.

use lsoftmax_data::{Augmentation, Mirror};
use lsoftmax_record::{Experiment, RecordError, Settings};
use lsoftmax_spec::{Method, ParameterGroup};

fn none() -> Settings {
    Settings::default()
}

fn of_file(settings: Settings) -> Result<Experiment, RecordError> {
    Experiment::resolve(none(), settings)
}

fn reads_back(experiment: &Experiment) {
    let written = toml::from_str(&experiment.to_toml().unwrap()).unwrap();
    assert_eq!(of_file(written).unwrap(), *experiment);
}

fn adamw() -> Settings {
    Settings {
        optimizer: Some("adamw".into()),
        ..none()
    }
}

fn list(entries: &[&str]) -> Vec<String> {
    entries.iter().map(ToString::to_string).collect()
}

#[test]
fn groups_have_factors_and_decays() {
    let plain = of_file(none()).unwrap().optimiser;
    let group = |rate, decay| ParameterGroup { rate, decay };
    assert_eq!(plain.backbone, group(1.0, 5e-4));
    assert_eq!(plain.head, group(1.0, 5e-4));
    assert_eq!(plain.norms, group(1.0, 0.0));
    let experiment = of_file(Settings {
        weight_decay: Some(0.1),
        head_rate: Some(10.0),
        head_decay: Some(0.0),
        norm_rate: Some(64.0),
        norm_decay: Some(0.01),
        backbone_rate: Some(0.5),
        ..none()
    })
    .unwrap();
    let optimiser = experiment.optimiser;
    assert_eq!(
        optimiser.group_of("backbone.blocks.0.weight"),
        group(0.5, 0.1)
    );
    assert_eq!(
        optimiser.group_of("backbone.feature.beta"),
        group(64.0, 0.01)
    );
    assert_eq!(
        optimiser.group_of("backbone.blocks.3.slope"),
        group(64.0, 0.01)
    );
    assert_eq!(optimiser.group_of("head.weight"), group(10.0, 0.0));
    reads_back(&experiment);
}

#[test]
fn adamw_has_numbers_of_its_own() {
    let experiment = of_file(adamw()).unwrap();
    let expected = Method::AdamW {
        beta1: 0.9,
        beta2: 0.999,
        epsilon: 1e-8,
    };
    assert_eq!(experiment.optimiser.method, expected);
    assert_eq!(experiment.optimiser.backbone.decay, 0.01);
    assert_eq!(experiment.learning_rate_at(0), 0.001);
    reads_back(&experiment);
    // Numbers for the file's SGD are not for the flag's AdamW.
    let file = Settings {
        momentum: Some(0.8),
        nesterov: Some(true),
        learning_rate: Some(0.3),
        weight_decay: Some(0.2),
        ..none()
    };
    let flagged = Experiment::resolve(adamw(), file.clone()).unwrap();
    assert_eq!(flagged.optimiser, experiment.optimiser);
    assert_eq!(flagged.rates.rate, 0.001);
    let same = Settings {
        optimizer: Some("sgd".into()),
        ..none()
    };
    let same = Experiment::resolve(same, file.clone()).unwrap();
    assert_eq!(same, of_file(file).unwrap());
}

#[test]
fn numbers_of_another_optimiser_are_refused() {
    type Change = fn(&mut Settings);
    let cases: [(Change, &str); 10] = [
        (
            |s| s.momentum = Some(0.9),
            "momentum must be left out for the optimizer adamw, found 0.9",
        ),
        (|s| s.nesterov = Some(true), "nesterov must be left out"),
        (|s| s.beta1 = Some(1.0), "beta1 must be from 0 to"),
        (|s| s.beta2 = Some(-0.1), "beta2 must be from 0 to"),
        (|s| s.epsilon = Some(0.0), "epsilon must be from"),
        (|s| s.optimizer = Some("adam".into()), "did you mean adamw?"),
        (|s| s.head_rate = Some(-1.0), "head-rate must be from 0"),
        (
            |s| s.norm_decay = Some(2.0),
            "norm-decay must be from 0 to 1",
        ),
        (|s| s.backbone_rate = Some(f64::INFINITY), "finite"),
        (
            |s| {
                s.optimizer = None;
                s.beta2 = Some(0.9);
            },
            "beta2 must be left out for the optimizer sgd, found 0.9",
        ),
    ];
    for (change, expected) in cases {
        let mut settings = adamw();
        change(&mut settings);
        for [flags, file] in [[settings.clone(), none()], [none(), settings.clone()]] {
            let message = Experiment::resolve(flags, file).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}

#[test]
fn an_average_reads_back() {
    let experiment = of_file(Settings {
        ema_decay: Some(0.99),
        ema_start: Some(0.75),
        ..none()
    })
    .unwrap();
    let averaging = experiment.averaging.unwrap();
    assert_eq!((averaging.decay, averaging.start), (0.99, 0.75));
    reads_back(&experiment);
    assert_eq!(of_file(none()).unwrap().averaging, None);
}

#[test]
fn augment_is_short_for_a_list() {
    let augmentation = |flags, file| Experiment::resolve(flags, file).unwrap().augmentation;
    let short = |on| Settings {
        augment: Some(on),
        ..none()
    };
    let long = |entries: &[&str]| Settings {
        augmentation: Some(list(entries)),
        ..none()
    };
    let plus = Augmentation::cifar_plus();
    assert_eq!(augmentation(short(true), none()), plus);
    assert_eq!(augmentation(none(), long(&["crop:4", "mirror"])), plus);
    let mirror = augmentation(none(), long(&["mirror"]));
    assert_eq!((mirror.mirror, mirror.pad_crop), (Mirror::Random, 0));
    // Flags win over a file, whichever of the two they are.
    assert_eq!(augmentation(long(&["mirror"]), short(true)), mirror);
    assert_eq!(augmentation(short(true), long(&["mirror"])), plus);
    assert_eq!(
        augmentation(short(false), long(&["mirror"])),
        Augmentation::none()
    );
    let both = Settings {
        augment: Some(true),
        ..long(&["mirror"])
    };
    let message = of_file(both).unwrap_err().to_string();
    assert!(message.contains("augment must be left out"), "{message}");
    let message = of_file(long(&["mirrored"])).unwrap_err().to_string();
    assert!(message.contains("did you mean mirror?"), "{message}");
    // Files of the two that were always there are as they were.
    for (on, entries) in [(true, &["mirror", "crop:4"][..]), (false, &[])] {
        let settings = of_file(long(entries)).unwrap().to_settings();
        assert_eq!((settings.augment, settings.augmentation), (Some(on), None));
    }
    reads_back(&of_file(long(&["crop:4:reflect", "rand-augment:2:9", "cutout:8"])).unwrap());
}
