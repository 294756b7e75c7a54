//! Complete trainings on small generated data sets.

use burn::module::Module as _;
use burn::tensor::{Device, Tensor, TensorData};
use lsoftmax::{Lambda, Loss};
use lsoftmax_data::Dataset;
use lsoftmax_networks::{NetworkSpec, NormLayer, Stage};
use lsoftmax_record::NetworkChoice;
use lsoftmax_train::{
    Checkpoint, Divergence, Experiment, Model, Observer, Progress, Saved, Settings, TrainError,
    Trained, evaluate, load_data, resume, train,
};

fn settings(loss: &str) -> Settings {
    Settings {
        loss: Some(loss.to_owned()),
        train_samples: Some(1_000),
        test_samples: Some(300),
        iterations: Some(60),
        batch: Some(32),
        network: Some(NetworkChoice::Row(NetworkSpec {
            name: "tiny".into(),
            stages: vec![
                Stage {
                    channels: 8,
                    convs: 1,
                    units: 0,
                    kernel: 3,
                    stride: 2,
                    pool: true,
                },
                Stage {
                    channels: 16,
                    convs: 1,
                    units: 0,
                    kernel: 3,
                    stride: 1,
                    pool: true,
                },
            ],
            feature: 24,
            normalisation: NormLayer::Batch,
        })),
        evaluations: Some(2),
        ..Settings::default()
    }
}

fn run(settings: Settings) -> Trained {
    let experiment = Experiment::resolve(settings, Settings::default()).unwrap();
    let split = load_data(&experiment).unwrap();
    train(&experiment, &split, &Device::flex(), &mut ()).unwrap()
}

fn bytes(trained: &Trained) -> Vec<u8> {
    trained.model.to_bytes(&trained.info).unwrap()
}

#[test]
fn every_loss_learns_and_keeps_its_curve() {
    for loss in [
        "softmax",
        "l-softmax",
        "a-softmax",
        "cos-face",
        "arc-face",
        "combined",
        "contrastive",
        "triplet",
        "softmax+contrastive",
        "l-softmax+triplet",
        "softmax+center",
    ] {
        let trained = run(settings(loss));
        assert!(
            trained.outcome.evaluation.error_percent < 70.0,
            "{loss}: {:?}",
            trained.outcome.evaluation
        );
        assert_eq!(trained.outcome.divergence, None, "{loss}");
        assert_eq!(trained.outcome.curve.len(), 60);
        assert!(trained.outcome.curve.iter().all(|p| p.loss.is_finite()));
        let evaluated = trained
            .outcome
            .curve
            .iter()
            .filter(|p| p.test_error_percent.is_some())
            .count();
        assert_eq!(evaluated, 2, "{loss}");
        let annealed = trained.outcome.curve.iter().all(|p| p.lambda.is_some());
        let multiplied = loss.starts_with("l-softmax") || loss.starts_with("a-softmax");
        assert_eq!(annealed, multiplied, "{loss}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let reference = run(settings("l-softmax"));
    assert!(bytes(&reference) == bytes(&run(settings("l-softmax"))));
    let other = Settings {
        seed: Some(1),
        ..settings("l-softmax")
    };
    assert!(bytes(&reference) != bytes(&run(other)));
}

#[test]
fn the_file_holds_all_of_the_model() {
    let trained = run(settings("l-softmax"));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.safetensors");
    trained.model.save(&trained.info, &path).unwrap();
    let (model, info) = Model::load(&path, &Device::flex()).unwrap();
    assert_eq!(info, trained.info);
    assert_eq!(info.loss, Loss::LSoftmax { m: 4 });
    assert_eq!((info.step, info.class_names.len()), (60, 10));
    assert!(model.to_bytes(&info).unwrap() == bytes(&trained));
    let experiment = Experiment::resolve(settings("l-softmax"), Settings::default()).unwrap();
    let split = load_data(&experiment).unwrap();
    let found = evaluate(&model, &info, &split.test).unwrap();
    assert_eq!(
        found.error_percent,
        trained.outcome.evaluation.error_percent
    );
    assert_eq!(
        found.mean_feature_norm,
        trained.outcome.evaluation.mean_feature_norm
    );
    assert_eq!(model.num_params(), trained.model.num_params());
}

#[test]
fn staged_m_and_schedules_are_what_the_steps_used() {
    let trained = run(Settings {
        annealing: Some("geometric".into()),
        factor: Some(0.9),
        stages: Some(vec![
            lsoftmax::MarginStage { step: 0, m: 1 },
            lsoftmax::MarginStage { step: 20, m: 2 },
        ]),
        ..settings("l-softmax")
    });
    let at = |step: usize| &trained.outcome.curve[step - 1];
    assert_eq!((at(20).m, at(20).lambda), (1, None));
    assert_eq!(at(21).m, 2);
    let expected = Lambda::Geometric {
        base: 100.0,
        factor: 0.9,
        min: 0.0,
    }
    .at(20, 2);
    assert_eq!(at(21).lambda, Some(expected));
}

#[test]
fn a_loss_that_is_no_number_is_reported() {
    let trained = run(Settings {
        learning_rate: Some(1e3),
        ..settings("softmax")
    });
    // Whichever divergence comes first must be reported, with its figures.
    assert!(trained.outcome.divergence.is_some());
    if trained.outcome.divergence != Some(Divergence::Chance) {
        assert!(trained.outcome.remarks[0].contains("feature norm"));
    }
}

#[test]
fn a_dead_model_has_no_figures_on_unseen_classes() {
    for loss in ["softmax", "triplet"] {
        let trained = run(Settings {
            data: Some("alphabet:16".into()),
            open_set: Some("8".into()),
            learning_rate: Some(1e3),
            weight_decay: Some(1.0),
            ..settings(loss)
        });
        let finite = trained.outcome.curve.iter().all(|p| p.loss.is_finite());
        assert!(finite || trained.outcome.divergence.is_some(), "{loss}");
        assert!(finite || trained.outcome.open_set.is_none(), "{loss}");
    }
}

#[test]
fn an_observer_that_fails_stops_the_training() {
    struct Full;
    impl Observer for Full {
        fn progress(&mut self, progress: &Progress) -> Result<(), TrainError> {
            let full = std::io::ErrorKind::StorageFull.into();
            if progress.step < 5 {
                Ok(())
            } else {
                Err(TrainError::file("write", "x", full))
            }
        }
    }
    let experiment = Experiment::resolve(settings("softmax"), Settings::default()).unwrap();
    let split = load_data(&experiment).unwrap();
    let error = train(&experiment, &split, &Device::flex(), &mut Full).unwrap_err();
    assert!(error.to_string().starts_with("cannot write x"));
}

/// The classifier uses the lengths of the class weights, unless the loss normalises them.
#[test]
fn an_evaluation_answers_as_the_loss_was_trained() {
    for (loss, counts_lengths) in [
        ("a-softmax", false),
        ("am-softmax", false),
        ("arc-face", false),
        ("combined", false),
        ("l-softmax", true),
    ] {
        let settings = Settings {
            iterations: Some(10),
            ..settings(loss)
        };
        let experiment = Experiment::resolve(settings.clone(), Settings::default()).unwrap();
        let split = load_data(&experiment).unwrap();
        let trained = run(settings);
        let mut uneven = trained.model.clone();
        uneven.head.weight = uneven.head.weight.map(|weight| {
            let [classes, _] = weight.dims();
            let lengths: Vec<f32> = (0..classes).map(|class| 16f32.powi(class as i32)).collect();
            let lengths = TensorData::new(lengths, [classes, 1]);
            let lengths = Tensor::<2>::from_data(lengths, &weight.device());
            weight.set_require_grad(false) * lengths
        });
        let found = |model| evaluate(model, &trained.info, &split.test).unwrap();
        let (even, uneven) = (found(&trained.model), found(&uneven));
        assert_eq!(even.confusion != uneven.confusion, counts_lengths, "{loss}");
        assert_eq!(
            (even.error_percent - uneven.error_percent).abs() > 0.0,
            counts_lengths,
            "{loss}"
        );
        // The training error of the curve uses the same logits. It is missing if no margin loss
        // trains the class weights.
        assert!(
            trained
                .outcome
                .curve
                .iter()
                .all(|p| p.train_error_percent.is_some())
        );
    }
    let alone = run(Settings {
        iterations: Some(6),
        ..settings("triplet")
    });
    assert!(
        alone
            .outcome
            .curve
            .iter()
            .all(|p| p.train_error_percent.is_none())
    );
    let json = serde_json::to_string(&alone.outcome.curve).unwrap();
    assert!(!json.contains("train_error"), "{json}");
}

/// The evaluation of an open set needs four classes, two of them with two images.
#[test]
fn an_open_set_too_small_for_its_figures_is_refused_before_the_training() {
    let message = |data: &str, open_set: &str| {
        let settings = Settings {
            data: Some(data.into()),
            open_set: Some(open_set.into()),
            ..settings("l-softmax")
        };
        let experiment = Experiment::resolve(settings, Settings::default()).unwrap();
        load_data(&experiment)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    for few in ["1", "2", "3"] {
        let error = message("alphabet:10", few).unwrap_err();
        let expected = format!("the open set has {few} classes, {few} of them with two images");
        assert!(error.contains(&expected), "{error}");
    }
    message("alphabet:10", "4").unwrap();
    // The smallest open set that is allowed can be evaluated.
    let settings = Settings {
        data: Some("alphabet:10".into()),
        open_set: Some("4".into()),
        iterations: Some(2),
        ..settings("l-softmax")
    };
    let experiment = Experiment::resolve(settings, Settings::default()).unwrap();
    let mut split = load_data(&experiment).unwrap();
    let all = split.open_set.take().unwrap();
    // `counts` is the number of images of each class.
    let part = |counts: [usize; 4]| {
        let mut left = counts;
        let (mut bytes, mut labels) = (Vec::new(), Vec::new());
        for (index, &label) in all.labels().iter().enumerate() {
            let left = &mut left[label as usize];
            if *left > 0 {
                *left -= 1;
                labels.push(label);
                bytes.extend_from_slice(all.image(index));
            }
        }
        let shape = [all.channels, all.height, all.width];
        Dataset::new(bytes, labels, shape, all.class_names.clone()).unwrap()
    };
    for (counts, is_enough) in [
        ([2, 2, 1, 1], true),
        ([3, 2, 2, 1], true),
        ([2, 1, 1, 1], false),
        ([20, 20, 20, 0], false),
    ] {
        split.open_set = Some(part(counts));
        match train(&experiment, &split, &Device::flex(), &mut ()) {
            Ok(trained) => {
                assert!(is_enough, "{counts:?}");
                let json = serde_json::to_string(&trained.info).unwrap();
                assert!(!json.contains("null"), "{json}");
                assert!(trained.info.decision.unwrap().best.threshold.is_finite());
            }
            Err(error) => {
                assert!(!is_enough, "{counts:?}: {error}");
                assert!(matches!(error, TrainError::OpenSet { .. }), "{error}");
            }
        }
    }
}

/// Stops after a number of steps and stores the checkpoint made then.
struct StopAfter(u64, u64, Option<Checkpoint>);

impl Observer for StopAfter {
    fn step(&mut self, step: u64, _: f64) {
        self.1 = step;
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        self.2 = Some(checkpoint.clone());
        Ok(())
    }

    fn stops(&self) -> bool {
        self.1 >= self.0
    }
}

/// Stops halfway, resumes from the file, and compares with an uninterrupted training, which is
/// returned.
fn resumes_to_the_same_bits(settings: Settings) -> Trained {
    let experiment = Experiment::resolve(settings.clone(), Settings::default()).unwrap();
    let split = load_data(&experiment).unwrap();
    let mut observer = StopAfter(37, 0, None);
    let device = Device::flex();
    train(&experiment, &split, &device, &mut observer).unwrap_err();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c");
    std::fs::write(&path, observer.2.unwrap().to_bytes().unwrap()).unwrap();
    let saved = Saved {
        last: Checkpoint::load(&path).unwrap(),
        good: None,
        best: None,
    };
    assert_eq!(saved.last.step(), 37);
    let resumed = resume(&experiment, &split, &device, saved, &mut ()).unwrap();
    let whole = run(settings);
    assert!(
        bytes(&resumed) == bytes(&whole),
        "{}",
        experiment.loss_name()
    );
    whole
}

#[test]
fn losses_on_distances_resume_to_the_same_bits() {
    for loss in ["softmax+center", "triplet", "softmax+contrastive"] {
        resumes_to_the_same_bits(Settings {
            pair_selection: (loss == "triplet").then(|| "random".into()),
            ..settings(loss)
        });
    }
}

#[test]
fn a_gate_with_a_memory_opens_slowly_and_resumes_to_the_same_bits() {
    let lambdas = |memory: f64| {
        let gate = lsoftmax::Gate {
            signal: lsoftmax::Signal::Information,
            from: 0.05,
            to: 0.95,
            memory,
        };
        let trained = resumes_to_the_same_bits(Settings {
            gate: Some(gate),
            annealing: Some("constant".into()),
            lambda: Some(1.0),
            ..settings("l-softmax")
        });
        let lambdas = trained.outcome.curve.iter().map(|p| p.lambda.unwrap());
        lambdas.collect::<Vec<f64>>()
    };
    let (batch, running) = (lambdas(0.0), lambdas(0.5));
    // Closed at first, then open: for the batch signal at once, for the mean over 30 steps later.
    assert!(batch[0] > 1e3 && running[0] > 1e3);
    let open = |lambdas: &[f64]| lambdas.iter().position(|&lambda| lambda < 10.0);
    assert!(open(&batch) < open(&running), "{batch:?}, {running:?}");
    assert!(running[59] < 10.0, "{running:?}");
}

#[test]
fn a_loss_on_distances_that_cannot_be_is_refused() {
    let message = |change: &dyn Fn(&mut Settings)| {
        let mut settings = settings("softmax+contrastive");
        change(&mut settings);
        let resolved = Experiment::resolve(settings, Settings::default());
        resolved.unwrap_err().to_string()
    };
    let named = |name: &str| message(&|s| s.loss = Some(name.into()));
    assert!(named("softmax+triplets").contains("did you mean triplet?"));
    assert!(named("center").contains("beside another"));
    assert!(named("contrastive+softmax").contains("loss must be one of"));
    assert!(
        message(&|s| s.pair_selection = Some("semi-hard".into())).contains("all, random, hard")
    );
    assert!(message(&|s| s.pair_margin = Some(f64::NAN)).contains("margin"));
    assert!(message(&|s| s.pair_weight = Some(-1.0)).contains("pair-weight must be above 0"));
    let without = message(&|s| {
        s.loss = Some("softmax".into());
        s.pair_weight = Some(1.0);
    });
    assert!(
        without.contains("pair-weight must be left out"),
        "{without}"
    );
    // More classes per batch than the data have.
    let settings = Settings {
        images_per_class: Some(2),
        ..settings("triplet")
    };
    let experiment = Experiment::resolve(settings, Settings::default()).unwrap();
    let split = load_data(&experiment).unwrap();
    let error = train(&experiment, &split, &Device::flex(), &mut ()).unwrap_err();
    assert!(error.to_string().contains("at least 16"), "{error}");
}
