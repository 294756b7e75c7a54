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
            // The last interval is reported at the end, with its results on the test set.
            let told = self.state.curve.len().saturating_sub(1);
            observer.dies(&message, step, &self.state.curve[..told])?;
            return Ok(false);
        }
        let best = self.state.best.take();
        // Skip a checkpoint from which the training has already diverged.
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
        // Save the recovery itself, so that a run killed now resumes from it.
        let checkpoint = self.checkpoint()?;
        observer.rewind(&message, from, &self.state.curve)?;
        observer.checkpoint(&checkpoint)?;
        Ok(true)
    }
}
