//! Runs of equal label brought together over their seeds.

use crate::model::{Report, RunSummary};

/// The labels of a report, in the order of first appearance: the order of the colours.
pub(crate) fn labels(report: &Report) -> Vec<&str> {
    let rows = report.rows.iter().map(|row| row.label.as_str());
    let runs = report.runs.iter().map(|run| run.label.as_str());
    let pictures = report.pictures.iter().map(|picture| picture.label.as_str());
    let open_set = report.open_set.iter();
    let open_set = open_set.flat_map(|open_set| open_set.rows.iter().map(|row| row.label.as_str()));
    distinct(rows.chain(runs).chain(pictures).chain(open_set))
}

/// The first appearance of each text.
pub(crate) fn distinct<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for text in texts {
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    seen
}

/// A mean over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Stat {
    pub(crate) mean: f64,
    /// The sample standard deviation, when there are two values or more.
    pub(crate) deviation: Option<f64>,
    pub(crate) count: usize,
}

impl Stat {
    /// Over the finite values; `None` if there is none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values
            .into_iter()
            .filter(|value| value.is_finite())
            .collect();
        let count = values.len();
        if count == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        let deviation = (count > 1).then(|| {
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            (squares / (count - 1) as f64).sqrt()
        });
        Some(Self {
            mean,
            deviation,
            count,
        })
    }
}

/// The runs that differ by nothing but their seed.
#[derive(Clone, Debug)]
pub(crate) struct Group<'a> {
    pub(crate) rows: Vec<&'a RunSummary>,
}

impl<'a> Group<'a> {
    pub(crate) fn first(&self) -> &'a RunSummary {
        self.rows[0]
    }

    pub(crate) fn label(&self) -> &'a str {
        &self.first().label
    }

    pub(crate) fn diverged(&self) -> usize {
        self.rows.iter().filter(|row| row.diverged).count()
    }

    pub(crate) fn all_diverged(&self) -> bool {
        self.diverged() == self.rows.len()
    }

    /// A number of the runs that did not diverge; of all if every one did.
    pub(crate) fn stat(&self, number: impl Fn(&RunSummary) -> f64) -> Option<Stat> {
        let all = self.all_diverged();
        Stat::of(
            self.rows
                .iter()
                .filter(|row| all || !row.diverged)
                .map(|row| number(row)),
        )
    }

    pub(crate) fn error(&self) -> Option<Stat> {
        self.stat(|row| row.test_error_percent)
    }

    pub(crate) fn train_error(&self) -> Option<Stat> {
        self.stat(|row| row.train_error_percent.unwrap_or(f64::NAN))
    }

    /// Whether another loss is all that differs.
    pub(crate) fn is_comparable(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.first(), other.first());
        ours.network == theirs.network
            && ours.feature == theirs.feature
            && ours.iterations == theirs.iterations
    }

    pub(crate) fn angle(&self) -> Option<Stat> {
        self.stat(|row| row.mean_target_angle_deg)
    }
}

pub(crate) fn is_softmax(group: &Group<'_>) -> bool {
    group.first().loss.trim().eq_ignore_ascii_case("softmax")
}

/// The groups in the order of first appearance.
pub(crate) fn groups(rows: &[RunSummary]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for row in rows {
        let same = |group: &&mut Group<'_>| {
            let first = group.first();
            first.label == row.label
                && first.network == row.network
                && first.feature == row.feature
                && first.iterations == row.iterations
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.rows.push(row),
            None => groups.push(Group { rows: vec![row] }),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_brought_together() {
        let row = |label: &str, seed, error| RunSummary {
            label: label.to_owned(),
            seed,
            test_error_percent: error,
            ..RunSummary::default()
        };
        let mut rows = vec![
            row("a", 0, 1.0),
            row("b", 0, 9.0),
            row("a", 1, 3.0),
            row("a", 2, 50.0),
        ];
        rows[3].diverged = true;
        let groups = groups(&rows);
        assert_eq!(groups.len(), 2);
        let stat = groups[0].error().unwrap();
        assert_eq!((stat.mean, stat.count), (2.0, 2));
        assert!((stat.deviation.unwrap() - 2f64.sqrt()).abs() < 1e-12);
        assert_eq!(groups[0].diverged(), 1);
        assert_eq!(groups[1].error().unwrap().deviation, None);
        assert_eq!(Stat::of([f64::NAN]), None);
    }
}
