//! The fused kernels as operations on Burn's tensors, with their hand-written backward pass.
//!
//! Activations are stored channels-last behind the logical `[batch, channel, height, width]`, so
//! that no layer in between has to copy.

mod conv;
mod prepared;

pub(crate) use prepared::Prepared;

use super::tape::Taped;
use super::{BlockBackend, EPSILON, Geometry, POOL, PoolBackend};
use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::CheckpointStrategy};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::TensorData;
use burn_flex::FlexTensor;
use lsoftmax_kernels::{
    Affine, AffineGradient, ConvShape, InferenceBlock, InputGradient, PoolShape, block_backward,
    block_forward, buffer, max_pool_backward, max_pool_forward,
};

const FITS: &str = "the network checked its shapes when it was made";
/// The reason why tensors here contain f32.
const FLOATS: &str = "float tensors are f32 here";

/// The values of an image tensor in channels-last order, copied only if necessary.
fn channels_last(tensor: FlexTensor) -> FlexTensor {
    let view = tensor.permute(&[0, 2, 3, 1]);
    // The last owner of a buffer may recycle it.
    drop(tensor);
    view.to_contiguous()
}

/// Keeps the memory of an unshared tensor for the next tensor of its size.
fn recycle(tensor: FlexTensor) {
    if tensor.is_unique()
        && tensor.is_contiguous()
        && let Ok(values) = tensor.into_data().try_into_vec()
    {
        buffer::give(values);
    }
}

/// A logical `[batch, channel, height, width]` view of channels-last values.
fn image([batch, height, width, channels]: [usize; 4], values: Vec<f32>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, [batch, height, width, channels]))
        .permute(&[0, 3, 1, 2])
}

fn vector(values: Vec<f32>) -> FlexTensor {
    let len = values.len();
    FlexTensor::from_data(TensorData::new(values, [len]))
}

fn values(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("contiguous f32")
}

/// The four parameters of a block, contiguous.
#[derive(Clone, Debug)]
struct Params {
    weight: FlexTensor,
    gamma: FlexTensor,
    beta: FlexTensor,
    slope: FlexTensor,
}

impl Params {
    fn new(weight: &FlexTensor, gamma: &FlexTensor, beta: &FlexTensor, slope: &FlexTensor) -> Self {
        let [weight, gamma, beta, slope] =
            [weight, gamma, beta, slope].map(FlexTensor::to_contiguous);
        Self {
            weight,
            gamma,
            beta,
            slope,
        }
    }

    fn affine(&self) -> Affine<'_> {
        Affine {
            gamma: values(&self.gamma),
            beta: values(&self.beta),
            slope: Some(values(&self.slope)),
            eps: EPSILON as f32,
        }
    }
}

/// Weights as a logical `[out, in, kernel, kernel]` tensor.
fn filters(shape: &ConvShape, values: Vec<f32>) -> FlexTensor {
    let (out, channels, kernel) = (shape.out_channels, shape.in_channels, shape.kernel);
    FlexTensor::from_data(TensorData::new(values, [out, channels, kernel, kernel]))
}

/// The sizes of a convolution.
fn conv_shape(x: &FlexTensor, weight: &FlexTensor, geometry: Geometry) -> ConvShape {
    let x = x.layout().shape();
    let weight = weight.layout().shape();
    ConvShape::new(
        x[0],
        (x[1], weight[0]),
        (x[2], x[3]),
        weight[2],
        geometry.stride,
        geometry.padding,
    )
    .expect(FITS)
}

fn input_size(shape: &ConvShape) -> [usize; 4] {
    [shape.batch, shape.height, shape.width, shape.in_channels]
}

fn output_size(shape: &ConvShape) -> [usize; 4] {
    [
        shape.batch,
        shape.out_height(),
        shape.out_width(),
        shape.out_channels,
    ]
}

/// Runs a block in evaluation. All tensors are contiguous.
fn infer(block: &InferenceBlock, shape: &ConvShape, x: FlexTensor) -> FlexTensor {
    let mut y = buffer::take(shape.output_len());
    let x = channels_last(x);
    block.run(shape, values(&x), &mut y).expect(FITS);
    recycle(x);
    image(output_size(shape), y)
}

/// The results of a block's forward pass.
struct Forward {
    y: FlexTensor,
    mean: FlexTensor,
    var: FlexTensor,
    saved: Saved,
}

/// The state that the backward pass of a block needs.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    shape: ConvShape,
    params: Params,
    /// The input, channels-last.
    x: FlexTensor,
    /// The output of the convolution, channels-last.
    z: FlexTensor,
    mean: FlexTensor,
    var: FlexTensor,
}

fn forward(x: FlexTensor, params: Params, geometry: Geometry) -> Forward {
    let shape = conv_shape(&x, &params.weight, geometry);
    let x = channels_last(x);
    let mut z = buffer::take(shape.output_len());
    let mut y = buffer::take(shape.output_len());
    let mut mean = vec![0.0; shape.out_channels];
    let mut var = vec![0.0; shape.out_channels];
    block_forward(
        &shape,
        values(&x),
        values(&params.weight),
        &params.affine(),
        &mut z,
        &mut y,
        &mut mean,
        &mut var,
    )
    .expect(FITS);
    let (z, mean, var) = (vector(z), vector(mean), vector(var));
    Forward {
        y: image(output_size(&shape), y),
        mean: mean.clone(),
        var: var.clone(),
        saved: Saved {
            shape,
            params,
            x,
            z,
            mean,
            var,
        },
    }
}

impl BlockBackend for Flex {
    fn block(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        slope: FloatTensor<Self>,
        geometry: Geometry,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let out = forward(x, Params::new(&weight, &gamma, &beta, &slope), geometry);
        (out.y, out.mean, out.var)
    }

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
    ) -> FloatTensor<Self> {
        let params = Params::new(&weight, &gamma, &beta, &slope);
        let shape = conv_shape(&x, &params.weight, geometry);
        let Params {
            weight,
            gamma,
            beta,
            slope,
        } = params;
        let [mean, var] = [mean, var].map(|tensor| tensor.to_contiguous());
        let tensors = [weight, gamma, beta, slope, mean, var];
        let block = prepared.get(&tensors, |[weight, gamma, beta, slope, mean, var]| {
            let affine = Affine {
                gamma,
                beta,
                slope: Some(slope),
                eps: EPSILON as f32,
            };
            InferenceBlock::new(&shape, weight, &affine, mean, var).expect(FITS)
        });
        infer(&block, &shape, x)
    }
}

impl PoolBackend for Flex {
    fn pool(x: FloatTensor<Self>) -> FloatTensor<Self> {
        pool_forward(x).0
    }
}

fn pool_forward(x: FlexTensor) -> (FlexTensor, PoolShape, Vec<u8>) {
    let dims = x.layout().shape();
    let shape = PoolShape {
        batch: dims[0],
        height: dims[2],
        width: dims[3],
        channels: dims[1],
        kernel: POOL,
        stride: POOL,
        padding: 0,
        ceil_mode: true,
    };
    let mut y = buffer::take(shape.output_len());
    let mut argmax = vec![0; shape.output_len()];
    let x = channels_last(x);
    max_pool_forward(&shape, values(&x), &mut y, &mut argmax).expect(FITS);
    recycle(x);
    let size = [
        shape.batch,
        shape.out_height(),
        shape.out_width(),
        shape.channels,
    ];
    (image(size, y), shape, argmax)
}

impl Taped for Flex {
    type Block = Saved;
    type Conv = conv::Saved;

    fn block_forward(
        x: FlexTensor,
        [weight, gamma, beta, slope]: [FlexTensor; 4],
        geometry: Geometry,
    ) -> (FlexTensor, [FlexTensor; 2], Saved) {
        let out = forward(x, Params::new(&weight, &gamma, &beta, &slope), geometry);
        (out.y, [out.mean, out.var], out.saved)
    }

    fn block_backward(saved: Saved, dy: FlexTensor, wanted: [bool; 5]) -> [Option<FlexTensor>; 5] {
        let dy = channels_last(dy);
        let Saved {
            shape,
            params,
            x,
            z,
            mean,
            var,
        } = saved;
        let channels = shape.out_channels;
        let mut dw = vec![0.0; shape.weight_len()];
        let mut d_gamma = vec![0.0; channels];
        let mut d_beta = vec![0.0; channels];
        let mut d_slope = vec![0.0; channels];
        let mut backward = |input: InputGradient<'_>| {
            block_backward(
                &shape,
                values(&x),
                input,
                values(&params.weight),
                &params.affine(),
                values(&mean),
                values(&var),
                values(&dy),
                &mut dw,
                &mut AffineGradient {
                    gamma: &mut d_gamma,
                    beta: &mut d_beta,
                    slope: Some(&mut d_slope),
                },
            )
            .expect(FITS);
        };
        let dx = if !wanted[0] {
            backward(InputGradient::None { z: values(&z) });
            recycle(z);
            None
        } else if shape.input_len() == shape.output_len() && z.is_unique() {
            // Nothing else holds z, so its memory is reused for the gradient.
            let mut z = z.into_data().try_into_vec().expect(FLOATS);
            backward(InputGradient::Over { z: &mut z });
            Some(z)
        } else {
            let mut dx = buffer::take(shape.input_len());
            let input = InputGradient::Apart {
                z: values(&z),
                dx: &mut dx,
            };
            backward(input);
            recycle(z);
            Some(dx)
        };
        recycle(x);
        recycle(dy);
        [
            dx.map(|dx| image(input_size(&shape), dx)),
            Some(filters(&shape, dw)),
            Some(vector(d_gamma)),
            Some(vector(d_beta)),
            Some(vector(d_slope)),
        ]
    }

    fn conv_forward(
        x: FlexTensor,
        parameters: [FlexTensor; 3],
        geometry: Geometry,
    ) -> (FlexTensor, conv::Saved) {
        let parameters = parameters.map(|tensor| tensor.to_contiguous());
        conv::forward(x, parameters, geometry)
    }

    fn conv_backward(
        saved: conv::Saved,
        dy: FlexTensor,
        wanted: [bool; 4],
    ) -> [Option<FlexTensor>; 4] {
        conv::backward(saved, dy, wanted)
    }
}

#[derive(Debug)]
struct Pool;

impl Backward<Flex, 1> for Pool {
    type State = (PoolShape, Vec<u8>);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let [x_node] = ops.parents;
        let dy = channels_last(grads.consume::<Flex>(&ops.node));
        let (shape, argmax) = ops.state;
        if let Some(node) = x_node {
            let mut dx = buffer::take(shape.input_len());
            max_pool_backward(&shape, values(&dy), &argmax, &mut dx).expect(FITS);
            recycle(dy);
            let size = [shape.batch, shape.height, shape.width, shape.channels];
            grads.register::<Flex>(node.id, image(size, dx));
        }
    }
}

impl<C: CheckpointStrategy> PoolBackend for Autodiff<Flex, C> {
    fn pool(x: FloatTensor<Self>) -> FloatTensor<Self> {
        let node = x.node();
        let (y, shape, argmax) = pool_forward(x.into_primitive());
        match Pool.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((shape, argmax), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }
}
