//! The losses on distances between the features of a batch, as data.

use crate::margin::{MarginError, check};
use serde::{Deserialize, Serialize};

/// Which pairs of a batch count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairSelection {
    /// Every pair.
    #[default]
    All,
    /// Every pair of one class, and beside each a pair with a random sample of another class.
    Random,
    /// For each sample the farthest of its class and the nearest of any other.
    Hard,
}

/// Configuration of the contrastive loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContrastiveLossConfig {
    /// The distance from which on a pair of different classes has no loss. Default: 1.
    pub margin: f64,
    /// Which pairs count. Default: all.
    pub selection: PairSelection,
    /// Whether distances are between features of length 1. Default: true.
    pub normalise: bool,
    /// Seed of [`PairSelection::Random`]. Default: 0.
    pub seed: u64,
}

impl Default for ContrastiveLossConfig {
    fn default() -> Self {
        Self {
            margin: 1.0,
            selection: PairSelection::All,
            normalise: true,
            seed: 0,
        }
    }
}

impl ContrastiveLossConfig {
    /// Checks the margin.
    ///
    /// # Errors
    /// The margin is not finite or not above 0.
    pub fn check(&self) -> Result<(), MarginError> {
        check("margin", self.margin, "finite and above 0", |v| v > 0.0)
    }
}

/// Which triplets of anchor, positive (of the anchor's class) and negative (of another) count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TripletSelection {
    /// Every triplet.
    All,
    /// For each anchor and positive a random negative.
    Random,
    /// For each anchor and positive the nearest negative.
    Hard,
    /// For each anchor and positive the nearest negative that is farther than the positive, if it is
    /// farther by less than the margin (Schroff et al. 2015).
    #[default]
    SemiHard,
    /// For each anchor its farthest positive and its nearest negative (Hermans et al. 2017).
    BatchHard,
}

/// Configuration of the triplet loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TripletLossConfig {
    /// By how much the squared distance to the negative has to be the larger. Default: 0.2, as
    /// published.
    pub margin: f64,
    /// Which triplets count. Default: semi-hard.
    pub selection: TripletSelection,
    /// Whether distances are between features of length 1. Default: true, as published.
    pub normalise: bool,
    /// Seed of [`TripletSelection::Random`]. Default: 0.
    pub seed: u64,
}

impl Default for TripletLossConfig {
    fn default() -> Self {
        Self {
            margin: 0.2,
            selection: TripletSelection::SemiHard,
            normalise: true,
            seed: 0,
        }
    }
}

impl TripletLossConfig {
    /// Checks the margin.
    ///
    /// # Errors
    /// The margin is not finite or not above 0.
    pub fn check(&self) -> Result<(), MarginError> {
        check("margin", self.margin, "finite and above 0", |v| v > 0.0)
    }
}
