//! The ranks of a query's references, which determine all retrieval metrics.
//!
//! The references' scores are computed first. Then one pass over the gallery adds one, for each row
//! that is not a reference, to the rank of every reference that the row precedes. Only the
//! references are sorted, and only their scores are stored.

use rayon::prelude::*;

use crate::nearest::{Machine, Panel, key, score};
use crate::{Matrix, Result, stop};
use std::sync::atomic::AtomicBool;

/// Maximum number of references of a panel's queries together, unless one query has more.
const MAX_REFERENCES: usize = 4 << 20;

/// Gallery rows by class.
pub(super) struct References {
    /// `(label, row)`, in ascending order.
    rows: Vec<(usize, u32)>,
    leave_one_out: bool,
}

impl References {
    /// With `leave_one_out`, the query and gallery row with the same index are the same sample.
    pub(super) fn new(labels: &[usize], leave_one_out: bool) -> Self {
        let mut rows: Vec<(usize, u32)> = labels.iter().copied().zip(0..).collect();
        rows.par_sort_unstable();
        Self {
            rows,
            leave_one_out,
        }
    }

    /// All rows of a class.
    fn class(&self, label: usize) -> &[(usize, u32)] {
        let from = self.rows.partition_point(|row| row.0 < label);
        let count = self.rows[from..].partition_point(|row| row.0 == label);
        &self.rows[from..from + count]
    }

    /// R of a query of this class.
    fn count(&self, label: usize) -> usize {
        // An excluded sample belongs to its own class.
        self.class(label)
            .len()
            .saturating_sub(usize::from(self.leave_one_out))
    }

    /// Whether a row is the query itself.
    fn is_self(&self, query: usize, row: u32) -> bool {
        self.leave_one_out && query == row as usize
    }
}

/// The metrics of one query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ranked {
    /// Rank of the first reference, from 1.
    pub(super) first: u32,
    pub(super) r_precision: f64,
    pub(super) average_precision_at_r: f64,
    pub(super) average_precision: f64,
}

impl Ranked {
    /// Computes the metrics from the ranks of all references, ascending; `None` without references.
    fn new(ranks: &[u32]) -> Option<Self> {
        let r = ranks.len();
        let within = ranks.partition_point(|&rank| rank as usize <= r);
        let precisions = (1..)
            .zip(ranks)
            .map(|(i, &rank)| f64::from(i) / f64::from(rank));
        let sum_at_r: f64 = precisions.clone().take(within).sum();
        let sum = sum_at_r + precisions.skip(within).sum::<f64>();
        Some(Self {
            first: *ranks.first()?,
            r_precision: within as f64 / r as f64,
            average_precision_at_r: sum_at_r / r as f64,
            average_precision: sum / r as f64,
        })
    }
}

/// All queries with a reference, in the order of the queries.
pub(super) fn each_query(
    queries: Matrix<'_>,
    labels: &[usize],
    gallery: Matrix<'_>,
    references: &References,
    stop: &AtomicBool,
) -> Result<Vec<Ranked>> {
    let machine = Machine::detect();
    // Sorted by class, so that a panel's queries have few distinct classes.
    let mut order: Vec<(usize, usize)> = labels.iter().copied().zip(0..).collect();
    order.retain(|&(label, _)| references.count(label) > 0);
    order.par_sort_unstable();
    let ranked: Vec<Vec<(usize, Ranked)>> = panels(&order, machine.width(), references)
        .into_par_iter()
        .map(|part| {
            stop::check(stop)?;
            Ok(rank(machine, queries, gallery, part, references))
        })
        .collect::<Result<_>>()?;
    let mut ranked: Vec<(usize, Ranked)> = ranked.into_iter().flatten().collect();
    ranked.par_sort_unstable_by_key(|&(query, _)| query);
    Ok(ranked.into_iter().map(|(_, ranked)| ranked).collect())
}

/// Splits the queries into panels of limited width and number of references.
fn panels<'o>(
    order: &'o [(usize, usize)],
    width: usize,
    references: &References,
) -> Vec<&'o [(usize, usize)]> {
    let mut panels = Vec::new();
    let mut rest = order;
    while let Some(&(label, _)) = rest.first() {
        // A later class may be larger; the panel is then cut where that class begins.
        let most = (MAX_REFERENCES / references.count(label))
            .clamp(1, width)
            .min(rest.len());
        let larger = |query: &(usize, usize)| references.count(query.0) > MAX_REFERENCES / width;
        let end = 1 + rest[1..most]
            .iter()
            .position(|query| query.0 != label && larger(query))
            .unwrap_or(most - 1);
        let (panel, others) = rest.split_at(end);
        panels.push(panel);
        rest = others;
    }
    panels
}

/// Ranks the references of a panel's queries, given as `(label, query)` in ascending order.
fn rank(
    machine: Machine,
    queries: Matrix<'_>,
    gallery: Matrix<'_>,
    order: &[(usize, usize)],
    references: &References,
) -> Vec<(usize, Ranked)> {
    let row = |row: usize| gallery.row(row).unwrap_or_default();
    let of_query = |&(_, query): &(usize, usize)| queries.row(query).unwrap_or_default();
    let panel = Panel::new(machine, gallery.columns(), order.iter().map(of_query));
    let keys = reference_keys(&panel, gallery, order, references);

    // For each reference, the number of other rows between it and the preceding reference.
    let mut before: Vec<Vec<u32>> = keys.iter().map(|keys| vec![0; keys.len()]).collect();
    // Rows farther than the last reference have no effect.
    let threshold = |keys: &Vec<u64>| {
        keys.last()
            .map_or(f32::INFINITY, |&last| score(last).next_down())
    };
    let mut thresholds: Vec<f32> = keys.iter().map(threshold).collect();
    thresholds.resize(panel.padded(), f32::INFINITY);
    panel.scan(
        row,
        gallery.rows(),
        &mut thresholds,
        |lane, at, score, _| {
            let (index, keys) = (at as u32, &keys[lane]);
            let key = key(score, index);
            let place = keys.partition_point(|&reference| reference > key);
            let is_reference = keys.get(place) == Some(&key);
            if !is_reference && !references.is_self(order[lane].1, index) && place < keys.len() {
                before[lane][place] += 1;
            }
        },
    );
    order
        .iter()
        .zip(before)
        .filter_map(|(&(_, query), mut ranks)| {
            let mut others = 0;
            for (at, rank) in (1..).zip(&mut ranks) {
                others += *rank;
                *rank = at + others;
            }
            Some((query, Ranked::new(&ranks)?))
        })
        .collect()
}

/// The keys of each query's references, best first.
fn reference_keys(
    panel: &Panel,
    gallery: Matrix<'_>,
    order: &[(usize, usize)],
    references: &References,
) -> Vec<Vec<u64>> {
    let row = |row: usize| gallery.row(row).unwrap_or_default();
    let mut thresholds = vec![f32::INFINITY; panel.padded()];
    let mut keys: Vec<Vec<u64>> = order
        .iter()
        .map(|&(label, _)| Vec::with_capacity(references.count(label)))
        .collect();
    let mut first = 0;
    for same in order.chunk_by(|a, b| a.0 == b.0) {
        let class = references.class(same[0].0);
        thresholds.fill(f32::INFINITY);
        thresholds[first..first + same.len()].fill(f32::NEG_INFINITY);
        first += same.len();
        panel.scan(
            |at| row(class[at].1 as usize),
            class.len(),
            &mut thresholds,
            |lane, at, score, _| {
                let index = class[at].1;
                if !references.is_self(order[lane].1, index) {
                    keys[lane].push(key(score, index));
                }
            },
        );
    }
    for keys in &mut keys {
        keys.sort_unstable_by(|a, b| b.cmp(a));
    }
    keys
}
