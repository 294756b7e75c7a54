//! Networks as rows of data, checked before any memory is taken.

use serde::{Deserialize, Serialize};

/// A convolutional network as a row of data: the paper's Table 1, or one of your own.
///
/// Every convolution is followed by what [`NormLayer`] says and a PReLU, every pool is a
/// 2x2 maximum with stride 2 that rounds up as Caffe's does (28 -> 14 -> 7 -> 4), and the
/// feature is a fully connected layer with the same normalisation and no activation. The class
/// layer is not part of it: that is the head's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkSpec {
    /// What it is called in tables.
    pub name: String,
    /// The convolutions, in order.
    pub stages: Vec<Stage>,
    /// Length of the feature.
    pub feature: usize,
    /// What follows each convolution and the feature layer. Default: `batch`.
    #[serde(default, skip_serializing_if = "NormLayer::is_default")]
    pub normalisation: NormLayer,
}

/// What follows each layer with weights, and with it how the weights are first drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormLayer {
    /// Batch normalisation, which makes a bias idle. Weights are drawn as He et al. (2015) have
    /// it ("msra" in Caffe).
    #[default]
    Batch,
    /// None: a bias, except in residual units, which have none. As in SphereFace (Liu et al.
    /// 2017), weights are drawn as Glorot and Bengio (2010) have it ("xavier" in Caffe, uniform,
    /// by the number of inputs), and in residual units with a standard deviation of 0.01, so that
    /// a unit first adds little to its input.
    None,
}

impl NormLayer {
    // Serde asks with a reference.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Convolutions of equal width, then perhaps residual units, then perhaps a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Output channels of each convolution.
    pub channels: usize,
    /// How many convolutions, those of the units not counted.
    pub convs: usize,
    /// How many residual units follow: two convolutions each, and the unit's input is added to
    /// what comes out of the second one's PReLU. Default: 0.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub units: usize,
    /// Side of the square kernel; the padding keeps the size. Default: 3.
    #[serde(default = "three", skip_serializing_if = "is_three")]
    pub kernel: usize,
    /// Stride of the first convolution. Default: 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub stride: usize,
    /// Whether a pool ends the stage. Default: no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pool: bool,
}

impl Stage {
    /// How many convolutions with those of the units.
    pub fn all_convs(&self) -> usize {
        self.convs + CONVS_OF_A_UNIT * self.units
    }
}

/// What batch normalisation adds to variances, as Caffe and PyTorch have it.
pub const BATCH_NORM_EPSILON: f64 = 1e-5;

/// Convolutions of a residual unit.
pub const CONVS_OF_A_UNIT: usize = 2;

fn three() -> usize {
    3
}
fn one() -> usize {
    1
}
// Serde asks with a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_three(kernel: &usize) -> bool {
    *kernel == 3
}
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_one(stride: &usize) -> bool {
    *stride == 1
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(units: &usize) -> bool {
    *units == 0
}

const fn stage(channels: usize, convs: usize) -> Stage {
    Stage {
        channels,
        convs,
        units: 0,
        kernel: 3,
        stride: 1,
        pool: false,
    }
}

const fn pooled(channels: usize, convs: usize) -> Stage {
    Stage {
        pool: true,
        ..stage(channels, convs)
    }
}

const fn pooled5(channels: usize, convs: usize) -> Stage {
    Stage {
        kernel: 5,
        ..pooled(channels, convs)
    }
}

const fn strided(channels: usize, convs: usize) -> Stage {
    Stage {
        stride: 2,
        ..stage(channels, convs)
    }
}

const fn residual(channels: usize, units: usize) -> Stage {
    Stage {
        units,
        ..strided(channels, 1)
    }
}

/// The networks that a name stands for: name, stages, feature, normalisation.
///
/// The first five are the columns of the paper's Table 1; its MNIST rows repeat 1-3-3-3.
/// `sphereface-20` is the face network that the same authors published with SphereFace
/// (`sphereface_model.prototxt`), for images of 112 x 96. Theirs also decays the slopes, and learns
/// biases at twice the rate.
const ROWS: &[(&str, &[Stage], usize, NormLayer)] = &[
    (
        "mnist-2d",
        &[pooled5(32, 2), pooled5(64, 2), pooled5(128, 2)],
        2,
        NormLayer::Batch,
    ),
    (
        "mnist",
        &[stage(64, 1), pooled(64, 3), pooled(64, 3), pooled(64, 3)],
        256,
        NormLayer::Batch,
    ),
    (
        "cifar10",
        &[stage(64, 1), pooled(64, 4), pooled(96, 4), pooled(128, 4)],
        256,
        NormLayer::Batch,
    ),
    (
        "cifar100",
        &[stage(96, 1), pooled(96, 4), pooled(192, 4), pooled(384, 4)],
        512,
        NormLayer::Batch,
    ),
    (
        "lfw",
        &[
            strided(64, 1),
            pooled(64, 4),
            pooled(256, 4),
            pooled(256, 4),
            pooled(256, 4),
        ],
        512,
        NormLayer::Batch,
    ),
    (
        "sphereface-20",
        &[
            residual(64, 1),
            residual(128, 2),
            residual(256, 4),
            residual(512, 1),
        ],
        512,
        NormLayer::None,
    ),
    (
        "compact",
        &[pooled(16, 2), pooled(32, 2), pooled(64, 2)],
        128,
        NormLayer::Batch,
    ),
    (
        "compact-2d",
        &[pooled(16, 2), pooled(32, 2), pooled(64, 2)],
        2,
        NormLayer::Batch,
    ),
];

/// More would take 4 GB, and three times that in training.
const MOST_WEIGHTS: usize = 1 << 30;

/// Most values that an image may take between two layers, the input and the output of a convolution
/// together: 512 MiB, which is 64 channels at 1024 x 1024. A network that needs more could not be
/// trained anyway, and a small file must not be able to ask for all memory.
pub const MOST_ACTIVATIONS: usize = 1 << 27;

/// A number of bytes, which is shown as `1.5 GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl std::fmt::Display for Bytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut number = self.0 as f64;
        let mut unit = "bytes";
        for next in ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] {
            if number >= 1024.0 {
                number /= 1024.0;
                unit = next;
            }
        }
        let number = format!("{number:.1}");
        write!(f, "{} {unit}", number.strip_suffix(".0").unwrap_or(&number))
    }
}

/// Why a row is no network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// The name stands for none.
    #[error("there is no network {0:?}; the built-in ones are {names}; a path ending in .toml reads one from a file", names = NetworkSpec::names().join(", "))]
    Unknown(String),
    /// A number outside its range.
    #[error("network {network:?}: {name} must be {expected}, found {found}")]
    Number {
        /// The network.
        network: String,
        /// The number.
        name: &'static str,
        /// Its range.
        expected: &'static str,
        /// What was found.
        found: usize,
    },
    /// More activations than any training could have.
    #[error(
        "network {network:?}: stage {stage} makes {channels}x{height}x{width} activations of a {image} \
         image, which takes {bytes}, and at most {most} are allowed: take smaller images, fewer \
         channels or a stride",
        channels = size[0], height = size[1], width = size[2], image = image.map(|n| n.to_string()).join("x")
    )]
    Activations {
        /// The network.
        network: String,
        /// Which stage, counted from 1.
        stage: usize,
        /// Channels, height and width of the image.
        image: [usize; 3],
        /// Channels, height and width of the stage.
        size: [usize; 3],
        /// What an image takes there, with the input of the stage.
        bytes: Bytes,
        /// What it may take.
        most: Bytes,
    },
    /// A training that does not fit the memory.
    #[error(
        "network {network:?}: a step with a batch of {batch} images takes about {bytes}, and this \
         machine has {memory}: choose a smaller --batch, smaller images or a smaller network"
    )]
    Memory {
        /// The network.
        network: String,
        /// Images of a batch.
        batch: usize,
        /// What a step takes.
        bytes: Bytes,
        /// What there is.
        memory: Bytes,
    },
    /// The image is used up before the last layer.
    #[error("network {network:?}: a {height}x{width} image is too small for stage {stage}")]
    TooSmall {
        /// The network.
        network: String,
        /// Which stage, counted from 1.
        stage: usize,
        /// Rows left there.
        height: usize,
        /// Columns left there.
        width: usize,
    },
}

impl NetworkSpec {
    /// The built-in names.
    pub fn names() -> Vec<&'static str> {
        ROWS.iter().map(|row| row.0).collect()
    }

    /// A built-in network.
    ///
    /// # Errors
    /// The name stands for none.
    pub fn named(name: &str) -> Result<Self, SpecError> {
        ROWS.iter()
            .find(|row| row.0 == name)
            .map(|&(name, stages, feature, normalisation)| Self {
                name: name.to_owned(),
                stages: stages.to_vec(),
                feature,
                normalisation,
            })
            .ok_or_else(|| SpecError::Unknown(name.to_owned()))
    }

    /// Checks the row for images `[channels, height, width]`, and gives the size
    /// `[channels, height, width]` before the feature layer.
    ///
    /// An image may take [`MOST_ACTIVATIONS`] between two layers.
    ///
    /// # Errors
    /// A number that cannot be right, an image too small, or activations beyond that.
    pub fn check(&self, image: [usize; 3]) -> Result<[usize; 3], SpecError> {
        Ok(self.sizes(image)?.flat)
    }

    /// A number of the row that is out of its range.
    fn number(&self, name: &'static str, found: usize, expected: &'static str) -> SpecError {
        SpecError::Number {
            network: self.name.clone(),
            name,
            expected,
            found,
        }
    }

    fn check_numbers(&self, stage: &Stage) -> Result<(), SpecError> {
        let most = 1 << 14;
        for (name, found, fits, expected) in [
            (
                "channels",
                stage.channels,
                (1..=most).contains(&stage.channels),
                "from 1 to 16384",
            ),
            (
                "convs",
                stage.convs,
                (1..=64).contains(&stage.convs),
                "from 1 to 64",
            ),
            ("units", stage.units, stage.units <= 64, "at most 64"),
            (
                "kernel",
                stage.kernel,
                stage.kernel % 2 == 1 && stage.kernel <= 15,
                "odd and from 1 to 15",
            ),
            (
                "stride",
                stage.stride,
                (1..=2).contains(&stage.stride),
                "1 or 2",
            ),
        ] {
            if !fits {
                return Err(self.number(name, found, expected));
            }
        }
        Ok(())
    }

    /// Checks the row, and adds up what an image takes.
    pub fn sizes(&self, image: [usize; 3]) -> Result<Sizes, SpecError> {
        check_feature(&self.name, self.feature)?;
        let stages = self.stages.len();
        if !(1..=64).contains(&stages) {
            return Err(self.number("the number of stages", stages, "from 1 to 64"));
        }
        let [mut channels, mut height, mut width] = image;
        if !(1..=1 << 14).contains(&channels) {
            let name = "the number of an image's channels";
            return Err(self.number(name, channels, "from 1 to 16384"));
        }
        let (mut largest, mut kept) = (0, 0_usize);
        for (index, stage) in self.stages.iter().enumerate() {
            self.check_numbers(stage)?;
            if height < stage.stride || width < stage.stride {
                return Err(SpecError::TooSmall {
                    network: self.name.clone(),
                    stage: index + 1,
                    height,
                    width,
                });
            }
            let input = values([channels, height, width]);
            channels = stage.channels;
            height = (height - 1) / stage.stride + 1;
            width = (width - 1) / stage.stride + 1;
            let output = values([channels, height, width]);
            // A convolution has its input and its output, and a unit its own input too.
            let after = output.saturating_mul(if stage.units > 0 { 3 } else { 2 });
            let step = input.saturating_add(output).max(after);
            if step > MOST_ACTIVATIONS {
                return Err(SpecError::Activations {
                    network: self.name.clone(),
                    stage: index + 1,
                    image,
                    size: [channels, height, width],
                    bytes: bytes(step),
                    most: bytes(MOST_ACTIVATIONS),
                });
            }
            largest = largest.max(step);
            // The backward pass needs what comes before and what comes after a normalisation.
            let blocks = output.saturating_mul(2).saturating_mul(stage.all_convs());
            kept = kept.saturating_add(blocks);
            if stage.pool {
                height = pooled_size(height);
                width = pooled_size(width);
            }
        }
        Ok(Sizes {
            flat: [channels, height, width],
            largest,
            kept,
        })
    }

    /// How many weights a network for images of a size has, convolutions and feature layer.
    ///
    /// # Errors
    /// As [`check`](Self::check), or more than can be counted.
    pub fn weights(&self, image: [usize; 3]) -> Result<usize, SpecError> {
        let mut sizes = vec![[values(self.check(image)?), self.feature, 1, 1]];
        let mut channels = image[0];
        for stage in &self.stages {
            let area = stage.kernel * stage.kernel;
            sizes.push([channels, stage.channels, area, 1]);
            sizes.push([stage.channels, stage.channels, area, stage.all_convs() - 1]);
            channels = stage.channels;
        }
        let weights = sizes
            .into_iter()
            .map(|size| size.into_iter().fold(1, usize::saturating_mul))
            .fold(0, usize::saturating_add);
        if weights <= MOST_WEIGHTS {
            return Ok(weights);
        }
        Err(SpecError::Number {
            network: self.name.clone(),
            name: "the number of weights",
            expected: "at most 2^30",
            found: weights,
        })
    }
}

/// Checks the length of a network's feature.
///
/// # Errors
/// It is not from 1 to 65536.
pub fn check_feature(network: &str, feature: usize) -> Result<(), SpecError> {
    if (1..=1 << 16).contains(&feature) {
        return Ok(());
    }
    Err(SpecError::Number {
        network: network.to_owned(),
        name: "feature",
        expected: "from 1 to 65536",
        found: feature,
    })
}

/// What an image of a size takes.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    /// Channels, height and width before the feature layer.
    pub flat: [usize; 3],
    /// Values at a time in evaluation.
    pub largest: usize,
    /// Values that a training keeps for its backward pass.
    pub kept: usize,
}

fn values(size: [usize; 3]) -> usize {
    size.into_iter().fold(1, usize::saturating_mul)
}

fn bytes(values: usize) -> Bytes {
    Bytes((values as u64).saturating_mul(size_of::<f32>() as u64))
}

/// The size after a 2x2 pool with stride 2, rounded up as Caffe rounds it.
pub fn pooled_size(size: usize) -> usize {
    size.div_ceil(2)
}
