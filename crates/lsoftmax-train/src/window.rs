//! Training time, and sums between two reports.

use lsoftmax_record::{Progress, number};
use serde::{Deserialize, Serialize};
use std::time::Instant;

/// Measures seconds of training.
pub(crate) struct Clock {
    before: f64,
    start: Instant,
    paused: f64,
}

impl Clock {
    pub(crate) fn new(before: f64) -> Self {
        Self {
            before,
            start: Instant::now(),
            paused: 0.0,
        }
    }

    pub(crate) fn seconds(&self) -> f64 {
        self.before + self.start.elapsed().as_secs_f64() - self.paused
    }

    pub(crate) fn pause<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let from = Instant::now();
        let found = work();
        self.paused += from.elapsed().as_secs_f64();
        found
    }
}

/// Sums since the last report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Window {
    steps: f64,
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
    loss: f64,
    samples: f64,
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
    angle: f64,
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
    feature_norm: f64,
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
    weight_norm: f64,
    #[serde(
        default = "number::nan",
        deserialize_with = "number::lenient",
        skip_serializing_if = "number::is_none"
    )]
    confidence: f64,
    #[serde(default, deserialize_with = "number::lenient")]
    signal: f64,
    #[serde(skip)]
    pub(crate) train_error_percent: Option<f64>,
}

impl Window {
    pub(crate) fn push(&mut self, loss: f64, targets: &[f32]) {
        self.steps += 1.0;
        self.loss += loss;
        for row in targets.chunks_exact(4) {
            self.samples += 1.0;
            self.angle += f64::from(row[0]).acos().to_degrees();
            self.feature_norm += f64::from(row[1]);
            self.weight_norm += f64::from(row[2]);
            self.confidence += f64::from(row[3]);
        }
    }

    /// Adds the signal of a gate, for a step that was [`push`](Self::push)ed before.
    pub(crate) fn push_signal(&mut self, signal: f64) {
        self.signal += signal;
    }

    /// The mean signal over the steps.
    pub(crate) fn signal(&self) -> f64 {
        self.signal / self.steps
    }

    pub(crate) fn progress(self, step: u64, m: u32, learning_rate: f64, rate: f64) -> Progress {
        Progress {
            step,
            loss: self.loss / self.steps,
            lambda: None,
            confidence: self.confidence / self.samples,
            m,
            learning_rate,
            train_error_percent: self.train_error_percent,
            mean_target_angle_deg: self.angle / self.samples,
            feature_norm: self.feature_norm / self.samples,
            weight_norm: self.weight_norm / self.samples,
            test_error_percent: None,
            held_out_error_percent: None,
            images_per_second: rate,
        }
    }
}
