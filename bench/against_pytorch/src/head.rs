//! The loss by itself, with both gradients, through Burn's autodiff as a user calls it.

use crate::worker;
use anyhow::Context as _;
use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use lsoftmax::{Annealing, Labels, Lambda, Loss, MarginHeadConfig};

/// Numbers without pattern that `NumPy` makes alike: see `noise` in `torch_side.py`.
fn noise(count: usize, offset: u32, scale: f32) -> Vec<f32> {
    (0..count as u32)
        .map(|i| {
            let hash = i.wrapping_add(offset).wrapping_mul(2_654_435_761);
            scale * ((hash >> 8) as f32 / (1 << 23) as f32 - 1.0)
        })
        .collect()
}

pub(crate) fn run(
    [batch, feature, classes]: [usize; 3],
    m: u32,
    lambda: f64,
    device: &Device,
) -> anyhow::Result<()> {
    let baseline = worker::baseline(device);
    let device = device.clone().autodiff();
    let loss = if m == 1 {
        Loss::Softmax
    } else {
        Loss::LSoftmax { m }
    };
    let annealing = if m == 1 {
        Annealing::none()
    } else {
        Lambda::Constant { lambda }.into()
    };
    let mut head = MarginHeadConfig::new(feature, classes, annealing)
        .with_loss(loss)
        .init(&device)?;
    let tensor = |values, shape| Tensor::<2>::from_data(TensorData::new(values, shape), &device);
    let weights = noise(classes * feature, 12_345, 0.05);
    head.weight = Param::from_tensor(tensor(weights, [classes, feature]));
    let features = tensor(noise(batch * feature, 0, 1.0), [batch, feature]).require_grad();
    let labels: Vec<u32> = (0..batch).map(|i| (i * 7919 % classes) as u32).collect();
    worker::serve(baseline, &device, || {
        let out =
            head.loss_with_targets(features.clone(), Labels::from_host(&labels, &device), 0)?;
        let loss = out.loss;
        let gradients = loss.backward();
        let of_weights = head.weight.val().grad(&gradients);
        let of_features = features.grad(&gradients);
        of_weights.and(of_features).context("no gradient")?;
        Ok(loss.detach())
    })
}
