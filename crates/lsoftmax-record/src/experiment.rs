//! An experiment with every part decided: settings over files over defaults.

use crate::error::RecordError;
use crate::image_choice::ImageChoice;
use crate::objective::{self, MetricTerm};
use crate::settings::{NetworkChoice, Settings};
use lsoftmax_data::{OpenSet, SameNames, read_text};
use lsoftmax_spec::{Annealing, Lambda, Loss, NetworkSpec, Precision, names};
use std::path::Path;

/// A training with nothing left open.
#[derive(Clone, Debug, PartialEq)]
pub struct Experiment {
    /// Name of the data set.
    pub data: String,
    /// Its folder.
    pub data_dir: Option<std::path::PathBuf>,
    /// Seed of generated data.
    pub data_seed: u64,
    /// Training images to use.
    pub train_samples: Option<usize>,
    /// Test images to use.
    pub test_samples: Option<usize>,
    /// How images of folders and lists are read; counts for the data set `images`, and for an open
    /// set of images.
    pub images: ImageChoice,
    /// Classes that are not trained on.
    pub open_set: Option<OpenSet>,
    /// What becomes of such classes that have the names of trained ones.
    pub open_set_same_names: SameNames,
    /// CIFAR10+ augmentation.
    pub augment: bool,
    /// Embeddings of image and mirror image side by side.
    pub mirrored: bool,
    /// The network.
    pub network: NetworkSpec,
    /// The margin loss; softmax where a loss on distances stands alone.
    pub loss: Loss,
    /// A loss on distances beside it, or in its place.
    pub pairs: Option<MetricTerm>,
    /// Batches of so many images of each class.
    pub images_per_class: Option<usize>,
    /// λ and m over the steps.
    pub annealing: Annealing,
    /// Steps.
    pub iterations: u64,
    /// Images a step.
    pub batch: usize,
    /// Learning rate at the start.
    pub learning_rate: f64,
    /// Where it falls to a tenth.
    pub milestones: Vec<u64>,
    /// Momentum.
    pub momentum: f64,
    /// Weight decay on weights.
    pub weight_decay: f64,
    /// Seed of everything random in the training.
    pub seed: u64,
    /// Evaluations on the test set on the way.
    pub evaluations: u64,
    /// Training images that are held back, to choose the best model on.
    pub held_out: usize,
    /// Steps from one checkpoint to the next.
    pub checkpoint_every: u64,
    /// Of images, activations and their gradients.
    pub precision: Precision,
    /// What is done when the training dies.
    pub on_divergence: OnDivergence,
}

/// What is done when a training dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDivergence {
    /// It ends, and says why.
    Stop,
    /// It goes back to the last good checkpoint and goes on with a larger λ.
    RaiseLambda {
        /// At most so many times.
        recoveries: u32,
    },
}

/// The answers that `--on-divergence` knows.
const ON_DIVERGENCE: &[&str] = &["stop", "raise-lambda"];
/// Checkpoints of a training, unless set.
const CHECKPOINTS: u64 = 20;

/// The paper's training: 18,000 steps, to which its milestones and the default numbers of
/// the schedules refer.
const PAPER_ITERATIONS: u64 = 18_000;
const PAPER_MILESTONES: [u64; 2] = [12_000, 15_000];
/// The default training on generated data.
const GENERATED_ITERATIONS: u64 = 600;

/// The default training on a folder of images: what a laptop has done in an hour or two.
const IMAGES_ITERATIONS: u64 = 2_000;

/// Most bytes of an experiment's or a network's file.
const LARGEST_TEXT: u64 = 1 << 20;

/// Reads an experiment file.
///
/// # Errors
/// A file that cannot be read, is no TOML, or has a key that no experiment has.
pub fn read_settings(path: &Path) -> Result<Settings, RecordError> {
    let text = read_text(path, LARGEST_TEXT)?;
    parse_settings(&text, path)
}

/// Reads the text of an experiment file; errors name `path`.
///
/// # Errors
/// It is no TOML, or has a key that no experiment has.
pub fn parse_settings(text: &str, path: &Path) -> Result<Settings, RecordError> {
    let syntax = |error: toml::de::Error| RecordError::Syntax {
        path: path.to_owned(),
        message: toml_message(&error, text),
    };
    let table: toml::Table = toml::from_str(text).map_err(syntax)?;
    if let Some(key) = table
        .keys()
        .find(|key| !Settings::KEYS.contains(&key.as_str()))
    {
        return Err(RecordError::UnknownKey {
            path: path.to_owned(),
            key: key.clone(),
            nearest: names::nearest(key, Settings::KEYS),
        });
    }
    toml::from_str(text).map_err(syntax)
}

impl Experiment {
    /// Decides every part: `flags` win over `file`, which wins over the defaults.
    ///
    /// `--iterations` on top of a file stretches the file's milestones and schedule in
    /// proportion, unless a flag gives them anew.
    ///
    /// # Errors
    /// The first setting that is out of range.
    pub fn resolve(flags: Settings, file: Settings) -> Result<Self, RecordError> {
        flags.check_numbers()?;
        file.check_numbers()?;
        let data = flags
            .data
            .clone()
            .or_else(|| file.data.clone())
            .unwrap_or("glyphs".into());
        let generated = data == "glyphs" || data.starts_with("alphabet");
        let default_iterations = match data.as_str() {
            _ if generated => GENERATED_ITERATIONS,
            "images" => IMAGES_ITERATIONS,
            _ => PAPER_ITERATIONS,
        };
        let file_iterations = file.iterations;
        let iterations = flags
            .iterations
            .or(file_iterations)
            .unwrap_or(default_iterations);
        in_range("iterations", iterations as f64, 1.0, 1e9)?;
        // What the numbers of the file refer to.
        let written_for = file_iterations.unwrap_or(iterations).max(1);
        let stretch =
            |step: u64| (step as f64 * iterations as f64 / written_for as f64).round() as u64;

        let milestones = match (flags.milestones.clone(), &file.milestones) {
            (Some(milestones), _) => milestones,
            (None, Some(milestones)) => milestones.iter().map(|&step| stretch(step)).collect(),
            (None, None) => PAPER_MILESTONES
                .iter()
                .map(|&step| {
                    (step as f64 * iterations as f64 / PAPER_ITERATIONS as f64).round() as u64
                })
                .collect(),
        };
        let (loss, pairs) = objective::resolve(&flags.clone().or(file.clone()))?;
        loss.margin()?;
        // What a file says of λ is about its own loss and its own schedule.
        check_annealing(
            loss,
            &flags,
            flags.annealing.as_ref().or(file.annealing.as_ref()),
        )?;
        if flags.loss.is_none() && flags.annealing.is_none() {
            check_annealing(loss, &file, file.annealing.as_ref())?;
        }
        let mut annealing = resolve_annealing(&flags, &file, iterations, written_for)?;
        if !annealing.suits(loss) {
            annealing = Annealing::auto(iterations);
        }
        annealing.check()?;
        let settings = flags.or(file);

        let mut network = match &settings.network {
            Some(NetworkChoice::Row(row)) => row.clone(),
            Some(NetworkChoice::Name(name)) => read_network(name)?,
            None => NetworkSpec::named(match data.as_str() {
                "mnist" | "fashion-mnist" | "idx" => "mnist",
                "cifar10" => "cifar10",
                "cifar100" => "cifar100",
                "images" if settings.align.is_some() => "lfw",
                _ => "compact",
            })?,
        };
        if let Some(feature) = settings.feature {
            network.feature = feature;
        }

        let batch = settings.batch.unwrap_or(if generated || data == "images" {
            128
        } else {
            256
        });
        let learning_rate = settings.learning_rate.unwrap_or(0.1);
        let momentum = settings.momentum.unwrap_or(0.9);
        let weight_decay = settings.weight_decay.unwrap_or(5e-4);
        in_range("batch", batch as f64, 2.0, 65_536.0)?;
        in_range("learning-rate", learning_rate, 0.0, 1e3)?;
        in_range("momentum", momentum, 0.0, 0.9999)?;
        in_range("weight-decay", weight_decay, 0.0, 1.0)?;
        let images = ImageChoice::resolve(&settings)?;
        let open_set = settings.open_set.as_deref().map(str::parse).transpose()?;
        let same_names = settings.open_set_same_names.as_deref();
        let open_set_same_names = same_names.map_or(Ok(SameNames::default()), str::parse)?;
        let images_per_class = match settings.images_per_class {
            Some(0) => None,
            Some(images) => Some(images),
            None => pairs.and_then(|pairs| pairs.loss.images_per_class()),
        };
        let checkpoint_every = settings
            .checkpoint_every
            .unwrap_or_else(|| iterations.div_ceil(CHECKPOINTS));
        in_range("checkpoint-every", checkpoint_every as f64, 1.0, 1e9)?;
        let precision = settings.precision.as_deref().unwrap_or("f32");
        let precision = Precision::named(precision).ok_or_else(|| {
            RecordError::unknown_name("precision", &Precision::ALL.map(Precision::name), precision)
        })?;
        let on_divergence = match settings.on_divergence.as_deref() {
            None | Some("stop") => OnDivergence::Stop,
            Some("raise-lambda") => OnDivergence::RaiseLambda {
                recoveries: settings.recoveries.unwrap_or(3),
            },
            Some(other) => {
                return Err(RecordError::unknown_name(
                    "on-divergence",
                    ON_DIVERGENCE,
                    other,
                ));
            }
        };
        Ok(Self {
            data,
            data_dir: settings.data_dir,
            data_seed: settings.data_seed.unwrap_or(0),
            train_samples: settings.train_samples,
            test_samples: settings.test_samples,
            images,
            open_set,
            open_set_same_names,
            augment: settings.augment.unwrap_or(false),
            mirrored: settings.mirrored.unwrap_or(false),
            network,
            loss,
            pairs,
            images_per_class,
            annealing,
            iterations,
            batch,
            learning_rate,
            milestones,
            momentum,
            weight_decay,
            seed: settings.seed.unwrap_or(0),
            evaluations: settings.evaluations.unwrap_or(10),
            held_out: settings.held_out.unwrap_or(0),
            checkpoint_every,
            precision,
            on_divergence,
        })
    }

    /// The learning rate of a step.
    pub fn learning_rate_at(&self, step: u64) -> f64 {
        let passed = self
            .milestones
            .iter()
            .filter(|&&milestone| step >= milestone)
            .count();
        self.learning_rate * 0.1f64.powi(passed as i32)
    }

    /// The loss's name in files and on the command line, such as `softmax+contrastive`.
    pub fn loss_name(&self) -> String {
        objective::name(self.loss, self.pairs.as_ref())
    }

    /// The loss's name for people, such as `softmax + contrastive`.
    pub fn loss_label(&self) -> String {
        objective::label(self.loss, self.pairs.as_ref())
    }

    /// Whether images come from folders or lists.
    fn reads_images(&self) -> bool {
        self.data == "images" || matches!(self.open_set, Some(OpenSet::Folder(_)))
    }

    /// The experiment as settings: a file from which the same experiment can be run.
    pub fn to_settings(&self) -> Settings {
        let (mut margin, mut scale, mut margins) = (None, None, None);
        match self.loss {
            Loss::Softmax => {}
            Loss::LSoftmax { m } | Loss::ASoftmax { m } => margin = Some(f64::from(m)),
            Loss::CosFace {
                scale: s,
                margin: m,
            }
            | Loss::ArcFace {
                scale: s,
                margin: m,
            } => {
                (scale, margin) = (Some(s), Some(m));
            }
            Loss::Combined {
                scale: s,
                m1,
                m2,
                m3,
            } => {
                (scale, margins) = (Some(s), Some(vec![m1, m2, m3]));
            }
        }
        let mut settings = Settings {
            data: Some(self.data.clone()),
            data_dir: self.data_dir.clone(),
            data_seed: Some(self.data_seed),
            train_samples: self.train_samples,
            test_samples: self.test_samples,
            augment: Some(self.augment),
            mirrored: Some(self.mirrored),
            network: Some(NetworkChoice::Row(self.network.clone())),
            margin,
            scale,
            margins,
            stages: (!self.annealing.stages.is_empty()).then(|| self.annealing.stages.clone()),
            gate: self.annealing.gate,
            iterations: Some(self.iterations),
            batch: Some(self.batch),
            learning_rate: Some(self.learning_rate),
            milestones: Some(self.milestones.clone()),
            momentum: Some(self.momentum),
            weight_decay: Some(self.weight_decay),
            images_per_class: Some(self.images_per_class.unwrap_or(0)),
            seed: Some(self.seed),
            evaluations: Some(self.evaluations),
            held_out: Some(self.held_out),
            checkpoint_every: Some(self.checkpoint_every),
            precision: (self.precision != Precision::F32).then(|| self.precision.name().into()),
            ..Settings::default()
        };
        if self.reads_images() {
            self.images.write(&mut settings);
        }
        settings.open_set = self.open_set.as_ref().map(ToString::to_string);
        settings.open_set_same_names = (self.open_set_same_names != SameNames::default())
            .then(|| self.open_set_same_names.name().to_owned());
        objective::write(self.loss, self.pairs.as_ref(), &mut settings);
        let name = match self.annealing.lambda {
            Lambda::None => "none",
            Lambda::Auto { .. } => "auto",
            Lambda::Constant { lambda } => {
                settings.lambda = Some(lambda);
                "constant"
            }
            Lambda::PowerLaw {
                base,
                gamma,
                power,
                min,
            } => {
                settings.lambda = Some(base);
                settings.gamma = Some(gamma);
                settings.power = Some(power);
                settings.lambda_min = Some(min);
                "power-law"
            }
            Lambda::Geometric { base, factor, min } => {
                settings.lambda = Some(base);
                settings.factor = Some(factor);
                settings.lambda_min = Some(min);
                "geometric"
            }
        };
        settings.annealing = Some(name.to_owned());
        let answer = match self.on_divergence {
            OnDivergence::Stop => "stop",
            OnDivergence::RaiseLambda { recoveries } => {
                settings.recoveries = Some(recoveries);
                "raise-lambda"
            }
        };
        settings.on_divergence = Some(answer.to_owned());
        settings
    }

    /// [`to_settings`](Self::to_settings) as TOML.
    ///
    /// # Errors
    /// A seed or a number of samples that TOML cannot hold (above 2^63), or a path that is not
    /// UTF-8.
    pub fn to_toml(&self) -> Result<String, RecordError> {
        let settings = self.to_settings();
        let paths = [
            ("data-dir", &settings.data_dir),
            ("exclude", &settings.exclude),
            ("image-cache", &settings.image_cache),
            ("landmarks", &settings.landmarks),
        ];
        for (name, path) in paths {
            if let Some(path) = path.as_ref().filter(|path| path.to_str().is_none()) {
                let expected = "a path in UTF-8, since the experiment's file is";
                return Err(RecordError::setting(name, expected, path.display()));
            }
        }
        toml::to_string(&settings)
            .map_err(|error| RecordError::setting("the experiment", "what TOML can hold", error))
    }
}

fn in_range(name: &'static str, found: f64, low: f64, high: f64) -> Result<(), RecordError> {
    if found >= low && found <= high {
        Ok(())
    } else {
        Err(RecordError::setting(
            name,
            format!("from {low} to {high}"),
            found,
        ))
    }
}

fn read_network(name: &str) -> Result<NetworkSpec, RecordError> {
    if !Path::new(name)
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("toml"))
    {
        return Ok(NetworkSpec::named(name)?);
    }
    let text = read_text(name.as_ref(), LARGEST_TEXT)?;
    toml::from_str(&text).map_err(|error| RecordError::Syntax {
        path: name.into(),
        message: toml_message(&error, &text),
    })
}

/// What is wrong with a TOML file and where, in one line.
fn toml_message(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().replace('\n', ", ");
    let before = error.span().and_then(|span| text.get(..span.start));
    let Some(before) = before else {
        return message;
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    format!("line {line}, column {column}: {message}")
}

/// The losses that `--loss` knows.
pub const LOSSES: &[&str] = &[
    "softmax",
    "l-softmax",
    "a-softmax",
    "cos-face",
    "am-softmax",
    "arc-face",
    "combined",
];

/// The schedules that `--annealing` knows.
pub const SCHEDULES: &[&str] = &["auto", "none", "constant", "power-law", "geometric"];

/// A loss from its name and whatever numbers were given.
///
/// # Errors
/// An unknown name, or an angular multiplier that is no whole number from 1 to 16.
pub fn loss_of(
    name: &str,
    margin: Option<f64>,
    scale: Option<f64>,
    margins: Option<&[f64]>,
) -> Result<Loss, RecordError> {
    let multiplier = || {
        let m = margin.unwrap_or(4.0);
        if m.fract() == 0.0 && (1.0..=f64::from(lsoftmax_spec::margin::MAX_MULTIPLIER)).contains(&m)
        {
            Ok(m as u32)
        } else {
            Err(RecordError::setting(
                "margin",
                format!("for {name} a whole number from 1 to 16"),
                m,
            ))
        }
    };
    let with_defaults = |loss: Loss| match loss {
        Loss::CosFace {
            scale: s,
            margin: m,
        } => Loss::CosFace {
            scale: scale.unwrap_or(s),
            margin: margin.unwrap_or(m),
        },
        Loss::ArcFace {
            scale: s,
            margin: m,
        } => Loss::ArcFace {
            scale: scale.unwrap_or(s),
            margin: margin.unwrap_or(m),
        },
        other => other,
    };
    Ok(match name {
        "softmax" => Loss::Softmax,
        "l-softmax" => Loss::LSoftmax { m: multiplier()? },
        "a-softmax" => Loss::ASoftmax { m: multiplier()? },
        "cos-face" => with_defaults(Loss::COS_FACE),
        "am-softmax" => with_defaults(Loss::AM_SOFTMAX),
        "arc-face" => with_defaults(Loss::ARC_FACE),
        "combined" => {
            let s = scale.unwrap_or(64.0);
            match margins {
                None => Loss::Combined {
                    scale: s,
                    m1: 1.0,
                    m2: 0.3,
                    m3: 0.2,
                },
                Some(&[m1, m2, m3]) => Loss::Combined {
                    scale: s,
                    m1,
                    m2,
                    m3,
                },
                Some(other) => {
                    return Err(RecordError::setting(
                        "margins",
                        "three numbers",
                        other.len(),
                    ));
                }
            }
        }
        other => return Err(RecordError::unknown_name("loss", LOSSES, other)),
    })
}

/// Checks that `given` says nothing of λ and m that this loss and the schedule of this name ignore.
fn check_annealing(
    loss: Loss,
    given: &Settings,
    schedule: Option<&String>,
) -> Result<(), RecordError> {
    let schedule = schedule.map_or("auto", String::as_str);
    let numbers: [(_, _, &[&str]); 5] = [
        (
            "lambda",
            given.lambda,
            &["constant", "power-law", "geometric"],
        ),
        ("lambda-min", given.lambda_min, &["power-law", "geometric"]),
        ("gamma", given.gamma, &["power-law"]),
        ("power", given.power, &["power-law"]),
        ("factor", given.factor, &["geometric"]),
    ];
    let mut numbers = numbers
        .into_iter()
        .filter_map(|(name, number, used_by)| Some((name, number?, used_by)));
    if loss.has_multiplier() {
        for (name, number, used_by) in numbers {
            if SCHEDULES.contains(&schedule) && !used_by.contains(&schedule) {
                let expected = format!("for annealing = {}", used_by.join(" or "));
                let found = format!("{number} with annealing = {schedule}");
                return Err(RecordError::setting(name, expected, found));
            }
        }
        return Ok(());
    }
    let expected = format!("left out for {loss}: only l-softmax and a-softmax have λ and stages");
    if let Some((name, number, _)) = numbers.next() {
        return Err(RecordError::setting(name, expected, number));
    }
    for (name, is_given) in [
        ("stages", given.stages.is_some()),
        ("gate", given.gate.is_some()),
    ] {
        if is_given {
            return Err(RecordError::setting(name, expected, "some"));
        }
    }
    match given.annealing.as_deref() {
        Some(schedule @ ("constant" | "power-law" | "geometric")) => {
            Err(RecordError::setting("annealing", expected, schedule))
        }
        _ => Ok(()),
    }
}

/// λ and stages. Numbers from the file are stretched with the iterations; numbers from
/// flags are taken as they are.
fn resolve_annealing(
    flags: &Settings,
    file: &Settings,
    iterations: u64,
    written_for: u64,
) -> Result<Annealing, RecordError> {
    let name = flags
        .annealing
        .as_deref()
        .or(file.annealing.as_deref())
        .unwrap_or("auto");
    let base = |default: f64| flags.lambda.or(file.lambda).unwrap_or(default);
    let min = flags.lambda_min.or(file.lambda_min).unwrap_or(0.0);
    let ratio_paper = PAPER_ITERATIONS as f64 / iterations as f64;
    let ratio_file = written_for as f64 / iterations as f64;
    let lambda = match name {
        "auto" => Lambda::Auto { iterations },
        "none" => Lambda::None,
        "constant" => Lambda::Constant { lambda: base(5.0) },
        "power-law" => Lambda::PowerLaw {
            base: base(1000.0),
            gamma: flags
                .gamma
                .or(file.gamma.map(|gamma| gamma * ratio_file))
                .unwrap_or(2.5e-5 * ratio_paper),
            power: flags.power.or(file.power).unwrap_or(35.0),
            min,
        },
        "geometric" => Lambda::Geometric {
            base: base(100.0),
            factor: flags
                .factor
                .or(file.factor.map(|factor| factor.powf(ratio_file)))
                .unwrap_or(0.9995f64.powf(ratio_paper)),
            min,
        },
        other => return Err(RecordError::unknown_name("annealing", SCHEDULES, other)),
    };
    let stages = match (&flags.stages, &file.stages) {
        (Some(stages), _) => stages.clone(),
        (None, Some(stages)) => {
            Annealing {
                lambda: Lambda::None,
                gate: None,
                stages: stages.clone(),
                floor: None,
            }
            .stretched(written_for, iterations)
            .stages
        }
        (None, None) => Vec::new(),
    };
    Ok(Annealing {
        lambda,
        gate: flags.gate.or(file.gate),
        stages,
        floor: None,
    })
}
