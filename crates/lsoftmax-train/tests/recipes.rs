//! Averaged weights, and recipes that resume to the same bits.

use burn::tensor::Device;
use lsoftmax_train::{
    Checkpoint, Experiment, Model, Observer, Saved, Settings, TrainError, Trained, evaluate,
    load_data, resume, train,
};
use std::collections::BTreeMap;

const ITERATIONS: u64 = 12;
/// The first step that is averaged.
const FIRST: u64 = 6;
const DECAY: f64 = 0.7;

fn settings() -> Settings {
    Settings {
        data: Some("alphabet:6".into()),
        train_samples: Some(120),
        test_samples: Some(60),
        held_out: Some(20),
        iterations: Some(ITERATIONS),
        batch: Some(16),
        feature: Some(8),
        evaluations: Some(3),
        checkpoint_every: Some(1),
        ema_decay: Some(DECAY),
        ema_start: Some(0.5),
        augmentation: Some(["crop:2:reflect", "cutout:6"].map(String::from).to_vec()),
        ..Settings::default()
    }
}

fn experiment(settings: Settings) -> Experiment {
    Experiment::resolve(settings, Settings::default()).unwrap()
}

fn run(settings: Settings, observer: &mut dyn Observer) -> Result<Trained, TrainError> {
    let experiment = experiment(settings);
    let split = load_data(&experiment).unwrap();
    train(&experiment, &split, &Device::flex(), observer)
}

type Tensors = BTreeMap<String, Vec<f32>>;

fn tensors(model: &Model, info: &lsoftmax_train::ModelInfo) -> Tensors {
    let tensors = model.tensors(info).unwrap().into_iter();
    tensors.map(|(name, _, values)| (name, values)).collect()
}

/// Records every checkpoint, and stops after a step.
#[derive(Default)]
struct Keeper {
    checkpoints: Vec<Checkpoint>,
    stop_after: Option<u64>,
    step: u64,
}

impl Observer for Keeper {
    fn step(&mut self, step: u64, _images_per_second: f64) {
        self.step = step;
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        self.checkpoints.push(checkpoint.clone());
        Ok(())
    }

    fn stops(&self) -> bool {
        self.stop_after.is_some_and(|step| self.step >= step)
    }
}

#[test]
fn the_saved_model_is_the_average_of_the_formula() {
    let mut keeper = Keeper::default();
    let trained = run(settings(), &mut keeper).unwrap();
    let device = Device::flex();
    let steps: Vec<Tensors> = (keeper.checkpoints.iter())
        .filter(|it| it.step() > FIRST)
        .map(|it| {
            let (model, info) = it.model(&device).unwrap();
            tensors(&model, &info)
        })
        .collect();
    assert_eq!(steps.len() as u64, ITERATIONS - FIRST);
    let found = tensors(&trained.model, &trained.info);
    let last = steps.last().unwrap();
    let mut statistics = 0;
    for (name, values) in &found {
        if matches!(name.rsplit_once('.'), Some((_, "mean" | "var"))) {
            // The statistics are not those that training left behind.
            assert_ne!(values, &last[name], "{name}");
            statistics += 1;
            continue;
        }
        for (at, &value) in values.iter().enumerate() {
            let (mut sum, mut shares) = (0.0, 0.0);
            for (back, weights) in steps.iter().rev().enumerate() {
                let share = DECAY.powi(back as i32);
                sum += share * f64::from(weights[name][at]);
                shares += share;
            }
            let expected = sum / shares;
            assert!(
                (f64::from(value) - expected).abs() < 1e-6,
                "{name}: {value}, {expected}"
            );
        }
        assert_ne!(values, &last[name], "{name}");
    }
    assert!(statistics > 2);
    // The averaged model is the one that was evaluated.
    let split = load_data(&experiment(settings())).unwrap();
    let evaluation = evaluate(&trained.model, &trained.info, &split.test).unwrap();
    assert_eq!(evaluation, trained.outcome.evaluation);
    let curve = trained.outcome.curve.last().unwrap();
    assert_eq!(curve.test_error_percent, Some(evaluation.error_percent));
}

#[test]
fn the_training_itself_is_that_without_an_average() {
    let mut with = Keeper::default();
    let mut without = Keeper::default();
    run(settings(), &mut with).unwrap();
    let plain = Settings {
        ema_decay: None,
        ema_start: None,
        ..settings()
    };
    run(plain, &mut without).unwrap();
    for (with, without) in with.checkpoints.iter().zip(&without.checkpoints) {
        let [with, without] = [with, without].map(|it| {
            let (model, info) = it.model(&Device::flex()).unwrap();
            model.to_bytes(&info).unwrap()
        });
        assert!(with == without);
    }
}

/// Resumes from the checkpoint of each step and compares the results with an uninterrupted
/// training.
fn resumes_to_the_same_bits(settings: &Settings) {
    let mut keeper = Keeper::default();
    let whole = run(settings.clone(), &mut keeper).unwrap();
    assert_eq!(keeper.checkpoints.len() as u64, ITERATIONS);
    let bytes = |trained: &Trained| trained.model.to_bytes(&trained.info).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for checkpoint in &keeper.checkpoints {
        let path = dir.path().join("c");
        std::fs::write(&path, checkpoint.to_bytes().unwrap()).unwrap();
        let experiment = experiment(settings.clone());
        let split = load_data(&experiment).unwrap();
        let saved = Saved {
            last: Checkpoint::load(&path).unwrap(),
            good: None,
            best: None,
        };
        let step = saved.last.step();
        let resumed = resume(&experiment, &split, &Device::flex(), saved, &mut ()).unwrap();
        assert!(bytes(&resumed) == bytes(&whole), "{step}");
    }
}

#[test]
fn a_resumed_training_has_the_same_average() {
    resumes_to_the_same_bits(&settings());
}

#[test]
fn adamw_groups_and_augmentation_resume_to_the_same_bits() {
    let list = |entries: &[&str]| Some(entries.iter().map(ToString::to_string).collect());
    resumes_to_the_same_bits(&Settings {
        optimizer: Some("adamw".into()),
        head_rate: Some(5.0),
        norm_rate: Some(2.0),
        norm_decay: Some(0.01),
        augmentation: list(&[
            "rand-augment:2:5",
            "alternating-mirror",
            "random-erasing:0.5",
        ]),
        ..settings()
    });
    // A loss that trains no class weights: those of the average are fitted to its own features.
    resumes_to_the_same_bits(&Settings {
        loss: Some("triplet".into()),
        batch: Some(16),
        backbone_rate: Some(0.5),
        nesterov: Some(true),
        ema_decay: Some(1.0),
        augmentation: list(&["crop:2", "colour-jitter:0.2:0.2:0"]),
        ..settings()
    });
}

#[test]
fn a_checkpoint_without_its_average_is_refused() {
    let mut keeper = Keeper {
        stop_after: Some(9),
        ..Keeper::default()
    };
    let plain = Settings {
        ema_decay: None,
        ema_start: None,
        ..settings()
    };
    run(plain, &mut keeper).unwrap_err();
    let experiment = experiment(settings());
    let split = load_data(&experiment).unwrap();
    let saved = Saved {
        last: keeper.checkpoints.pop().unwrap(),
        good: None,
        best: None,
    };
    let error = resume(&experiment, &split, &Device::flex(), saved, &mut ()).unwrap_err();
    assert!(error.to_string().contains("it has no average"), "{error}");
}

#[test]
fn averages_that_cannot_be_are_refused() {
    let refused = |decay, start| {
        let settings = Settings {
            ema_decay: decay,
            ema_start: start,
            ..Settings::default()
        };
        let resolved = Experiment::resolve(settings, Settings::default());
        resolved.unwrap_err().to_string()
    };
    assert!(refused(Some(0.0), None).contains("ema-decay must be above 0"));
    assert!(refused(Some(1.1), None).contains("ema-decay must be above 0 and at most 1"));
    assert!(refused(Some(f64::NAN), None).contains("a finite number"));
    assert!(refused(Some(0.9), Some(1.0)).contains("ema-start must be from 0 and below 1"));
    assert!(refused(None, Some(0.5)).contains("ema-start must be left out"));
}
