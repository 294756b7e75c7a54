//! Burn's convolutions, with f32 sums in every precision.
//!
//! In half precision, Burn's direct convolution, which its autotuner may choose, also sums in half
//! precision: a sum over the pixels of a batch stops growing at 2048 times its terms. Half
//! precision therefore uses the implicit matrix product on tensor cores, whose sums are f32, or an
//! f32 convolution if the device or the shape does not allow that.

use super::{Geometry, Values, channels, conv_options};
use burn::backend::TensorMetadata as _;
use burn::backend::ops::{FloatTensorOps as _, ModuleOps as _};
use burn::tensor::DType;
use burn_cubecl::CubeBackend;
use burn_cubecl::kernel::conv::{
    ConvStrategy, conv_data_backward, conv_forward, conv_weight_backward,
};
use burn_cubecl::kernel::into_contiguous;

/// Casts a tensor to another precision.
fn cast(tensor: &Values, to: DType) -> Values {
    if tensor.dtype() == to {
        tensor.clone()
    } else {
        CubeBackend::float_cast(tensor.clone(), to.into())
    }
}

fn wide(tensor: &Values) -> Values {
    cast(tensor, DType::F32)
}

/// Casts an f32 result to the precision of activations, without infinities.
fn narrowed(tensor: Values, to: DType) -> Values {
    if to == DType::F32 {
        return tensor;
    }
    channels::cast(&into_contiguous(tensor), to, 1.0)
}

/// The convolution in the precision of its input.
pub(super) fn forward(x: &Values, weight: &Values, geometry: Geometry) -> Values {
    let (dtype, options) = (x.dtype(), conv_options(geometry));
    if dtype != DType::F32 {
        let weight = cast(weight, dtype);
        let strategy = ConvStrategy::ImplicitGemm;
        if let Ok(z) = conv_forward(x.clone(), weight, None, options.clone(), strategy) {
            return z;
        }
    }
    let z = CubeBackend::conv2d(wide(x), weight.clone(), None, options);
    narrowed(z, dtype)
}

/// The gradient with respect to the input, in its precision.
pub(super) fn by_input(x: &Values, weight: &Values, dz: &Values, geometry: Geometry) -> Values {
    let (dtype, options) = (x.dtype(), conv_options(geometry));
    // With another stride, that strategy would be a direct convolution.
    if dtype != DType::F32 && geometry.stride == 1 {
        let weight = cast(weight, dtype);
        let (dz, shape) = (dz.clone(), x.shape());
        let strategy = ConvStrategy::ImplicitGemm;
        if let Ok(dx) = conv_data_backward(dz, weight, shape, options.clone(), strategy) {
            return dx;
        }
    }
    let dx = CubeBackend::conv2d_x_backward(wide(x), weight.clone(), wide(dz), options);
    narrowed(dx, dtype)
}

/// The gradient with respect to the weights, in the precision of the input or in f32.
pub(super) fn by_weight(x: &Values, weight: &Values, dz: &Values, geometry: Geometry) -> Values {
    let options = conv_options(geometry);
    if x.dtype() != DType::F32 {
        let (x, dz, shape) = (x.clone(), dz.clone(), weight.shape());
        let strategy = ConvStrategy::ImplicitGemm;
        if let Ok(dw) = conv_weight_backward(x, dz, shape, options.clone(), strategy) {
            return dw;
        }
    }
    CubeBackend::conv2d_weight_backward(wide(x), weight.clone(), wide(dz), options)
}
