//! Recovery of a training that diverges.

use burn::tensor::Device;
use lsoftmax_record::OnDivergence;
use lsoftmax_train::{
    Checkpoint, Divergence, Experiment, Observer, Progress, RunFolder, Settings, TrainError,
    Trained, load_data, resume, train,
};

/// λ = 0 from the first step makes m = 4 diverge.
fn settings(answer: &str) -> Settings {
    Settings {
        train_samples: Some(2_000),
        test_samples: Some(300),
        iterations: Some(160),
        batch: Some(64),
        feature: Some(16),
        margin: Some(4.0),
        annealing: Some("none".into()),
        checkpoint_every: Some(20),
        on_divergence: Some(answer.into()),
        ..Settings::default()
    }
}

fn experiment(settings: Settings) -> Experiment {
    Experiment::resolve(settings, Settings::default()).unwrap()
}

/// Records messages, and stops after a number of steps.
struct Keeper {
    folder: Option<RunFolder>,
    stop_after: u64,
    step: u64,
    told: Vec<String>,
}

impl Observer for Keeper {
    fn step(&mut self, step: u64, _: f64) {
        self.step = step;
    }

    fn progress(&mut self, progress: &Progress) -> Result<(), TrainError> {
        self.folder
            .as_mut()
            .map_or(Ok(()), |f| f.progress(progress))
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        self.folder
            .as_mut()
            .map_or(Ok(()), |f| f.checkpoint(checkpoint))
    }

    fn rewind(&mut self, message: &str, step: u64, curve: &[Progress]) -> Result<(), TrainError> {
        self.told.push(message.to_owned());
        self.folder
            .as_mut()
            .map_or(Ok(()), |f| f.rewind(message, step, curve))
    }

    fn dies(&mut self, message: &str, step: u64, curve: &[Progress]) -> Result<(), TrainError> {
        self.rewind(message, step, curve)
    }

    fn stops(&self) -> bool {
        self.step >= self.stop_after && !self.told.is_empty()
    }
}

fn keeper(folder: Option<RunFolder>, stop_after: u64) -> Keeper {
    Keeper {
        folder,
        stop_after,
        step: 0,
        told: Vec::new(),
    }
}

fn bytes(trained: &Trained) -> Vec<u8> {
    trained.model.to_bytes(&trained.info).unwrap()
}

#[test]
fn it_stops_and_says_what_of() {
    let experiment = experiment(settings("stop"));
    let split = load_data(&experiment).unwrap();
    let mut keeper = keeper(None, u64::MAX);
    let trained = train(&experiment, &split, &Device::flex(), &mut keeper).unwrap();
    let outcome = &trained.outcome;
    assert_eq!(outcome.divergence, Some(Divergence::NormCollapse));
    assert_eq!(outcome.remarks, keeper.told);
    let [line] = &outcome.remarks[..] else {
        panic!("{:?}", outcome.remarks)
    };
    assert!(line.contains("norm collapse: ‖w‖‖x‖ is 0.0"), "{line}");
    assert!(line.ends_with("stopped"), "{line}");
    assert!(outcome.curve.last().unwrap().step < 160);
}

#[test]
fn or_it_goes_back_raises_lambda_and_learns_with_the_same_bits_however_often_it_stops() {
    let experiment = experiment(settings("raise-lambda"));
    assert_eq!(
        experiment.on_divergence,
        OnDivergence::RaiseLambda { recoveries: 3 }
    );
    let split = load_data(&experiment).unwrap();
    let device = Device::flex();
    let whole = train(&experiment, &split, &device, &mut ()).unwrap();
    let outcome = &whole.outcome;
    assert_eq!(outcome.divergence, None, "{:?}", outcome.remarks);
    assert!(outcome.evaluation.error_percent < 70.0, "{outcome:?}");
    assert!(
        outcome.remarks[0].contains("with λ at least 5"),
        "{outcome:?}"
    );
    assert!(
        whole.info.annealing.floor.is_some(),
        "the model file says so"
    );
    let steps: Vec<u64> = outcome.curve.iter().map(|p| p.step).collect();
    assert!(steps.is_sorted(), "the way into the collapse is gone");
    assert_eq!(steps.len(), 160);

    // Stopped after a recovery and resumed from the folder.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r");
    let folder = RunFolder::create(&path, &experiment, &split).unwrap();
    let mut keeper = keeper(Some(folder), 70);
    let stopped = train(&experiment, &split, &device, &mut keeper).unwrap_err();
    assert!(
        matches!(stopped, TrainError::Interrupted { .. }),
        "{stopped}"
    );
    drop(keeper);
    let (mut folder, same, saved) = RunFolder::open(&path, None, None).unwrap();
    assert_eq!(same, experiment);
    let step = saved.as_ref().unwrap().last.step();
    assert_eq!(folder.check_images(&same, &split, step).unwrap(), None);
    let gone_on = resume(&same, &split, &device, saved.unwrap(), &mut folder).unwrap();
    assert!(bytes(&gone_on) == bytes(&whole));
    assert_eq!(gone_on.outcome.remarks, whole.outcome.remarks);
}

#[test]
fn a_loss_without_lambda_has_none_to_raise() {
    let experiment = experiment(Settings {
        loss: Some("softmax".into()),
        margin: None,
        learning_rate: Some(1e3),
        weight_decay: Some(0.0),
        ..settings("raise-lambda")
    });
    let split = load_data(&experiment).unwrap();
    let trained = train(&experiment, &split, &Device::flex(), &mut ()).unwrap();
    for line in &trained.outcome.remarks {
        assert!(line.contains("this loss has no λ to raise"), "{line}");
    }
    // A learning rate of 1000 leaves no usable model, whichever divergence is reported.
    assert!(
        trained.outcome.divergence.is_some(),
        "{:?}",
        trained.outcome.evaluation
    );
}
