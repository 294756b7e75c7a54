//! A trained run.

use lsoftmax_record::{Divergence, Experiment, Outcome};

/// A trained run: the settings that a page shows, and the results.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The name of the loss in experiment files, such as `l-softmax`.
    pub loss: String,
    /// The angular multiplier m; 1 for a loss without one.
    pub m: u32,
    /// The display name, such as "L-Softmax m = 4". Runs with the same label, network, feature and
    /// number of steps differ by seed.
    pub label: String,
    /// The name of the network.
    pub network: String,
    /// Length of the feature.
    pub feature: usize,
    /// The seed of the training.
    pub seed: u64,
    /// The results.
    pub outcome: Outcome,
}

impl Run {
    /// Creates a run from an experiment and its results.
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

    /// Whether the training diverged.
    pub fn diverged(&self) -> bool {
        self.outcome.divergence.is_some()
    }

    /// The remarks on the run as one line; may be empty.
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
