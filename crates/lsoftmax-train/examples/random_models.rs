//! Models with random weights, a few random images, and the outputs of the models, which exported
//! files are compared with. `scripts/onnx-check` runs it.
//!
//! ```text
//! cargo run --release -p lsoftmax-train --example random_models -- FOLDER
//! ```
//!
//! It creates a folder in FOLDER for each case, with `model.safetensors`, `images.npy`
//! (`[image, channel, height, width]`), `preprocessed.npy`, `feature.npy`, `embedding.npy`,
//! `logits.npy` and `cosines.npy`.

use burn::module::{Param, RunningState};
use burn::tensor::{Device, Tensor, TensorData};
use lsoftmax::{Annealing, Loss};
use lsoftmax_data::npy::{self, Values};
use lsoftmax_data::random::Rng;
use lsoftmax_data::{Dataset, MemoryLayout, Preprocessing};
use lsoftmax_networks::{NetworkSpec, NormLayer, Stage};
use lsoftmax_record::{MetricLoss, MetricTerm};
use lsoftmax_spec::metric::MetricParameters;
use lsoftmax_train::{Answers, Model, ModelInfo};
use std::error::Error;
use std::path::Path;

/// Number of images of a case: the largest batch that is tested.
const IMAGES: usize = 64;
const CLASSES: usize = 5;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("a folder is missing")?;
    for (number, case) in cases()?.into_iter().enumerate() {
        case.write(Path::new(&folder), number as u64)?;
    }
    Ok(())
}

/// A model to make.
struct Case {
    name: String,
    network: NetworkSpec,
    image: [usize; 3],
    /// Number of means of the preprocessing.
    means: usize,
    loss: Loss,
    pairs: Option<MetricTerm>,
    mirrored: bool,
}

fn cases() -> Result<Vec<Case>, Box<dyn Error>> {
    let mut cases = networks()?;
    cases.extend(losses()?);
    cases.extend(preprocessings()?);
    Ok(cases)
}

/// A plain model of a network.
fn plain(name: &str, network: NetworkSpec, image: [usize; 3]) -> Case {
    Case {
        name: name.to_owned(),
        network,
        image,
        means: image[0],
        loss: Loss::LSoftmax { m: 4 },
        pairs: None,
        mirrored: false,
    }
}

/// Each built-in network, and two that use every option of a network row.
fn networks() -> Result<Vec<Case>, Box<dyn Error>> {
    let mut cases = Vec::new();
    for name in NetworkSpec::names() {
        // Odd sizes, which the pools round up.
        let image = match name {
            "mnist" | "mnist-2d" | "compact-2d" => [1, 14, 14],
            "sphereface-20" => [3, 14, 12],
            _ => [3, 11, 9],
        };
        cases.push(plain(name, NetworkSpec::named(name)?, image));
    }
    let bare = NetworkSpec {
        normalisation: NormLayer::None,
        ..own()
    };
    cases.push(plain("own", own(), [2, 9, 5]));
    cases.push(plain("own-bare", bare, [2, 9, 5]));
    Ok(cases)
}

/// Losses whose class layer has another output.
fn losses() -> Result<Vec<Case>, Box<dyn Error>> {
    let compact = NetworkSpec::named("compact")?;
    let of_loss = |loss: Loss| Case {
        loss,
        ..plain(loss.name(), compact.clone(), [1, 8, 8])
    };
    let margins = [
        Loss::Softmax,
        Loss::ASoftmax { m: 4 },
        Loss::COS_FACE,
        Loss::ARC_FACE,
    ];
    let mut cases: Vec<Case> = margins.into_iter().map(of_loss).collect();
    let pairs = MetricTerm {
        loss: MetricLoss::from_parameters("triplet", &MetricParameters::default())?,
        weight: 1.0,
        alone: true,
    };
    cases.push(Case {
        name: "triplet".into(),
        pairs: Some(pairs),
        ..of_loss(Loss::Softmax)
    });
    Ok(cases)
}

/// Different preprocessings, with and without mirror images.
fn preprocessings() -> Result<Vec<Case>, Box<dyn Error>> {
    let compact = NetworkSpec::named("compact")?;
    let image = [3, 10, 7];
    let pixels = image.iter().product();
    let cases = [
        ("one-mean", 1, Loss::Softmax, false),
        ("mean-image", pixels, Loss::Softmax, false),
        ("mirrored", 3, Loss::Softmax, true),
        ("mirrored-mean-image", pixels, Loss::COS_FACE, true),
    ];
    let case = |(name, means, loss, mirrored)| Case {
        means,
        loss,
        mirrored,
        ..plain(name, compact.clone(), image)
    };
    Ok(cases.map(case).into())
}

/// A network that uses every option of a network row.
fn own() -> NetworkSpec {
    let stage = Stage {
        channels: 4,
        convs: 2,
        units: 2,
        kernel: 3,
        stride: 2,
        pool: true,
    };
    NetworkSpec {
        name: "own".into(),
        stages: vec![
            stage,
            Stage {
                channels: 6,
                convs: 1,
                units: 1,
                kernel: 5,
                ..stage
            },
        ],
        feature: 3,
        normalisation: NormLayer::Batch,
    }
}

impl Case {
    fn write(&self, root: &Path, seed: u64) -> Result<(), Box<dyn Error>> {
        let folder = root.join(&self.name);
        std::fs::create_dir_all(&folder)?;
        let values: usize = self.image.iter().product();
        let mut rng = Rng::at(seed, &[0]);
        let pixels = (0..IMAGES * values).map(|_| rng.below(256) as u8).collect();
        let labels = (0..IMAGES).map(|at| (at % CLASSES) as u32).collect();
        let names: Vec<String> = (0..CLASSES).map(|class| format!("class {class}")).collect();
        let data = Dataset::new(pixels, labels, self.image, names.clone())?;
        let preprocessing = Preprocessing {
            mean: (0..self.means)
                .map(|_| rng.between(50.0, 200.0) as f32)
                .collect(),
            scale: 1.0 / 128.0,
        };
        let annealing = Annealing::none();
        let network = self.network.clone();
        let mut info = ModelInfo::new(
            network,
            self.image,
            names,
            preprocessing,
            self.loss,
            annealing,
        );
        info.pairs = self.pairs;
        info.mirrored = self.mirrored;
        let mut model = Model::new(&info, seed, &Device::flex())?;
        disturb(&mut model, &mut rng);
        model.save(&info, &folder.join("model.safetensors"))?;
        let answers = Answers::of(&model, &info, &data)?;
        let [channels, height, width] = self.image;
        let shape = [IMAGES, channels, height, width];
        let bytes = data.bytes().iter().map(|&byte| byte.into()).collect();
        npy::write(&folder.join("images.npy"), &shape, &Values::Int(bytes))?;
        let mut batches = data.batches(IMAGES, &info.preprocessing, MemoryLayout::Nchw);
        let batch = batches.next().ok_or("no batch")?;
        let preprocessed = Values::F32(batch.pixels);
        npy::write(&folder.join("preprocessed.npy"), &shape, &preprocessed)?;
        for (name, size, values) in [
            ("feature", info.network.feature(), answers.features),
            ("embedding", info.embedding_size(), answers.embeddings),
            ("logits", CLASSES, answers.logits),
            ("cosines", CLASSES, answers.cosines),
        ] {
            let file = folder.join(format!("{name}.npy"));
            npy::write(&file, &[IMAGES, size], &Values::F32(values))?;
        }
        Ok(())
    }
}

/// Changes everything that is constant in a fresh model: normalisations, biases, slopes.
fn disturb(model: &mut Model, rng: &mut Rng) {
    let mut draw = |tensor: Tensor<1>, low: f64, high: f64| -> Tensor<1> {
        let [count] = tensor.dims();
        let values: Vec<f32> = (0..count).map(|_| rng.between(low, high) as f32).collect();
        Tensor::from_data(TensorData::new(values, [count]), &tensor.device())
    };
    let backbone = &mut model.backbone;
    for block in &mut backbone.blocks {
        block.slope = Param::from_tensor(draw(block.slope.val(), -0.5, 0.9));
    }
    let blocks = backbone.blocks.iter_mut();
    let layers = blocks.map(|block| (&mut block.norm, &mut block.bias));
    let feature = (&mut backbone.feature.norm, &mut backbone.feature.bias);
    for (norm, bias) in layers.chain([feature]) {
        if let Some(norm) = norm {
            norm.gamma = Param::from_tensor(draw(norm.gamma.val(), 0.3, 1.2));
            norm.beta = Param::from_tensor(draw(norm.beta.val(), -0.5, 0.5));
            norm.mean = RunningState::new(draw(norm.mean.value(), -0.5, 0.5));
            norm.var = RunningState::new(draw(norm.var.value(), 0.5, 3.0));
        }
        if let Some(bias) = bias {
            *bias = Param::from_tensor(draw(bias.val(), -0.5, 0.5));
        }
    }
}
