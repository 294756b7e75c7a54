//! What a user may set: the keys of an experiment file, and the flags of the same names.

use crate::error::RecordError;
use lsoftmax_spec::NetworkSpec;
use lsoftmax_spec::{Gate, MarginStage};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything that a run can be told, each part optional.
///
/// Keys in a TOML file are the names of the flags without the dashes in front.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[cfg_attr(feature = "clap", derive(clap::Args))]
#[cfg_attr(feature = "clap", command(next_help_heading = "Experiment"))]
pub struct Settings {
    /// Data set: glyphs, alphabet:N, mnist, fashion-mnist, idx, cifar10, cifar100, or images (a
    /// folder with a folder of images a class, or a list of images) [default: glyphs]
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME"))]
    pub data: Option<String>,
    /// Folder with the files of the data set; of images also a list (.csv, .parquet) with the
    /// columns path, label and, if you like, split
    #[cfg_attr(feature = "clap", arg(long, value_name = "DIR"))]
    pub data_dir: Option<PathBuf>,
    /// Seed of generated data [default: 0]
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    pub data_seed: Option<u64>,
    /// Use so many training images [default: all; 20000 generated]
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    pub train_samples: Option<usize>,
    /// Use so many test images [default: all; 4000 generated]
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    pub test_samples: Option<usize>,
    /// Of images: the share of each class to test on [default: 0.2]
    #[cfg_attr(feature = "clap", arg(long, value_name = "SHARE"))]
    pub test_share: Option<f64>,
    /// Classes never trained on, for verification and retrieval: so many of the data set (of an
    /// alphabet: so many more), or another folder or list of images
    #[cfg_attr(feature = "clap", arg(long, value_name = "N|DIR|FILE"))]
    pub open_set: Option<String>,
    /// Where a class of another folder's open set has the name of a trained class: refuse it, or
    /// take the two for different classes: refuse, different [default: refuse]
    #[cfg_attr(feature = "clap", arg(long, value_name = "WHAT"))]
    pub open_set_same_names: Option<String>,
    /// Of images: a text file with the names of classes to leave out, a line each, such as people
    /// that the test knows
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE"))]
    pub exclude: Option<PathBuf>,
    /// Of a folder of images: which folders in it are classes, top (those directly in it, with all
    /// that lies below), each (every folder that holds images) or auto [default: auto]
    #[cfg_attr(feature = "clap", arg(long, value_name = "WHICH"))]
    pub class_folders: Option<String>,
    /// Size of images, `HEIGHTxWIDTH` or one number for both [default: 112x112]
    #[cfg_attr(feature = "clap", arg(long, value_name = "HxW"))]
    pub image_size: Option<String>,
    /// Channels of images: grey, colour, auto [default: auto]
    #[cfg_attr(feature = "clap", arg(long, value_name = "WHICH"))]
    pub channels: Option<String>,
    /// How images of another shape come to the size: crop, stretch, pad [default: crop]
    #[cfg_attr(feature = "clap", arg(long, value_name = "HOW"))]
    pub fit: Option<String>,
    /// Images that cannot be read: skip (and say which) or refuse [default: skip]
    #[cfg_attr(feature = "clap", arg(long, value_name = "WHAT"))]
    pub broken: Option<String>,
    /// Folder to keep decoded images in, so that the next start is quick [default: none]
    #[cfg_attr(feature = "clap", arg(long, value_name = "DIR"))]
    pub image_cache: Option<PathBuf>,
    /// Align faces to a template, by --landmarks: 112x96, 112x112 [default: no]
    #[cfg_attr(feature = "clap", arg(long, value_name = "TEMPLATE"))]
    pub align: Option<String>,
    /// CSV file with five landmarks an image
    #[cfg_attr(feature = "clap", arg(long, value_name = "FILE"))]
    pub landmarks: Option<PathBuf>,

    /// Pad by 4, crop at random, mirror at random (CIFAR10+) [default: false]
    #[cfg_attr(feature = "clap", arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true"))]
    pub augment: Option<bool>,

    /// Embed an image together with its mirror image, for faces [default: false]
    #[cfg_attr(feature = "clap", arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true"))]
    pub mirrored: Option<bool>,

    /// Network: mnist-2d, mnist, cifar10, cifar100, lfw, sphereface-20, compact, compact-2d, or a
    /// .toml file [default: by data set]
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME|FILE"))]
    pub network: Option<NetworkChoice>,
    /// Length of the feature [default: the network's]
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    pub feature: Option<usize>,

    /// Loss: softmax, l-softmax, a-softmax, cos-face, am-softmax, arc-face, combined; with
    /// +contrastive, +triplet or +center beside it; or contrastive or triplet alone
    /// [default: l-softmax]
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME"))]
    pub loss: Option<String>,
    /// m: the angular multiplier of l-softmax and a-softmax [default: 4], or the additive
    /// margin of cos-face, am-softmax and arc-face [default: as published]
    #[cfg_attr(feature = "clap", arg(long, value_name = "M", visible_alias = "m"))]
    pub margin: Option<f64>,
    /// Scale s of the losses that normalise [default: as published]
    #[cfg_attr(feature = "clap", arg(long, value_name = "S"))]
    pub scale: Option<f64>,
    /// The three margins m1 m2 m3 of the combined loss [default: 1 0.3 0.2]
    #[cfg_attr(feature = "clap", arg(long, value_name = "M", num_args = 3))]
    pub margins: Option<Vec<f64>>,

    /// Weight of the loss on pairs or triplets, or of center loss [default: 1; center: 0.008]
    #[cfg_attr(feature = "clap", arg(long, value_name = "W"))]
    pub pair_weight: Option<f64>,
    /// Margin of the contrastive (1) or triplet loss (0.2)
    #[cfg_attr(feature = "clap", arg(long, value_name = "M"))]
    pub pair_margin: Option<f64>,
    /// Which pairs or triplets of a batch count: all, random, hard; of triplets also semi-hard,
    /// batch-hard [default: all pairs; semi-hard triplets]
    #[cfg_attr(feature = "clap", arg(long, value_name = "WHICH"))]
    pub pair_selection: Option<String>,
    /// Batches of so many images of each of a few classes; 0: images as they come
    /// [default: 4 for losses on pairs or triplets, else 0]
    #[cfg_attr(feature = "clap", arg(long, value_name = "K"))]
    pub images_per_class: Option<usize>,

    /// How λ falls: auto, none, constant, power-law, geometric [default: auto]
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME"))]
    pub annealing: Option<String>,
    /// λ at the start (power-law: 1000, geometric: 100), or throughout (constant: 5)
    #[cfg_attr(feature = "clap", arg(long, value_name = "L"))]
    pub lambda: Option<f64>,
    /// The smallest λ of power-law and geometric [default: 0]
    #[cfg_attr(feature = "clap", arg(long, value_name = "L"))]
    pub lambda_min: Option<f64>,
    /// gamma of the power law [default: 2.5e-5, for 18000 iterations]
    #[cfg_attr(feature = "clap", arg(long, value_name = "G"))]
    pub gamma: Option<f64>,
    /// Exponent of the power law [default: 35]
    #[cfg_attr(feature = "clap", arg(long, value_name = "P"))]
    pub power: Option<f64>,
    /// Factor a step of geometric annealing [default: 0.9995, for 18000 iterations]
    #[cfg_attr(feature = "clap", arg(long, value_name = "F"))]
    pub factor: Option<f64>,
    /// A growing m, as STEP:M,STEP:M
    #[cfg_attr(feature = "clap", arg(long, value_name = "STEP:M", value_delimiter = ',', value_parser = parse_stage))]
    pub stages: Option<Vec<MarginStage>>,
    /// What λ waits for.
    #[cfg_attr(feature = "clap", arg(skip))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gate: Option<Gate>,

    /// Steps of the training; stretches milestones and annealing in proportion
    /// [default: 18000; 2000 on images, 600 on generated data]
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    pub iterations: Option<u64>,
    /// Images a step [default: 256; 128 on images and generated data]
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    pub batch: Option<usize>,
    /// Learning rate at the start [default: 0.1]
    #[cfg_attr(feature = "clap", arg(long, value_name = "RATE"))]
    pub learning_rate: Option<f64>,
    /// Steps at which the learning rate falls to a tenth [default: at 2/3 and 5/6]
    #[cfg_attr(
        feature = "clap",
        arg(long, value_name = "STEP", value_delimiter = ',')
    )]
    pub milestones: Option<Vec<u64>>,
    /// Momentum of SGD [default: 0.9]
    #[cfg_attr(feature = "clap", arg(long, value_name = "M"))]
    pub momentum: Option<f64>,
    /// Weight decay, on weights only [default: 0.0005]
    #[cfg_attr(feature = "clap", arg(long, value_name = "W"))]
    pub weight_decay: Option<f64>,
    /// Seed of weights, order and augmentation [default: 0]
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    pub seed: Option<u64>,
    /// Test on the test set so many times on the way, for the curves [default: 10]
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    pub evaluations: Option<u64>,
    /// Hold back so many training images, and keep the model that is best on them [default: 0]
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    pub held_out: Option<usize>,
    /// Save a checkpoint every so many steps [default: a twentieth of the iterations]
    #[cfg_attr(feature = "clap", arg(long, value_name = "STEPS"))]
    pub checkpoint_every: Option<u64>,
    /// What convolutions are trained in: f32, and on graphics processors that have it bf16 or f16
    /// [default: f32]
    #[cfg_attr(feature = "clap", arg(long, value_name = "NAME"))]
    pub precision: Option<String>,
    /// When a training dies: stop, or raise-lambda (go back to the last good checkpoint and go on
    /// with a larger λ) [default: stop]
    #[cfg_attr(feature = "clap", arg(long, value_name = "WHAT"))]
    pub on_divergence: Option<String>,
    /// Raise λ at most so many times [default: 3]
    #[cfg_attr(feature = "clap", arg(long, value_name = "N"))]
    pub recoveries: Option<u32>,
    /// The figures others have published for this row.
    #[cfg_attr(feature = "clap", arg(skip))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
}

/// What others found with the settings of a row, in per cent of the test images.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Published {
    /// In the article on the paper.
    pub article: Option<f64>,
    /// In the paper itself.
    pub paper: Option<f64>,
    /// After so many steps.
    pub iterations: Option<u64>,
}

/// A network by its name or as a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum NetworkChoice {
    /// A built-in name, or the path of a TOML file.
    Name(String),
    /// The row itself.
    Row(NetworkSpec),
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
    /// The keys that a file may have.
    pub const KEYS: &[&str] = &[
        "data",
        "data-dir",
        "data-seed",
        "train-samples",
        "test-samples",
        "test-share",
        "open-set",
        "open-set-same-names",
        "exclude",
        "class-folders",
        "image-size",
        "channels",
        "fit",
        "broken",
        "image-cache",
        "align",
        "landmarks",
        "augment",
        "mirrored",
        "network",
        "feature",
        "loss",
        "margin",
        "scale",
        "margins",
        "pair-weight",
        "pair-margin",
        "pair-selection",
        "images-per-class",
        "annealing",
        "lambda",
        "lambda-min",
        "gamma",
        "power",
        "factor",
        "stages",
        "gate",
        "iterations",
        "batch",
        "learning-rate",
        "milestones",
        "momentum",
        "weight-decay",
        "seed",
        "evaluations",
        "held-out",
        "checkpoint-every",
        "precision",
        "on-divergence",
        "recoveries",
        "published",
    ];

    /// Checks that every number is one: TOML and the command line know `nan` and `inf`.
    ///
    /// # Errors
    /// The first setting that is no finite number.
    pub fn check_numbers(&self) -> Result<(), RecordError> {
        let one = |name, number: Option<f64>| number.map(|number| (name, number));
        let published = self.published.as_ref();
        let numbers = [
            one("test-share", self.test_share),
            one("margin", self.margin),
            one("scale", self.scale),
            one("pair-weight", self.pair_weight),
            one("pair-margin", self.pair_margin),
            one("lambda", self.lambda),
            one("lambda-min", self.lambda_min),
            one("gamma", self.gamma),
            one("power", self.power),
            one("factor", self.factor),
            one("learning-rate", self.learning_rate),
            one("momentum", self.momentum),
            one("weight-decay", self.weight_decay),
            one("article", published.and_then(|it| it.article)),
            one("paper", published.and_then(|it| it.paper)),
        ];
        let margins = self.margins.iter().flatten();
        let margins = margins.map(|&margin| ("margins", margin));
        let mut all = numbers.into_iter().flatten().chain(margins);
        match all.find(|(_, number)| !number.is_finite()) {
            None => Ok(()),
            Some((name, found)) => Err(RecordError::setting(name, "a finite number", found)),
        }
    }

    /// Whether the loss has λ and stages of m.
    pub fn has_annealed_loss(&self) -> bool {
        let name = self.loss.as_deref().unwrap_or("l-softmax");
        let head = name.split_once('+').map_or(name, |(head, _)| head.trim());
        matches!(head, "l-softmax" | "a-softmax")
    }

    /// These settings without λ and stages of m where the loss has none. Older runs recorded a
    /// schedule with every loss.
    #[must_use]
    pub fn without_idle_annealing(self) -> Self {
        if self.has_annealed_loss() {
            return self;
        }
        Self {
            annealing: None,
            lambda: None,
            lambda_min: None,
            gamma: None,
            power: None,
            factor: None,
            stages: None,
            gate: None,
            ..self
        }
    }

    /// These settings, with `other` where these are silent.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        macro_rules! each {
            ($($field:ident)*) => { Self { $($field: self.$field.or(other.$field)),* } };
        }
        each!(
            data data_dir data_seed train_samples test_samples test_share open_set open_set_same_names exclude class_folders image_size channels fit broken
            image_cache align landmarks augment mirrored network feature loss
            margin scale margins pair_weight pair_margin pair_selection images_per_class annealing lambda lambda_min gamma power factor stages gate
            iterations batch learning_rate milestones momentum weight_decay seed evaluations
            held_out checkpoint_every precision on_divergence recoveries published
        )
    }
}
