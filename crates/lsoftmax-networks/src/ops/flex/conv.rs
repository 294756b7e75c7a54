//! Convolution, bias and `PReLU`, with the backward pass.

use super::{
    FITS, FLOATS, Prepared, channels_last, conv_shape, filters, image, infer, input_size,
    output_size, recycle, values, vector,
};
use crate::ops::{ConvBackend, Geometry, prelu_gradient};
use burn::backend::Flex;
use burn::backend::tensor::FloatTensor;
use burn_flex::FlexTensor;
use lsoftmax_kernels::{
    Affine, ConvShape, InferenceBlock, buffer, conv2d_backward_input, conv2d_backward_weight,
    conv2d_forward, norm_inference,
};

/// The state that the backward pass needs.
#[derive(Clone, Debug)]
pub(in crate::ops) struct Saved {
    shape: ConvShape,
    weight: FlexTensor,
    bias: FlexTensor,
    slope: FlexTensor,
    /// The input, channels-last.
    x: FlexTensor,
    /// The output of the convolution, channels-last.
    z: FlexTensor,
}

/// The bias as a normalisation without effect: mean 0, variance 1.
fn with_bias<T>(
    bias: &[f32],
    slope: &[f32],
    run: impl FnOnce(&Affine<'_>, &[f32], &[f32]) -> T,
) -> T {
    let (zeros, ones) = (vec![0.0; bias.len()], vec![1.0; bias.len()]);
    let affine = Affine {
        gamma: &ones,
        beta: bias,
        slope: Some(slope),
        eps: 0.0,
    };
    run(&affine, &zeros, &ones)
}

pub(super) fn forward(
    x: FlexTensor,
    params: [FlexTensor; 3],
    geometry: Geometry,
) -> (FlexTensor, Saved) {
    let [weight, bias, slope] = params;
    let shape = conv_shape(&x, &weight, geometry);
    let x = channels_last(x);
    let mut z = buffer::take(shape.output_len());
    conv2d_forward(&shape, values(&x), values(&weight), &mut z).expect(FITS);
    let mut y = buffer::take(shape.output_len());
    let rows = (shape.output_len() / shape.out_channels, shape.out_channels);
    with_bias(values(&bias), values(&slope), |affine, mean, var| {
        norm_inference(rows, &z, affine, mean, var, &mut y)
    })
    .expect(FITS);
    let saved = Saved {
        shape,
        weight,
        bias,
        slope,
        x,
        z: vector(z),
    };
    (image(output_size(&shape), y), saved)
}

/// A convolution of this shape, folded and packed.
fn prepare(shape: &ConvShape, weight: &[f32], bias: &[f32], slope: &[f32]) -> InferenceBlock {
    with_bias(bias, slope, |affine, mean, var| {
        InferenceBlock::new(shape, weight, affine, mean, var)
    })
    .expect(FITS)
}

impl ConvBackend for Flex {
    fn conv_prelu(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        geometry: Geometry,
        prepared: Prepared,
    ) -> FloatTensor<Self> {
        let shape = conv_shape(&x, &weight, geometry);
        let tensors = [weight, slope].map(|tensor| tensor.to_contiguous());
        let block = prepared.get(&tensors, |[weight, slope]| {
            prepare(&shape, weight, &vec![0.0; slope.len()], slope)
        });
        infer(&block, &shape, x)
    }

    fn conv_bias_prelu(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        geometry: Geometry,
        prepared: Prepared,
    ) -> FloatTensor<Self> {
        let shape = conv_shape(&x, &weight, geometry);
        let tensors = [weight, bias, slope].map(|tensor| tensor.to_contiguous());
        let block = prepared.get(&tensors, |[weight, bias, slope]| {
            prepare(&shape, weight, bias, slope)
        });
        infer(&block, &shape, x)
    }
}

/// The gradients with respect to x, weight, bias and slope.
pub(super) fn backward(
    saved: Saved,
    dy: FlexTensor,
    [wants_x, wants_weight, ..]: [bool; 4],
) -> [Option<FlexTensor>; 4] {
    let dy = channels_last(dy);
    let Saved {
        shape,
        weight,
        bias,
        slope,
        x,
        z,
    } = saved;
    // If nothing else holds z, its memory is reused for the gradient.
    let mut dz = if z.is_unique() {
        z.into_data().try_into_vec().expect(FLOATS)
    } else {
        let mut copy = buffer::take(shape.output_len());
        copy.copy_from_slice(values(&z));
        copy
    };
    let (d_bias, d_slope) = prelu_gradient(values(&bias), values(&slope), values(&dy), &mut dz);
    recycle(dy);
    let dx = wants_x.then(|| {
        let mut dx = buffer::take(shape.input_len());
        conv2d_backward_input(&shape, &dz, values(&weight), &mut dx).expect(FITS);
        image(input_size(&shape), dx)
    });
    let dw = wants_weight.then(|| {
        let mut dw = vec![0.0; shape.weight_len()];
        conv2d_backward_weight(&shape, values(&x), &dz, &mut dw).expect(FITS);
        filters(&shape, dw)
    });
    recycle(x);
    buffer::give(dz);
    [dx, dw, Some(vector(d_bias)), Some(vector(d_slope))]
}
