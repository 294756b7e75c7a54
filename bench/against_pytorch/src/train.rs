//! A training step of the paper's networks.

use crate::worker;
use anyhow::{Context as _, bail};
use burn::tensor::Device;
use lsoftmax::{Annealing, Loss};
use lsoftmax_data::Preprocessing;
use lsoftmax_data::npy::{self, Values};
use lsoftmax_data::random::Rng;
use lsoftmax_networks::NetworkSpec;
use lsoftmax_train::{
    Learner, Model, ModelInfo, Optimiser, Precision, TrainBatch, check_precision,
};
use std::path::Path;

const BATCHES: usize = 10;
/// So small that rounding does not grow beyond 1e-3 in ten steps: at 0.01 PyTorch disagrees with itself
/// from one memory layout to another.
const LEARNING_RATE: f64 = 0.0001;

/// Images are noise: no kernel's speed depends on what is in them.
pub(crate) fn prepare(network: &str, batch: usize, dir: &Path) -> anyhow::Result<()> {
    let spec = NetworkSpec::named(network)?;
    let (image, classes) = match network {
        "mnist" | "mnist-2d" => ([1, 28, 28], 10),
        "cifar10" => ([3, 32, 32], 10),
        "cifar100" => ([3, 32, 32], 100),
        _ => bail!("no image size is known for the network {network}"),
    };
    let info = ModelInfo::new(
        spec,
        image,
        (0..classes).map(|class: u64| class.to_string()).collect(),
        Preprocessing {
            mean: vec![0.0],
            scale: 1.0,
        },
        Loss::Softmax,
        Annealing::none(),
    );
    std::fs::create_dir_all(dir)?;
    Model::new(&info, 0, &Device::flex())?.save(&info, &dir.join("model.safetensors"))?;
    let mut rng = Rng::at(0, &[]);
    let count = BATCHES * batch;
    let [channels, height, width] = image;
    let pixels = (0..count * channels * height * width).map(|_| rng.normal() as f32);
    let pixels = Values::F32(pixels.collect());
    let shape = [BATCHES, batch, height, width, channels];
    npy::write(&dir.join("pixels.npy"), &shape, &pixels)?;
    let labels = Values::F32((0..count).map(|_| rng.below(classes) as f32).collect());
    npy::write(&dir.join("labels.npy"), &[BATCHES, batch], &labels)?;
    Ok(())
}

/// The batches that [`prepare`] wrote.
pub(crate) struct Batches {
    pixels: Vec<f32>,
    labels: Vec<u32>,
    pub(crate) batch: usize,
}

impl Batches {
    pub(crate) fn read(dir: &Path) -> anyhow::Result<Self> {
        let pixels = npy::read(&dir.join("pixels.npy"))?;
        let labels = npy::read(&dir.join("labels.npy"))?;
        match (pixels.values, labels.values) {
            (Values::F32(pixels), Values::F32(labels)) => Ok(Self {
                pixels,
                labels: labels.iter().map(|&label| label as u32).collect(),
                batch: labels.len() / BATCHES,
            }),
            _ => bail!("{} was not prepared by this program", dir.display()),
        }
    }

    /// Pixels and labels of a step.
    pub(crate) fn at(&self, step: usize) -> (&[f32], &[u32]) {
        let at = step % BATCHES;
        let size = self.pixels.len() / BATCHES;
        let labels = &self.labels[at * self.batch..][..self.batch];
        (&self.pixels[at * size..][..size], labels)
    }
}

pub(crate) fn run(dir: &Path, precision: Precision, device: &Device) -> anyhow::Result<()> {
    check_precision(precision, device)?;
    let baseline = worker::baseline(device);
    let batches = Batches::read(dir)?;
    let device = device.clone().autodiff();
    let (model, info) = Model::load(&dir.join("model.safetensors"), &device)?;
    let mut learner =
        Some(Learner::new(model, Optimiser::sgd(0.9, 5e-4)).with_precision(precision));
    let on_device: Vec<TrainBatch> = (0..BATCHES)
        .map(|at| {
            let (pixels, labels) = batches.at(at);
            let (pixels, labels) = (pixels.to_vec(), labels.to_vec());
            TrainBatch::upload(pixels, labels, info.image, 0, &device)
        })
        .collect();
    let mut step = 0;
    worker::serve(baseline, &device, || {
        let batch = TrainBatch {
            step: step as u64,
            ..on_device[step % BATCHES].clone()
        };
        let current = learner.take().context("an earlier step failed")?;
        let forward = current.forward(batch)?;
        let loss = forward.loss.clone().detach();
        learner = Some(current.update(forward, LEARNING_RATE)?);
        step += 1;
        Ok(loss)
    })
}
