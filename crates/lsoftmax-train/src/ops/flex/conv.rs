//! Convolution, bias and `PReLU`, with its backward.

use super::{
    FITS, FLOATS, Prepared, channels_last, conv_shape, image, infer, input_size, output_size,
    recycle, values, vector,
};
use crate::ops::{ConvBackend, Geometry, prelu_gradient};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend as _, Flex};
use burn::tensor::TensorData;
use burn_flex::FlexTensor;
use lsoftmax_kernels::{
    Affine, ConvShape, InferenceBlock, buffer, conv2d_backward_input, conv2d_backward_weight,
    conv2d_forward, norm_inference,
};

/// What the backward pass needs.
#[derive(Clone, Debug)]
struct Saved {
    shape: ConvShape,
    weight: FlexTensor,
    bias: FlexTensor,
    slope: FlexTensor,
    /// The input, channels-last.
    x: FlexTensor,
    /// The output of the convolution, channels-last.
    z: FlexTensor,
}

/// The bias as a normalisation that changes nothing before it: mean 0, variance 1.
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

fn forward(x: FlexTensor, params: [FlexTensor; 3], geometry: Geometry) -> (FlexTensor, Saved) {
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

/// The convolution of this shape, folded and packed.
fn prepare(shape: &ConvShape, weight: &[f32], bias: &[f32], slope: &[f32]) -> InferenceBlock {
    with_bias(bias, slope, |affine, mean, var| {
        InferenceBlock::new(shape, weight, affine, mean, var)
    })
    .expect(FITS)
}

fn zeros_like(slope: &FlexTensor) -> FlexTensor {
    vector(vec![0.0; slope.layout().num_elements()])
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

#[derive(Debug)]
struct ConvPrelu;

impl Backward<Flex, 4> for ConvPrelu {
    type State = Saved;

    fn backward(
        self,
        ops: Ops<Self::State, 4>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [x_node, weight_node, bias_node, slope_node] = ops.parents;
        let dy = channels_last(grads.consume::<Flex>(&ops.node));
        let Saved {
            shape,
            weight,
            bias,
            slope,
            x,
            z,
        } = ops.state;
        // Where nobody else holds z, its memory takes the gradient.
        let mut dz = if z.is_unique() {
            z.into_data().try_into_vec().expect(FLOATS)
        } else {
            let mut copy = buffer::take(shape.output_len());
            copy.copy_from_slice(values(&z));
            copy
        };
        let (d_bias, d_slope) = prelu_gradient(values(&bias), values(&slope), values(&dy), &mut dz);
        recycle(dy);
        if let Some(node) = x_node {
            let mut dx = buffer::take(shape.input_len());
            conv2d_backward_input(&shape, &dz, values(&weight), &mut dx).expect(FITS);
            grads.register::<Flex>(node.id, image(input_size(&shape), dx));
        }
        if let Some(node) = weight_node {
            let mut dw = vec![0.0; shape.weight_len()];
            conv2d_backward_weight(&shape, values(&x), &dz, &mut dw).expect(FITS);
            let dims = weight.layout().shape().to_vec();
            let dw = FlexTensor::from_data(TensorData::new(dw, dims));
            grads.register::<Flex>(node.id, dw);
        }
        recycle(x);
        buffer::give(dz);
        for (node, gradient) in [(bias_node, d_bias), (slope_node, d_slope)] {
            if let Some(node) = node {
                grads.register::<Flex>(node.id, vector(gradient));
            }
        }
    }
}

impl<C: CheckpointStrategy> ConvBackend for Autodiff<Flex, C> {
    fn conv_prelu(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        geometry: Geometry,
        prepared: Prepared,
    ) -> FloatTensor<Self> {
        // A bias off the tape: nobody asks for its gradient.
        let bias = Self::from_inner(zeros_like(slope.primitive()));
        Self::conv_bias_prelu(x, weight, bias, slope, geometry, prepared)
    }

    fn conv_bias_prelu(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        geometry: Geometry,
        _prepared: Prepared,
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node(), slope.node()];
        let params = [&weight, &bias, &slope].map(|tensor| tensor.primitive().to_contiguous());
        let (y, saved) = forward(x.into_primitive(), params, geometry);
        match ConvPrelu.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish(saved, y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}
