//! The networks of the paper: their definitions as data, and the constructor that builds them.

use crate::init::Init;
use crate::layers::{BatchNorm, Block, Feature};
use crate::ops::{self, Geometry, Prepared};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use lsoftmax_spec::Precision;
use lsoftmax_spec::network::{CONVS_OF_A_UNIT, NetworkSpec, NormLayer, SpecError, pooled_size};

/// Initial slope of a `PReLU`, as in Caffe and PyTorch.
const SLOPE: f32 = 0.25;

/// Standard deviation of the initial weights in a residual unit without normalisation, as in
/// SphereFace.
const UNIT_STD: f64 = 0.01;

/// The backbone of a classifier, which maps images to features.
#[derive(Module, Debug)]
pub struct Backbone {
    /// The convolution blocks in order, including those of residual units.
    pub blocks: Vec<Block>,
    /// The feature layer.
    pub feature: Feature,
    /// The role of each block in a residual unit, and whether a pool follows.
    #[module(skip)]
    places: Vec<Place>,
}

/// The role of a block in a residual unit, and whether a pool follows.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Whether the block is the first of a residual unit.
    opens: bool,
    /// Whether the block is the last of a residual unit, whose input is added to its output.
    closes: bool,
    /// Whether a pool follows.
    pool: bool,
}

impl Backbone {
    /// Builds a network for images `[channels, height, width]`, with weights drawn from `seed`.
    ///
    /// # Errors
    /// The definition is invalid, or the images are too small or too large for it.
    pub fn new(
        spec: &NetworkSpec,
        image: [usize; 3],
        seed: u64,
        device: &Device,
    ) -> Result<Self, SpecError> {
        spec.weights(image)?;
        let flat: usize = spec.check(image)?.iter().product();
        let is_batch = spec.normalisation == NormLayer::Batch;
        let mut init = Init::new(seed, 0, device);
        let mut blocks = Vec::new();
        let mut places = Vec::new();
        let mut channels = image[0];
        for stage in &spec.stages {
            for conv in 0..stage.all_convs() {
                let out = stage.channels;
                let kernel = stage.kernel;
                let shape = [out, channels, kernel, kernel];
                let fan_in = channels * kernel * kernel;
                // The index of the convolution within its residual unit.
                let unit = conv.checked_sub(stage.convs).map(|at| at % CONVS_OF_A_UNIT);
                let weight = match (is_batch, unit) {
                    (true, _) => init.he(shape, fan_in),
                    (false, None) => init.xavier(shape, fan_in),
                    (false, Some(_)) => init.gaussian(shape, UNIT_STD),
                };
                blocks.push(Block {
                    weight,
                    norm: is_batch.then(|| BatchNorm::new(&init, out)),
                    bias: (!is_batch && unit.is_none()).then(|| init.filled(out, 0.0)),
                    slope: init.filled(out, SLOPE),
                    geometry: Geometry {
                        stride: if conv == 0 { stage.stride } else { 1 },
                        padding: kernel / 2,
                    },
                    prepared: Prepared::default(),
                });
                places.push(Place {
                    opens: unit == Some(0),
                    closes: unit == Some(CONVS_OF_A_UNIT - 1),
                    pool: stage.pool && conv + 1 == stage.all_convs(),
                });
                channels = out;
            }
        }
        let shape = [flat, spec.feature];
        let feature = Feature {
            weight: if is_batch {
                init.he(shape, flat)
            } else {
                init.xavier(shape, flat)
            },
            norm: is_batch.then(|| BatchNorm::new(&init, spec.feature)),
            bias: (!is_batch).then(|| init.filled(spec.feature, 0.0)),
        };
        Ok(Self {
            blocks,
            feature,
            places,
        })
    }

    /// The same network with another share of a batch in the running statistics. With shares of 1,
    /// 1/2, 1/3 and so on, they become the mean over the batches.
    #[must_use]
    pub fn with_statistics_momentum(mut self, momentum: f64) -> Self {
        let norms =
            (self.blocks.iter_mut().map(|block| &mut block.norm)).chain([&mut self.feature.norm]);
        for norm in norms.flatten() {
            norm.momentum = momentum;
        }
        self
    }

    /// Maps images to features.
    ///
    /// On an autodiff device, the normalisations use the statistics of the batch and update the
    /// running statistics. Elsewhere they use the running statistics.
    ///
    /// # Shapes
    /// - images: `[batch, channel, height, width]`
    /// - output: `[batch, feature]`
    ///
    /// # Panics
    /// Panics if the batch is empty, or if the images do not have the size for which the network
    /// was built.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.forward_in(images, Precision::F32)
    }

    /// [`forward`](Self::forward) with the convolutions in a precision that the device
    /// [supports](crate::trains_in). Features are f32.
    ///
    /// # Panics
    /// The same as for [`forward`](Self::forward).
    pub fn forward_in(&self, images: Tensor<4>, precision: Precision) -> Tensor<2> {
        self.check(images.dims());
        let mut x = ops::narrowed(images, precision);
        let mut unit_input = None;
        for (block, place) in self.blocks.iter().zip(&self.places) {
            if place.opens {
                unit_input = Some(x.clone());
            }
            x = block.forward(x);
            if place.closes
                && let Some(input) = unit_input.take()
            {
                x = x + input;
            }
            if place.pool {
                x = ops::pool(x);
            }
        }
        self.feature.forward(ops::widened(x).flatten(1, 3))
    }

    /// Panics with a clear message if images of this shape do not fit, before a layer panics with
    /// its own.
    fn check(&self, images: [usize; 4]) {
        let [batch, channels, mut height, mut width] = images;
        assert!(batch > 0, "images are {images:?}: the batch is empty");
        let (mut expected_channels, mut last_channels) = (None, channels);
        for (block, place) in self.blocks.iter().zip(&self.places) {
            let [out, input, ..] = block.weight.dims();
            expected_channels.get_or_insert(input);
            last_channels = out;
            height = height.div_ceil(block.geometry.stride);
            width = width.div_ceil(block.geometry.stride);
            if place.pool {
                height = pooled_size(height);
                width = pooled_size(width);
            }
        }
        let expected_channels = expected_channels.unwrap_or(channels);
        assert!(
            channels == expected_channels,
            "images are {images:?}, but the network was built for {expected_channels} channels"
        );
        let [flat, _] = self.feature.weight.dims();
        let found = (last_channels.checked_mul(height)).and_then(|n| n.checked_mul(width));
        assert!(
            found == Some(flat),
            "images are {images:?}: they end as {last_channels} x {height} x {width}, but the network \
             was built for images that end as {flat} values"
        );
    }
}

#[cfg(test)]
mod tests;
