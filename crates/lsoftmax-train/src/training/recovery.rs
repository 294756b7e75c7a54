//! Recovery from a divergence.

use super::Training;
use crate::checkpoint::TrainingState;
use crate::error::TrainError;
use crate::network::Network;
use crate::observer::Observer;
use crate::watch::Trouble;
use lsoftmax::Floor;
use lsoftmax_record::OnDivergence;

/// λ after the first recovery. Each further recovery multiplies it by ten. The authors advise
/// keeping λ at 5 or 10 if a training does not converge.
const FIRST_FLOOR: f64 = 5.0;

impl<N: Network> Training<'_, N> {
    /// Responds to a divergence. Returns whether the training continues.
    pub(super) fn recover(
        &mut self,
        trouble: &Trouble,
        observer: &mut dyn Observer,
    ) -> Result<bool, TrainError> {
        let step = self.state.step;
        if let Some(end) = self.end_of_recoveries() {
            let message = format!("{}; {end}", trouble.message);
            self.state.remarks.push(message.clone());
            // The last point of the curve is reported at the end, with its figures on the test set.
            let reported = self.state.curve.len().saturating_sub(1);
            observer.dies(&message, step, &self.state.curve[..reported])?;
            return Ok(false);
        }
        let done = self.state.recoveries;
        let remarks = std::mem::take(&mut self.state.remarks);
        let best = self.state.best.take();
        self.go_back()?;
        let from = self.state.step;
        let lambda = FIRST_FLOOR * 10f64.powi(done as i32);
        self.raise_lambda(lambda)?;
        let message = format!(
            "{}; back from step {step} to step {from}, with λ at least {lambda} falling to 0",
            trouble.message
        );
        self.state.recoveries = done + 1;
        self.state.recovered_from = Some(from);
        self.state.best = best;
        self.state.stuck_since = None;
        self.state.remarks = [remarks, vec![message.clone()]].concat();
        // Save the recovery itself, so that a run killed now resumes from it.
        let checkpoint = self.checkpoint()?;
        observer.rewind(&message, from, &self.state.curve)?;
        observer.checkpoint(&checkpoint)?;
        Ok(true)
    }

    /// Why the training stops instead of recovering, if it does.
    fn end_of_recoveries(&self) -> Option<String> {
        let done = self.state.recoveries;
        match self.experiment.on_divergence {
            OnDivergence::Stop | OnDivergence::RaiseLambda { recoveries: 0 } => {
                Some("stopped".to_owned())
            }
            OnDivergence::RaiseLambda { .. } if !self.experiment.loss.is_annealed() => {
                Some("stopped, since this loss has no λ to raise".to_owned())
            }
            OnDivergence::RaiseLambda { recoveries } => {
                (done >= recoveries).then(|| format!("stopped after {done} recoveries"))
            }
        }
    }

    /// Restores the last good checkpoint, or starts over.
    fn go_back(&mut self) -> Result<(), TrainError> {
        // Skip a checkpoint from which the training has already diverged.
        let tried = self.state.recovered_from;
        let good = self.good.take().filter(|good| tried != Some(good.step()));
        if let Some(good) = good {
            self.good = Some(good.clone());
            return self.restore(good);
        }
        self.state = TrainingState {
            experiment: std::mem::take(&mut self.state.experiment),
            threads: self.state.threads,
            ..TrainingState::default()
        };
        self.info.step = 0;
        self.start_over()
    }

    /// Gives λ a lower bound that falls linearly from `lambda` at this step to 0 at the end.
    fn raise_lambda(&mut self, lambda: f64) -> Result<(), TrainError> {
        self.info.annealing.floor = Some(Floor {
            lambda,
            step: self.state.step,
            until: self.experiment.iterations,
        });
        self.learner = self
            .learner
            .take()
            .map(|learner| learner.with_annealing(self.info.annealing.clone()))
            .transpose()?;
        Ok(())
    }
}
