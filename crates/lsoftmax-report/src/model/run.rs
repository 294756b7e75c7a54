//! A trained run.

use lsoftmax_record::{Divergence, Experiment, Outcome};

/// A trained run: what a page needs to know of its experiment, and its figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The loss as experiment files name it, such as `l-softmax`.
    pub loss: String,
    /// The angular multiplier m; 1 for a loss without one.
    pub m: u32,
    /// The name on the page, such as "L-Softmax m = 4". Runs of equal label, network, feature and
    /// number of steps differ by seed.
    pub label: String,
    /// The name of the network.
    pub network: String,
    /// The dimensions of the feature.
    pub feature: usize,
    /// The seed of the training.
    pub seed: u64,
    /// The figures.
    pub outcome: Outcome,
}

impl Run {
    /// The run of an experiment with its figures.
    pub fn new(experiment: &Experiment, outcome: Outcome) -> Self {
        Self {
            loss: experiment.loss_name(),
            m: experiment.loss.multiplier(),
            label: experiment.loss_label(),
            network: experiment.network.name().to_owned(),
            feature: experiment.network.feature(),
            seed: experiment.seed,
            outcome,
        }
    }

    /// λ of the last step; `None` for a loss without λ.
    pub fn lambda(&self) -> Option<f64> {
        self.outcome.curve.last().and_then(|last| last.lambda)
    }

    /// Whether the training failed.
    pub fn diverged(&self) -> bool {
        self.outcome.divergence.is_some()
    }

    /// The remarks on the run in one line; may be empty.
    pub fn remark(&self) -> String {
        let mut remarks = self.outcome.remarks.clone();
        if self.outcome.divergence == Some(Divergence::Chance) {
            remarks.push(Divergence::Chance.words().to_owned());
        }
        if let Some(best) = &self.outcome.best {
            let test = best.test_error_percent.unwrap_or(f64::NAN);
            remarks.push(format!(
                "best on the held-out part after step {}: {:.2} % there, {test:.2} % on the test set",
                best.step, best.held_out_error_percent
            ));
        }
        remarks.join("; ")
    }
}
