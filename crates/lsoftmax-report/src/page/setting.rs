//! Settings of the runs: shown in the head of the page if all runs agree, otherwise as columns of
//! the table.

use crate::distinct::distinct;
use crate::escape::escape;
use crate::model::Run;
use crate::number::grouped;

/// A setting of a run.
pub(super) struct Setting {
    pub(super) name: &'static str,
    /// The value in the head of the page; empty if it is unknown.
    head: fn(&Run) -> String,
    /// The value in the table, as HTML.
    pub(super) cell: fn(&Run) -> String,
}

const SETTINGS: [Setting; 3] = [
    Setting {
        name: "Network",
        head: |run| run.network.clone(),
        cell: |run| escape(&run.network),
    },
    Setting {
        name: "Feature",
        head: |run| match run.feature {
            0 => String::new(),
            size => format!("{size}-D"),
        },
        cell: |run| run.feature.to_string(),
    },
    Setting {
        name: "Iterations",
        head: |run| match run.outcome.steps() {
            0 => String::new(),
            steps => grouped(steps),
        },
        cell: |run| grouped(run.outcome.steps()),
    },
];

impl Setting {
    fn values(&self, runs: &[&Run]) -> Vec<String> {
        distinct(runs.iter().map(|run| (self.head)(run)))
    }
}

/// The settings that all runs have in common, with their values.
pub(super) fn common(runs: &[&Run]) -> Vec<(&'static str, String)> {
    SETTINGS
        .iter()
        .filter_map(
            |setting| match <[String; 1]>::try_from(setting.values(runs)) {
                Ok([value]) if !value.is_empty() => Some((setting.name, value)),
                _ => None,
            },
        )
        .collect()
}

/// The settings in which the runs differ.
pub(super) fn varied(runs: &[&Run]) -> Vec<&'static Setting> {
    SETTINGS
        .iter()
        .filter(|setting| setting.values(runs).len() > 1)
        .collect()
}
