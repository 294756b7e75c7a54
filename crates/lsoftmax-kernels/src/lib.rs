//! CPU kernels of lsoftmax, on plain slices: no tensors, no framework.
//!
//! - [`head`] computes the cross-entropy of a margin loss and its gradient, in blocks of classes.
//! - [`block_forward`], [`block_backward`] and [`InferenceBlock`] run convolution, batch
//!   normalisation and `PReLU` as one block, with a hand-written gradient.
//! - [`norm_forward`] and [`max_pool_forward`] are the layers in between.
//! - [`buffer`] reuses large buffers.
//!
//! Images are channels-last in memory: `[batch, height, width, channel]`. The instruction set
//! (AVX-512, AVX2 with FMA, or portable) is chosen at run time; the environment variable
//! `LSOFTMAX_KERNELS_LEVEL` (`portable`, `avx2`, `avx512`) caps it. Results do not depend on the
//! number of threads. `docs/internals/kernels.md` describes the algorithms and the measurements behind them.
//!
//! ```
//! use lsoftmax_kernels::head::{Batch, Normalisation, Target, TargetLogit, cross_entropy};
//!
//! // Two features and three class weights of two values each.
//! let features = [1.0_f32, 0.0, 0.0, 2.0];
//! let weights = [1.0_f32, 0.0, 0.0, 1.0, -1.0, 0.0];
//! let batch = Batch::new(&features, &weights, &[0, 1], 3, 2)?;
//!
//! // Plain softmax: the target logit is the inner product.
//! let plain = |t: Target| TargetLogit {
//!     value: t.feature_norm * t.weight_norm * t.cosine,
//!     d_cosine: t.feature_norm * t.weight_norm,
//!     d_feature_norm: t.weight_norm * t.cosine,
//!     d_weight_norm: t.feature_norm * t.cosine,
//! };
//! let outcome = cross_entropy(&batch, Normalisation::default(), &plain);
//! assert!(outcome.loss > 0.0 && outcome.loss < 3.0_f64.ln());
//! # Ok::<(), lsoftmax_kernels::head::HeadError>(())
//! ```
//!
//! This is the only crate of the project with unsafe code. Each unsafe block states why it is
//! sound.

#![allow(unsafe_code)]

mod block;
#[cfg(test)]
mod block_tests;
pub mod buffer;
mod conv;
mod error;
pub mod head;
mod inference;
mod norm;
#[doc(hidden)]
pub mod peak;
mod pool;
mod product;
#[cfg(test)]
mod reference;
mod scratch;
mod simd;

pub use block::{InputGradient, block_backward, block_forward};
pub use conv::{ConvShape, conv2d_backward_input, conv2d_backward_weight, conv2d_forward};
pub use error::KernelError;
pub use inference::InferenceBlock;
pub use norm::{Affine, AffineGradient, norm_backward, norm_forward, norm_inference};
pub use pool::{PoolShape, max_pool_backward, max_pool_forward};

/// Name of the instruction set that the kernels use on this machine: `avx512`, `avx2` or
/// `portable`.
#[must_use]
pub fn level() -> &'static str {
    simd::Level::get().name()
}
