use crate::{Error, Result};

/// The contingency table of two labellings.
///
/// Only non-empty cells are stored, so memory is proportional to the samples.
pub(super) struct Contingency {
    pub(super) samples: usize,
    /// Samples of each group of the first labelling, and of the second.
    pub(super) sizes: [Vec<u64>; 2],
    /// Group of the first, group of the second, samples in both.
    pub(super) cells: Vec<(usize, usize, u64)>,
}

impl Contingency {
    pub(super) fn new(first: &[usize], second: &[usize]) -> Result<Self> {
        if first.len() != second.len() {
            return Err(Error::RowCount {
                what: "second labelling",
                expected: first.len(),
                found: second.len(),
            });
        }
        if first.is_empty() {
            return Err(Error::NoSamples {
                what: "the mutual information",
            });
        }
        let (first, first_sizes) = numbered(first);
        let (second, second_sizes) = numbered(second);
        let mut pairs: Vec<(usize, usize)> = first.into_iter().zip(second).collect();
        pairs.sort_unstable();
        let cells = pairs
            .chunk_by(|a, b| a == b)
            .map(|pairs| (pairs[0].0, pairs[0].1, pairs.len() as u64))
            .collect();
        Ok(Self {
            samples: pairs.len(),
            sizes: [first_sizes, second_sizes],
            cells,
        })
    }
}

/// Renumbers the groups from 0 without gaps, in the order of their labels, and counts them.
fn numbered(labels: &[usize]) -> (Vec<usize>, Vec<u64>) {
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_unstable_by_key(|&sample| labels[sample]);
    let mut groups = vec![0; labels.len()];
    let mut sizes = Vec::new();
    for samples in order.chunk_by(|&a, &b| labels[a] == labels[b]) {
        for &sample in samples {
            groups[sample] = sizes.len();
        }
        sizes.push(samples.len() as u64);
    }
    (groups, sizes)
}
