//! A run as one flat object.

use crate::column::COLUMNS;
use crate::model::Run;
use lsoftmax_record::{Best, Divergence, OpenSetEvaluation};
use serde::Serialize;
use std::collections::BTreeMap;

/// The results of a run as one flat object, for JSON output.
#[derive(Debug, Serialize)]
pub struct Row<'a> {
    loss: &'a str,
    m: u32,
    seed: u64,
    iterations: u64,
    network: &'a str,
    feature: usize,
    /// The metrics of the table.
    #[serde(flatten)]
    metrics: BTreeMap<&'static str, f64>,
    held_out_error_percent: Option<f64>,
    diverged: bool,
    divergence: Option<Divergence>,
    best: Option<&'a Best>,
    remarks: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    open_set: Option<&'a OpenSetEvaluation>,
}

impl<'a> Row<'a> {
    /// Creates the row of a run.
    pub fn new(run: &'a Run) -> Self {
        let outcome = &run.outcome;
        let last = outcome.curve.last();
        Self {
            loss: &run.loss,
            m: run.m,
            seed: run.seed,
            iterations: outcome.steps(),
            network: &run.network,
            feature: run.feature,
            metrics: COLUMNS
                .iter()
                .map(|column| (column.key, (column.number)(run)))
                .collect(),
            held_out_error_percent: last.and_then(|progress| progress.held_out_error_percent),
            diverged: run.diverged(),
            divergence: outcome.divergence,
            best: outcome.best.as_ref(),
            remarks: &outcome.remarks,
            open_set: outcome.open_set.as_ref(),
        }
    }
}
