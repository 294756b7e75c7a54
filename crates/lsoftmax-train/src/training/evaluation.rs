//! The evaluations during training, and the results of a training.

use super::Training;
use crate::checkpoint::Snapshot;
use crate::error::TrainError;
use crate::evaluation::{embeddings_until, evaluate_until, features, host};
use crate::model::Model;
use crate::network::Network;
use crate::observer::{Observer, Trained};
use crate::open_set::{ScoredPairs, evaluate_open_set_until, labels};
use crate::stop::Stop;
use lsoftmax_metrics::{Matrix, unit_rows};
use lsoftmax_record::{
    Best, Decision, Divergence, Evaluation, Frame, OpenSetEvaluation, Outcome, Progress,
};

/// Number of training images evaluated at the end.
const TRAIN_SAMPLES: usize = 10_000;

impl<N: Network> Training<'_, N> {
    /// Evaluates the model on the test set, the held-out images and, for 2-D features, the plane.
    pub(super) fn evaluate(
        &mut self,
        progress: &mut Progress,
        observer: &mut dyn Observer,
    ) -> Result<Evaluation, TrainError> {
        let stops = || observer.stops();
        let stop = Stop::when(&stops);
        self.averaged = self.average(stop)?;
        self.fit_class_weights(stop)?;
        let model = self.evaluated();
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
                let best = self.evaluated_snapshot()?;
                observer.best(&best)?;
                self.best = Some(best);
            }
        }
        Ok(found)
    }

    /// Whether the model with these results can be used.
    fn is_usable(&self, found: &Evaluation) -> bool {
        let snapshot = self.evaluated_snapshot();
        found.mean_feature_norm.is_finite() && snapshot.is_ok_and(|it| it.file.is_finite())
    }

    fn evaluated_snapshot(&self) -> Result<Snapshot, TrainError> {
        let Some(model) = &self.averaged else {
            return self.snapshot();
        };
        Ok(Snapshot {
            file: model.to_file(&self.info)?,
            info: self.info.clone(),
        })
    }

    /// Evaluates the model on classes that were not trained on, and derives the threshold from
    /// their pairs. Without such classes, the threshold comes from pairs of test images, if there
    /// are enough.
    fn open_set_of(
        &self,
        model: &Model<N>,
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

    /// If no margin loss trains the class weights, sets each to the mean direction of its class.
    fn fit_class_weights(&mut self, stop: Stop) -> Result<(), TrainError> {
        if !self.experiment.pairs.is_some_and(|pairs| pairs.alone) {
            return Ok(());
        }
        let some = self.train.subset(TRAIN_SAMPLES);
        let size = self.info.network.feature();
        let features = features(self.evaluated(), &self.info, &some, stop)?;
        // A diverged model keeps its class weights.
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
        if let Some(model) = &mut self.averaged {
            model.set_class_weights(weights);
        } else if let Some(learner) = &mut self.learner {
            learner.set_class_weights(weights);
        }
        Ok(())
    }

    /// Runs the final evaluation. All steps are saved before, so that a resumed run repeats only
    /// this.
    pub(super) fn finish(
        mut self,
        divergence: Option<Divergence>,
        observer: &mut dyn Observer,
    ) -> Result<Trained<N>, TrainError> {
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

    /// The divergence of the training, with what the last evaluation shows.
    fn divergence_after(
        &mut self,
        evaluation: &Evaluation,
        step: u64,
        before: Option<Divergence>,
    ) -> Option<Divergence> {
        if !self.is_usable(evaluation) {
            if before.is_none() {
                let remark = format!("step {step}: the features are not finite numbers");
                self.state.remarks.push(remark);
            }
            return Some(Divergence::NotFinite);
        }
        let classes = self.info.class_names.len();
        let chance = 100.0 * (1.0 - 1.0 / classes as f64);
        let is_chance = classes > 1 && evaluation.error_percent >= 0.9 * chance;
        before.or(is_chance.then_some(Divergence::Chance))
    }

    fn conclude(
        mut self,
        divergence: Option<Divergence>,
        observer: &mut dyn Observer,
    ) -> Result<Trained<N>, TrainError> {
        let mut last = self.state.pending.take().unwrap_or_default();
        let evaluation = self.evaluate(&mut last, observer)?;
        let divergence = self.divergence_after(&evaluation, last.step, divergence);
        observer.progress(&last)?;
        self.state.curve.push(last);
        let stops = || observer.stops();
        let stop = Stop::when(&stops);
        let learner = self
            .learner
            .take()
            .expect("there always is one between steps");
        let model = (self.averaged.take()).unwrap_or_else(|| learner.into_model());
        let some = self.train.subset(TRAIN_SAMPLES);
        let train_evaluation = evaluate_until(&model, &self.info, &some, stop)?;
        let mut best = self.state.best.take();
        if let (Some(best), Some(snapshot)) = (&mut best, &self.best) {
            let (model, info) = snapshot.network_model::<N>(&self.device)?;
            let found = evaluate_until(&model, &info, self.test, stop)?;
            best.test_error_percent = Some(found.error_percent);
        }
        let (open_set, decision) = match self.open_set_of(&model, stop) {
            // A diverged model may have NaN features, which the divergence already reports.
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
