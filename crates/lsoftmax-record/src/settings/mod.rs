//! The keys of an experiment file, and the flags of the same names.

mod declaration;
mod texts;

pub use declaration::Declaration;

use crate::divergence::OnDivergence;
use crate::error::RecordError;
use crate::names;
use crate::network::{NetworkKind, OwnNetwork};
use declaration::settings;
use lsoftmax_data::faces::FaceTemplate;
use lsoftmax_data::{DataSource, SameNames};
use lsoftmax_spec::metric::MetricLoss;
use lsoftmax_spec::{Gate, Lambda, Loss, MarginStage, Method, NetworkSpec, Precision, RateShape};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::LazyLock;
use texts::list;

settings! {
    /// The settings of a training, each optional.
    ///
    /// Keys in a TOML file are the names of the flags without the dashes in front.
    /// [`declarations`](Self::declarations) describes them all.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case", deny_unknown_fields)]
    #[cfg_attr(feature = "clap", derive(clap::Args))]

    "Data" {
        /// Data set to train on: `glyphs` and `alphabet:N` (N characters) are generated, `images`
        /// is a folder or list of images, and the others are files in their published formats
        data: String = "NAME" {
            choices: list(DataSource::NAMES),
            default: "`glyphs`",
        }
        /// Folder with the files of the data set; for `images` a folder with one folder per class,
        /// or a list (`.csv`, `.parquet`) with the columns `path`, `label` and optionally `split`
        data_dir: PathBuf = "DIR" {
            default: "the folder that `data get` writes to",
        }
        /// Seed of generated data, and of the random choice of test images, held-out images and
        /// open-set classes
        data_seed: u64 = "N" { default: "0", }
        /// Number of training images to use
        train_samples: usize = "N" { default: "all; 20000 for generated data", }
        /// Number of test images to use
        test_samples: usize = "N" { default: "all; 4000 for generated data", }
        /// Number of training images to hold out; the model that is best on them is kept
        held_out: usize = "N" { default: "0", }
        /// Classes to leave out of the training and evaluate verification and retrieval on: a number
        /// of classes of the data set (of an alphabet: additional ones), or another folder or list
        /// of images
        open_set: String = "N|DIR|FILE" { default: "none", }
        /// If a class of the open set has the name of a trained class: `refuse` is an error,
        /// `different` treats the two as different classes
        open_set_same_names: String = "ACTION" {
            choices: list(SameNames::NAMES),
            default: "`refuse`",
        }
        /// Pad by 4 pixels, crop at random and mirror at random (CIFAR10+); short for
        /// `augmentation` = `crop:4,mirror`
        augment: bool = "BOOL" [num_args = 0..=1, default_missing_value = "true"] {
            default: "false",
        }
        /// Random changes of the training images, as `crop:4,mirror`:
        /// `crop:N` (or `crop:N:reflect`), `mirror`, `alternating-mirror`, `rand-augment:OPERATIONS:MAGNITUDE`,
        /// `colour-jitter:BRIGHTNESS:CONTRAST:SATURATION`, `cutout:N`, `random-erasing:PROBABILITY`;
        /// in experiment files an array of strings
        augmentation: Vec<String> = "LIST" [value_delimiter = ','] { default: "none", }
        /// Embed each image together with its mirror image, for faces
        mirrored: bool = "BOOL" [num_args = 0..=1, default_missing_value = "true"] {
            default: "false",
        }
    }

    "Images" {
        /// Size of images: `HEIGHTxWIDTH`, or one number for both
        image_size: String = "HxW" { default: "112x112, or the size of the template of `align`", }
        /// Channels of images
        channels: String = "CHANNELS" {
            choices: list(names::CHANNELS),
            default: "`auto`",
        }
        /// How images of another shape are fitted: `crop` scales until the image covers the size and
        /// crops the centre, `stretch` scales height and width separately, `pad` scales until the
        /// image fits and adds black
        fit: String = "METHOD" {
            choices: list(names::FITS),
            default: "`crop`",
        }
        /// Share of each class to test on, for images without a test part
        test_share: f64 = "SHARE" { default: "0.2", }
        /// Which folders are classes: `top` takes the folders directly in the folder, with everything
        /// below them; `each` takes every folder that contains images
        class_folders: String = "FOLDERS" {
            choices: list(names::CLASS_FOLDERS),
            default: "`auto`",
        }
        /// Text file with the names of classes to leave out, one per line, such as people who are
        /// also in the test
        exclude: PathBuf = "FILE" { default: "none", }
        /// What to do with images that cannot be read: `skip` leaves them out and lists them,
        /// `refuse` is an error
        broken: String = "ACTION" {
            choices: list(names::BROKEN),
            default: "`skip`",
        }
        /// Folder in which decoded images are kept for the next start
        image_cache: PathBuf = "DIR" { default: "none", }
        /// Align faces to a template; needs `landmarks`
        align: String = "TEMPLATE" {
            choices: list(&FaceTemplate::ALL.map(FaceTemplate::name)),
            default: "no alignment",
        }
        /// CSV file with five landmarks per image; needs `align`
        landmarks: PathBuf = "FILE" { default: "none", }
    }

    "Network" {
        /// Network: a built-in name or a `.toml` file; in experiment files also a table
        network: NetworkChoice = "NAME|FILE" {
            choices: list(&NetworkSpec::names()),
            default: "by data set",
        }
        /// Length of the feature
        feature: usize = "N" { default: "the network's", }
    }

    "Loss" {
        /// Loss to train with
        loss: String = "NAME" {
            choices: texts::losses(),
            default: list(&[Settings::DEFAULT_LOSS]),
        }
        /// Margin m: the angular multiplier of `l-softmax` and `a-softmax`, a whole number from 1 to
        /// 16, or the additive margin of `cos-face`, `am-softmax` and `arc-face`
        margin: f64 = "M" [visible_alias = "m"] {
            default: texts::loss_defaults(|loss| loss.margin),
        }
        /// Scale s of the losses that normalise features
        scale: f64 = "S" { default: texts::loss_defaults(|loss| loss.scale), }
        /// The three margins m1, m2 and m3 of the combined loss
        margins: Vec<f64> = "M" [num_args = 3] { default: texts::combined_margins(), }
        /// Weight of the loss on pairs or triplets, or of center loss; above 0, at most 1e6
        pair_weight: f64 = "W" { default: texts::metric_defaults(|loss| Some(loss.default_weight())), }
        /// Margin of the contrastive or triplet loss
        pair_margin: f64 = "M" { default: texts::metric_defaults(MetricLoss::margin), }
        /// Pairs or triplets of a batch to use
        pair_selection: String = "SELECTION" {
            choices: texts::selections(),
            default: texts::metric_defaults(MetricLoss::selection),
        }
        /// Label smoothing ε, from 0 to 0.999: the label counts 1 - ε, and each class ε over the number of
        /// classes
        label_smoothing: f64 = "E" { default: "0", }
        /// Draw batches with this number of images of each of a few classes; 0 draws images
        /// regardless of their class
        images_per_class: usize = "K" { default: "4 for losses on pairs or triplets, otherwise 0", }
    }

    "Annealing" {
        /// Schedule of λ, for `l-softmax` and `a-softmax`
        annealing: String = "NAME" {
            choices: list(Lambda::NAMES),
            default: list(&[Settings::DEFAULT_ANNEALING]),
        }
        /// λ at the start, or throughout
        lambda: f64 = "L" { default: texts::lambda_defaults(|lambda| lambda.lambda), }
        /// Smallest λ of `power-law` and `geometric`
        lambda_min: f64 = "L" { default: texts::lambda_defaults(|lambda| lambda.lambda_min), }
        /// gamma of the power law
        gamma: f64 = "G" { default: texts::lambda_defaults_of_paper(|lambda| lambda.gamma), }
        /// Exponent of the power law
        power: f64 = "P" { default: texts::lambda_defaults(|lambda| lambda.power), }
        /// Factor per step of `geometric`
        factor: f64 = "F" { default: texts::lambda_defaults_of_paper(|lambda| lambda.factor), }
        /// Stages of a growing m, as `STEP:M,STEP:M`; in experiment files tables such as
        /// `{ step = 500, m = 2 }`
        stages: Vec<MarginStage> = "STEP:M" [value_delimiter = ',', value_parser = parse_stage] {
            default: "none",
        }
        /// Share of the margin by how well the classes are separated; only in experiment files
        gate: Gate = skip { default: "the gate of `auto`, for `auto`", }
        /// Exponent p of the share of the margin of a class with n training images,
        /// (smallest n / n)^p, from 0 to 4; 0 gives all classes the whole margin
        class_balance: f64 = "P" { default: "1 for `auto`, otherwise 0", }
    }

    "Training" {
        /// Number of steps; milestones and annealing stretch with it
        iterations: u64 = "N" { default: "18000; 2000 for images; 600 for generated data", }
        /// Images per step, from 2 to 65536
        batch: usize = "N" { default: "256; 128 for images and generated data", }
        /// Largest learning rate, from 0 to 1000
        learning_rate: f64 = "RATE" { default: "0.1; 0.001 for `adamw`", }
        /// Learning rate over the steps: `multi-step` falls to a tenth at each milestone, `cosine` falls to
        /// 0, `one-cycle` rises for 30 % of the steps and falls to almost 0, and so does `triangle`, along
        /// straight lines
        rate_schedule: String = "NAME" {
            choices: list(&RateShape::ALL.map(RateShape::name)),
            default: list(&[RateShape::MultiStep.name()]),
        }
        /// Steps of a linear rise of the learning rate at the start; not for `one-cycle` and `triangle`
        warmup: u64 = "STEPS" { default: "0", }
        /// Steps at which the learning rate of `multi-step` falls to a tenth
        milestones: Vec<u64> = "STEP" [value_delimiter = ','] {
            default: "at 2/3 and 5/6 of the iterations",
        }
        /// Optimiser: SGD with momentum, or AdamW
        optimizer: String = "NAME" {
            choices: list(&Method::NAMES),
            default: list(&[Method::NAMES[0]]),
        }
        /// Momentum of SGD, from 0 to 0.9999
        momentum: f64 = "M" { default: "0.9", }
        /// Nesterov momentum
        nesterov: bool = "BOOL" [num_args = 0..=1, default_missing_value = "true"] {
            default: "false",
        }
        /// Share of AdamW's mean of the gradient that is kept from step to step, below 1
        beta1: f64 = "B" { default: "0.9 for `adamw`", }
        /// The same for the mean of its square
        beta2: f64 = "B" { default: "0.999 for `adamw`", }
        /// Added to the root of that mean; above 0
        epsilon: f64 = "E" { default: "1e-8 for `adamw`", }
        /// Scale the gradient of a step down to this norm if it is longer; above 0
        clip_norm: f64 = "NORM" { default: "none", }
        /// Weight decay, from 0 to 1; normalisations, biases and slopes are exempt
        weight_decay: f64 = "W" { default: "0.0005; 0.01 for `adamw`", }
        /// Factor of the learning rate for the weights of convolutions and linear layers, from 0 to 1000
        backbone_rate: f64 = "F" { default: "1", }
        /// The same for normalisations, biases and slopes
        norm_rate: f64 = "F" { default: "1", }
        /// Weight decay of normalisations, biases and slopes
        norm_decay: f64 = "W" { default: "0", }
        /// Factor of the learning rate for the class weights, from 0 to 1000
        head_rate: f64 = "F" { default: "1", }
        /// Weight decay of the class weights
        head_decay: f64 = "W" { default: "`weight-decay`", }
        /// Evaluate and save an exponential moving average of the weights: the share that it keeps from step
        /// to step, above 0; 1 is the plain mean
        ema_decay: f64 = "D" { default: "none", }
        /// Share of the steps after which the average begins, from 0 and below 1
        ema_start: f64 = "SHARE" { default: "0", }
        /// Seed of the initial weights, the order of images and the augmentation
        seed: u64 = "N" { default: "0", }
        /// Number of evaluations on the test set during the training, for the curves
        evaluations: u64 = "N" { default: "10", }
        /// Precision of the convolutions; `bf16` and `f16` need a graphics processor that supports
        /// them
        precision: String = "NAME" {
            choices: list(&Precision::ALL.map(Precision::name)),
            default: "`f32`",
        }
    }

    "Robustness" {
        /// Steps between checkpoints
        checkpoint_every: u64 = "STEPS" { default: "a twentieth of the iterations", }
        /// Response to a training that diverges: `stop`, or `raise-lambda` to return to the last good
        /// checkpoint and continue with a larger λ
        on_divergence: String = "ACTION" {
            choices: list(OnDivergence::NAMES),
            default: "`stop`",
        }
        /// Maximum number of times that `raise-lambda` raises λ
        recoveries: u32 = "N" { default: "3", }
    }

    "Published results" {
        /// Figures that others published for this row; only in experiment files
        published: Published = skip { default: "none", }
    }
}

/// Test errors that others published for the settings of a row, in per cent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Published {
    /// In the article on the paper.
    pub article: Option<f64>,
    /// In the paper itself.
    pub paper: Option<f64>,
    /// Number of steps of the published training.
    pub iterations: Option<u64>,
}

/// A network by its name, as a row, or as a program's own module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum NetworkChoice {
    /// A built-in name, or the path of a TOML file.
    Name(String),
    /// The row itself.
    Row(NetworkSpec),
    /// A module of the program that runs the experiment.
    Own(OwnNetwork),
}

impl From<NetworkKind> for NetworkChoice {
    fn from(kind: NetworkKind) -> Self {
        match kind {
            NetworkKind::Row(row) => Self::Row(row),
            NetworkKind::Own(own) => Self::Own(own),
        }
    }
}

impl declaration::Value for NetworkChoice {
    const KIND: &'static str = "string or table";
}

impl declaration::Value for Published {
    const KIND: &'static str = "table";

    fn not_finite(&self) -> Option<(Option<&'static str>, f64)> {
        [("article", self.article), ("paper", self.paper)]
            .into_iter()
            .filter_map(|(name, number)| Some((name, number?)))
            .find(|(_, number)| !number.is_finite())
            .map(|(name, number)| (Some(name), number))
    }
}

impl std::str::FromStr for NetworkChoice {
    type Err = std::convert::Infallible;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Ok(Self::Name(name.to_owned()))
    }
}

/// Reads `STEP:M`.
///
/// # Errors
/// A sentence saying what was expected.
pub fn parse_stage(text: &str) -> Result<MarginStage, String> {
    text.split_once(':')
        .and_then(|(step, m)| {
            Some(MarginStage {
                step: step.trim().parse().ok()?,
                m: m.trim().parse().ok()?,
            })
        })
        .ok_or_else(|| format!("expected STEP:M, such as 0:1 or 500:2, found {text:?}"))
}

impl Settings {
    /// The loss of a training that names none.
    pub const DEFAULT_LOSS: &str = "l-softmax";
    /// The schedule of a training that names none.
    pub const DEFAULT_ANNEALING: &str = "auto";

    /// The name of the margin loss and that of the metric loss, in `softmax+contrastive`; a name
    /// without a `+` comes first.
    pub(crate) fn loss_names(&self) -> (&str, Option<&str>) {
        let name = self.loss.as_deref().unwrap_or(Self::DEFAULT_LOSS);
        match name.split_once('+') {
            Some((loss, metric)) => (loss.trim(), Some(metric.trim())),
            None => (name, None),
        }
    }

    /// Whether the loss has λ and stages of m.
    pub fn has_annealed_loss(&self) -> bool {
        Loss::named(self.loss_names().0).is_some_and(|loss| loss.has_multiplier())
    }

    /// These settings without λ and stages of m where the loss has none. Older runs recorded a
    /// schedule with every loss.
    #[must_use]
    pub fn without_idle_annealing(self) -> Self {
        if self.has_annealed_loss() {
            self
        } else {
            self.without_group("Annealing")
        }
    }
}
