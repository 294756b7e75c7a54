//! The losses on distances between the features of a batch, as data.

use crate::margin::{MarginError, check};
use crate::names::{UnknownName, named};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A loss on the distances between the features of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricLoss {
    /// The contrastive loss.
    Contrastive(ContrastiveLossConfig),
    /// The triplet loss.
    Triplet(TripletLossConfig),
    /// Center loss with this α.
    Center {
        /// The share of the way to the mean of its samples that a center moves in a step.
        rate: f64,
    },
}

/// The parameters of a metric loss as files and flags spell them. A parameter that is left out has
/// its default.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MetricParameters<'a> {
    /// The margin.
    pub margin: Option<f64>,
    /// The name of the selection.
    pub selection: Option<&'a str>,
    /// Seed of random selections.
    pub seed: u64,
}

/// The published weights of center loss beside softmax are 0.003 to 0.01.
const CENTER_WEIGHT: f64 = 0.008;
/// The published rate of center loss.
const CENTER_RATE: f64 = 0.5;
/// Images of a class in a batch for losses on pairs and triplets.
const IMAGES_PER_CLASS: usize = 4;

impl MetricLoss {
    /// The names accepted by [`from_parameters`](Self::from_parameters).
    pub const NAMES: &[&str] = &["contrastive", "triplet", "center"];

    /// The name used in files and on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Contrastive(_) => "contrastive",
            Self::Triplet(_) => "triplet",
            Self::Center { .. } => "center",
        }
    }

    /// The loss of this name with these parameters.
    ///
    /// # Errors
    /// An unknown name or selection, or a parameter that the loss does not have.
    pub fn from_parameters(
        name: &str,
        parameters: &MetricParameters<'_>,
    ) -> Result<Self, MetricError> {
        let MetricParameters {
            margin,
            selection,
            seed,
        } = *parameters;
        match name {
            "contrastive" => {
                let default = ContrastiveLossConfig::default();
                Ok(Self::Contrastive(ContrastiveLossConfig {
                    margin: margin.unwrap_or(default.margin),
                    selection: selection.map_or(Ok(default.selection), PairSelection::named)?,
                    seed,
                    ..default
                }))
            }
            "triplet" => {
                let default = TripletLossConfig::default();
                Ok(Self::Triplet(TripletLossConfig {
                    margin: margin.unwrap_or(default.margin),
                    selection: selection.map_or(Ok(default.selection), TripletSelection::named)?,
                    seed,
                    ..default
                }))
            }
            "center" if margin.is_some() => Err(MetricError::CenterHasNone("pair-margin")),
            "center" if selection.is_some() => Err(MetricError::CenterHasNone("pair-selection")),
            "center" => Ok(Self::Center { rate: CENTER_RATE }),
            other => Err(UnknownName::new("the loss after +", Self::NAMES, other).into()),
        }
    }

    /// The margin; `None` for center loss.
    pub fn margin(&self) -> Option<f64> {
        match self {
            Self::Contrastive(config) => Some(config.margin),
            Self::Triplet(config) => Some(config.margin),
            Self::Center { .. } => None,
        }
    }

    /// The name of the selection; `None` for center loss.
    pub fn selection(&self) -> Option<&'static str> {
        match self {
            Self::Contrastive(config) => Some(config.selection.name()),
            Self::Triplet(config) => Some(config.selection.name()),
            Self::Center { .. } => None,
        }
    }

    /// The default weight of the loss.
    pub fn default_weight(&self) -> f64 {
        match self {
            Self::Contrastive(_) | Self::Triplet(_) => 1.0,
            Self::Center { .. } => CENTER_WEIGHT,
        }
    }

    /// Whether the loss of this name can train without a margin loss. Center loss cannot: alone it
    /// draws all features together.
    pub fn stands_alone(name: &str) -> bool {
        Self::NAMES.contains(&name) && name != "center"
    }

    /// The default number of images of each class in a batch; `None` for center loss, which needs no
    /// pairs.
    pub fn images_per_class(&self) -> Option<usize> {
        match self {
            Self::Center { .. } => None,
            Self::Contrastive(_) | Self::Triplet(_) => Some(IMAGES_PER_CLASS),
        }
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// A parameter outside its range.
    pub fn check(&self) -> Result<(), MarginError> {
        match self {
            Self::Contrastive(config) => config.check(),
            Self::Triplet(config) => config.check(),
            Self::Center { .. } => Ok(()),
        }
    }
}

impl fmt::Display for MetricLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.selection() {
            // The usual contrastive loss.
            Some("all") if matches!(self, Self::Contrastive(_)) => f.write_str(self.name()),
            Some(selection) => write!(f, "{} ({selection})", self.name()),
            None => f.write_str(self.name()),
        }
    }
}

/// A metric loss that does not exist, or one with a parameter that it does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetricError {
    /// An unknown name.
    #[error(transparent)]
    Name(#[from] UnknownName),
    /// A parameter of center loss, which has none.
    #[error("{0} must be left out, found it with center loss, which has none")]
    CenterHasNone(&'static str),
}

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

impl PairSelection {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::All, Self::Random, Self::Hard];

    /// The name used in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Random => "random",
            Self::Hard => "hard",
        }
    }

    /// The selection of this name.
    ///
    /// # Errors
    /// An unknown name.
    pub fn named(name: &str) -> Result<Self, UnknownName> {
        named("pair-selection", Self::ALL, Self::name, name)
    }
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

impl TripletSelection {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::All,
        Self::Random,
        Self::Hard,
        Self::SemiHard,
        Self::BatchHard,
    ];

    /// The name used in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Random => "random",
            Self::Hard => "hard",
            Self::SemiHard => "semi-hard",
            Self::BatchHard => "batch-hard",
        }
    }

    /// The selection of this name.
    ///
    /// # Errors
    /// An unknown name.
    pub fn named(name: &str) -> Result<Self, UnknownName> {
        named("pair-selection", Self::ALL, Self::name, name)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_parameters_are_read_and_written() {
        let none = MetricParameters::default();
        for name in MetricLoss::NAMES {
            let loss = MetricLoss::from_parameters(name, &none).unwrap();
            assert_eq!(loss.name(), *name);
            let parameters = MetricParameters {
                margin: loss.margin(),
                selection: loss.selection(),
                seed: 0,
            };
            let again = MetricLoss::from_parameters(name, &parameters).unwrap();
            assert_eq!(again, loss);
            // serde has the same names.
            let table = std::collections::BTreeMap::from([("loss", loss)]);
            let text = toml::to_string(&table).unwrap();
            assert!(text.contains(&format!("loss.{name}]")), "{text}");
        }
        for selection in TripletSelection::ALL {
            let written = toml::Value::try_from(selection).unwrap();
            assert_eq!(written.as_str(), Some(selection.name()));
        }
        for selection in PairSelection::ALL {
            let written = toml::Value::try_from(selection).unwrap();
            assert_eq!(written.as_str(), Some(selection.name()));
        }
        let error = PairSelection::named("semi-hard").unwrap_err().to_string();
        assert!(error.starts_with("pair-selection must be one of all, random, hard, found"));
    }
}
