//! The result as plain text, derived from the table.

use crate::escape::put;
use crate::group::{Group, groups, is_softmax};
use crate::model::Report;
use crate::number::fixed;

/// The result of a report in one or two sentences: how the margin losses compare with softmax,
/// whichever is better. [`doubts`](crate::doubts) gives the caveats.
pub fn headline(report: &Report<'_>) -> String {
    let groups = groups(&report.runs);
    let Some(first) = groups.first() else {
        // A model evaluated only on other classes has no row here.
        return match report.open_set {
            None => "No finished run yet.".to_owned(),
            Some(_) => String::new(),
        };
    };
    if groups.len() == 1 {
        return alone(first);
    }
    let Some(softmax) = groups.iter().find(|group| is_softmax(group)) else {
        return without_softmax(&groups);
    };
    let others: Vec<&Group<'_>> = groups
        .iter()
        .filter(|group| !std::ptr::eq(*group, softmax))
        .collect();
    let alive: Vec<&&Group<'_>> = others
        .iter()
        .filter(|group| !group.all_diverged() && group.error().is_some())
        .collect();
    let Some(best) = alive.iter().min_by(|a, b| error(a).total_cmp(&error(b))) else {
        return format!(
            "None of the runs compared with {} finished.",
            softmax.label()
        );
    };
    let mut text = against(best, softmax);
    let tightest = alive
        .iter()
        .filter(|group| group.angle().is_some())
        .min_by(|a, b| angle(a).total_cmp(&angle(b)));
    if let Some(tightest) = tightest.filter(|group| group.label() != best.label()) {
        put!(
            text,
            " The tightest classes are those of {}: {}°, with {} % test error.",
            tightest.label(),
            fixed(angle(tightest), 1),
            fixed(error(tightest), 2)
        );
    }
    let dead: Vec<&str> = groups
        .iter()
        .filter(|g| g.all_diverged())
        .map(Group::label)
        .collect();
    if !dead.is_empty() {
        put!(text, " Diverged: {}.", dead.join(", "));
    }
    text
}

fn error(group: &Group<'_>) -> f64 {
    group.error().map_or(f64::INFINITY, |stat| stat.mean)
}

fn angle(group: &Group<'_>) -> f64 {
    group.angle().map_or(f64::INFINITY, |stat| stat.mean)
}

fn alone(group: &Group<'_>) -> String {
    if group.all_diverged() {
        let remark = group.first().remark();
        let reason = if remark.is_empty() {
            String::new()
        } else {
            format!(": {remark}")
        };
        return format!("{} diverged{reason}.", group.label());
    }
    let seeds = match group.runs.len() {
        1 => String::new(),
        seeds => format!(", mean of {seeds} seeds"),
    };
    match (group.error(), group.angle()) {
        (Some(error), Some(angle)) => format!(
            "{} ends with {} % test error at a mean target angle of {}°{seeds}.",
            group.label(),
            fixed(error.mean, 2),
            fixed(angle.mean, 1)
        ),
        (Some(error), None) => {
            format!(
                "{} ends with {} % test error{seeds}.",
                group.label(),
                fixed(error.mean, 2)
            )
        }
        _ => format!("{} has not been tested.", group.label()),
    }
}

fn without_softmax(groups: &[Group<'_>]) -> String {
    let alive = groups
        .iter()
        .filter(|group| !group.all_diverged() && group.error().is_some());
    match alive.min_by(|a, b| error(a).total_cmp(&error(b))) {
        Some(best) => {
            format!(
                "The lowest test error is {} % with {}.",
                fixed(error(best), 2),
                best.label()
            )
        }
        None => "None of the runs finished.".to_owned(),
    }
}

/// Compares one loss with softmax, whichever is better.
fn against(best: &Group<'_>, softmax: &Group<'_>) -> String {
    if softmax.all_diverged() {
        return format!(
            "{} ends with {} % test error; {} diverged.",
            best.label(),
            fixed(error(best), 2),
            softmax.label()
        );
    }
    let Some((ours, theirs)) = best.error().zip(softmax.error()) else {
        return alone(best);
    };
    let [our_error, their_error] = [ours.mean, theirs.mean].map(|value| fixed(value, 2));
    let verdict = if our_error == their_error {
        format!(
            "{} and {} both end with {our_error} % test error",
            best.label(),
            softmax.label()
        )
    } else if ours.mean < theirs.mean {
        format!(
            "{} ends with {our_error} % test error against {}'s {their_error} %",
            best.label(),
            softmax.label()
        )
    } else {
        format!(
            "No other loss beats {} here: {} comes nearest with {our_error} % test error against \
             {their_error} %",
            softmax.label(),
            best.label()
        )
    };
    let angles = match best.angle().zip(softmax.angle()) {
        Some((ours, theirs)) => format!(
            ", at a mean target angle of {}° against {}°",
            fixed(ours.mean, 1),
            fixed(theirs.mean, 1)
        ),
        None => String::new(),
    };
    format!("{verdict}{angles}.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Run;
    use crate::testing::tested;
    use lsoftmax_record::Divergence;

    fn row(loss: &str, label: &str, error: f64, angle: f64) -> Run {
        let mut run = Run {
            loss: loss.to_owned(),
            ..tested(label, error)
        };
        run.outcome.evaluation.mean_target_angle_deg = angle;
        run
    }

    fn say(runs: &[Run]) -> String {
        headline(&Report {
            runs: runs.iter().collect(),
            ..Report::default()
        })
    }

    #[test]
    fn better_worse_and_equal() {
        let softmax = row("softmax", "Softmax", 2.4, 38.0);
        let better = say(&[
            softmax.clone(),
            row("l-softmax", "L-Softmax m = 4", 1.9, 21.3),
        ]);
        assert_eq!(
            better,
            "L-Softmax m = 4 ends with 1.90 % test error against Softmax's 2.40 %, at a mean \
             target angle of 21.3° against 38.0°."
        );
        let worse = say(&[
            softmax.clone(),
            row("l-softmax", "L-Softmax m = 2", 2.6, 25.0),
            row("l-softmax", "L-Softmax m = 4", 3.2, 14.2),
        ]);
        assert!(
            worse.starts_with("No other loss beats Softmax here: L-Softmax m = 2"),
            "{worse}"
        );
        assert!(
            worse.ends_with("L-Softmax m = 4: 14.2°, with 3.20 % test error."),
            "{worse}"
        );
        let equal = say(&[softmax, row("l-softmax", "L", 2.4, 20.0)]);
        assert!(
            equal.starts_with("L and Softmax both end with 2.40 %"),
            "{equal}"
        );
    }

    #[test]
    fn the_dead_the_untested_and_the_absent() {
        assert_eq!(say(&[]), "No finished run yet.");
        assert_eq!(
            say(&[row("softmax", "S", f64::NAN, 1.0)]),
            "S has not been tested."
        );
        let mut dead = row("l-softmax", "L", 90.0, 80.0);
        dead.outcome.divergence = Some(Divergence::NormCollapse);
        dead.outcome.remarks = vec!["norm collapse at step 412".to_owned()];
        assert_eq!(
            say(&[dead.clone()]),
            "L diverged: norm collapse at step 412."
        );
        let text = say(&[row("softmax", "S", 2.0, 1.0), dead]);
        assert_eq!(text, "None of the runs compared with S finished.");
    }
}
