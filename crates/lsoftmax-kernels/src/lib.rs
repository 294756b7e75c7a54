//! lsoftmax-kernels

mod block;
#[cfg(test)]
mod block_tests;
mod conv;
mod error;
pub mod head;
mod norm;
mod pool;
mod product;
#[cfg(test)]
mod reference;
mod scratch;
mod simd;

pub use block::{block_backward, block_forward, block_inference};
pub use conv::{ConvShape, conv2d_backward_input, conv2d_backward_weight, conv2d_forward};
pub use error::KernelError;
pub use norm::{Affine, AffineGradient, norm_backward, norm_forward, norm_inference};
pub use pool::{PoolShape, max_pool_backward, max_pool_forward};
