//! The training loop.

#[cfg(feature = "_gpu")]
use crate::batches::Resident;
use crate::batches::{Batches, TrainBatch};
use crate::checkpoint::{Checkpoint, Snapshot, TrainingState};
use crate::error::TrainError;
use crate::evaluation::{embeddings_until, evaluate_until, features, host};
use crate::learner::{Learner, StepNumbers};
use crate::memory::check_fit;
use crate::model::Model;
use crate::open_set::{ScoredPairs, check_open_set, evaluate_open_set_until, labels};
use crate::stop::Stop;
use crate::watch::{Trouble, Watch};
use burn::tensor::Device;
use lsoftmax::Floor;
use lsoftmax_data::{Augmentation, Dataset, Draws, LoadPlan, MemoryLayout, Split};
use lsoftmax_metrics::{Matrix, top1_error_percent, unit_rows};
use lsoftmax_networks::{Precision, is_graphics, trains_in};
use lsoftmax_record::{
    Best, DataSummary, Decision, Divergence, Evaluation, Experiment, Frame, ModelInfo,
    OnDivergence, OpenSetEvaluation, Outcome, Progress,
};

use crate::observer::{Observer, Saved, Trained};
use crate::window::Clock;

/// Points on the curve of a training.
const CURVE_POINTS: u64 = 200;
/// Steps whose numbers a graphics processor may keep to itself.
const MOST_UNREAD: usize = 256;
/// Test images whose 2-D features are kept at every evaluation.
const FRAME_POINTS: usize = 1_500;
/// Training images that are evaluated at the end.
const TRAIN_SAMPLES: usize = 10_000;
/// λ after the first recovery; ten times as much after each further one. The authors advise to keep
/// λ at 5 or 10 where a training does not converge.
const FIRST_FLOOR: f64 = 5.0;

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
    Training::new(experiment, split, device)?.run(observer)
}

/// Whether an experiment can be trained on these data: all that can be known before the first step.
///
/// # Errors
/// As for [`train`].
pub fn check(experiment: &Experiment, split: &Split, device: &Device) -> Result<(), TrainError> {
    let training = Training::new(experiment, split, device)?;
    Draws::new(training.plan())?;
    Ok(())
}

/// Trains on from a checkpoint, to the same bits as a training that never stopped.
///
/// # Errors
/// The checkpoint's model is of another kind than the experiment's, and as for [`train`].
pub fn resume(
    experiment: &Experiment,
    split: &Split,
    device: &Device,
    saved: Saved,
    observer: &mut dyn Observer,
) -> Result<Trained, TrainError> {
    let mut training = Training::new(experiment, split, device)?;
    training.check(&saved.last)?;
    let good = saved.last.good_step();
    training.good = saved
        .good
        .or_else(|| (good == Some(saved.last.step())).then(|| saved.last.clone()));
    training.best = saved.best;
    training.restore(saved.last)?;
    training.run(observer)
}

/// A training in progress.
struct Training<'a> {
    experiment: &'a Experiment,
    train: Dataset,
    held_out: Option<Dataset>,
    test: &'a Dataset,
    open_set: Option<&'a Dataset>,
    split: &'a Split,
    frame: Option<Dataset>,
    device: Device,
    /// The training images on the device, if they are kept there.
    #[cfg(feature = "_gpu")]
    resident: Option<Resident>,
    learner: Option<Learner>,
    /// Numbers of the last steps, which the device still has.
    unread: Vec<StepNumbers>,
    /// Training images of each class.
    class_counts: Vec<usize>,
    info: ModelInfo,
    state: TrainingState,
    good: Option<Checkpoint>,
    best: Option<Snapshot>,
    watch: Watch,
    summary: DataSummary,
}

/// Why a stretch of steps ended.
enum End {
    Done,
    Diverged(Trouble),
    Stopped,
}

impl<'a> Training<'a> {
    fn new(
        experiment: &'a Experiment,
        split: &'a Split,
        device: &Device,
    ) -> Result<Self, TrainError> {
        check_precision(experiment.precision, device)?;
        if let Some(open_set) = &split.open_set {
            check_open_set(open_set)?;
        }
        check_fit(experiment, split, device)?;
        let data = &split.train;
        let (train, held_out) = match (experiment.held_out, &split.held_out) {
            (_, Some(held_out)) => (data.clone(), Some(held_out.clone())),
            (0, None) => (data.clone(), None),
            (count, None) => {
                let (train, held_out) = data.hold_out(count, experiment.data_seed)?;
                (train, Some(held_out))
            }
        };
        let mut info = ModelInfo::new(
            experiment.network.clone(),
            [data.channels, data.height, data.width],
            data.class_names.clone(),
            train.preprocessing(),
            experiment.loss,
            experiment.annealing.clone(),
        );
        info.pairs = experiment.pairs;
        info.mirrored = experiment.mirrored;
        info.images = experiment.images.rules;
        let margin = experiment.loss.margin().map_err(lsoftmax::Error::from)?;
        let mut training = Self {
            experiment,
            class_counts: train.class_counts(),
            train,
            held_out,
            test: &split.test,
            open_set: split.open_set.as_ref(),
            split,
            frame: (experiment.network.feature == 2).then(|| split.test.subset(FRAME_POINTS)),
            device: device.clone().autodiff(),
            #[cfg(feature = "_gpu")]
            resident: None,
            learner: None,
            unread: Vec::new(),
            watch: Watch {
                classes: info.class_names.len(),
                iterations: experiment.iterations,
                normalisation: margin.normalisation(),
                distances: experiment.pairs.is_some_and(|pairs| pairs.alone),
            },
            state: TrainingState {
                experiment: experiment.to_toml()?,
                threads: rayon::current_num_threads(),
                ..TrainingState::default()
            },
            summary: DataSummary::new(split),
            info,
            good: None,
            best: None,
        };
        training.start_over()?;
        Ok(training)
    }

    /// Fresh weights.
    fn start_over(&mut self) -> Result<(), TrainError> {
        let model = Model::new(&self.info, self.experiment.seed, &self.device)?;
        self.learner = Some(self.learner_of(model)?);
        Ok(())
    }

    fn learner_of(&self, mut model: Model) -> Result<Learner, TrainError> {
        let experiment = self.experiment;
        model.head = (model.head)
            .with_class_counts(&self.class_counts)?
            .with_label_smoothing(experiment.label_smoothing)?;
        Learner::new(model, experiment.sgd)
            .with_precision(experiment.precision)
            .with_pairs(experiment.pairs)
    }

    fn learner(&self) -> &Learner {
        self.learner
            .as_ref()
            .expect("there always is one between steps")
    }

    /// Whether a checkpoint can be gone on from with these data.
    fn check(&self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        let (ours, theirs) = (&self.info, &checkpoint.snapshot.info);
        let fits = ours.image == theirs.image
            && ours.class_names == theirs.class_names
            && ours.preprocessing == theirs.preprocessing
            && ours.network == theirs.network
            && ours.loss == theirs.loss
            && ours.pairs == theirs.pairs
            && ours.mirrored == theirs.mirrored
            && ours.images == theirs.images;
        if fits {
            return Ok(());
        }
        Err(TrainError::Foreign {
            path: format!("of step {}", checkpoint.step()).into(),
            message: "it was trained on other data or with another network".into(),
        })
    }

    /// Takes over the model, the optimiser and the state of a checkpoint.
    fn restore(&mut self, checkpoint: Checkpoint) -> Result<(), TrainError> {
        let (model, info) = checkpoint.model(&self.device)?;
        self.info = info;
        let learner = self
            .learner_of(model)?
            .with_centers(&checkpoint.snapshot.file)?;
        self.learner = Some(learner.with_optimiser_state(checkpoint.optimiser)?);
        self.state = checkpoint.state;
        Ok(())
    }

    fn checkpoint(&self) -> Result<Checkpoint, TrainError> {
        Ok(Checkpoint {
            snapshot: self.snapshot()?,
            optimiser: self.learner().optimiser_state()?,
            state: self.state.clone(),
        })
    }

    fn snapshot(&self) -> Result<Snapshot, TrainError> {
        Ok(Snapshot {
            file: self.learner().to_file(&self.info)?,
            info: self.info.clone(),
        })
    }

    fn run(mut self, observer: &mut dyn Observer) -> Result<Trained, TrainError> {
        let divergence = loop {
            match self.stretch(observer) {
                Ok(End::Done) => break None,
                Ok(End::Stopped) | Err(TrainError::Stopped) => {
                    observer.checkpoint(&self.checkpoint()?)?;
                    return Err(self.interrupted());
                }
                Err(error) => return Err(error),
                Ok(End::Diverged(trouble)) => {
                    if !self.recover(&trouble, observer)? {
                        break Some(trouble.divergence);
                    }
                }
            }
        };
        self.finish(divergence, observer)
    }

    fn interrupted(&self) -> TrainError {
        TrainError::Interrupted {
            step: self.state.step,
            iterations: self.experiment.iterations,
        }
    }

    /// Answers a divergence; whether the training goes on.
    fn recover(
        &mut self,
        trouble: &Trouble,
        observer: &mut dyn Observer,
    ) -> Result<bool, TrainError> {
        let most = match self.experiment.on_divergence {
            OnDivergence::Stop => 0,
            OnDivergence::RaiseLambda { recoveries } => recoveries,
        };
        let done = self.state.recoveries;
        let (remarks, step) = (std::mem::take(&mut self.state.remarks), self.state.step);
        let answer = if !self.experiment.loss.is_annealed() && most > 0 {
            Some("stopped, since this loss has no λ to raise".to_owned())
        } else if most == 0 {
            Some("stopped".to_owned())
        } else if done >= most {
            Some(format!("stopped after {done} recoveries"))
        } else {
            None
        };
        if let Some(answer) = answer {
            let message = format!("{}; {answer}", trouble.message);
            self.state.remarks = [remarks, vec![message.clone()]].concat();
            // The last stretch is told at the end, with its figures on the test set.
            let told = self.state.curve.len().saturating_sub(1);
            observer.dies(&message, step, &self.state.curve[..told])?;
            return Ok(false);
        }
        let best = self.state.best.take();
        // A checkpoint that led here before is left out.
        let tried = self.state.recovered_from;
        let good = self.good.take().filter(|good| tried != Some(good.step()));
        if let Some(good) = good {
            self.good = Some(good.clone());
            self.restore(good)?;
        } else {
            self.state = TrainingState {
                experiment: std::mem::take(&mut self.state.experiment),
                threads: self.state.threads,
                ..TrainingState::default()
            };
            self.info.step = 0;
            self.start_over()?;
        }
        let lambda = FIRST_FLOOR * 10f64.powi(done as i32);
        let from = self.state.step;
        self.info.annealing.floor = Some(Floor {
            lambda,
            step: from,
            until: self.experiment.iterations,
        });
        self.learner = self
            .learner
            .take()
            .map(|learner| learner.with_annealing(self.info.annealing.clone()))
            .transpose()?;
        let message = format!(
            "{}; back from step {step} to step {from}, with λ at least {lambda} falling to 0",
            trouble.message
        );
        self.state.recoveries = done + 1;
        self.state.recovered_from = Some(from);
        self.state.best = best;
        self.state.stuck_since = None;
        self.state.remarks = [remarks, vec![message.clone()]].concat();
        // The way back itself, so that a training killed now goes on from it.
        let checkpoint = self.checkpoint()?;
        observer.rewind(&message, from, &self.state.curve)?;
        observer.checkpoint(&checkpoint)?;
        Ok(true)
    }

    /// Trains until the end, or until something happens.
    fn stretch(&mut self, observer: &mut dyn Observer) -> Result<End, TrainError> {
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

    /// What follows a step: a checkpoint, if one is due, or the end of the stretch.
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

    /// The steps that are still to be done.
    fn plan(&self) -> LoadPlan {
        let experiment = self.experiment;
        LoadPlan {
            data: self.train.clone(),
            preprocessing: self.info.preprocessing.clone(),
            augmentation: if experiment.augment {
                Augmentation::cifar_plus()
            } else {
                Augmentation::none()
            },
            layout: MemoryLayout::Nhwc,
            batch: experiment.batch,
            images_per_class: experiment.images_per_class,
            seed: experiment.seed,
            steps: self.state.step..experiment.iterations,
        }
    }

    fn batches(&mut self, plan: LoadPlan) -> Result<Batches, TrainError> {
        #[cfg(feature = "_gpu")]
        {
            self.resident =
                (self.resident.take()).or_else(|| Resident::new(&plan.data, &self.device));
            if let Some(resident) = &self.resident {
                return resident.start(plan);
            }
        }
        Batches::start(plan, &self.device)
    }

    /// Reads the numbers of the steps since the last time; whether all losses are finite.
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

    /// One step, and what is to be told after it.
    fn step(
        &mut self,
        batch: TrainBatch,
        clock: &mut Clock,
        observer: &mut dyn Observer,
    ) -> Result<Option<Trouble>, TrainError> {
        let experiment = self.experiment;
        let (iterations, step) = (experiment.iterations, batch.step);
        let stride = (iterations / CURVE_POINTS).max(1);
        let evaluation_stride = iterations.div_ceil(experiment.evaluations.max(1)).max(1);
        let targets: Vec<usize> = (batch.host_labels.iter())
            .map(|&label| label as usize)
            .collect();
        let count = targets.len();
        let learner = self
            .learner
            .take()
            .expect("there always is one between steps");
        let forward = learner.forward_after(batch, self.state.running)?;
        self.unread.push(forward.numbers());
        let done = step + 1;
        // The CPU has no queue that a look at a number would empty.
        let due = !is_graphics(&self.device)
            || done % stride == 0
            || done == iterations
            || done.is_multiple_of(experiment.checkpoint_every)
            || self.unread.len() >= MOST_UNREAD;
        let is_finite = !due || self.read();
        let ends = done == iterations || !is_finite;
        let report = done % stride == 0 || ends;
        if report && !self.watch.distances {
            let logits = learner.model().head.logits(forward.features.clone());
            let logits = host(logits.without_autodiff());
            let logits = Matrix::new(&logits, count, self.info.class_names.len())?;
            self.state.window.train_error_percent = Some(top1_error_percent(logits, &targets)?);
        }
        let learning_rate = experiment.learning_rate_at(step);
        let learner = if is_finite {
            learner.update(forward, learning_rate)?
        } else {
            learner
        };
        let (loss_now, step_lambda) = learner.model().head.at(step);
        self.learner = Some(learner);
        self.state.step = done;
        let rate = (done * count as u64) as f64 / clock.seconds();
        observer.step(done, rate);
        if !report {
            return Ok(None);
        }
        self.info.step = done;
        let window = std::mem::take(&mut self.state.window);
        let gate = self.info.annealing.gate();
        let signal = gate.map_or(f64::NAN, |_| window.signal());
        let mut progress = window.progress(done, loss_now.multiplier(), learning_rate, rate);
        let classes = self.info.class_names.len();
        let lambda = step_lambda
            .after(self.state.running)
            .of_steps(signal, classes);
        // None for a confidence that is not a number, which ends the training.
        if lambda.is_finite() {
            self.info.lambda = lambda;
        }
        progress.lambda = loss_now.is_annealed().then_some(lambda);
        let due = done / evaluation_stride != (done - stride.min(done)) / evaluation_stride;
        if ends {
            // Evaluated and told at the end.
            let trouble = self.watch.check(&progress, &mut self.state.stuck_since);
            self.state.curve.push(progress);
            return Ok(trouble);
        }
        self.tell(progress, due && experiment.evaluations > 0, clock, observer)
    }

    /// Tells of a stretch of the curve, evaluated if that is due.
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
                // A resume begins with this evaluation.
                self.state.pending = Some(before);
                return Err(error);
            }
        }
        let trouble = self.watch.check(&progress, &mut self.state.stuck_since);
        observer.progress(&progress)?;
        self.state.curve.push(progress);
        Ok(trouble)
    }

    /// The model on the test set, on the held-out part, and on the plane.
    fn evaluate(
        &mut self,
        progress: &mut Progress,
        observer: &mut dyn Observer,
    ) -> Result<Evaluation, TrainError> {
        let stops = || observer.stops();
        let stop = Stop::when(&stops);
        self.fit_class_weights(stop)?;
        let model = self.learner().model();
        let found = evaluate_until(model, &self.info, self.test, stop)?;
        let frame = match &self.frame {
            Some(frame) => Some(Frame {
                step: progress.step,
                points: pairs(&features(model, &self.info, frame, stop)?),
                labels: frame.labels().to_vec(),
                class_weights: pairs(&host(model.head.weight.val().without_autodiff())),
            }),
            None => None,
        };
        let held_out = match &self.held_out {
            Some(held_out) => {
                Some(evaluate_until(model, &self.info, held_out, stop)?.error_percent)
            }
            None => None,
        };
        self.state.frames.extend(frame.filter(Frame::is_finite));
        progress.test_error_percent = Some(found.error_percent);
        progress.held_out_error_percent = held_out;
        if let Some(error) = held_out.filter(|_| self.is_usable(&found)) {
            let best = self.state.best.as_ref();
            if best.is_none_or(|best| error < best.held_out_error_percent) {
                self.state.best = Some(Best {
                    step: progress.step,
                    held_out_error_percent: error,
                    test_error_percent: None,
                });
                let best = self.snapshot()?;
                observer.best(&best)?;
                self.best = Some(best);
            }
        }
        Ok(found)
    }

    /// Whether the model, with these figures, can be used.
    fn is_usable(&self, found: &Evaluation) -> bool {
        let file = self.learner().to_file(&self.info);
        found.mean_feature_norm.is_finite() && file.is_ok_and(|file| file.is_finite())
    }

    /// The figures on classes that were not trained on, and the threshold from their pairs; without
    /// such classes, or with too few, a threshold from pairs of test images if there are any.
    fn open_set_of(
        &self,
        model: &Model,
        stop: Stop,
    ) -> Result<(Option<OpenSetEvaluation>, Option<Decision>), TrainError> {
        let seed = self.experiment.data_seed;
        if let Some(unseen) = self.open_set {
            let (mut found, mut decision) =
                evaluate_open_set_until(model, &self.info, unseen, seed, stop)?;
            found.same_names = self.split.same_names;
            if let Some(decision) = &mut decision {
                decision.same_names = self.split.same_names;
            }
            return Ok((Some(found), decision));
        }
        let some = self.test.subset(TRAIN_SAMPLES);
        let rows = embeddings_until(model, &self.info, &some, stop)?;
        let rows = Matrix::new(&rows, some.len(), self.info.embedding_size())?;
        let pairs = ScoredPairs::new(rows, &labels(&some), seed);
        Ok((None, pairs.ok().and_then(|pairs| pairs.decision(false))))
    }

    /// Where no margin loss trains the class weights, each is the mean direction of its class.
    fn fit_class_weights(&mut self, stop: Stop) -> Result<(), TrainError> {
        if !self.experiment.pairs.is_some_and(|pairs| pairs.alone) {
            return Ok(());
        }
        let some = self.train.subset(TRAIN_SAMPLES);
        let size = self.info.network.feature;
        let features = features(self.learner().model(), &self.info, &some, stop)?;
        // A dead model keeps the weights it had.
        if features.iter().any(|value| !value.is_finite()) {
            return Ok(());
        }
        let units = unit_rows(Matrix::new(&features, some.len(), size)?)?;
        let classes = self.info.class_names.len();
        let mut sums = vec![0f32; classes * size];
        for (unit, &label) in units.chunks_exact(size).zip(some.labels()) {
            let sum = &mut sums[label as usize * size..][..size];
            for (sum, &value) in sum.iter_mut().zip(unit) {
                *sum += value;
            }
        }
        let weights = unit_rows(Matrix::new(&sums, classes, size)?)?;
        if let Some(learner) = &mut self.learner {
            learner.set_class_weights(weights);
        }
        Ok(())
    }

    /// The last evaluation. All steps are saved before, so that a resume repeats only this.
    fn finish(
        mut self,
        divergence: Option<Divergence>,
        observer: &mut dyn Observer,
    ) -> Result<Trained, TrainError> {
        self.state.pending = (self.state.pending.take()).or_else(|| self.state.curve.pop());
        if divergence.is_none() {
            observer.checkpoint(&self.checkpoint()?)?;
        }
        observer.evaluates(self.state.step);
        let interrupted = self.interrupted();
        match self.conclude(divergence, observer) {
            Err(TrainError::Stopped) => Err(interrupted),
            trained => trained,
        }
    }

    fn conclude(
        mut self,
        mut divergence: Option<Divergence>,
        observer: &mut dyn Observer,
    ) -> Result<Trained, TrainError> {
        let mut last = self.state.pending.take().unwrap_or_default();
        let evaluation = self.evaluate(&mut last, observer)?;
        if !self.is_usable(&evaluation) {
            if divergence.is_none() {
                let message = "the features are not finite numbers";
                let remark = format!("step {}: {message}", last.step);
                self.state.remarks.push(remark);
            }
            divergence = Some(Divergence::NotFinite);
        }
        let classes = self.info.class_names.len();
        let chance = 100.0 * (1.0 - 1.0 / classes as f64);
        if classes > 1 && evaluation.error_percent >= 0.9 * chance {
            divergence = divergence.or(Some(Divergence::Chance));
        }
        observer.progress(&last)?;
        self.state.curve.push(last);
        let stops = || observer.stops();
        let stop = Stop::when(&stops);
        let learner = self
            .learner
            .take()
            .expect("there always is one between steps");
        let model = learner.into_model();
        let some = self.train.subset(TRAIN_SAMPLES);
        let train_evaluation = evaluate_until(&model, &self.info, &some, stop)?;
        let mut best = self.state.best.take();
        if let (Some(best), Some(snapshot)) = (&mut best, &self.best) {
            let (model, info) = snapshot.model(&self.device)?;
            let found = evaluate_until(&model, &info, self.test, stop)?;
            best.test_error_percent = Some(found.error_percent);
        }
        let (open_set, decision) = match self.open_set_of(&model, stop) {
            // The features of a dead model may be no numbers, which its divergence says already.
            Err(TrainError::Metrics(_)) if divergence.is_some() => (None, None),
            found => found?,
        };
        self.info.decision = decision;
        let images = self.state.step * self.experiment.batch as u64;
        Ok(Trained {
            model,
            info: self.info,
            outcome: Outcome {
                evaluation,
                train_evaluation,
                open_set,
                data: Some(self.summary),
                curve: self.state.curve,
                frames: self.state.frames,
                divergence,
                best,
                remarks: [self.split.warnings.clone(), self.state.remarks].concat(),
                seconds: self.state.seconds,
                images_per_second: images as f64 / self.state.seconds,
            },
        })
    }
}

fn pairs(values: &[f32]) -> Vec<[f32; 2]> {
    values.chunks_exact(2).map(|p| [p[0], p[1]]).collect()
}

/// Checks that a device trains in a precision.
///
/// # Errors
/// It does not.
pub fn check_precision(precision: Precision, device: &Device) -> Result<(), TrainError> {
    if trains_in(device, precision) {
        return Ok(());
    }
    let expected = if is_graphics(device) {
        "one that the device computes in, such as f32"
    } else {
        "f32 on the CPU; for others name a graphics processor with --device"
    };
    Err(TrainError::setting("precision", expected, precision.name()))
}
