//! Warnings for a table of means: differences within the spread of the seeds, and margins that only
//! slowed the training down.

use crate::group::{Group, groups, is_softmax};
use crate::model::Run;
use crate::number::fixed;

/// The smallest difference in training error, in percentage points, that causes a warning: ten of
/// 10,000 images.
const NOTICEABLE: f64 = 0.1;

/// Warnings for readers who prefer a loss to softmax, one sentence each.
///
/// - Differences in test error that are within the spread of the seeds, that is, within one joint
///   standard deviation. This requires two seeds.
/// - Losses with an angular multiplier that end with a higher training error than softmax, beyond
///   that spread, and without a lower test error: their margin has slowed the training down, and
///   there was no over-fitting that it could reduce.
///
/// Empty without softmax, or if there is nothing to warn about. Diverged runs are ignored.
pub fn doubts(runs: &[&Run]) -> Vec<String> {
    let groups = groups(runs);
    let alive = |group: &&Group<'_>| !group.all_diverged() && group.error().is_some();
    let mut doubts = Vec::new();
    // Full-sized and 2-D features, for example, each have their own softmax.
    for softmax in groups
        .iter()
        .filter(|group| is_softmax(group))
        .filter(alive)
    {
        let others: Vec<&Group<'_>> = groups
            .iter()
            .filter(|group| group.is_comparable(softmax) && !is_softmax(group))
            .filter(alive)
            .collect();
        let unsure: Vec<&str> = others
            .iter()
            .filter(|group| is_unsure(group, softmax))
            .map(|group| group.label())
            .collect();
        if !unsure.is_empty() {
            doubts.push(format!(
                "The difference in test error to {} is within the spread of the seeds: {}.",
                softmax.label(),
                unsure.join(", ")
            ));
        }
        doubts.extend(others.iter().filter_map(|group| too_soon(group, softmax)));
    }
    doubts
}

fn is_unsure(group: &Group<'_>, softmax: &Group<'_>) -> bool {
    let both = group.error().zip(softmax.error());
    both.is_some_and(|(ours, theirs)| ours.is_within_spread(theirs))
}

/// A warning if the margin of a loss has only slowed the training down.
fn too_soon(group: &Group<'_>, softmax: &Group<'_>) -> Option<String> {
    let first = group.first();
    let has_multiplier = ["l-softmax", "a-softmax"]
        .iter()
        .any(|name| first.loss.starts_with(name));
    if !has_multiplier || first.m < 2 {
        return None;
    }
    let (ours, theirs) = group.train_error().zip(softmax.train_error())?;
    let (our_test, their_test) = group.error().zip(softmax.error())?;
    let is_higher = ours.mean - theirs.mean >= NOTICEABLE && !ours.is_within_spread(theirs);
    (is_higher && our_test.mean >= their_test.mean).then(|| {
        format!(
            "{} ends with a training error of {} % where {} has {} %: the margin had no time to \
             help; train longer.",
            group.label(),
            fixed(ours.mean, 2),
            softmax.label(),
            fixed(theirs.mean, 2)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::tested;
    use lsoftmax_record::Divergence;

    /// Test and training errors by seed.
    fn rows(loss: &str, m: u32, errors: &[(f64, f64)]) -> Vec<Run> {
        let row = |(seed, &(test, train)): (usize, &(f64, f64))| {
            let mut run = Run {
                loss: loss.to_owned(),
                m,
                seed: seed as u64,
                ..tested(&format!("{loss} {m}"), test)
            };
            run.outcome.train_evaluation.error_percent = train;
            run
        };
        errors.iter().enumerate().map(row).collect()
    }

    fn doubts_of(runs: &[Run]) -> Vec<String> {
        doubts(&runs.iter().collect::<Vec<_>>())
    }

    /// Loss, m, and test and training error of each seed.
    type Runs<'a> = (&'a str, u32, &'a [(f64, f64)]);

    fn said(others: &[Runs], softmax: &[(f64, f64)]) -> Vec<String> {
        let others = others
            .iter()
            .map(|&(loss, m, errors)| rows(loss, m, errors));
        let all: Vec<_> = std::iter::once(rows("softmax", 1, softmax))
            .chain(others)
            .collect();
        doubts_of(&all.concat())
    }

    const SOFTMAX: [(f64, f64); 2] = [(2.0, 0.7), (2.4, 0.9)];

    #[test]
    fn differences_within_the_spread_are_named_together() {
        let near: &[(f64, f64)] = &[(1.9, 0.8), (2.3, 0.9)];
        let far: &[(f64, f64)] = &[(1.2, 0.8), (1.3, 0.9)];
        assert_eq!(
            said(
                &[
                    ("l-softmax", 2, near),
                    ("l-softmax", 4, far),
                    ("arc-face", 1, near)
                ],
                &SOFTMAX
            ),
            [
                "The difference in test error to softmax 1 is within the spread of the seeds: \
                 l-softmax 2, arc-face 1."
            ]
        );
        assert!(said(&[("l-softmax", 4, far)], &SOFTMAX).is_empty());
        // A single seed has no spread.
        assert!(said(&[("l-softmax", 2, &near[..1])], &SOFTMAX[..1]).is_empty());
        // Without softmax, there is nothing to compare with.
        assert!(doubts_of(&rows("l-softmax", 2, near)).is_empty());
    }

    #[test]
    fn a_margin_that_only_slowed_the_training_down_is_named() {
        let warning = said(&[("l-softmax", 4, &[(19.02, 18.49)])], &[(13.7, 12.0)]);
        assert_eq!(
            warning,
            [
                "l-softmax 4 ends with a training error of 18.49 % where softmax 1 has 12.00 %: the \
                 margin had no time to help; train longer."
            ]
        );
        // Harder to train and a lower test error: the purpose of a margin.
        assert!(said(&[("l-softmax", 4, &[(1.8, 1.2)])], &[(2.1, 0.7)]).is_empty());
        // Worse, but not because the training was too short.
        assert!(said(&[("l-softmax", 4, &[(2.5, 0.7)])], &[(2.1, 0.7)]).is_empty());
        // The difference is within the spread of the seeds.
        let noisy: &[(f64, f64)] = &[(20.0, 10.0), (22.0, 16.0)];
        let base = [(15.0, 9.0), (16.0, 14.0)];
        assert!(said(&[("l-softmax", 2, noisy)], &base).is_empty());
        // A loss without a margin that could come later.
        assert!(said(&[("l-softmax", 1, &[(19.0, 18.0)])], &[(13.7, 12.0)]).is_empty());
        assert!(said(&[("cos-face", 1, &[(19.0, 18.0)])], &[(13.7, 12.0)]).is_empty());
    }

    #[test]
    fn the_diverged_do_not_count() {
        let mut dead = rows("l-softmax", 4, &[(90.0, 90.0)]);
        dead[0].outcome.divergence = Some(Divergence::Stuck);
        assert!(doubts_of(&[rows("softmax", 1, &SOFTMAX[..1]), dead].concat()).is_empty());
    }

    #[test]
    fn each_network_has_a_softmax_of_its_own() {
        let flat = |mut rows: Vec<Run>| {
            for row in &mut rows {
                row.feature = 2;
            }
            rows
        };
        let all = [
            rows("softmax", 1, &[(2.0, 1.0)]),
            rows("l-softmax", 4, &[(1.8, 1.2)]),
            flat(rows("softmax", 1, &[(9.0, 8.0)])),
            flat(rows("l-softmax", 4, &[(16.0, 15.0)])),
        ];
        let found = doubts_of(&all.concat());
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains("15.00 %") && found[0].contains("8.00 %"),
            "{found:?}"
        );
    }
}
