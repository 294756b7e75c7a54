//! A model with a margin head under burn-train's `Learner`, which passes no training step on: a
//! `StepCounter` in the model keeps it. Run it with `cargo run --release -p burn-train-example`.

use anyhow::Context as _;
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataloader::{DataLoader, DataLoaderBuilder};
use burn::data::dataset::InMemDataset;
use burn::lr_scheduler::constant::ConstantLr;
use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor};
use burn::train::checkpoint::KeepLastNCheckpoints;
use burn::train::metric::{AccuracyMetric, LossMetric};
use burn::train::{InferenceStep, Learner, SupervisedTraining, TrainOutput, TrainStep};
use lsoftmax::train::{MarginOutput, TargetAngleMetric};
use lsoftmax::{Annealing, MarginHead, MarginHeadConfig, StepCounter};
use std::path::Path;
use std::sync::Arc;

const CLASSES: usize = 5;
const SIZE: usize = 8;
const BATCH: usize = 16;
const SAMPLES: usize = 320;
const EPOCHS: usize = 20;

#[derive(Module, Debug)]
struct Model {
    hidden: Linear,
    features: Linear,
    head: MarginHead,
    steps: StepCounter,
}

#[derive(Clone, Debug)]
struct Batch {
    inputs: Tensor<2>,
    labels: Tensor<1, Int>,
}

impl Model {
    /// `steps`: of the optimizer, in the whole training.
    fn new(steps: u64, device: &Device) -> anyhow::Result<Self> {
        device.seed(7);
        let model = Self {
            hidden: LinearConfig::new(SIZE, 32).init(device),
            features: LinearConfig::new(32, 16).init(device),
            head: MarginHeadConfig::new(16, CLASSES, Annealing::auto(steps)).init(device)?,
            steps: StepCounter::new(),
        };
        // Draws all weights now, in this order.
        Ok(model.materialize())
    }

    fn forward(&self, batch: Batch) -> MarginOutput {
        let features = self
            .features
            .forward(relu(self.hidden.forward(batch.inputs)));
        let output = (self.head).forward(features, batch.labels.clone(), self.steps.get());
        MarginOutput::new(output.expect("the batch fits the head"), batch.labels)
    }
}

impl TrainStep for Model {
    type Input = Batch;
    type Output = MarginOutput;

    fn step(&self, batch: Batch) -> TrainOutput<MarginOutput> {
        let output = self.forward(batch);
        TrainOutput::new(self, output.output.loss.backward(), output)
    }

    /// Called once for each step of the optimizer, however many batches it accumulates.
    fn optimize(
        mut self,
        optimizer: &mut ModuleOptimizer,
        rate: ModuleLearningRate,
        gradients: GradientsParams,
    ) -> Self {
        self.steps.advance();
        optimizer.step(rate, self, gradients)
    }
}

impl InferenceStep for Model {
    type Input = Batch;
    type Output = MarginOutput;

    fn step(&self, batch: Batch) -> MarginOutput {
        self.forward(batch)
    }
}

/// Points around the corners of a cube, one class a corner.
#[derive(Clone, Copy, Debug)]
struct Points;

impl Batcher<usize, Batch> for Points {
    fn batch(&self, samples: Vec<usize>, device: &Device) -> Batch {
        let labels: Vec<i64> = samples.iter().map(|i| (i % CLASSES) as i64).collect();
        let inputs: Vec<f32> = (samples.iter())
            .flat_map(|&i| {
                (0..SIZE).map(move |axis| {
                    let corner = if (i % CLASSES) >> (axis % 3) & 1 == 1 {
                        1.0
                    } else {
                        -1.0
                    };
                    let hash = (i * SIZE + axis).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
                    corner + 3.0 * (hash as f32 / (1 << 24) as f32 - 0.5)
                })
            })
            .collect();
        Batch {
            inputs: Tensor::<1>::from_data(inputs.as_slice(), device)
                .reshape([samples.len(), SIZE]),
            labels: Tensor::from_data(labels.as_slice(), device),
        }
    }
}

fn points(samples: std::ops::Range<usize>, device: &Device) -> Arc<dyn DataLoader<Batch>> {
    let samples: Vec<usize> = samples.collect();
    let loader = DataLoaderBuilder::new(Points).batch_size(BATCH);
    loader
        .set_device(device.clone())
        .build(InMemDataset::new(samples))
}

/// Trains up to an epoch of [`EPOCHS`], from the start or from the checkpoint of an epoch.
///
/// `accumulate`: batches of a step of the optimizer.
fn train(
    folder: &Path,
    epoch: usize,
    resume: Option<usize>,
    accumulate: usize,
) -> anyhow::Result<Model> {
    let device = Device::flex().autodiff();
    let steps = EPOCHS * (SAMPLES / BATCH).div_ceil(accumulate);
    let optimizer = SgdConfig::new().with_momentum(Some(MomentumConfig::new()));
    let learner = Learner::new(
        Model::new(steps as u64, &device)?,
        optimizer.init(),
        ConstantLr::new(0.02),
    );
    let test = SAMPLES..SAMPLES + 100;
    let mut training = SupervisedTraining::new(
        folder,
        points(0..SAMPLES, &device),
        points(test, &device.clone().inner()),
    )
    .num_epochs(epoch)
    .grads_accumulation(accumulate)
    .metrics((
        LossMetric::new(),
        AccuracyMetric::new(),
        TargetAngleMetric::new(),
    ))
    .with_default_checkpointers()
    .with_checkpointing_strategy(KeepLastNCheckpoints::new(EPOCHS))
    .with_application_logger(None);
    if let Some(epoch) = resume {
        training = training.checkpoint(epoch);
    }
    Ok(training.summary().launch(learner).model)
}

fn main() -> anyhow::Result<()> {
    let folder = std::env::args_os()
        .nth(1)
        .context("usage: burn-train-example FOLDER")?;
    train(Path::new(&folder), EPOCHS, None, 1)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(model: &Model) -> Vec<u32> {
        let tensors = [
            model.hidden.weight.val(),
            model.features.weight.val(),
            model.head.weight.val(),
        ];
        let values = tensors.map(|tensor| tensor.into_data().iter::<f32>().collect::<Vec<_>>());
        values.concat().into_iter().map(f32::to_bits).collect()
    }

    /// The step of λ travels in the checkpoint, and with it a resumed training goes on to the bit.
    #[test]
    fn a_resumed_training_has_the_same_bits() -> anyhow::Result<()> {
        for accumulate in [1, 3] {
            let folder = tempfile::tempdir()?;
            let whole = train(folder.path(), EPOCHS, None, accumulate)?;
            let steps = EPOCHS * (SAMPLES / BATCH).div_ceil(accumulate);
            assert_eq!(whole.steps.get(), steps as u64);

            let folder = tempfile::tempdir()?;
            let half = train(folder.path(), EPOCHS / 2, None, accumulate)?;
            assert_eq!(half.steps.get(), steps as u64 / 2);
            let resumed = train(folder.path(), EPOCHS, Some(EPOCHS / 2), accumulate)?;
            assert_eq!(resumed.steps.get(), steps as u64);
            let same = weights(&resumed) == weights(&whole);
            assert!(same, "other bits, accumulate {accumulate}");
        }
        learns()
    }

    /// The gate opens in this training, so that λ depends on the step. Not a test of its own: the seed
    /// is global.
    fn learns() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let device = Device::flex();
        let batch = || Points.batch((SAMPLES..SAMPLES + 100).collect(), &device);
        let before = train(folder.path(), 2, None, 1)?.forward(batch());
        let after = train(folder.path(), EPOCHS, Some(2), 1)?.forward(batch());
        let angle = |output: &MarginOutput| {
            let cosines = output.output.targets.clone().slice([0..100, 0..1]);
            let mean = cosines.acos().mean().into_scalar::<f64>();
            mean.to_degrees()
        };
        assert!(
            angle(&after) < angle(&before) - 5.0,
            "{} {}",
            angle(&before),
            angle(&after)
        );
        assert!(after.output.lambda.is_finite(), "the gate is shut");
        let predicted: Tensor<1, Int> = after.output.logits.argmax(1).squeeze_dim(1);
        let right = predicted
            .equal(after.labels)
            .int()
            .sum()
            .into_scalar::<i64>();
        assert!(right > 90, "{right} of 100");
        Ok(())
    }
}
