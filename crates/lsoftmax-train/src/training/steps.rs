//! The training steps and the curve.

use super::{End, Training};
#[cfg(feature = "_gpu")]
use crate::batches::Resident;
use crate::batches::{Batches, TrainBatch};
use crate::error::TrainError;
use crate::evaluation::host;
use crate::generator::seeded;
use crate::learner::StepNumbers;
use crate::network::Network;
use crate::observer::Observer;
use crate::watch::Trouble;
use crate::window::Clock;
use lsoftmax_data::{LoadPlan, MemoryLayout};
use lsoftmax_metrics::{Matrix, top1_error_percent};
use lsoftmax_networks::is_graphics;
use lsoftmax_record::{NetworkKind, OnDivergence, Progress};
use lsoftmax_spec::random::Rng;

/// Number of points on the curve of a training.
const CURVE_POINTS: u64 = 200;
/// Maximum number of steps whose figures stay unread on a graphics processor.
const MOST_UNREAD: usize = 256;
/// Random stream for the draws of custom networks during steps.
const STREAM: u64 = 0x7374_6570;

impl<N: Network> Training<'_, N> {
    /// Trains to the end, or until the training diverges or is stopped.
    pub(super) fn stretch(&mut self, observer: &mut dyn Observer) -> Result<End, TrainError> {
        if self.state.step >= self.experiment.iterations {
            return Ok(End::Done);
        }
        let mut clock = Clock::new(self.state.seconds);
        if let Some(progress) = self.state.pending.take() {
            let told = self.tell(progress, true, &mut clock, observer);
            if let Some(end) = self.after(told, &clock, observer)? {
                return Ok(end);
            }
        }
        let plan = self.plan();
        for batch in self.batches(plan)? {
            let told = self.step(batch?, &mut clock, observer);
            if let Some(end) = self.after(told, &clock, observer)? {
                return Ok(end);
            }
        }
        Ok(End::Done)
    }

    /// Finishes a step: writes a checkpoint if one is due, and tells whether the training ends
    /// here.
    fn after(
        &mut self,
        told: Result<Option<Trouble>, TrainError>,
        clock: &Clock,
        observer: &mut dyn Observer,
    ) -> Result<Option<End>, TrainError> {
        self.state.seconds = clock.seconds();
        if let Some(trouble) = told? {
            return Ok(Some(End::Diverged(trouble)));
        }
        let (experiment, done) = (self.experiment, self.state.step);
        if done >= experiment.iterations {
            return Ok(None);
        }
        if done.is_multiple_of(experiment.checkpoint_every) {
            let stuck = self.state.stuck_since;
            let last = self.state.curve.last();
            if last.is_some_and(|last| self.watch.is_well(last, stuck)) {
                self.state.good = Some(done);
            }
            let checkpoint = self.checkpoint()?;
            observer.checkpoint(&checkpoint)?;
            if self.state.good == Some(done) && experiment.on_divergence != OnDivergence::Stop {
                self.good = Some(checkpoint);
            }
        }
        if observer.stops() {
            self.read();
            return Ok(Some(End::Stopped));
        }
        Ok(None)
    }

    /// The load plan of the remaining steps.
    pub(super) fn plan(&self) -> LoadPlan {
        let experiment = self.experiment;
        LoadPlan {
            data: self.train.clone(),
            preprocessing: self.info.preprocessing.clone(),
            augmentation: experiment.augmentation,
            layout: MemoryLayout::Nhwc,
            batch: experiment.batch,
            images_per_class: experiment.images_per_class,
            seed: experiment.seed,
            steps: self.state.step..experiment.iterations,
        }
    }

    pub(super) fn batches(&mut self, plan: LoadPlan) -> Result<Batches, TrainError> {
        // Images kept on a device can only be cropped and mirrored there.
        #[cfg(feature = "_gpu")]
        if plan.augmentation.is_view() {
            self.resident =
                (self.resident.take()).or_else(|| Resident::new(&plan.data, &self.device));
            if let Some(resident) = &self.resident {
                return resident.start(plan);
            }
        }
        Batches::start(plan, &self.device)
    }

    /// Reads the figures of the steps since the last read. Returns whether all losses are finite.
    fn read(&mut self) -> bool {
        let mut is_finite = true;
        for numbers in StepNumbers::read(std::mem::take(&mut self.unread)) {
            is_finite &= numbers.loss.is_finite();
            self.state.window.push(numbers.loss, &numbers.targets);
            if let Some(gate) = self.info.annealing.gate() {
                let over = gate.memory * self.experiment.iterations as f64;
                let (confidences, labels) = (numbers.confidences(), &numbers.labels);
                let running = &mut self.state.running;
                running.push(gate.signal, &confidences, labels, &self.class_counts, over);
                if gate.looks_at_batch(running) {
                    let signal = gate.signal.of_batch(&confidences, labels);
                    self.state.window.push_signal(signal);
                }
            }
        }
        is_finite
    }

    /// Runs one step and reports progress when due. Returns the divergence that the report shows,
    /// if any.
    fn step(
        &mut self,
        batch: TrainBatch,
        clock: &mut Clock,
        observer: &mut dyn Observer,
    ) -> Result<Option<Trouble>, TrainError> {
        let experiment = self.experiment;
        let (iterations, step) = (experiment.iterations, batch.step);
        let targets: Vec<usize> = (batch.host_labels.iter())
            .map(|&label| label as usize)
            .collect();
        let learner = self
            .learner
            .take()
            .expect("there always is one between steps");
        let forward = match self.info.network {
            NetworkKind::Row(_) => learner.forward_after(batch, self.state.running),
            NetworkKind::Own(_) => {
                let seed = Rng::at(experiment.seed, &[STREAM, step]).next_u64();
                seeded(&self.device, seed, || {
                    learner.forward_after(batch, self.state.running)
                })
            }
        }?;
        self.unread.push(forward.numbers());
        let done = step + 1;
        let is_finite = !self.is_reading_due(done) || self.read();
        let ends = done == iterations || !is_finite;
        let report = done % self.stride() == 0 || ends;
        if report && !self.watch.distances {
            let logits = learner.model().head.logits(forward.features.clone());
            let logits = host(logits.without_autodiff());
            let logits = Matrix::new(&logits, targets.len(), self.info.class_names.len())?;
            self.state.window.train_error_percent = Some(top1_error_percent(logits, &targets)?);
        }
        let learning_rate = experiment.learning_rate_at(step);
        self.learner = Some(if is_finite {
            let mut learner = learner.update(forward, learning_rate)?;
            if let Some(share) = self.share(step) {
                learner.average(share);
            }
            learner
        } else {
            learner
        });
        self.state.step = done;
        let rate = (done * targets.len() as u64) as f64 / clock.seconds();
        observer.step(done, rate);
        if report {
            self.report(step, learning_rate, rate, ends, clock, observer)
        } else {
            Ok(None)
        }
    }

    /// Whether to read the values of the last steps now. A CPU has no queue that reading a value would stall.
    fn is_reading_due(&self, done: u64) -> bool {
        let experiment = self.experiment;
        !is_graphics(&self.device)
            || done.is_multiple_of(self.stride())
            || done == experiment.iterations
            || done.is_multiple_of(experiment.checkpoint_every)
            || self.unread.len() >= MOST_UNREAD
    }

    /// Number of steps between two points of the curve.
    fn stride(&self) -> u64 {
        (self.experiment.iterations / CURVE_POINTS).max(1)
    }

    /// Records the point of the curve after a step. Returns the divergence that it shows, if any.
    fn report(
        &mut self,
        step: u64,
        learning_rate: f64,
        rate: f64,
        ends: bool,
        clock: &mut Clock,
        observer: &mut dyn Observer,
    ) -> Result<Option<Trouble>, TrainError> {
        let done = step + 1;
        let (loss_now, step_lambda) = self.learner().model().head.at(step);
        self.info.step = done;
        let window = std::mem::take(&mut self.state.window);
        let gate = self.info.annealing.gate();
        let signal = gate.map_or(f64::NAN, |_| window.signal());
        let mut progress = window.progress(done, loss_now.multiplier(), learning_rate, rate);
        let classes = self.info.class_names.len();
        let lambda = step_lambda
            .after(self.state.running)
            .of_steps(signal, classes);
        // Not finite if a confidence is NaN, which ends the training.
        if lambda.is_finite() {
            self.info.lambda = lambda;
        }
        progress.lambda = loss_now.is_annealed().then_some(lambda);
        if ends {
            // The last point is evaluated and reported at the end.
            let trouble = self.watch.check(&progress, &mut self.state.stuck_since);
            self.state.curve.push(progress);
            return Ok(trouble);
        }
        let experiment = self.experiment;
        let between = experiment
            .iterations
            .div_ceil(experiment.evaluations.max(1))
            .max(1);
        let stride = self.stride();
        let due = done / between != (done - stride.min(done)) / between;
        self.tell(progress, due && experiment.evaluations > 0, clock, observer)
    }

    /// Reports an interval of the curve, after an evaluation if one is due.
    fn tell(
        &mut self,
        mut progress: Progress,
        due: bool,
        clock: &mut Clock,
        observer: &mut dyn Observer,
    ) -> Result<Option<Trouble>, TrainError> {
        if due {
            let before = progress.clone();
            if let Err(error) = clock.pause(|| self.evaluate(&mut progress, observer)) {
                // A resumed run begins with this evaluation.
                self.state.pending = Some(before);
                return Err(error);
            }
        }
        let trouble = self.watch.check(&progress, &mut self.state.stuck_since);
        observer.progress(&progress)?;
        self.state.curve.push(progress);
        Ok(trouble)
    }
}
