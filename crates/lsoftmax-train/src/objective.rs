//! What a training minimises: a margin loss, a loss on distances, or both.

use crate::error::TrainError;
use crate::experiment::{loss_of, unknown_name};
use crate::image_choice::named;
use crate::settings::Settings;
use burn::module::Module as _;
use burn::tensor::{Device, Int, Tensor, TensorData};
use lsoftmax::Loss;
use lsoftmax::pairs::{
    CenterLoss, CenterLossConfig, ContrastiveLoss, ContrastiveLossConfig, PairSelection,
    TripletLoss, TripletLossConfig, TripletSelection,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A loss on distances beside a margin loss, or in its place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairTerm {
    /// The loss.
    pub loss: PairLoss,
    /// What it is multiplied with.
    pub weight: f64,
    /// Whether there is no margin loss beside it. The class weights are then no part of the training;
    /// for evaluations each becomes the mean direction of its class.
    pub alone: bool,
}

/// A loss on the distances between the features of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PairLoss {
    /// [`ContrastiveLoss`].
    Contrastive(ContrastiveLossConfig),
    /// [`TripletLoss`].
    Triplet(TripletLossConfig),
    /// [`CenterLoss`] with this α.
    Center {
        /// How far a centre goes towards its samples in a step.
        rate: f64,
    },
}

/// The losses on distances that `--loss` knows.
pub const PAIR_LOSSES: &[&str] = &["contrastive", "triplet", "center"];
const PAIR_SELECTIONS: &[&str] = &["all", "random", "hard"];
const TRIPLET_SELECTIONS: &[&str] = &["all", "random", "hard", "semi-hard", "batch-hard"];
/// The published weights of center loss beside softmax are 0.003 to 0.01.
const CENTER_WEIGHT: f64 = 0.008;
/// Images of a class in a batch, where pairs count.
const IMAGES_PER_CLASS: usize = 4;

impl PairLoss {
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

impl fmt::Display for PairLoss {
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
pub(crate) fn resolve(settings: &Settings) -> Result<(Loss, Option<PairTerm>), TrainError> {
    let name = settings.loss.as_deref().unwrap_or("l-softmax");
    let (head, pairs) = match name.split_once('+') {
        Some((head, pairs)) => (Some(head.trim()), Some(pairs.trim())),
        None if PAIR_LOSSES.contains(&name) && name != "center" => (None, Some(name)),
        None => (Some(name), None),
    };
    let loss = match head {
        None => Loss::Softmax,
        Some("center") => {
            let expected =
                "beside another, as softmax+center: alone it draws all features together";
            return Err(TrainError::setting("loss", expected, "\"center\""));
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
                return Err(TrainError::setting(
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
            (PairLoss::Contrastive(config), 1.0)
        }
        "triplet" => {
            let mut config = TripletLossConfig::default();
            config.margin = settings.pair_margin.unwrap_or(config.margin);
            if let Some(selection) = selection {
                config.selection = named("pair-selection", selection, TRIPLET_SELECTIONS)?;
            }
            config.seed = settings.seed.unwrap_or(0);
            (PairLoss::Triplet(config), 1.0)
        }
        "center" => {
            for (name, given) in [
                ("pair-margin", settings.pair_margin.is_some()),
                ("pair-selection", selection.is_some()),
            ] {
                if given {
                    let found = "it with center loss, which has none";
                    return Err(TrainError::setting(name, "left out", found));
                }
            }
            (PairLoss::Center { rate: 0.5 }, CENTER_WEIGHT)
        }
        other => return Err(unknown_name("the loss after +", PAIR_LOSSES, other)),
    };
    let weight = settings.pair_weight.unwrap_or(weight);
    if !(weight > 0.0 && weight <= 1e6) {
        return Err(TrainError::setting(
            "pair-weight",
            "above 0 and at most 1e6",
            weight,
        ));
    }
    let alone = head.is_none();
    let term = PairTerm {
        loss: pair_loss,
        weight,
        alone,
    };
    // Its numbers, before anything is trained.
    match pair_loss {
        PairLoss::Contrastive(config) => config.init().map(drop),
        PairLoss::Triplet(config) => config.init().map(drop),
        PairLoss::Center { .. } => Ok(()),
    }
    .map_err(lsoftmax::Error::from)?;
    Ok((loss, Some(term)))
}

/// The settings that [`resolve`] reads this from; the margin loss's own are the caller's.
pub(crate) fn write(loss: Loss, pairs: Option<&PairTerm>, settings: &mut Settings) {
    let name = name(loss, pairs);
    if let Some(pairs) = pairs {
        settings.pair_weight = Some(pairs.weight);
        settings.pair_selection = pairs.loss.selection().map(str::to_owned);
        settings.pair_margin = match pairs.loss {
            PairLoss::Contrastive(config) => Some(config.margin),
            PairLoss::Triplet(config) => Some(config.margin),
            PairLoss::Center { .. } => None,
        };
    }
    settings.loss = Some(name);
}

/// The name in files and on the command line: `softmax+contrastive`.
pub(crate) fn name(loss: Loss, pairs: Option<&PairTerm>) -> String {
    match pairs {
        None => loss.name().to_owned(),
        Some(pairs) if pairs.alone => pairs.loss.name().to_owned(),
        Some(pairs) => format!("{}+{}", loss.name(), pairs.loss.name()),
    }
}

/// The name for people: `softmax + contrastive`.
pub(crate) fn label(loss: Loss, pairs: Option<&PairTerm>) -> String {
    match pairs {
        None => loss.to_string(),
        Some(pairs) if pairs.alone => pairs.loss.to_string(),
        Some(pairs) => format!("{loss} + {}", pairs.loss),
    }
}

/// A [`PairTerm`] at work.
#[derive(Debug)]
pub(crate) struct Pairs {
    term: PairTerm,
    loss: Live,
}

#[derive(Debug)]
enum Live {
    Contrastive(ContrastiveLoss),
    Triplet(TripletLoss),
    /// None only while an update is made.
    Center(Option<CenterLoss>),
}

impl Pairs {
    pub(crate) fn new(
        term: PairTerm,
        classes: usize,
        feature: usize,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let loss = match term.loss {
            PairLoss::Contrastive(config) => {
                Live::Contrastive(config.init().map_err(lsoftmax::Error::from)?)
            }
            PairLoss::Triplet(config) => {
                Live::Triplet(config.init().map_err(lsoftmax::Error::from)?)
            }
            PairLoss::Center { rate } => {
                let config = CenterLossConfig {
                    rate,
                    ..CenterLossConfig::new(classes, feature)
                };
                Live::Center(Some(config.init(device)?))
            }
        };
        Ok(Self { term, loss })
    }

    /// The whole loss of a batch, given that of the head.
    pub(crate) fn add_to(
        &self,
        head: Tensor<1>,
        features: Tensor<2>,
        labels: Tensor<1, Int>,
        step: u64,
    ) -> Result<Tensor<1>, TrainError> {
        let own = match &self.loss {
            Live::Contrastive(loss) => loss.forward(features, labels, step)?.loss,
            Live::Triplet(loss) => loss.forward(features, labels, step)?.loss,
            Live::Center(Some(loss)) => loss.forward(features, labels)?,
            Live::Center(None) => return Ok(head),
        };
        let own = own.mul_scalar(self.term.weight);
        Ok(if self.term.alone { own } else { head + own })
    }

    /// What follows a step: centres move.
    pub(crate) fn update(
        &mut self,
        features: Tensor<2>,
        labels: Tensor<1, Int>,
    ) -> Result<(), TrainError> {
        if let Live::Center(center) = &mut self.loss
            && let Some(loss) = center.take()
        {
            *center = Some(loss.update(features, labels)?);
        }
        Ok(())
    }

    /// Whether it reads features after the backward pass.
    pub(crate) fn moves(&self) -> bool {
        matches!(self.loss, Live::Center(_))
    }

    /// The centres of center loss, `[class, feature]`: state that a checkpoint keeps.
    pub(crate) fn centers(&self) -> Option<TensorData> {
        match &self.loss {
            Live::Center(Some(center)) => Some(center.centers.val().to_data()),
            _ => None,
        }
    }

    /// Goes on with these centres.
    pub(crate) fn set_centers(&mut self, centers: TensorData) {
        if let Live::Center(Some(center)) = &mut self.loss {
            let device = center.centers.val().device();
            let old = center.centers.clone();
            center.centers = old.map(|_| Tensor::from_data(centers, &device)).no_grad();
        }
    }
}
