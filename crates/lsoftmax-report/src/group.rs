//! Groups of runs that differ only by seed.

use crate::distinct::distinct;
use crate::mean_std::MeanStd;
use crate::model::{Report, Run};

/// The labels of a report, in the order of first appearance: the order of the colours.
pub(crate) fn labels<'a>(report: &'a Report<'_>) -> Vec<&'a str> {
    let runs = report.runs.iter().chain(&report.pictures);
    let runs = runs.map(|run| run.label.as_str());
    let open_set = report.open_set.iter();
    let open_set = open_set.flat_map(|open_set| open_set.rows.iter().map(|row| row.label));
    distinct(runs.chain(open_set))
}

/// The first run of each label.
pub(crate) fn first_of_each<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Vec<&'a Run> {
    let mut first: Vec<&Run> = Vec::new();
    for run in runs {
        if !first.iter().any(|other| other.label == run.label) {
            first.push(run);
        }
    }
    first
}

/// Runs that differ only by seed.
#[derive(Clone, Debug)]
pub(crate) struct Group<'a> {
    pub(crate) runs: Vec<&'a Run>,
}

impl<'a> Group<'a> {
    pub(crate) fn first(&self) -> &'a Run {
        self.runs[0]
    }

    pub(crate) fn label(&self) -> &'a str {
        &self.first().label
    }

    pub(crate) fn diverged(&self) -> usize {
        self.runs.iter().filter(|run| run.diverged()).count()
    }

    pub(crate) fn all_diverged(&self) -> bool {
        self.diverged() == self.runs.len()
    }

    /// The statistics of a number over the runs that did not diverge, or over all runs if every one
    /// diverged.
    pub(crate) fn stat(&self, number: impl Fn(&Run) -> f64) -> Option<MeanStd> {
        let all = self.all_diverged();
        let counted = self.runs.iter().filter(|run| all || !run.diverged());
        MeanStd::of(counted.map(|run| number(run)))
    }

    pub(crate) fn error(&self) -> Option<MeanStd> {
        self.stat(|run| run.outcome.evaluation.error_percent)
    }

    pub(crate) fn train_error(&self) -> Option<MeanStd> {
        self.stat(|run| run.outcome.train_evaluation.error_percent)
    }

    pub(crate) fn angle(&self) -> Option<MeanStd> {
        self.stat(|run| run.outcome.evaluation.mean_target_angle_deg)
    }

    /// Whether the runs have the same network, feature and number of steps as another run, so that
    /// only the loss may differ.
    fn has_settings_of(&self, run: &Run) -> bool {
        let first = self.first();
        first.network == run.network
            && first.feature == run.feature
            && first.outcome.steps() == run.outcome.steps()
    }

    pub(crate) fn is_comparable(&self, other: &Self) -> bool {
        self.has_settings_of(other.first())
    }
}

pub(crate) fn is_softmax(group: &Group<'_>) -> bool {
    group.first().loss.trim().eq_ignore_ascii_case("softmax")
}

/// The groups in the order of first appearance.
pub(crate) fn groups<'a>(runs: &[&'a Run]) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for &run in runs {
        let same =
            |group: &&mut Group<'_>| group.label() == run.label && group.has_settings_of(run);
        match groups.iter_mut().find(same) {
            Some(group) => group.runs.push(run),
            None => groups.push(Group { runs: vec![run] }),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tested;
    use lsoftmax_record::Divergence;

    #[test]
    fn seeds_are_brought_together() {
        let mut runs = [
            tested("a", 1.0),
            tested("b", 9.0),
            tested("a", 3.0),
            tested("a", 50.0),
        ];
        runs[3].outcome.divergence = Some(Divergence::Stuck);
        let runs: Vec<&Run> = runs.iter().collect();
        let groups = groups(&runs);
        assert_eq!(groups.len(), 2);
        let stat = groups[0].error().unwrap();
        assert_eq!((stat.mean, stat.count), (2.0, 2));
        assert!((stat.deviation.unwrap() - 2f64.sqrt()).abs() < 1e-12);
        assert_eq!(groups[0].diverged(), 1);
        assert_eq!(groups[1].error().unwrap().deviation, None);
    }
}
