//! Detection of the known ways in which margin training diverges.

use lsoftmax::margin::Normalisation;
use lsoftmax_record::{Divergence, Progress};

/// A divergence and a one-line message with the figures that show it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trouble {
    pub(crate) divergence: Divergence,
    pub(crate) message: String,
}

/// Below this ‖w‖‖x‖, no class can get a probability 10 % higher than another.
const COLLAPSED: f64 = 0.05;
/// Above this ‖w‖‖x‖ a training is healthy. In between it may be collapsing.
const WELL: f64 = 10.0 * COLLAPSED;
/// Above this ‖w‖‖x‖, `f32` represents a logit to within 0.1 at best.
const BLOWN_UP: f64 = 1e6;
/// Relative distance from ln C within which a loss counts as ln C.
const AT_CHANCE: f64 = 0.02;
/// Number of steps a loss may stay at ln C, or a tenth of the training if that is more.
const PATIENCE: u64 = 200;

/// Checks each interval of the curve for divergence. Its only state is `stuck_since`, which
/// checkpoints store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watch {
    pub(crate) classes: usize,
    pub(crate) iterations: u64,
    /// The vectors that the loss normalises to length 1.
    pub(crate) normalisation: Normalisation,
    /// Whether the loss uses only distances, so that there are no logits to check.
    pub(crate) distances: bool,
}

impl Watch {
    /// Whether a recovery may return to this state.
    pub(crate) fn is_well(&self, progress: &Progress, stuck_since: Option<u64>) -> bool {
        self.distances || stuck_since.is_none() && (WELL..BLOWN_UP).contains(&self.size(progress))
    }

    /// The scale of the logits.
    fn size(&self, progress: &Progress) -> f64 {
        match self.normalisation {
            // Norms do not change the logits.
            Normalisation {
                feature_scale: Some(_),
                ..
            } => 1.0,
            Normalisation { weights: true, .. } => progress.feature_norm,
            Normalisation { weights: false, .. } => progress.feature_norm * progress.weight_norm,
        }
    }

    /// The divergence after an interval of the curve, if any.
    pub(crate) fn check(
        &self,
        progress: &Progress,
        stuck_since: &mut Option<u64>,
    ) -> Option<Trouble> {
        let Progress {
            step,
            loss,
            feature_norm,
            weight_norm,
            mean_target_angle_deg: angle,
            ..
        } = *progress;
        let lambda = progress
            .lambda
            .map_or_else(String::new, |lambda| format!(", λ {lambda:.3}"));
        let trouble = |divergence, what: String| {
            Some(Trouble {
                divergence,
                message: format!(
                    "step {step}: {what} (loss {loss:.3}, feature norm {feature_norm:.3}, class \
                     weight norm {weight_norm:.3}, target angle {angle:.1}°{lambda})"
                ),
            })
        };
        if !loss.is_finite() {
            return trouble(Divergence::NotFinite, "the loss is not finite".into());
        }
        if self.distances {
            return None;
        }
        let size = self.size(progress);
        if size < COLLAPSED {
            let what = format!("norm collapse: ‖w‖‖x‖ is {size:.4}, so the logits have no effect");
            return trouble(Divergence::NormCollapse, what);
        }
        if size > BLOWN_UP {
            let what = format!("norm blow-up: ‖w‖‖x‖ is {size:.0}, too large for f32 logits");
            return trouble(Divergence::NormBlowUp, what);
        }
        let chance = (self.classes as f64).ln();
        let guessing = 90.0 * (1.0 - 1.0 / self.classes as f64);
        if self.classes < 2
            || (loss - chance).abs() > AT_CHANCE * chance
            || (progress.train_error_percent).is_some_and(|error| error < guessing)
        {
            *stuck_since = None;
            return None;
        }
        let since = *stuck_since.get_or_insert(step);
        let patience = PATIENCE.max(self.iterations / 10);
        if step - since < patience {
            return None;
        }
        let what = format!(
            "the loss has been ln {} = {chance:.3}, chance level, since step {since}",
            self.classes
        );
        trouble(Divergence::Stuck, what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WATCH: Watch = Watch {
        classes: 10,
        iterations: 1_000,
        normalisation: Normalisation {
            feature_scale: None,
            weights: false,
        },
        distances: false,
    };

    fn progress(step: u64, loss: f64, feature_norm: f64) -> Progress {
        Progress {
            step,
            loss,
            feature_norm,
            weight_norm: 1.0,
            train_error_percent: Some(89.0),
            ..Progress::default()
        }
    }

    fn found(watch: Watch, progress: &Progress) -> Option<Divergence> {
        watch
            .check(progress, &mut None)
            .map(|trouble| trouble.divergence)
    }

    #[test]
    fn each_way_of_dying_has_its_name_and_its_numbers() {
        assert_eq!(found(WATCH, &progress(1, 1.0, 3.0)), None);
        let trouble = WATCH.check(&progress(7, f64::NAN, 3.0), &mut None).unwrap();
        assert_eq!(trouble.divergence, Divergence::NotFinite);
        assert!(
            trouble
                .message
                .starts_with("step 7: the loss is not finite")
        );
        let collapse = WATCH.check(&progress(9, 2.3, 0.01), &mut None).unwrap();
        assert_eq!(collapse.divergence, Divergence::NormCollapse);
        assert!(
            collapse.message.contains("‖w‖‖x‖ is 0.0100"),
            "{collapse:?}"
        );
        let blown = found(WATCH, &progress(9, 2.0, 1e7));
        assert_eq!(blown, Some(Divergence::NormBlowUp));
        // Norms that the loss does not use are harmless.
        let normalising = Watch {
            normalisation: Normalisation {
                feature_scale: Some(30.0),
                weights: true,
            },
            ..WATCH
        };
        assert_eq!(found(normalising, &progress(9, 2.0, 1e7)), None);
        assert_eq!(found(normalising, &progress(9, 2.0, 1e-7)), None);
    }

    #[test]
    fn a_loss_at_that_of_guessing_is_given_time() {
        let mut since = None;
        let mut check = |step, loss| WATCH.check(&progress(step, loss, 3.0), &mut since);
        assert_eq!(check(100, 2.30), None);
        assert_eq!(check(299, 2.31), None);
        assert_eq!(check(300, 2.0), None, "it moved");
        assert_eq!(check(400, 2.30), None);
        let trouble = check(600, 2.30).unwrap();
        assert_eq!(trouble.divergence, Divergence::Stuck);
        assert!(trouble.message.contains("since step 400"), "{trouble:?}");
        // A loss of ln C with mostly correct answers is not chance level.
        let right = Progress {
            train_error_percent: Some(20.0),
            ..progress(900, 2.3, 3.0)
        };
        assert_eq!(WATCH.check(&right, &mut since), None);
        assert_eq!(since, None);
    }
}
