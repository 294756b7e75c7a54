//! What the training loop asks of a network.

use crate::error::TrainError;
use burn::module::{Module, ModuleDisplay};
use burn::tensor::{Device, Tensor};
use lsoftmax_networks::{Backbone, NetworkSpec, Precision};
use lsoftmax_record::{NetworkKind, OwnNetwork};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;

/// A Burn module that turns images into features, and what it is built from.
///
/// [`train_network`](crate::train_network) trains it with the loop of the built-in networks, which
/// are modules of this kind, too: same losses, data, evaluation, checkpoints and exact resume.
///
/// Weight decay applies to the parameters that are called `weight`, as Burn's layers have it.
/// Random numbers come from Burn's generator. The loop seeds it before [`init`](Self::init) and
/// before each forward pass of a step, so that fresh weights and dropout are a function of seed and
/// step. The generator is one for all threads of a process: other threads must not draw from it while a
/// network is trained, or the same seed may not give the same bits. (Trainings of this crate wait for
/// each other.)
///
/// Parameters and running statistics are stored as f32. A module with parameters of integers or
/// booleans is refused.
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
    /// What the network is built from. Experiments and model files contain it.
    type Config: Serialize + DeserializeOwned;

    /// The name in tables and errors.
    const NAME: &'static str;

    /// Builds the network for images `[channels, height, width]`.
    ///
    /// The loop has seeded Burn's generator with `seed`; a network that draws its weights in another
    /// way uses `seed` itself.
    ///
    /// # Errors
    /// A configuration that does not suit the images: [`TrainError::network`].
    fn init(
        config: &Self::Config,
        image: [usize; 3],
        seed: u64,
        device: &Device,
    ) -> Result<Self, TrainError>;

    /// Length of the feature.
    fn feature_size(config: &Self::Config) -> usize;

    /// Images to features. As for every Burn module, normalisations use the statistics of the batch
    /// on an autodiff device, and running ones elsewhere.
    ///
    /// # Shapes
    /// - images: `[batch, channel, height, width]`, preprocessed, f32
    /// - output: `[batch, feature]`
    fn forward(&self, images: Tensor<4>) -> Tensor<2>;

    /// [`forward`](Self::forward) with the convolutions in a precision. Only the built-in networks
    /// train in another one than f32.
    #[doc(hidden)]
    fn forward_in(&self, images: Tensor<4>, _precision: Precision) -> Tensor<2> {
        self.forward(images)
    }

    /// The same with another share of a batch in the running statistics of its normalisations.
    ///
    /// An average of the weights needs statistics of its own. They are computed over batches of training images
    /// with shares of 1, 1/2, 1/3 and so on, which makes them the mean over the batches. A network that does not
    /// implement this keeps its own share, and gets the running average over the same batches.
    #[must_use]
    fn with_statistics_momentum(self, _momentum: f64) -> Self {
        self
    }

    /// The network as experiments and model files have it.
    ///
    /// # Errors
    /// A configuration that JSON cannot hold, or a feature that is too short or too long.
    fn kind(config: &Self::Config) -> Result<NetworkKind, TrainError> {
        let own = OwnNetwork {
            module: Self::NAME.to_owned(),
            feature: Self::feature_size(config),
            config: serde_json::to_string(config).map_err(TrainError::network::<Self>)?,
        };
        own.check()?;
        Ok(NetworkKind::Own(own))
    }

    /// The configuration in an experiment or a model file.
    ///
    /// # Errors
    /// It is of another network.
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

    /// The name of a tensor in model files, from its path in the module.
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

    /// Files name a normalisation's tensors as those of its layer.
    fn tensor_name(path: &str) -> String {
        path.replace(".norm.", ".")
    }
}

impl TrainError {
    /// A network that cannot be built, for the reason given.
    pub fn network<N: Network>(message: impl std::fmt::Display) -> Self {
        Self::OwnNetwork {
            network: N::NAME,
            message: message.to_string(),
        }
    }
}
