//! The networks of the large-margin softmax paper for [Burn](https://burn.dev).
//!
//! A network is defined by data ([`NetworkSpec`]): convolution blocks, pools, residual units, and a
//! feature layer. [`Backbone::new`] builds it. A block (convolution, batch normalisation, PReLU) is
//! one operation with a hand-written backward pass: fused kernels on the CPU (`flex`), custom
//! kernels after Burn's convolutions on graphics processors, and Burn's own operations on other
//! backends.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use lsoftmax_networks::{Backbone, NetworkSpec};
//!
//! let device = Device::flex();
//! let spec = NetworkSpec::named("compact")?;
//! let backbone = Backbone::new(&spec, [1, 28, 28], 0, &device)?; // channels, height, width; seed
//! let images = Tensor::<4>::ones([2, 1, 28, 28], &device);
//! assert_eq!(backbone.forward(images).dims(), [2, spec.feature]);
//! # Ok::<(), lsoftmax_networks::SpecError>(())
//! ```

mod backbone;
mod device;
mod init;
mod layers;
mod ops;
mod precision;

pub use backbone::Backbone;
pub use device::{DeviceChoice, DeviceError, check_default_device, is_graphics};
pub use init::class_weights;
pub use layers::{BatchNorm, Block, Feature};
pub use lsoftmax_spec::Precision;
pub use lsoftmax_spec::network::{
    Bytes, MOST_ACTIVATIONS, NetworkSpec, NormLayer, SpecError, Stage, pooled_size,
};
#[cfg(feature = "_gpu")]
pub use ops::{DRAW, RenderBatch, render};
pub use ops::{Descent, descend};
pub use precision::trains_in;
