//! Closed-set metrics against a naive implementation that sorts.

use crate::closed_set::{argmax, topk_error_percent};
use crate::{ClosedSet, Matrix, top1_error_percent};
use proptest::prelude::*;

const CLASSES: usize = 6;

/// Classes from the largest logit to the smallest, ties in the order of their index.
fn ranking(row: &[f32]) -> Vec<usize> {
    let mut classes: Vec<usize> = (0..row.len()).collect();
    classes.sort_by(|&a, &b| row[b].partial_cmp(&row[a]).unwrap());
    classes
}

/// Logits with few distinct values, so that ties are common.
fn samples() -> impl Strategy<Value = (Vec<f32>, Vec<usize>)> {
    (1_usize..20).prop_flat_map(|rows| {
        (
            prop::collection::vec((-3_i8..4).prop_map(f32::from), rows * CLASSES),
            prop::collection::vec(0..CLASSES, rows),
        )
    })
}

proptest! {
    #[test]
    fn errors_agree_with_sorting((logits, labels) in samples(), batch in 1_usize..8) {
        let matrix = Matrix::new(&logits, labels.len(), CLASSES).unwrap();
        let mut closed_set = ClosedSet::new(CLASSES, &[1, 2, 5, CLASSES]).unwrap();
        for (logits, labels) in logits.chunks(batch * CLASSES).zip(labels.chunks(batch)) {
            closed_set.push(Matrix::new(logits, labels.len(), CLASSES).unwrap(), labels).unwrap();
        }
        let report = closed_set.report().unwrap();

        for top_k in &report.top_k {
            let missed = matrix
                .iter_rows()
                .zip(&labels)
                .filter(|(row, label)| !ranking(row)[..top_k.k].contains(label))
                .count();
            let expected = 100.0 * missed as f64 / labels.len() as f64;
            prop_assert_eq!(top_k.error_percent, expected);
            prop_assert_eq!(topk_error_percent(matrix, &labels, top_k.k).unwrap(), expected);
        }
        prop_assert_eq!(report.top1_error_percent, report.top_k[0].error_percent);
        prop_assert_eq!(report.top_k[3].error_percent, 0.0);
        prop_assert_eq!(top1_error_percent(matrix, &labels).unwrap(), report.top1_error_percent);

        // The matrix holds every sample once, in the cell of its label and its argmax.
        prop_assert_eq!(report.confusion.samples(), labels.len() as u64);
        for label in 0..CLASSES {
            for predicted in 0..CLASSES {
                let count = matrix
                    .iter_rows()
                    .zip(&labels)
                    .filter(|(row, l)| **l == label && ranking(row)[0] == predicted)
                    .count();
                prop_assert_eq!(report.confusion.count(label, predicted), count as u64);
            }
        }
    }

    #[test]
    fn argmax_is_first_in_the_ranking((logits, _) in samples()) {
        for row in logits.chunks(CLASSES) {
            prop_assert_eq!(argmax(row), ranking(row).first().copied());
        }
    }

    #[test]
    fn one_nan_makes_a_row_wrong((mut logits, labels) in samples(), column in 0..CLASSES) {
        logits[column] = f32::NAN;
        let matrix = Matrix::new(&logits, labels.len(), CLASSES).unwrap();
        let mut closed_set = ClosedSet::new(CLASSES, &[CLASSES]).unwrap();
        closed_set.push(matrix, &labels).unwrap();
        let report = closed_set.report().unwrap();
        prop_assert_eq!(report.undecided, 1);
        prop_assert_eq!(report.top_k[0].error_percent, 100.0 / labels.len() as f64);
    }
}
