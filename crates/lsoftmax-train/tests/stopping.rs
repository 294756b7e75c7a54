//! A training that is asked to stop at every possible point, also during an evaluation.

use burn::tensor::Device;
use lsoftmax_train::{
    Checkpoint, Experiment, METRICS_FILE, Observer, Progress, RunFolder, Settings, Snapshot,
    TrainError, Trained, load_data, resume, train,
};
use std::cell::Cell;

/// Stops when asked for the n-th time.
struct Impatient {
    folder: RunFolder,
    left: Cell<u64>,
}

impl Observer for Impatient {
    fn progress(&mut self, progress: &Progress) -> Result<(), TrainError> {
        self.folder.progress(progress)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        self.folder.checkpoint(checkpoint)
    }

    fn best(&mut self, best: &Snapshot) -> Result<(), TrainError> {
        self.folder.best(best)
    }

    fn stops(&self) -> bool {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        left == 1
    }
}

fn curve(trained: &Trained) -> Vec<Progress> {
    let curve = trained.outcome.curve.iter().cloned();
    curve
        .map(|progress| Progress {
            images_per_second: 0.0,
            ..progress
        })
        .collect()
}

#[test]
fn stopped_between_any_two_batches_it_goes_on_to_the_same_bits() {
    let settings = Settings {
        data: Some("alphabet:8".into()),
        open_set: Some("6".into()),
        train_samples: Some(80),
        // Two batches per evaluation.
        test_samples: Some(300),
        held_out: Some(16),
        iterations: Some(4),
        batch: Some(8),
        feature: Some(2),
        evaluations: Some(2),
        checkpoint_every: Some(3),
        rate_schedule: Some("one-cycle".into()),
        nesterov: Some(true),
        clip_norm: Some(1.0),
        label_smoothing: Some(0.1),
        ema_decay: Some(0.9),
        ema_start: Some(0.3),
        ..Settings::default()
    };
    let experiment = Experiment::resolve(settings, Settings::default()).unwrap();
    let split = load_data(&experiment).unwrap();
    let device = Device::flex();
    let whole = train(&experiment, &split, &device, &mut ()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut stops = 0;
    for n in 1.. {
        let path = dir.path().join(n.to_string());
        let folder = RunFolder::create(&path, &experiment, &split).unwrap();
        let mut observer = Impatient {
            folder,
            left: Cell::new(n),
        };
        let Err(error) = train(&experiment, &split, &device, &mut observer) else {
            break;
        };
        assert!(
            matches!(error, TrainError::Interrupted { iterations: 4, .. }),
            "{n}: {error}"
        );
        stops += 1;
        drop(observer);
        let (folder, same, saved) = RunFolder::open(&path, None, None).unwrap();
        let mut observer = Impatient {
            folder,
            left: Cell::new(0),
        };
        let saved = saved.unwrap_or_else(|| panic!("{n}: nothing was saved"));
        let trained = resume(&same, &split, &device, saved, &mut observer).unwrap();
        let bytes = |trained: &Trained| trained.model.to_bytes(&trained.info).unwrap();
        assert!(bytes(&trained) == bytes(&whole), "{n}");
        assert_eq!(curve(&trained), curve(&whole), "{n}");
        assert_eq!(trained.outcome.frames, whole.outcome.frames, "{n}");
        assert_eq!(trained.outcome.open_set, whole.outcome.open_set, "{n}");
        assert_eq!(trained.outcome.best, whole.outcome.best, "{n}");
        let metrics = std::fs::read_to_string(path.join(METRICS_FILE)).unwrap();
        assert_eq!(metrics.lines().count(), curve(&whole).len(), "{n}");
    }
    // 3 after steps, and at least 5 within each of the two evaluations.
    assert!(stops >= 13, "{stops}");
}
