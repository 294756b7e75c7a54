//! Runs for unit tests.

use crate::model::Run;
use lsoftmax_record::{Evaluation, Outcome, Progress};

/// A softmax run without results.
pub(crate) fn run(label: &str) -> Run {
    Run {
        loss: "softmax".to_owned(),
        m: 1,
        label: label.to_owned(),
        network: String::new(),
        feature: 0,
        seed: 0,
        outcome: Outcome::default(),
    }
}

/// A run with a test error in per cent.
pub(crate) fn tested(label: &str, error_percent: f64) -> Run {
    let mut run = run(label);
    run.outcome.evaluation.error_percent = error_percent;
    run
}

/// A run with a curve of losses.
pub(crate) fn logged(label: &str, losses: &[f64]) -> Run {
    let mut run = run(label);
    let point = |(step, &loss)| Progress {
        step: step as u64,
        loss,
        ..Progress::default()
    };
    run.outcome.curve = losses.iter().enumerate().map(point).collect();
    run
}

/// An evaluation with these target angles in bins of equal width from 0° to 180°, and their mean.
pub(crate) fn angles(angles_deg: &[f64], bins: usize) -> Evaluation {
    let width = 180.0 / bins as f64;
    let mut counts = vec![0; bins];
    for angle in angles_deg {
        counts[((angle / width) as usize).min(bins - 1)] += 1;
    }
    Evaluation {
        mean_target_angle_deg: angles_deg.iter().sum::<f64>() / angles_deg.len() as f64,
        target_angle_edges_deg: (0..=bins).map(|bin| bin as f64 * width).collect(),
        target_angle_counts: counts,
        ..Evaluation::default()
    }
}
