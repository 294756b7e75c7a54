use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Counts between fixed edges.
///
/// Bin `i` holds `edges[i] <= value < edges[i + 1]`; the last bin includes its upper edge. Values
/// outside the edges and NaNs are counted separately, so no value is lost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Histogram {
    edges: Vec<f64>,
    counts: Vec<u64>,
    below: u64,
    above: u64,
    undefined: u64,
}

/// The serialized form, before validation.
#[derive(Deserialize)]
struct Stored {
    edges: Vec<f64>,
    counts: Vec<u64>,
    below: u64,
    above: u64,
    undefined: u64,
}

impl TryFrom<Stored> for Histogram {
    type Error = Error;

    fn try_from(stored: Stored) -> Result<Self> {
        let Stored {
            edges,
            counts,
            below,
            above,
            undefined,
        } = stored;
        let empty = Self::new(edges)?;
        if counts.len() != empty.counts.len() {
            let found = format!("found {} for {} bins", empty.edges.len(), counts.len());
            return Err(Error::HistogramEdges { found });
        }
        Ok(Self {
            counts,
            below,
            above,
            undefined,
            ..empty
        })
    }
}

impl Histogram {
    /// Creates an empty histogram with these edges.
    ///
    /// # Errors
    /// [`Error::HistogramEdges`] unless there are at least two, finite and strictly increasing.
    pub fn new(edges: Vec<f64>) -> Result<Self> {
        if edges.len() < 2 {
            return Err(Error::HistogramEdges {
                found: format!("found {} of them", edges.len()),
            });
        }
        if let Some(edge) = edges.iter().find(|edge| !edge.is_finite()) {
            return Err(Error::HistogramEdges {
                found: format!("found {edge}"),
            });
        }
        if let Some((lower, upper)) = edges.iter().zip(&edges[1..]).find(|(a, b)| a >= b) {
            return Err(Error::HistogramEdges {
                found: format!("found {lower} followed by {upper}"),
            });
        }
        let counts = vec![0; edges.len() - 1];
        Ok(Self {
            edges,
            counts,
            below: 0,
            above: 0,
            undefined: 0,
        })
    }

    /// Creates `bins` bins of equal width from `low` to `high`.
    ///
    /// # Errors
    /// [`Error::HistogramEdges`] if `bins` is 0 or `low` is not below `high`.
    pub fn uniform(low: f64, high: f64, bins: usize) -> Result<Self> {
        // Both products are exact at their end, so the outer edges are exactly `low` and `high`.
        let edge = |i: usize| {
            let part = i as f64 / bins as f64;
            low * (1.0 - part) + high * part
        };
        if bins == 0 {
            return Err(Error::HistogramEdges {
                found: "found no bin".to_owned(),
            });
        }
        Self::new((0..=bins).map(edge).collect())
    }

    /// Adds one value.
    pub fn push(&mut self, value: f64) {
        let last = self.edges.len() - 1;
        if value.is_nan() {
            self.undefined += 1;
        } else if value < self.edges[0] {
            self.below += 1;
        } else if value > self.edges[last] {
            self.above += 1;
        } else {
            let bin = self.edges.partition_point(|&edge| edge <= value) - 1;
            self.counts[bin.min(last - 1)] += 1;
        }
    }

    /// The edges, one more than the bins.
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// The count of each bin.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Values below the first edge.
    pub fn below(&self) -> u64 {
        self.below
    }

    /// Values above the last edge.
    pub fn above(&self) -> u64 {
        self.above
    }

    /// Number of NaN values.
    pub fn undefined(&self) -> u64 {
        self.undefined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_is_counted_once() {
        let mut histogram = Histogram::new(vec![0.0, 1.0, 2.0]).unwrap();
        for value in [-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 2.5, f64::NAN, f64::INFINITY] {
            histogram.push(value);
        }
        assert_eq!(histogram.counts(), [2, 3]);
        assert_eq!(
            (histogram.below(), histogram.above(), histogram.undefined()),
            (1, 2, 1)
        );
    }

    #[test]
    fn the_outer_edges_are_exact() {
        let histogram = Histogram::uniform(0.0, std::f64::consts::PI, 7).unwrap();
        assert_eq!(histogram.edges().len(), 8);
        assert_eq!(histogram.edges()[0], 0.0);
        assert_eq!(histogram.edges()[7], std::f64::consts::PI);
    }

    #[test]
    fn invalid_edges_are_rejected() {
        for edges in [vec![], vec![1.0], vec![0.0, f64::NAN], vec![0.0, 1.0, 1.0]] {
            assert!(matches!(
                Histogram::new(edges),
                Err(Error::HistogramEdges { .. })
            ));
        }
        assert!(Histogram::uniform(0.0, 1.0, 0).is_err());
        assert!(Histogram::uniform(1.0, 0.0, 3).is_err());
    }

    #[test]
    fn deserialized_histograms_are_checked() {
        let stored = |edges, counts| Stored {
            edges,
            counts,
            below: 1,
            above: 0,
            undefined: 0,
        };
        let histogram = Histogram::try_from(stored(vec![0.0, 1.0], vec![4])).unwrap();
        assert_eq!((histogram.counts(), histogram.below()), (&[4][..], 1));
        assert!(Histogram::try_from(stored(vec![0.0, 1.0], vec![4, 5])).is_err());
        assert!(Histogram::try_from(stored(vec![], vec![])).is_err());
    }
}
