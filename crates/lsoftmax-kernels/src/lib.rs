//! CPU kernels of lsoftmax, on plain slices: no tensors, no framework.
//!
//! - [`head`]: the cross-entropy of a margin loss with its gradient, in blocks of classes;
//! - [`block_forward`], [`block_backward`], [`InferenceBlock`]: convolution, batch normalisation and
//!   `PReLU` as one block, with the gradient written by hand;
//! - [`norm_forward`], [`max_pool_forward`]: the layers between;
//! - [`buffer`]: large buffers that are used again.
//!
//! Images are channels-last in memory: `[batch, height, width, channel]`. The instruction set
//! (AVX-512, AVX2 with FMA, or portable) is chosen at run time; the environment variable
//! `LSOFTMAX_KERNELS_LEVEL` (`portable`, `avx2`, `avx512`) holds it down. Results do not depend on
//! the number of threads. How they work and what was tried: `docs/internals/kernels.md`.
//!
//! This is the only crate of the project with unsafe code; each block says why it is sound.

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
