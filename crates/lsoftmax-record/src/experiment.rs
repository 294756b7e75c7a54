//! An experiment with every setting decided: flags over files over defaults.

use crate::divergence::OnDivergence;
use crate::error::RecordError;
use crate::file::read_network;
use crate::image_choice::ImageChoice;
use crate::names;
use crate::network::NetworkKind;
use crate::objective::{self, MetricTerm};
use crate::optimiser;
use crate::range::in_range;
use crate::schedule;
use crate::settings::{NetworkChoice, Settings};
use lsoftmax_data::{Augmentation, OpenSet, SameNames};
use lsoftmax_spec::annealing::PAPER_ITERATIONS;
use lsoftmax_spec::{Annealing, Averaging, Loss, NetworkSpec, Optimiser, Precision, RateSchedule};
use std::ops::RangeInclusive;

/// A training with every setting decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// Name of the data set.
    pub data: String,
    /// Its folder.
    pub data_dir: Option<std::path::PathBuf>,
    /// Seed of generated data and of random splits.
    pub data_seed: u64,
    /// Training images to use.
    pub train_samples: Option<usize>,
    /// Test images to use.
    pub test_samples: Option<usize>,
    /// How images of folders and lists are read: the data set `images`, and an open set of images.
    pub images: ImageChoice,
    /// Classes that are not trained on.
    pub open_set: Option<OpenSet>,
    /// The treatment of such classes that have the names of trained ones.
    pub open_set_same_names: SameNames,
    /// Random changes of the training images.
    pub augmentation: Augmentation,
    /// Embeddings of image and mirror image side by side.
    pub mirrored: bool,
    /// The network.
    pub network: NetworkKind,
    /// The margin loss; softmax if a metric loss is alone.
    pub loss: Loss,
    /// A metric loss beside it, or in its place.
    pub pairs: Option<MetricTerm>,
    /// The number of images of each class in a batch; `None` for batches regardless of class.
    pub images_per_class: Option<usize>,
    /// λ and m over the steps.
    pub annealing: Annealing,
    /// Steps.
    pub iterations: u64,
    /// Images a step.
    pub batch: usize,
    /// The learning rate over the steps.
    pub rates: RateSchedule,
    /// The optimiser.
    pub optimiser: Optimiser,
    /// The average of the weights that is evaluated and saved.
    pub averaging: Option<Averaging>,
    /// Label smoothing.
    pub label_smoothing: f64,
    /// Seed of everything random in the training.
    pub seed: u64,
    /// Evaluations on the test set during the training.
    pub evaluations: u64,
    /// Training images that are held out to choose the best model.
    pub held_out: usize,
    /// Steps between checkpoints.
    pub checkpoint_every: u64,
    /// Precision of images, activations and their gradients.
    pub precision: Precision,
    /// The response to a training that diverges.
    pub on_divergence: OnDivergence,
}

/// Checkpoints of a training, unless set.
const CHECKPOINTS: u64 = 20;
const STEPS: RangeInclusive<f64> = 1.0..=1e9;

/// Data that defaults depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DataKind {
    Generated,
    Images,
    /// A data set in its published files.
    Files,
}

impl DataKind {
    fn of(data: &str) -> Self {
        match data {
            "glyphs" => Self::Generated,
            _ if data.starts_with("alphabet") => Self::Generated,
            "images" => Self::Images,
            _ => Self::Files,
        }
    }

    /// The default length of a training. For images, a laptop takes an hour or two.
    fn iterations(self) -> u64 {
        match self {
            Self::Generated => 600,
            Self::Images => 2_000,
            Self::Files => PAPER_ITERATIONS,
        }
    }

    fn batch(self) -> usize {
        match self {
            Self::Generated | Self::Images => 128,
            Self::Files => 256,
        }
    }
}

impl Experiment {
    /// Decides every setting: `flags` win over `file`, which wins over the defaults.
    ///
    /// `--iterations` on top of a file stretches the file's milestones and schedule in
    /// proportion, unless a flag gives them anew.
    ///
    /// # Errors
    /// The first setting that is out of range.
    // Over 60 lines for the list of fields, one line each.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers have no further use for them"
    )]
    pub fn resolve(flags: Settings, file: Settings) -> Result<Self, RecordError> {
        flags.check_numbers()?;
        file.check_numbers()?;
        let file = optimiser::suited(&flags, file);
        let settings = flags.clone().or(file.clone());
        let data = settings.data.clone().unwrap_or("glyphs".into());
        let kind = DataKind::of(&data);
        let iterations = settings.iterations.unwrap_or(kind.iterations());
        let iterations = in_range("iterations", iterations, STEPS)?;
        // The length that the numbers of the file refer to.
        let written_for = file.iterations.unwrap_or(iterations).max(1);
        let rates = optimiser::rates(&flags, &file, written_for, iterations)?;
        let (loss, pairs) = objective::resolve(&settings)?;
        let annealing = schedule::resolve(loss, &flags, &file, written_for, iterations)?;
        let network = network(&settings, &data)?;
        let label_smoothing = settings.label_smoothing.unwrap_or(0.0);
        let checkpoint_every = settings.checkpoint_every;
        let checkpoint_every = checkpoint_every.unwrap_or_else(|| iterations.div_ceil(CHECKPOINTS));
        let same_names = settings.open_set_same_names.as_deref();
        Ok(Self {
            batch: in_range(
                "batch",
                settings.batch.unwrap_or(kind.batch()),
                2.0..=65_536.0,
            )?,
            rates,
            optimiser: settings.optimiser()?,
            averaging: optimiser::averaging(&settings)?,
            label_smoothing: in_range("label-smoothing", label_smoothing, 0.0..=0.999)?,
            images: ImageChoice::resolve(&settings)?,
            open_set: settings.open_set.as_deref().map(str::parse).transpose()?,
            open_set_same_names: same_names.map_or(Ok(SameNames::default()), str::parse)?,
            checkpoint_every: in_range("checkpoint-every", checkpoint_every, STEPS)?,
            precision: names::parse(
                "precision",
                settings.precision.as_deref(),
                &Precision::ALL.map(Precision::name),
            )?,
            on_divergence: on_divergence(&settings)?,
            images_per_class: match settings.images_per_class {
                Some(images) => Some(images).filter(|&images| images > 0),
                None => pairs.and_then(|pairs| pairs.loss.images_per_class()),
            },
            data,
            data_dir: settings.data_dir,
            data_seed: settings.data_seed.unwrap_or(0),
            train_samples: settings.train_samples,
            test_samples: settings.test_samples,
            augmentation: augmentation_of(&flags, &file)?,
            mirrored: settings.mirrored.unwrap_or(false),
            network,
            loss,
            pairs,
            annealing,
            iterations,
            seed: settings.seed.unwrap_or(0),
            evaluations: settings.evaluations.unwrap_or(10),
            held_out: settings.held_out.unwrap_or(0),
        })
    }

    /// The learning rate of a step.
    pub fn learning_rate_at(&self, step: u64) -> f64 {
        self.rates.at(step, self.iterations)
    }

    /// The loss's name in files and on the command line, such as `softmax+contrastive`.
    pub fn loss_name(&self) -> String {
        objective::name(self.loss, self.pairs.as_ref())
    }

    /// The loss's name for people, such as `softmax + contrastive`.
    pub fn loss_label(&self) -> String {
        objective::label(self.loss, self.pairs.as_ref())
    }

    /// A short name for a folder: the loss, its m, the feature, the seed.
    pub fn short_name(&self) -> String {
        let m = match self.loss.multiplier() {
            0 | 1 => String::new(),
            m => format!("-m{m}"),
        };
        let (loss, feature) = (self.loss_name().replace('+', "-"), self.network.feature());
        format!("{loss}{m}-f{feature}-seed{}", self.seed)
    }

    /// Whether images come from folders or lists.
    fn reads_images(&self) -> bool {
        self.data == "images" || matches!(self.open_set, Some(OpenSet::Folder(_)))
    }

    /// The experiment as settings: a file from which the same experiment can be run.
    pub fn to_settings(&self) -> Settings {
        let mut settings = Settings {
            data: Some(self.data.clone()),
            data_dir: self.data_dir.clone(),
            data_seed: Some(self.data_seed),
            train_samples: self.train_samples,
            test_samples: self.test_samples,
            held_out: Some(self.held_out),
            open_set: self.open_set.as_ref().map(ToString::to_string),
            open_set_same_names: (self.open_set_same_names != SameNames::default())
                .then(|| self.open_set_same_names.name().to_owned()),
            mirrored: Some(self.mirrored),
            network: Some(self.network.clone().into()),
            images_per_class: Some(self.images_per_class.unwrap_or(0)),
            iterations: Some(self.iterations),
            batch: Some(self.batch),
            label_smoothing: Some(self.label_smoothing).filter(|&smoothing| smoothing > 0.0),
            seed: Some(self.seed),
            evaluations: Some(self.evaluations),
            precision: (self.precision != Precision::F32).then(|| self.precision.name().into()),
            checkpoint_every: Some(self.checkpoint_every),
            on_divergence: Some(self.on_divergence.name().to_owned()),
            recoveries: self.on_divergence.recoveries(),
            ..Settings::default()
        };
        if self.reads_images() {
            self.images.write(&mut settings);
        }
        optimiser::write(&self.rates, &self.optimiser, self.averaging, &mut settings);
        write_augmentation(self.augmentation, &mut settings);
        objective::write(self.loss, self.pairs.as_ref(), &mut settings);
        schedule::write(&self.annealing, &mut settings);
        settings
    }

    /// [`to_settings`](Self::to_settings) as TOML.
    ///
    /// # Errors
    /// A seed or a number of samples that TOML cannot hold (above 2^63), or a path that is not
    /// UTF-8.
    pub fn to_toml(&self) -> Result<String, RecordError> {
        let settings = self.to_settings();
        settings.check_paths()?;
        toml::to_string(&settings)
            .map_err(|error| RecordError::setting("the experiment", "what TOML can hold", error))
    }
}

/// The augmentation: `augment` is short for that of CIFAR10+. Either flag wins over either key of the file.
fn augmentation_of(flags: &Settings, file: &Settings) -> Result<Augmentation, RecordError> {
    for settings in [flags, file] {
        match (&settings.augmentation, settings.augment) {
            (None, None) => {}
            (None, Some(true)) => return Ok(Augmentation::cifar_plus()),
            (None, Some(false)) => return Ok(Augmentation::none()),
            (Some(_), Some(true)) => {
                let expected = "left out beside augmentation, which says it all";
                return Err(RecordError::setting("augment", expected, true));
            }
            (Some(list), _) => return Ok(Augmentation::parse(list)?),
        }
    }
    Ok(Augmentation::none())
}

fn write_augmentation(augmentation: Augmentation, settings: &mut Settings) {
    let plus = Augmentation::cifar_plus();
    if augmentation == Augmentation::none() || augmentation == plus {
        settings.augment = Some(augmentation == plus);
    } else {
        settings.augmentation = Some(augmentation.names());
    }
}

fn network(settings: &Settings, data: &str) -> Result<NetworkKind, RecordError> {
    let mut row = match &settings.network {
        Some(NetworkChoice::Own(own)) => {
            own.check()?;
            if let Some(feature) = settings.feature.filter(|&feature| feature != own.feature) {
                let expected = format!("left out, as the module has a feature of {}", own.feature);
                return Err(RecordError::setting("feature", expected, feature));
            }
            return Ok(NetworkKind::Own(own.clone()));
        }
        Some(NetworkChoice::Row(row)) => row.clone(),
        Some(NetworkChoice::Name(name)) => read_network(name)?,
        None => NetworkSpec::named(match data {
            "mnist" | "fashion-mnist" | "idx" => "mnist",
            "cifar10" => "cifar10",
            "cifar100" => "cifar100",
            "images" if settings.align.is_some() => "lfw",
            _ => "compact",
        })?,
    };
    if let Some(feature) = settings.feature {
        row.feature = feature;
    }
    Ok(NetworkKind::Row(row))
}

fn on_divergence(settings: &Settings) -> Result<OnDivergence, RecordError> {
    let Some(name) = settings.on_divergence.as_deref() else {
        return Ok(OnDivergence::Stop);
    };
    OnDivergence::named(name, settings.recoveries)
        .ok_or_else(|| RecordError::unknown_name("on-divergence", OnDivergence::NAMES, name))
}
