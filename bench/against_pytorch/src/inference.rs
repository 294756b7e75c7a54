//! Features of images in evaluation mode.

use crate::train::Batches;
use crate::worker;
use burn::module::Module as _;
use burn::tensor::{Device, Tensor, TensorData};
use lsoftmax_train::Model;
use std::path::Path;

pub(crate) fn run(dir: &Path, device: &Device) -> anyhow::Result<()> {
    let baseline = worker::baseline(device);
    let batches = Batches::read(dir)?;
    let (model, info) = Model::load(&dir.join("model.safetensors"), device)?;
    let model = model.valid();
    let [channels, height, width] = info.image;
    let mut step = 0;
    worker::serve(baseline, device, || {
        let (pixels, _) = batches.at(step);
        let shape = [batches.batch, height, width, channels];
        let images = TensorData::new(pixels.to_vec(), shape);
        let images = Tensor::<4>::from_data(images, device).permute([0, 3, 1, 2]);
        let features = model.backbone.forward(images);
        step += 1;
        // The sum of all features stands for them in the comparison.
        Ok(features.abs().sum())
    })
}
