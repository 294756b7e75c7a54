//! What a training minimises: a margin loss, a loss on distances, or both.

use crate::error::RecordError;
use crate::experiment::loss_of;
use crate::image_choice::named;
use crate::settings::Settings;
use lsoftmax_spec::Loss;
use lsoftmax_spec::metric::{
    ContrastiveLossConfig, PairSelection, TripletLossConfig, TripletSelection,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A loss on distances beside a margin loss, or in its place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricTerm {
    /// The loss.
    pub loss: MetricLoss,
    /// What it is multiplied with.
    pub weight: f64,
    /// Whether there is no margin loss beside it. The class weights are then no part of the training;
    /// for evaluations each becomes the mean direction of its class.
    pub alone: bool,
}

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
        /// How far a centre goes towards its samples in a step.
        rate: f64,
    },
}

/// The losses on distances that `--loss` knows.
pub const METRIC_LOSSES: &[&str] = &["contrastive", "triplet", "center"];
const PAIR_SELECTIONS: &[&str] = &["all", "random", "hard"];
const TRIPLET_SELECTIONS: &[&str] = &["all", "random", "hard", "semi-hard", "batch-hard"];
/// The published weights of center loss beside softmax are 0.003 to 0.01.
const CENTER_WEIGHT: f64 = 0.008;
/// Images of a class in a batch, where pairs count.
const IMAGES_PER_CLASS: usize = 4;

impl MetricLoss {
    /// The name used in files and on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Contrastive(_) => "contrastive",
            Self::Triplet(_) => "triplet",
            Self::Center { .. } => "center",
        }
    }

    /// How many images of each class a batch has, unless set; none where that does not matter.
    pub(crate) fn images_per_class(&self) -> Option<usize> {
        match self {
            Self::Center { .. } => None,
            Self::Contrastive(_) | Self::Triplet(_) => Some(IMAGES_PER_CLASS),
        }
    }

    fn selection(&self) -> Option<&'static str> {
        match self {
            Self::Contrastive(config) => Some(match config.selection {
                PairSelection::All => "all",
                PairSelection::Random => "random",
                PairSelection::Hard => "hard",
            }),
            Self::Triplet(config) => Some(match config.selection {
                TripletSelection::All => "all",
                TripletSelection::Random => "random",
                TripletSelection::Hard => "hard",
                TripletSelection::SemiHard => "semi-hard",
                TripletSelection::BatchHard => "batch-hard",
            }),
            Self::Center { .. } => None,
        }
    }
}

impl fmt::Display for MetricLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Center { .. } => f.write_str("center"),
            Self::Contrastive(config) if config.selection == PairSelection::All => {
                f.write_str("contrastive")
            }
            Self::Contrastive(_) | Self::Triplet(_) => {
                write!(f, "{} ({})", self.name(), self.selection().unwrap_or("all"))
            }
        }
    }
}

/// Reads what `--loss` and its companions say: `softmax`, `softmax+contrastive`, `triplet`.
pub(crate) fn resolve(settings: &Settings) -> Result<(Loss, Option<MetricTerm>), RecordError> {
    let name = settings.loss.as_deref().unwrap_or("l-softmax");
    let (head, pairs) = match name.split_once('+') {
        Some((head, pairs)) => (Some(head.trim()), Some(pairs.trim())),
        None if METRIC_LOSSES.contains(&name) && name != "center" => (None, Some(name)),
        None => (Some(name), None),
    };
    let loss = match head {
        None => Loss::Softmax,
        Some("center") => {
            let expected =
                "beside another, as softmax+center: alone it draws all features together";
            return Err(RecordError::setting("loss", expected, "\"center\""));
        }
        Some(head) => loss_of(
            head,
            settings.margin,
            settings.scale,
            settings.margins.as_deref(),
        )?,
    };
    let Some(pairs) = pairs else {
        for (name, given) in [
            ("pair-weight", settings.pair_weight.is_some()),
            ("pair-margin", settings.pair_margin.is_some()),
            ("pair-selection", settings.pair_selection.is_some()),
        ] {
            if given {
                let expected =
                    "left out, or given to a loss such as softmax+contrastive or triplet";
                return Err(RecordError::setting(
                    name,
                    expected,
                    format!("it with {loss}"),
                ));
            }
        }
        return Ok((loss, None));
    };
    let selection = settings.pair_selection.as_deref();
    let (pair_loss, weight) = match pairs {
        "contrastive" => {
            let mut config = ContrastiveLossConfig::default();
            config.margin = settings.pair_margin.unwrap_or(config.margin);
            if let Some(selection) = selection {
                config.selection = named("pair-selection", selection, PAIR_SELECTIONS)?;
            }
            config.seed = settings.seed.unwrap_or(0);
            (MetricLoss::Contrastive(config), 1.0)
        }
        "triplet" => {
            let mut config = TripletLossConfig::default();
            config.margin = settings.pair_margin.unwrap_or(config.margin);
            if let Some(selection) = selection {
                config.selection = named("pair-selection", selection, TRIPLET_SELECTIONS)?;
            }
            config.seed = settings.seed.unwrap_or(0);
            (MetricLoss::Triplet(config), 1.0)
        }
        "center" => {
            for (name, given) in [
                ("pair-margin", settings.pair_margin.is_some()),
                ("pair-selection", selection.is_some()),
            ] {
                if given {
                    let found = "it with center loss, which has none";
                    return Err(RecordError::setting(name, "left out", found));
                }
            }
            (MetricLoss::Center { rate: 0.5 }, CENTER_WEIGHT)
        }
        other => {
            return Err(RecordError::unknown_name(
                "the loss after +",
                METRIC_LOSSES,
                other,
            ));
        }
    };
    let weight = settings.pair_weight.unwrap_or(weight);
    if !(weight > 0.0 && weight <= 1e6) {
        return Err(RecordError::setting(
            "pair-weight",
            "above 0 and at most 1e6",
            weight,
        ));
    }
    let alone = head.is_none();
    let term = MetricTerm {
        loss: pair_loss,
        weight,
        alone,
    };
    // Its numbers, before anything is trained.
    match pair_loss {
        MetricLoss::Contrastive(config) => config.check(),
        MetricLoss::Triplet(config) => config.check(),
        MetricLoss::Center { .. } => Ok(()),
    }?;
    Ok((loss, Some(term)))
}

/// The settings that [`resolve`] reads this from; the margin loss's own are the caller's.
pub(crate) fn write(loss: Loss, pairs: Option<&MetricTerm>, settings: &mut Settings) {
    let name = name(loss, pairs);
    if let Some(pairs) = pairs {
        settings.pair_weight = Some(pairs.weight);
        settings.pair_selection = pairs.loss.selection().map(str::to_owned);
        settings.pair_margin = match pairs.loss {
            MetricLoss::Contrastive(config) => Some(config.margin),
            MetricLoss::Triplet(config) => Some(config.margin),
            MetricLoss::Center { .. } => None,
        };
    }
    settings.loss = Some(name);
}

/// The name in files and on the command line: `softmax+contrastive`.
pub(crate) fn name(loss: Loss, pairs: Option<&MetricTerm>) -> String {
    match pairs {
        None => loss.name().to_owned(),
        Some(pairs) if pairs.alone => pairs.loss.name().to_owned(),
        Some(pairs) => format!("{}+{}", loss.name(), pairs.loss.name()),
    }
}

/// The name for people: `softmax + contrastive`.
pub(crate) fn label(loss: Loss, pairs: Option<&MetricTerm>) -> String {
    match pairs {
        None => loss.to_string(),
        Some(pairs) if pairs.alone => pairs.loss.to_string(),
        Some(pairs) => format!("{loss} + {}", pairs.loss),
    }
}
