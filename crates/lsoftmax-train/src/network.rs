//! The interface between a network and the training loop.

use crate::error::TrainError;
use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Tensor};
use lsoftmax_networks::{Backbone, NetworkSpec, Precision};
use lsoftmax_record::{NetworkKind, OwnNetwork};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// A Burn module that maps images to features, and its configuration.
///
/// [`train_network`](crate::train_network) trains it with the same loop as the built-in networks,
/// which also implement this trait: same losses, data, evaluation, checkpoints and exact resume.
///
/// Weight decay applies to the parameters named `weight`, the name that Burn's layers use. Random
/// numbers come from Burn's generator. The loop seeds it before [`init`](Self::init) and before the
/// forward pass of each step, so that fresh weights and dropout depend only on the seed and the
/// step. All threads of a process share this generator. No other thread may draw from it during
/// training, or the same seed may give different bits. (Trainings of this crate wait for each
/// other.)
///
/// Parameters and running statistics are stored as f32. Modules with integer or boolean parameters
/// are refused.
///
/// ```
/// use burn::module::Module;
/// use burn::nn::conv::{Conv2d, Conv2dConfig};
/// use burn::nn::{Linear, LinearConfig, PRelu, PReluConfig};
/// use burn::tensor::{Device, Tensor};
/// use lsoftmax_train::{Network, TrainError};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Module, Debug)]
/// struct Small {
///     conv: Conv2d,
///     relu: PRelu,
///     feature: Linear,
/// }
///
/// #[derive(Clone, Debug, Serialize, Deserialize)]
/// struct SmallConfig {
///     channels: usize,
///     feature: usize,
/// }
///
/// impl Network for Small {
///     type Config = SmallConfig;
///     const NAME: &'static str = "small";
///
///     fn init(
///         config: &SmallConfig,
///         image: [usize; 3],
///         _seed: u64,
///         device: &Device,
///     ) -> Result<Self, TrainError> {
///         let [channels, height, width] = image;
///         let flat = config.channels * (height / 4) * (width / 4);
///         Ok(Self {
///             conv: Conv2dConfig::new([channels, config.channels], [4, 4])
///                 .with_stride([4, 4])
///                 .init(device),
///             relu: PReluConfig::new().init(device),
///             feature: LinearConfig::new(flat, config.feature).init(device),
///         })
///     }
///
///     fn feature_size(config: &SmallConfig) -> usize {
///         config.feature
///     }
///
///     fn forward(&self, images: Tensor<4>) -> Tensor<2> {
///         let x = self.relu.forward(self.conv.forward(images));
///         self.feature.forward(x.flatten(1, 3))
///     }
/// }
/// ```
pub trait Network: Module + ModuleDisplay + Debug {
    /// The configuration of the network. It is stored in experiments and model files.
    type Config: Serialize + DeserializeOwned;

    /// The name of the network in tables and errors.
    const NAME: &'static str;

    /// Builds the network for images `[channels, height, width]`.
    /// The loop has seeded Burn's generator with `seed`. A network that draws its weights in
    /// another way should use `seed` itself.
    ///
    /// # Errors
    /// The configuration does not suit the images; see [`TrainError::network`].
    fn init(
        config: &Self::Config,
        image: [usize; 3],
        seed: u64,
        device: &Device,
    ) -> Result<Self, TrainError>;

    /// Length of the feature vector.
    fn feature_size(config: &Self::Config) -> usize;

    /// Maps images to features. As in every Burn module, normalisations use the statistics of the
    /// batch on an autodiff device, and running statistics elsewhere.
    ///
    /// # Shapes
    /// - images: `[batch, channel, height, width]`, preprocessed, f32
    /// - output: `[batch, feature]`
    fn forward(&self, images: Tensor<4>) -> Tensor<2>;

    /// [`forward`](Self::forward) with the convolutions in the given precision. Only the built-in
    /// networks train in a precision other than f32.
    #[doc(hidden)]
    fn forward_in(&self, images: Tensor<4>, _precision: Precision) -> Tensor<2> {
        self.forward(images)
    }

    /// The same network with another momentum for the running statistics of its normalisations: the
    /// share that a batch contributes.
    ///
    /// Averaged weights need their own statistics. These are computed over batches of training
    /// images with shares of 1, 1/2, 1/3 and so on, which gives the mean over the batches. A
    /// network that does not implement this method keeps its own share and gets a running average
    /// over the same batches.
    #[must_use]
    fn with_statistics_momentum(self, _momentum: f64) -> Self {
        self
    }

    /// The description of the network in experiments and model files.
    ///
    /// # Errors
    /// The configuration cannot be represented in JSON, or the feature is too short or too long.
    fn kind(config: &Self::Config) -> Result<NetworkKind, TrainError> {
        let own = OwnNetwork {
            module: Self::NAME.to_owned(),
            feature: Self::feature_size(config),
            config: serde_json::to_string(config).map_err(TrainError::network::<Self>)?,
        };
        own.check()?;
        Ok(NetworkKind::Own(own))
    }

    /// The configuration stored in an experiment or a model file.
    ///
    /// # Errors
    /// It belongs to another network.
    fn config(kind: &NetworkKind) -> Result<Self::Config, TrainError> {
        match kind {
            NetworkKind::Own(own) if own.module == Self::NAME => {
                serde_json::from_str(&own.config).map_err(TrainError::network::<Self>)
            }
            other => Err(TrainError::OtherNetwork {
                expected: Self::NAME,
                found: other.name().to_owned(),
            }),
        }
    }

    /// The name of a tensor in model files, given its path in the module.
    #[doc(hidden)]
    fn tensor_name(path: &str) -> String {
        path.to_owned()
    }
}

impl Network for Backbone {
    type Config = NetworkSpec;
    const NAME: &'static str = "backbone";

    fn init(
        row: &NetworkSpec,
        image: [usize; 3],
        seed: u64,
        device: &Device,
    ) -> Result<Self, TrainError> {
        Ok(Self::new(row, image, seed, device)?)
    }

    fn feature_size(row: &NetworkSpec) -> usize {
        row.feature
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        self.forward(images)
    }

    fn forward_in(&self, images: Tensor<4>, precision: Precision) -> Tensor<2> {
        self.forward_in(images, precision)
    }

    fn with_statistics_momentum(self, momentum: f64) -> Self {
        self.with_statistics_momentum(momentum)
    }

    fn kind(row: &NetworkSpec) -> Result<NetworkKind, TrainError> {
        Ok(NetworkKind::Row(row.clone()))
    }

    fn config(kind: &NetworkKind) -> Result<NetworkSpec, TrainError> {
        Ok(kind.row()?.clone())
    }

    /// In files, the tensors of a normalisation are named after its layer.
    fn tensor_name(path: &str) -> String {
        path.replace(".norm.", ".")
    }
}

impl TrainError {
    /// Creates an error for a network that cannot be built.
    pub fn network<N: Network>(message: impl std::fmt::Display) -> Self {
        Self::OwnNetwork {
            network: N::NAME,
            message: message.to_string(),
        }
    }
}
