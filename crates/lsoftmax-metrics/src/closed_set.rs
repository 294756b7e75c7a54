use serde::{Deserialize, Serialize};

use crate::confusion::error_percent;
use crate::matrix::{check_columns, check_labels};
use crate::{ConfusionMatrix, Error, Matrix, Result};

/// The class with the largest logit.
///
/// Ties go to the lowest index. A row with a NaN has no largest logit: the result is `None`, and
/// every metric here counts that sample as wrong.
pub fn argmax(logits: &[f32]) -> Option<usize> {
    let mut best = None;
    for (class, &logit) in logits.iter().enumerate() {
        if logit.is_nan() {
            return None;
        }
        if best.is_none_or(|(_, largest)| logit > largest) {
            best = Some((class, logit));
        }
    }
    best.map(|(class, _)| class)
}

/// Number of classes ranked before `label`: larger logit, or equal logit and lower index, so that
/// [`argmax`] has rank 0. `None` for a row with a NaN.
fn rank(logits: &[f32], label: usize) -> Option<usize> {
    let target = logits[label];
    let mut rank = 0;
    for (class, &logit) in logits.iter().enumerate() {
        if logit.is_nan() {
            return None;
        }
        rank += usize::from(logit > target || (logit == target && class < label));
    }
    Some(rank)
}

/// Top-1 error in percent: the share of rows whose largest logit is not that of their label.
///
/// Pass the logits of plain inference (without label, margin or λ). Ties go to the lowest index; a
/// row with a NaN counts as wrong.
///
/// # Shapes
/// - logits: `[batch, class]`
/// - labels: `[batch]`
///
/// # Errors
/// The number of labels differs from the rows, a label is out of range, or there are no rows.
pub fn top1_error_percent(logits: Matrix<'_>, labels: &[usize]) -> Result<f64> {
    topk_error_percent(logits, labels, 1)
}

/// Top-k error in percent: the share of rows whose label is not among the `k` largest logits.
///
/// Handles ties and NaN like [`top1_error_percent`].
///
/// # Errors
/// As [`top1_error_percent`], or `k` is 0 or exceeds the number of classes.
pub(crate) fn topk_error_percent(logits: Matrix<'_>, labels: &[usize], k: usize) -> Result<f64> {
    let classes = logits.columns();
    check_labels(labels, logits.rows(), classes)?;
    check_k(k, classes)?;
    let correct = logits
        .iter_rows()
        .zip(labels)
        .filter(|&(row, &label)| rank(row, label).is_some_and(|rank| rank < k))
        .count();
    error_percent(correct as u64, labels.len() as u64).ok_or(Error::NoSamples {
        what: "the top-k error",
    })
}

fn check_k(k: usize, classes: usize) -> Result<()> {
    if (1..=classes).contains(&k) {
        Ok(())
    } else {
        Err(Error::TopK { k, classes })
    }
}

/// Closed-set counts of a test set, collected batch by batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedSet {
    confusion: ConfusionMatrix,
    /// (k, samples whose label was among the k largest logits)
    top_k: Vec<(usize, u64)>,
}

/// The error of one `k` in a [`ClosedSetReport`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopKError {
    /// The `k`.
    pub k: usize,
    /// Share of samples whose label was not among the `k` largest logits.
    pub error_percent: f64,
}

/// The result of [`ClosedSet`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClosedSetReport {
    /// Number of samples.
    pub samples: u64,
    /// Samples whose logits held a NaN. They count as wrong.
    pub undecided: u64,
    /// Share of samples whose largest logit was not that of their label.
    pub top1_error_percent: f64,
    /// The top-k errors for the requested `k`.
    pub top_k: Vec<TopKError>,
    /// Top-1 error of each class; `None` for a class without samples.
    pub class_errors_percent: Vec<Option<f64>>,
    /// The confusion matrix.
    pub confusion: ConfusionMatrix,
}

impl ClosedSet {
    /// Creates counts for `classes` classes. The top-1 error is always reported; `top_k` lists
    /// further values of `k`.
    ///
    /// # Errors
    /// [`Error::TopK`] if a `k` is 0 or exceeds `classes`.
    pub fn new(classes: usize, top_k: &[usize]) -> Result<Self> {
        for &k in top_k {
            check_k(k, classes)?;
        }
        Ok(Self {
            confusion: ConfusionMatrix::new(classes),
            top_k: top_k.iter().map(|&k| (k, 0)).collect(),
        })
    }

    /// Adds a batch: logits `[batch, class]`, labels `[batch]`.
    ///
    /// # Errors
    /// The shapes do not fit, or a label is out of range. Nothing of the batch is then counted.
    pub fn push(&mut self, logits: Matrix<'_>, labels: &[usize]) -> Result<()> {
        check_columns("logits", logits, self.confusion.classes())?;
        check_labels(labels, logits.rows(), self.confusion.classes())?;
        for (row, &label) in logits.iter_rows().zip(labels) {
            self.confusion.push(label, argmax(row))?;
            if self.top_k.is_empty() {
                continue;
            }
            if let Some(rank) = rank(row, label) {
                for (k, correct) in &mut self.top_k {
                    *correct += u64::from(rank < *k);
                }
            }
        }
        Ok(())
    }

    /// Top-1 error so far; `None` before the first sample.
    pub fn top1_error_percent(&self) -> Option<f64> {
        self.confusion.error_percent()
    }

    /// The confusion matrix so far.
    pub fn confusion(&self) -> &ConfusionMatrix {
        &self.confusion
    }

    /// The report of all samples so far.
    ///
    /// # Errors
    /// [`Error::NoSamples`] if there are none.
    pub fn report(&self) -> Result<ClosedSetReport> {
        let samples = self.confusion.samples();
        let error_of = |correct| {
            error_percent(correct, samples).ok_or(Error::NoSamples {
                what: "the closed-set error",
            })
        };
        Ok(ClosedSetReport {
            samples,
            undecided: self.confusion.all_undecided(),
            top1_error_percent: error_of(self.confusion.correct())?,
            top_k: self
                .top_k
                .iter()
                .map(|&(k, correct)| {
                    Ok(TopKError {
                        k,
                        error_percent: error_of(correct)?,
                    })
                })
                .collect::<Result<_>>()?,
            class_errors_percent: self.confusion.class_errors_percent(),
            confusion: self.confusion.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn argmax_breaks_ties_downwards_and_rejects_nan() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), Some(1));
        assert_eq!(argmax(&[0.0, -0.0]), Some(0));
        assert_eq!(argmax(&[f32::NEG_INFINITY; 2]), Some(0));
        assert_eq!(argmax(&[5.0, f32::NAN]), None);
        assert_eq!(argmax(&[]), None);
    }

    #[test]
    fn errors_by_hand() {
        #[rustfmt::skip]
        let values = [
            9.0, 1.0, 2.0, // label 0: right
            1.0, 3.0, 2.0, // label 2: second
            5.0, 5.0, 5.0, // label 2: third, by the tie rule
            7.0, f32::NAN, 0.0, // label 0: wrong, there is a NaN
        ];
        let logits = Matrix::new(&values, 4, 3).unwrap();
        let labels = [0, 2, 2, 0];
        assert_eq!(top1_error_percent(logits, &labels), Ok(75.0));
        assert_eq!(topk_error_percent(logits, &labels, 2), Ok(50.0));
        assert_eq!(topk_error_percent(logits, &labels, 3), Ok(25.0));

        let mut closed_set = ClosedSet::new(3, &[2, 3]).unwrap();
        closed_set.push(logits, &labels).unwrap();
        let report = closed_set.report().unwrap();
        assert_eq!((report.samples, report.undecided), (4, 1));
        assert_eq!(report.top1_error_percent, 75.0);
        assert_eq!(
            report.top_k[0],
            TopKError {
                k: 2,
                error_percent: 50.0
            }
        );
        assert_eq!(
            report.top_k[1],
            TopKError {
                k: 3,
                error_percent: 25.0
            }
        );
        assert_eq!(report.class_errors_percent, [Some(50.0), None, Some(100.0)]);
        assert_eq!(report.confusion.row(2), [1, 1, 0]);
    }

    #[test]
    fn mismatched_input_is_an_error() {
        let values = [0.0; 6];
        let logits = Matrix::new(&values, 2, 3).unwrap();
        assert_eq!(
            top1_error_percent(logits, &[0, 3]),
            Err(Error::LabelOutOfRange {
                row: 1,
                label: 3,
                classes: 3
            })
        );
        assert!(matches!(
            top1_error_percent(logits, &[0]),
            Err(Error::RowCount { .. })
        ));
        assert_eq!(
            topk_error_percent(logits, &[0, 1], 4),
            Err(Error::TopK { k: 4, classes: 3 })
        );
        assert!(topk_error_percent(logits, &[0, 1], 0).is_err());
        let none = Matrix::new(&[], 0, 3).unwrap();
        assert!(matches!(
            top1_error_percent(none, &[]),
            Err(Error::NoSamples { .. })
        ));

        let mut closed_set = ClosedSet::new(4, &[]).unwrap();
        assert!(matches!(
            closed_set.push(logits, &[0, 1]),
            Err(Error::ColumnCount { .. })
        ));
        assert!(closed_set.report().is_err());
        assert!(ClosedSet::new(2, &[5]).is_err());
    }

    #[test]
    fn a_rejected_batch_changes_nothing() {
        let values = [0.0; 6];
        let logits = Matrix::new(&values, 2, 3).unwrap();
        let mut closed_set = ClosedSet::new(3, &[1]).unwrap();
        let before = closed_set.clone();
        assert!(closed_set.push(logits, &[0, 9]).is_err());
        assert_eq!(closed_set, before);
    }
}
