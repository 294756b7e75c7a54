use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Confusion matrix: the number of samples of each class predicted as each class.
///
/// A sample without a prediction (a row of logits with a NaN) is *undecided*: it counts as wrong
/// for its class, but as a confusion with no other class.
///
/// Only pairs that occurred are stored, so memory is proportional to the samples even with a
/// million classes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Stored", try_from = "Stored")]
pub struct ConfusionMatrix {
    classes: usize,
    /// (true class, predicted class) -> samples
    counts: BTreeMap<(usize, usize), u64>,
    /// true class -> samples
    undecided: BTreeMap<usize, u64>,
}

/// The serialized form: lists, because JSON keys cannot be pairs of numbers.
#[derive(Serialize, Deserialize)]
struct Stored {
    classes: usize,
    /// (true class, predicted class, samples)
    counts: Vec<(usize, usize, u64)>,
    /// (true class, samples)
    undecided: Vec<(usize, u64)>,
}

impl From<ConfusionMatrix> for Stored {
    fn from(matrix: ConfusionMatrix) -> Self {
        let counts = matrix.counts.into_iter();
        Self {
            classes: matrix.classes,
            counts: counts
                .map(|((label, predicted), count)| (label, predicted, count))
                .collect(),
            undecided: matrix.undecided.into_iter().collect(),
        }
    }
}

impl TryFrom<Stored> for ConfusionMatrix {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self> {
        let mut matrix = Self::new(stored.classes);
        for (label, predicted, count) in stored.counts {
            matrix.add(label, Some(predicted), count)?;
        }
        for (label, count) in stored.undecided {
            matrix.add(label, None, count)?;
        }
        Ok(matrix)
    }
}

impl ConfusionMatrix {
    /// An empty matrix for `classes` classes.
    pub fn new(classes: usize) -> Self {
        Self {
            classes,
            counts: BTreeMap::new(),
            undecided: BTreeMap::new(),
        }
    }

    /// Adds one sample; `predicted` is `None` without a prediction.
    ///
    /// # Errors
    /// [`Error::LabelOutOfRange`], with row 0, if either class does not exist.
    pub fn push(&mut self, label: usize, predicted: Option<usize>) -> Result<()> {
        self.add(label, predicted, 1)
    }

    fn add(&mut self, label: usize, predicted: Option<usize>, count: u64) -> Result<()> {
        let classes = self.classes;
        for label in [Some(label), predicted].into_iter().flatten() {
            if label >= classes {
                return Err(Error::LabelOutOfRange {
                    row: 0,
                    label,
                    classes,
                });
            }
        }
        match predicted {
            Some(predicted) => *self.counts.entry((label, predicted)).or_default() += count,
            None => *self.undecided.entry(label).or_default() += count,
        }
        Ok(())
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Number of samples of class `label` predicted as `predicted`.
    pub fn count(&self, label: usize, predicted: usize) -> u64 {
        self.counts.get(&(label, predicted)).copied().unwrap_or(0)
    }

    /// Number of samples of class `label` predicted as each class: one row of the matrix.
    pub fn row(&self, label: usize) -> Vec<u64> {
        (0..self.classes)
            .map(|predicted| self.count(label, predicted))
            .collect()
    }

    /// Number of samples of class `label` without a prediction.
    pub fn undecided(&self, label: usize) -> u64 {
        self.undecided.get(&label).copied().unwrap_or(0)
    }

    /// Number of samples of all classes without a prediction.
    pub fn all_undecided(&self) -> u64 {
        self.undecided.values().sum()
    }

    /// Number of samples.
    pub fn samples(&self) -> u64 {
        self.counts.values().chain(self.undecided.values()).sum()
    }

    /// Number of samples predicted correctly.
    pub fn correct(&self) -> u64 {
        self.counts
            .iter()
            .filter(|((label, predicted), _)| label == predicted)
            .map(|(_, n)| n)
            .sum()
    }

    /// Share of samples predicted wrongly or not at all; `None` without samples.
    pub fn error_percent(&self) -> Option<f64> {
        error_percent(self.correct(), self.samples())
    }

    /// The error of each class; `None` for a class without samples.
    pub fn class_errors_percent(&self) -> Vec<Option<f64>> {
        let mut samples = vec![0; self.classes];
        for (&(label, _), count) in &self.counts {
            samples[label] += count;
        }
        for (&label, count) in &self.undecided {
            samples[label] += count;
        }
        let of_class = |(label, samples)| error_percent(self.count(label, label), samples);
        samples.into_iter().enumerate().map(of_class).collect()
    }

    /// The most frequent confusions of two different classes, as (class, predicted class, samples),
    /// most frequent first. At most `limit`, and only those that occurred.
    pub fn worst_confusions(&self, limit: usize) -> Vec<(usize, usize, u64)> {
        let mut pairs: Vec<_> = self
            .counts
            .iter()
            .filter(|((label, predicted), _)| label != predicted)
            .map(|(&(label, predicted), &count)| (label, predicted, count))
            .collect();
        // The sort is stable: equal counts stay in the order of their classes.
        pairs.sort_by_key(|&(_, _, count)| std::cmp::Reverse(count));
        pairs.truncate(limit);
        pairs
    }
}

/// Error in percent; `None` without samples.
pub(crate) fn error_percent(correct: u64, samples: u64) -> Option<f64> {
    (samples > 0).then(|| 100.0 * (samples - correct) as f64 / samples as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> ConfusionMatrix {
        let mut matrix = ConfusionMatrix::new(3);
        for (label, predicted) in [
            (0, Some(0)),
            (0, Some(1)),
            (0, Some(1)),
            (1, Some(1)),
            (1, None),
        ] {
            matrix.push(label, predicted).unwrap();
        }
        matrix
    }

    #[test]
    fn counts_and_errors_by_hand() {
        let matrix = example();
        assert_eq!(matrix.row(0), [1, 2, 0]);
        assert_eq!(matrix.row(1), [0, 1, 0]);
        assert_eq!((matrix.count(0, 1), matrix.count(9, 1)), (2, 0));
        assert_eq!((matrix.undecided(0), matrix.undecided(1)), (0, 1));
        assert_eq!((matrix.samples(), matrix.correct()), (5, 2));
        assert_eq!(matrix.error_percent(), Some(60.0));
        assert_eq!(
            matrix.class_errors_percent(),
            [Some(200.0 / 3.0), Some(50.0), None]
        );
        assert_eq!(matrix.worst_confusions(5), [(0, 1, 2)]);
        assert_eq!(ConfusionMatrix::new(2).error_percent(), None);
    }

    #[test]
    fn deserialized_matrices_are_checked() {
        let stored = Stored::from(example());
        assert_eq!(stored.counts, [(0, 0, 1), (0, 1, 2), (1, 1, 1)]);
        assert_eq!(ConfusionMatrix::try_from(stored), Ok(example()));
        let wrong = Stored {
            classes: 2,
            counts: vec![(0, 2, 1)],
            undecided: vec![],
        };
        assert!(ConfusionMatrix::try_from(wrong).is_err());
    }

    #[test]
    fn unknown_classes_are_rejected() {
        let mut matrix = example();
        let before = matrix.clone();
        assert!(matrix.push(3, Some(0)).is_err());
        assert!(matrix.push(0, Some(3)).is_err());
        assert_eq!(matrix, before);
    }
}
