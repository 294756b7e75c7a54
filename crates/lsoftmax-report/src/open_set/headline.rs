//! The result on unseen classes as plain text.

use crate::column::ACCURACY;
use crate::escape::put;
use crate::model::{OpenSetRow, OpenSetSection, by_label};

/// A sentence about the loss that verifies best; empty without rows.
pub(crate) fn headline(open_set: &OpenSetSection<'_>) -> String {
    let groups = by_label(&open_set.rows);
    let best = groups
        .iter()
        .filter_map(|(label, rows)| Some((*label, rows, ACCURACY.stat(rows)?)))
        .max_by(|a, b| a.2.mean.total_cmp(&b.2.mean));
    let Some((best, rows, found)) = best else {
        return String::new();
    };
    let mut text = format!(
        "On classes never trained on, {best} verifies best: {} % of the pairs",
        ACCURACY.written(Some(found))
    );
    if let [_] = groups[..] {
        return format!(
            "On classes never trained on, {best} judges {} % of the pairs right.",
            ACCURACY.written(Some(found))
        );
    }
    let softmax = groups
        .iter()
        .find(|(label, _)| label.eq_ignore_ascii_case("softmax") && *label != best);
    let softmax = softmax.and_then(|(label, rows)| Some((label, rows, ACCURACY.stat(rows)?)));
    let Some((softmax, softmax_rows, theirs)) = softmax else {
        text.push('.');
        return text;
    };
    put!(text, ", {softmax} {} %.", ACCURACY.written(Some(theirs)));
    if found.is_within_spread(theirs) {
        text.push_str(" The difference is within the spread of the seeds.");
    } else if (found.count, theirs.count) == (1, 1) {
        let error = |rows: &[&OpenSetRow<'_>]| rows[0].verification.standard_error_percent;
        // Comparisons with NaN are false: an unknown error causes no remark.
        if (found.mean - theirs.mean).abs() <= error(rows).hypot(error(softmax_rows)) {
            text.push_str(
                " With one seed each, the difference is within the error over the folds.",
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsoftmax_record::Verification;

    fn verification(accuracy_percent: f64, standard_error_percent: f64) -> Verification {
        Verification {
            same_pairs: 0,
            different_pairs: 0,
            folds: 10,
            accuracy_percent,
            standard_error_percent,
            threshold: 0.5,
            eer_percent: f64::NAN,
            auc: f64::NAN,
            smallest_far: f64::NAN,
            tar_at_far: Vec::new(),
            points: Vec::new(),
            score_edges: Vec::new(),
            same_counts: Vec::new(),
            different_counts: Vec::new(),
        }
    }

    fn say(rows: &[(&str, f64, f64)]) -> String {
        let found: Vec<Verification> = rows.iter().map(|row| verification(row.1, row.2)).collect();
        let row = |(row, found)| OpenSetRow::of_pairs(row, found);
        let labels = rows.iter().map(|row| row.0);
        headline(&OpenSetSection {
            rows: labels.zip(&found).map(row).collect(),
            ..OpenSetSection::default()
        })
    }

    #[test]
    fn the_best_is_named_with_its_doubt() {
        assert_eq!(say(&[]), "");
        assert_eq!(
            say(&[("L", 93.0, 0.4)]),
            "On classes never trained on, L judges 93.00 % of the pairs right."
        );
        let clear = say(&[("Softmax", 92.0, 0.3), ("L", 93.0, 0.4)]);
        assert!(
            clear.ends_with("L verifies best: 93.00 % of the pairs, Softmax 92.00 %."),
            "{clear}"
        );
        let folds = say(&[("Softmax", 92.6, 0.3), ("L", 93.0, 0.4)]);
        assert!(
            folds.ends_with("within the error over the folds."),
            "{folds}"
        );
        // An error that was not measured causes no remark.
        let unknown = say(&[("Softmax", 92.6, f64::NAN), ("L", 93.0, 0.4)]);
        assert!(unknown.ends_with("92.60 %."), "{unknown}");
        let seeds = [
            ("Softmax", 92.0, 0.3),
            ("Softmax", 92.8, 0.3),
            ("L", 92.4, 0.1),
            ("L", 92.9, 0.1),
        ];
        assert!(
            say(&seeds).ends_with("within the spread of the seeds."),
            "{}",
            say(&seeds)
        );
        let softmax = say(&[("Softmax", 92.0, 0.3), ("L", 91.0, 0.4)]);
        assert!(
            softmax.ends_with("Softmax verifies best: 92.00 % of the pairs."),
            "{softmax}"
        );
    }
}
