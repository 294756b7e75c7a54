//! An observer that reports a training to a callback, and stops it on request.

use lsoftmax_record::Experiment;
use lsoftmax_train::{Observer, Progress, TrainError};
use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

/// Minimum time between two reports of steps.
const EVERY: Duration = Duration::from_millis(100);

/// A report for the callback.
pub(crate) struct News {
    /// The index of the run in its comparison, and the number of runs.
    run: (usize, usize),
    loss: String,
    step: u64,
    iterations: u64,
    images_per_second: f64,
    /// A point of the curve.
    point: Option<Progress>,
    message: Option<String>,
}

/// Observes trainings, one after another.
pub(crate) struct Watch<'a> {
    stop: &'a AtomicBool,
    sender: Sender<News>,
    run: (usize, usize),
    loss: String,
    iterations: u64,
    step: u64,
    images_per_second: f64,
    last: Option<Instant>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(stop: &'a AtomicBool, sender: Sender<News>) -> Self {
        Self {
            stop,
            sender,
            run: (0, 1),
            loss: String::new(),
            iterations: 0,
            step: 0,
            images_per_second: f64::NAN,
            last: None,
        }
    }

    /// Called before the next training begins.
    pub(crate) fn begin(&mut self, number: usize, count: usize, experiment: &Experiment) {
        self.run = (number, count);
        self.loss = experiment.loss_label();
        self.iterations = experiment.iterations;
        self.last = None;
    }

    /// Checks for a stop request between parts of the work that do not check themselves, such as
    /// reading the data.
    ///
    /// # Errors
    /// [`TrainError::Interrupted`] if the work should stop.
    pub(crate) fn check(&self, step: u64, experiment: &Experiment) -> Result<(), TrainError> {
        if self.stops() {
            let iterations = experiment.iterations;
            return Err(TrainError::Interrupted { step, iterations });
        }
        Ok(())
    }

    fn send(&self, point: Option<Progress>, message: Option<String>) {
        let news = News {
            run: self.run,
            loss: self.loss.clone(),
            step: self.step,
            iterations: self.iterations,
            images_per_second: self.images_per_second,
            point,
            message,
        };
        // The receiver may be gone after a stop request.
        self.sender.send(news).ok();
    }
}

impl Observer for Watch<'_> {
    fn step(&mut self, step: u64, images_per_second: f64) {
        self.step = step;
        self.images_per_second = images_per_second;
        let is_due = self.last.is_none_or(|last| last.elapsed() >= EVERY);
        if is_due || step == self.iterations {
            self.last = Some(Instant::now());
            self.send(None, None);
        }
    }

    fn progress(&mut self, progress: &Progress) -> Result<(), TrainError> {
        self.step = progress.step;
        self.send(Some(progress.clone()), None);
        Ok(())
    }

    fn rewind(&mut self, message: &str, step: u64, _: &[Progress]) -> Result<(), TrainError> {
        self.step = step;
        self.send(None, Some(message.to_owned()));
        Ok(())
    }

    fn dies(&mut self, message: &str, step: u64, _: &[Progress]) -> Result<(), TrainError> {
        self.step = step;
        self.send(None, Some(message.to_owned()));
        Ok(())
    }

    fn stops(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

/// Passes all pending reports to the callback.
pub(crate) fn tell(callback: Option<&Bound<'_, PyAny>>, news: &Receiver<News>) -> PyResult<()> {
    for it in news.try_iter() {
        let Some(callback) = callback else {
            continue;
        };
        let point = it.point.as_ref().map(serde_json::to_string).transpose();
        callback.call1((
            it.run.0,
            it.run.1,
            it.loss,
            it.step,
            it.iterations,
            it.images_per_second,
            point.map_err(crate::errors::value_error)?,
            it.message,
        ))?;
    }
    Ok(())
}
