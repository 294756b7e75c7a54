//! The training loop.

use crate::error::TrainError;
use crate::evaluation::{Evaluation, evaluate, host};
use crate::experiment::Experiment;
use crate::learner::Learner;
use crate::model::{Model, ModelInfo};
use burn::tensor::Device;
use lsoftmax_data::{Augmentation, LoadPlan, Loader, MemoryLayout, Split};
use lsoftmax_metrics::{Matrix, top1_error_percent};
use serde::Serialize;
use std::time::Instant;

/// Points on the curve of a training.
const CURVE_POINTS: u64 = 200;

/// The state of a training at one step: averages since the last one reported.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Mean loss, with the margin and λ of the steps.
    pub loss: f64,
    /// λ of the last step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lambda: Option<f64>,
    /// Angular multiplier of the last step.
    pub m: u32,
    /// Learning rate of the last step.
    pub learning_rate: f64,
    /// Error on the last batch, from the plain logits before its update.
    pub train_error_percent: f64,
    /// Mean angle to the own class weight.
    pub mean_target_angle_deg: f64,
    /// Mean length of a feature.
    pub feature_norm: f64,
    /// Mean length of the own class weight.
    pub weight_norm: f64,
    /// Error on the test set, where this step was evaluated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test_error_percent: Option<f64>,
    /// Images trained a second, evaluations left out.
    pub images_per_second: f64,
}

/// What a training tells while it goes on.
pub trait Observer {
    /// After every step.
    fn step(&mut self, _step: u64, _images_per_second: f64) {}

    /// After every stretch of the curve.
    ///
    /// # Errors
    /// What was told could not be kept; the training stops.
    fn progress(&mut self, _progress: &Progress) -> Result<(), TrainError> {
        Ok(())
    }
}

impl Observer for () {}

/// How a training died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Divergence {
    /// The loss was no finite number.
    NotFinite,
    /// The error on the test set is that of guessing.
    Chance,
}

/// A finished training.
#[derive(Debug)]
pub struct Trained {
    /// The model after the last step.
    pub model: Model,
    /// All that goes with it.
    pub info: ModelInfo,
    /// Its figures on the test set.
    pub evaluation: Evaluation,
    /// The curve.
    pub curve: Vec<Progress>,
    /// If it died, how.
    pub divergence: Option<Divergence>,
    /// Seconds of training, evaluations left out.
    pub seconds: f64,
    /// Images a second over these.
    pub images_per_second: f64,
}

/// Trains a model from scratch.
///
/// Everything random is a function of the seed, the epoch and the index: the same
/// experiment with the same number of threads gives the same bits.
///
/// # Errors
/// An experiment that does not suit the data, or an observer that fails.
pub fn train(
    experiment: &Experiment,
    split: &Split,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Trained, TrainError> {
    let data = &split.train;
    let device = device.clone().autodiff();
    let mut info = ModelInfo::new(
        experiment.network.clone(),
        [data.channels, data.height, data.width],
        data.class_names.clone(),
        data.preprocessing(),
        experiment.loss,
        experiment.annealing.clone(),
    );
    let mut learner = Learner::new(
        Model::new(&info, experiment.seed, &device)?,
        info.image,
        experiment.momentum,
        experiment.weight_decay,
    );
    let loader = Loader::start(LoadPlan {
        data: data.clone(),
        preprocessing: info.preprocessing.clone(),
        augmentation: if experiment.augment {
            Augmentation::cifar_plus()
        } else {
            Augmentation::none()
        },
        layout: MemoryLayout::Nhwc,
        batch: experiment.batch,
        seed: experiment.seed,
        steps: 0..experiment.iterations,
    })?;

    let stride = (experiment.iterations / CURVE_POINTS).max(1);
    let evaluation_stride = experiment
        .iterations
        .div_ceil(experiment.evaluations.max(1))
        .max(1);
    let mut curve = Vec::new();
    let mut window = Window::default();
    let mut divergence = None;
    let mut evaluated_seconds = 0.0;
    let mut images_done = 0;
    let start = Instant::now();
    for batch in loader {
        let batch = batch?;
        let step = batch.step;
        let count = batch.labels.len();
        let targets: Vec<usize> = batch.labels.iter().map(|&label| label as usize).collect();
        let forward = learner.forward(batch.pixels, &batch.labels, step)?;
        let loss = forward.loss;
        window.push(loss, &forward.targets);
        let done = step + 1;
        let ends = done == experiment.iterations || !loss.is_finite();
        let report = done % stride == 0 || ends;
        if report {
            let head = &learner.model().head;
            let logits = host(head.logits(forward.features.clone()).without_autodiff());
            let logits = Matrix::new(&logits, count, info.class_names.len())?;
            window.train_error_percent = top1_error_percent(logits, &targets)?;
        }
        let learning_rate = experiment.learning_rate_at(step);
        if loss.is_finite() {
            learner = learner.update(forward, learning_rate);
        } else {
            divergence = Some(Divergence::NotFinite);
        }
        images_done += count;
        let seconds = start.elapsed().as_secs_f64() - evaluated_seconds;
        let rate = images_done as f64 / seconds;
        observer.step(done, rate);
        if report {
            let (loss_now, lambda) = learner.model().head.at(step);
            info.step = done;
            info.lambda = lambda;
            let mut progress = window.take(done, loss_now.multiplier(), learning_rate, rate);
            progress.lambda = loss_now.is_annealed().then_some(lambda);
            let due = done / evaluation_stride != (done - stride.min(done)) / evaluation_stride;
            if due && experiment.evaluations > 0 && !ends {
                let from = Instant::now();
                let found = evaluate(learner.model(), &info, &split.test)?;
                progress.test_error_percent = Some(found.error_percent);
                evaluated_seconds += from.elapsed().as_secs_f64();
            }
            if !ends {
                observer.progress(&progress)?;
            }
            curve.push(progress);
        }
        if divergence.is_some() {
            break;
        }
    }
    let seconds = start.elapsed().as_secs_f64() - evaluated_seconds;
    let model = learner.into_model();
    let evaluation = evaluate(&model, &info, &split.test)?;
    let chance = 100.0 * (1.0 - 1.0 / info.class_names.len() as f64);
    if info.class_names.len() > 1 && evaluation.error_percent >= 0.9 * chance {
        divergence = divergence.or(Some(Divergence::Chance));
    }
    if let Some(last) = curve.last_mut() {
        last.test_error_percent = Some(evaluation.error_percent);
        observer.progress(last)?;
    }
    Ok(Trained {
        model,
        info,
        evaluation,
        curve,
        divergence,
        seconds,
        images_per_second: images_done as f64 / seconds,
    })
}

/// Sums since the last report.
#[derive(Default)]
struct Window {
    steps: f64,
    loss: f64,
    samples: f64,
    angle: f64,
    feature_norm: f64,
    weight_norm: f64,
    train_error_percent: f64,
}

impl Window {
    fn push(&mut self, loss: f64, targets: &[f32]) {
        self.steps += 1.0;
        self.loss += loss;
        for row in targets.chunks_exact(3) {
            self.samples += 1.0;
            self.angle += f64::from(row[0]).acos().to_degrees();
            self.feature_norm += f64::from(row[1]);
            self.weight_norm += f64::from(row[2]);
        }
    }

    fn take(&mut self, step: u64, m: u32, learning_rate: f64, rate: f64) -> Progress {
        let sums = std::mem::take(self);
        Progress {
            step,
            loss: sums.loss / sums.steps,
            lambda: None,
            m,
            learning_rate,
            train_error_percent: sums.train_error_percent,
            mean_target_angle_deg: sums.angle / sums.samples,
            feature_norm: sums.feature_norm / sums.samples,
            weight_norm: sums.weight_norm / sums.samples,
            test_error_percent: None,
            images_per_second: rate,
        }
    }
}
