//! A small residual network built from Burn's layers.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{AdaptiveAvgPool2d, AdaptiveAvgPool2dConfig};
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, PRelu, PReluConfig,
    PaddingConfig2d,
};
use burn::tensor::{Device, Tensor};
use lsoftmax_train::{Network, TrainError};
use serde::{Deserialize, Serialize};

/// Number of cells per side of the pooling grid. Each cell is averaged.
const GRID: usize = 4;

/// Residual units of increasing width, average pooling over a grid, a fully connected layer, and
/// batch normalisation, which scales the features to suit the loss.
#[derive(Module, Debug)]
pub(crate) struct SmallResNet {
    stem: Conv2d,
    units: Vec<Unit>,
    pool: AdaptiveAvgPool2d,
    dropout: Dropout,
    feature: Linear,
    norm: BatchNorm,
}

/// The configuration of [`SmallResNet`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SmallResNetConfig {
    /// Channels of each unit; all but the first halve the image.
    pub(crate) widths: Vec<usize>,
    /// Length of the feature.
    pub(crate) feature: usize,
    /// Dropout probability of the pooled values.
    pub(crate) dropout: f64,
}

impl Network for SmallResNet {
    type Config = SmallResNetConfig;
    const NAME: &'static str = "small-resnet";

    fn init(
        config: &SmallResNetConfig,
        image: [usize; 3],
        _seed: u64,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let Some(&last) = config.widths.last() else {
            return Err(TrainError::network::<Self>("widths must not be empty"));
        };
        let first = config.widths[0];
        let mut channels = first;
        let mut units = Vec::new();
        for (at, &width) in config.widths.iter().enumerate() {
            let stride = if at == 0 { 1 } else { 2 };
            units.push(Unit::new(channels, width, stride, device));
            channels = width;
        }
        Ok(Self {
            stem: convolution(image[0], first, 3, 1, device),
            units,
            pool: AdaptiveAvgPool2dConfig::new([GRID, GRID]).init(),
            dropout: DropoutConfig::new(config.dropout).init(),
            feature: LinearConfig::new(last * GRID * GRID, config.feature).init(device),
            norm: BatchNormConfig::new(config.feature).init(device),
        })
    }

    fn feature_size(config: &SmallResNetConfig) -> usize {
        config.feature
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = self.stem.forward(images);
        for unit in &self.units {
            x = unit.forward(x);
        }
        let pooled = self.pool.forward(x).flatten(1, 3);
        let feature = self.feature.forward(self.dropout.forward(pooled));
        self.norm.forward(feature)
    }
}

/// A residual unit: normalisation, PReLU and convolution, twice, added to the input.
#[derive(Module, Debug)]
struct Unit {
    norm1: BatchNorm,
    relu1: PRelu,
    conv1: Conv2d,
    norm2: BatchNorm,
    relu2: PRelu,
    conv2: Conv2d,
    /// Projects the input to the size of the output, if they differ.
    shortcut: Option<Conv2d>,
}

impl Unit {
    fn new(input: usize, output: usize, stride: usize, device: &Device) -> Self {
        let changes = input != output || stride != 1;
        Self {
            norm1: BatchNormConfig::new(input).init(device),
            relu1: PReluConfig::new().init(device),
            conv1: convolution(input, output, 3, stride, device),
            norm2: BatchNormConfig::new(output).init(device),
            relu2: PReluConfig::new().init(device),
            conv2: convolution(output, output, 3, 1, device),
            shortcut: changes.then(|| convolution(input, output, 1, stride, device)),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.relu1.forward(self.norm1.forward(x.clone()));
        let y = self.conv1.forward(y);
        let y = self.relu2.forward(self.norm2.forward(y));
        let y = self.conv2.forward(y);
        match &self.shortcut {
            Some(shortcut) => y + shortcut.forward(x),
            None => y + x,
        }
    }
}

fn convolution(
    input: usize,
    output: usize,
    kernel: usize,
    stride: usize,
    device: &Device,
) -> Conv2d {
    let padding = kernel / 2;
    Conv2dConfig::new([input, output], [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(
            padding, padding, padding, padding,
        ))
        .with_bias(false)
        .init(device)
}
