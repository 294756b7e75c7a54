//! The layers of the networks as operations: kernels for the CPU and for graphics processors, and
//! Burn's own operations elsewhere.

#[cfg(feature = "_gpu")]
mod cube;
mod flex;
mod prelu;
mod tape;
mod update;

#[cfg(feature = "_gpu")]
pub use cube::{DRAW, RenderBatch, render};
pub(crate) use flex::Prepared;
use prelu::prelu_gradient;
#[cfg(feature = "_gpu")]
use update::UpdateBackend;
pub(crate) use update::blend;
pub use update::{Descent, descend};

use crate::device::is_graphics;
use crate::precision::dtype;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch, backend_extension};
#[cfg(feature = "_gpu")]
use burn::tensor::DType;
use burn::tensor::activation::prelu;
use burn::tensor::module::{batch_norm, batch_norm_train, conv2d, max_pool2d};
use burn::tensor::ops::{ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor};
use lsoftmax_spec::Precision;
pub(crate) use lsoftmax_spec::network::BATCH_NORM_EPSILON as EPSILON;

/// Side and stride of the pools.
const POOL: usize = 2;

/// The parameters of a convolution that are not tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Stride in both directions.
    pub stride: usize,
    /// Zeros on each side.
    pub padding: usize,
}

/// The parameters of a block: convolution, batch normalisation, `PReLU`.
#[derive(Clone, Debug)]
pub(crate) struct BlockParams {
    /// Convolution weights, `[out, in, kernel, kernel]`.
    pub weight: Tensor<4>,
    /// Factor of the normalisation, `[out]`.
    pub gamma: Tensor<1>,
    /// Offset of the normalisation, `[out]`.
    pub beta: Tensor<1>,
    /// Slope of the `PReLU`, `[out]`.
    pub slope: Tensor<1>,
    /// Stride and padding.
    pub geometry: Geometry,
}

/// The parameters of a convolution with `PReLU`, without normalisation.
#[derive(Clone, Debug)]
pub(crate) struct ConvParams {
    /// Convolution weights, `[out, in, kernel, kernel]`.
    pub weight: Tensor<4>,
    /// Bias, `[out]`.
    pub bias: Option<Tensor<1>>,
    /// Slope of the `PReLU`, `[out]`.
    pub slope: Tensor<1>,
    /// Stride and padding.
    pub geometry: Geometry,
}

/// The convolution without normalisation, as an operation.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "_gpu"))]
pub(crate) trait ConvBackend: Backend {
    /// conv -> `PReLU`; `prepared` is used when nothing is differentiated.
    fn conv_prelu(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        geometry: Geometry,
        prepared: Prepared,
    ) -> FloatTensor<Self>;

    /// conv -> bias -> `PReLU`; `prepared` is used when nothing is differentiated.
    fn conv_bias_prelu(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        geometry: Geometry,
        prepared: Prepared,
    ) -> FloatTensor<Self>;
}

/// The block with normalisation, as an operation.
#[backend_extension(Autodiff, Flex, Cube: cfg(feature = "_gpu"))]
pub(crate) trait BlockBackend: Backend {
    /// Output, batch mean and biased batch variance of conv -> BN -> `PReLU`.
    fn block(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        geometry: Geometry,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>);

    /// The block with running statistics.
    fn block_inference(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        var: FloatTensor<Self>,
        geometry: Geometry,
        prepared: Prepared,
    ) -> FloatTensor<Self>;
}

/// The conversion of half-precision results to f32.
#[cfg(feature = "_gpu")]
#[backend_extension(Autodiff, Cube)]
pub(crate) trait WidenBackend: Backend {
    /// Converts values to f32.
    fn widened(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

/// The pool of the CPU backend, as an operation.
#[backend_extension(Autodiff, Flex)]
pub(crate) trait PoolBackend: Backend {
    /// The 2x2 maximum with stride 2, rounded up.
    fn pool(x: FloatTensor<Self>) -> FloatTensor<Self>;
}

#[cfg(test)]
thread_local! {
    /// Whether this thread avoids the fused kernels.
    static PLAIN: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Whether there are fused kernels for this device.
fn is_fused(device: &Device) -> bool {
    #[cfg(test)]
    if PLAIN.get() {
        return false;
    }
    // Equality ignores autodiff.
    *device == Device::flex() || is_graphics(device)
}

/// Casts images to the precision of the convolutions.
pub(crate) fn narrowed(images: Tensor<4>, precision: Precision) -> Tensor<4> {
    match precision {
        Precision::F32 => images,
        _ => images.cast(dtype(precision)),
    }
}

/// Converts activations to f32. In the backward pass, gradients are scaled and cast as the blocks
/// expect them.
pub(crate) fn widened(x: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "_gpu")]
    if x.dtype() != DType::F32 {
        return Tensor::from_dispatch(<Dispatch as WidenBackend>::widened(x.into_dispatch()));
    }
    x
}

/// Output of a block in training, with the batch statistics used for normalisation.
pub(crate) fn block(x: Tensor<4>, p: BlockParams) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    if is_fused(&x.device()) {
        let (y, mean, var) = <Dispatch as BlockBackend>::block(
            x.into_dispatch(),
            p.weight.into_dispatch(),
            p.gamma.into_dispatch(),
            p.beta.into_dispatch(),
            p.slope.into_dispatch(),
            p.geometry,
        );
        return (
            Tensor::from_dispatch(y),
            Tensor::from_dispatch(mean),
            Tensor::from_dispatch(var),
        );
    }
    block_of_burn_operations(x, p)
}

pub(crate) fn block_of_burn_operations(
    x: Tensor<4>,
    p: BlockParams,
) -> (Tensor<4>, Tensor<1>, Tensor<1>) {
    let z = conv2d(x, p.weight, None, conv_options(p.geometry));
    let normed = batch_norm_train(z, p.gamma, p.beta, EPSILON);
    (prelu(normed.output, p.slope), normed.mean, normed.variance)
}

/// Output of a block in evaluation. `prepared` caches the prepared weights.
pub(crate) fn block_inference(
    x: Tensor<4>,
    p: BlockParams,
    mean: Tensor<1>,
    var: Tensor<1>,
    prepared: Prepared,
) -> Tensor<4> {
    if is_fused(&x.device()) {
        return Tensor::from_dispatch(<Dispatch as BlockBackend>::block_inference(
            x.into_dispatch(),
            p.weight.into_dispatch(),
            p.gamma.into_dispatch(),
            p.beta.into_dispatch(),
            p.slope.into_dispatch(),
            mean.into_dispatch(),
            var.into_dispatch(),
            p.geometry,
            prepared,
        ));
    }
    inference_of_burn_operations(x, p, mean, var)
}

pub(crate) fn inference_of_burn_operations(
    x: Tensor<4>,
    p: BlockParams,
    mean: Tensor<1>,
    var: Tensor<1>,
) -> Tensor<4> {
    let z = conv2d(x, p.weight, None, conv_options(p.geometry));
    prelu(batch_norm(z, p.gamma, p.beta, mean, var, EPSILON), p.slope)
}

/// conv -> bias, if there is one -> `PReLU`. `prepared` caches the weights prepared for evaluation.
pub(crate) fn conv_prelu(x: Tensor<4>, p: ConvParams, prepared: Prepared) -> Tensor<4> {
    if !is_fused(&x.device()) {
        return conv_prelu_of_burn_operations(x, p);
    }
    let (x, weight, slope) = (
        x.into_dispatch(),
        p.weight.into_dispatch(),
        p.slope.into_dispatch(),
    );
    Tensor::from_dispatch(match p.bias.map(Tensor::into_dispatch) {
        Some(bias) => {
            <Dispatch as ConvBackend>::conv_bias_prelu(x, weight, bias, slope, p.geometry, prepared)
        }
        None => <Dispatch as ConvBackend>::conv_prelu(x, weight, slope, p.geometry, prepared),
    })
}

pub(crate) fn conv_prelu_of_burn_operations(x: Tensor<4>, p: ConvParams) -> Tensor<4> {
    let z = conv2d(x, p.weight, p.bias, conv_options(p.geometry));
    prelu(z, p.slope)
}

/// The 2x2 maximum with stride 2, rounded up as in Caffe.
pub(crate) fn pool(x: Tensor<4>) -> Tensor<4> {
    let device = x.device();
    if is_fused(&device) && !is_graphics(&device) {
        return Tensor::from_dispatch(<Dispatch as PoolBackend>::pool(x.into_dispatch()));
    }
    pool_of_burn_operations(x)
}

pub(crate) fn pool_of_burn_operations(x: Tensor<4>) -> Tensor<4> {
    max_pool2d(
        x,
        MaxPoolOptions {
            ceil_mode: true,
            ..MaxPoolOptions::new([POOL, POOL])
        },
    )
}

fn conv_options(geometry: Geometry) -> ConvOptions<2> {
    let pad = (geometry.padding, geometry.padding);
    ConvOptions {
        stride: [geometry.stride; 2],
        padding: [pad, pad],
        dilation: [1, 1],
        groups: 1,
    }
}

#[cfg(test)]
mod tests;
