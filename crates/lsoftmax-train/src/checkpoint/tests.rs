//! Checkpoints with manipulated contents.

use super::*;
use crate::batches::TrainBatch;
use crate::learner::Learner;
use burn::tensor::{Bytes, DType};
use burn_pack::{Reader, Scalar, Tensor, Writer};
use lsoftmax::{Annealing, Loss};
use lsoftmax_data::Preprocessing;
use lsoftmax_networks::{NetworkSpec, NormLayer, Stage};
use std::collections::BTreeMap;

/// A checkpoint after one step of a small model.
pub(crate) fn checkpoint() -> Checkpoint {
    checkpoint_of("")
}

/// The same for a given experiment in TOML, with averaged weights.
fn averaged_checkpoint(experiment: &str) -> Checkpoint {
    checkpoint_of(&format!("{experiment}\nema-decay = 0.9"))
}

fn checkpoint_of(experiment: &str) -> Checkpoint {
    let settings: Settings = toml::from_str(experiment).unwrap();
    let network = NetworkSpec {
        name: "own".into(),
        stages: vec![Stage {
            channels: 4,
            convs: 1,
            units: 0,
            kernel: 3,
            stride: 1,
            pool: true,
        }],
        feature: 3,
        normalisation: NormLayer::Batch,
    };
    let info = ModelInfo::new(
        network,
        [1, 6, 6],
        vec!["a".into(), "b".into()],
        Preprocessing {
            mean: vec![0.0],
            scale: 1.0,
        },
        Loss::LSoftmax { m: 2 },
        Annealing::none(),
    );
    let device = Device::flex().autodiff();
    let model = Model::new(&info, 0, &device).unwrap();
    let learner = Learner::new(model, settings.optimiser().unwrap());
    let pixels = (0..144).map(|i| (i % 7) as f32).collect();
    let batch = TrainBatch::upload(pixels, vec![0, 1, 0, 1], info.image, 0, &device);
    let forward = learner.forward(batch).unwrap();
    let mut learner = learner.update(forward, 0.01).unwrap();
    if settings.ema_decay.is_some() {
        learner.average(1.0);
    }
    Checkpoint {
        snapshot: Snapshot {
            file: learner.to_file(&info).unwrap(),
            info,
        },
        optimiser: learner.optimiser_state().unwrap(),
        state: TrainingState {
            experiment: experiment.to_owned(),
            step: 1,
            threads: 1,
            ..TrainingState::default()
        },
    }
}

fn reload(checkpoint: &Checkpoint) -> Result<Checkpoint, TrainError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("step-1.safetensors");
    std::fs::write(&path, checkpoint.to_bytes().unwrap()).unwrap();
    Checkpoint::load(&path)
}

fn complaint(checkpoint: &Checkpoint) -> String {
    let message = reload(checkpoint).unwrap_err().to_string();
    assert!(message.contains("step-1.safetensors"), "{message}");
    message
}

/// Name, type, shape, parameter number, bytes.
type Entry = (String, DType, Vec<usize>, Option<u64>, Vec<u8>);

/// The content of an optimiser's record.
struct Record {
    tensors: Vec<Entry>,
    scalars: BTreeMap<String, Scalar>,
    paths: BTreeMap<String, String>,
}

fn with_record(change: impl FnOnce(&mut Record)) -> Checkpoint {
    with_record_of(checkpoint(), change)
}

fn with_record_of(mut checkpoint: Checkpoint, change: impl FnOnce(&mut Record)) -> Checkpoint {
    let reader = Reader::from_bytes(Bytes::from_bytes_vec(checkpoint.optimiser)).unwrap();
    let mut record = Record {
        scalars: reader.scalars().clone(),
        paths: reader.metadata().clone(),
        tensors: Vec::new(),
    };
    for tensor in reader.into_tensors().unwrap() {
        let (name, kind, shape, id, bytes) = tensor.into_parts().unwrap();
        let tensor = (name, kind, shape.to_vec(), id, bytes.to_vec());
        record.tensors.push(tensor);
    }
    change(&mut record);
    let tensors = record
        .tensors
        .into_iter()
        .map(|(name, kind, shape, id, bytes)| {
            Tensor::new(name, kind, shape, id, Bytes::from_bytes_vec(bytes))
        });
    let mut writer = Writer::new(tensors.collect());
    for (key, value) in &record.scalars {
        writer = writer.with_scalar(key, *value);
    }
    for (key, value) in &record.paths {
        writer = writer.with_metadata(key, value);
    }
    checkpoint.optimiser = writer.into_bytes().unwrap().to_vec();
    checkpoint
}

#[test]
fn what_was_written_is_read() {
    let checkpoint = with_record(|_| ());
    let read = reload(&checkpoint).unwrap();
    assert_eq!(read.snapshot.file, checkpoint.snapshot.file);
    assert_eq!(read.optimiser, checkpoint.optimiser);
    assert_eq!(read.state, checkpoint.state);
}

#[test]
fn a_forged_state_of_the_optimiser_is_refused_by_name() {
    type Change = fn(&mut Record);
    let cases: [(Change, &str); 11] = [
        (|r| r.tensors[0].3 = None, "belongs to no parameter"),
        (|r| r.tensors[0].3 = Some(99), "is wrong"),
        (|r| r.tensors[1].0 += "x", "is missing"),
        (|r| drop(r.tensors.pop()), "is missing"),
        (|r| r.tensors.clear(), "is missing"),
        (|r| r.tensors[2].2.push(1), "is wrong"),
        (|r| r.tensors[0].1 = DType::I32, "is wrong"),
        (
            |r| r.tensors[3].4[..4].copy_from_slice(&f32::NAN.to_le_bytes()),
            "not finite",
        ),
        (
            |r| {
                r.tensors.push((
                    "9.momentum.velocity".into(),
                    DType::F32,
                    vec![0],
                    Some(9),
                    vec![],
                ));
            },
            "belongs to no parameter",
        ),
        (
            |r| {
                r.scalars.insert("1.__rank".into(), Scalar::UInt(99));
            },
            "number of dimensions",
        ),
        (|r| drop(r.paths.remove("1")), "path"),
    ];
    for (number, (change, expected)) in cases.into_iter().enumerate() {
        let message = complaint(&with_record(change));
        assert!(message.contains(expected), "{number}: {message}");
    }
    for bytes in [vec![], vec![0; 100], checkpoint().optimiser[..300].to_vec()] {
        let mut forged = checkpoint();
        forged.optimiser = bytes;
        assert!(complaint(&forged).contains("the optimiser's state"));
    }
}

#[test]
fn a_forged_state_of_adamw_is_refused_by_name() {
    type Change = fn(&mut Record);
    let adamw = || averaged_checkpoint("optimizer = \"adamw\"");
    reload(&adamw()).unwrap();
    let time = "1.momentum.time";
    assert!(with_record_of(adamw(), |r| assert!(r.scalars.contains_key(time))).step() == 1);
    let cases: [(Change, &str); 5] = [
        (
            |r| r.tensors.retain(|it| it.0 != "2.momentum.moment_2"),
            "is incomplete",
        ),
        (
            |r| r.tensors.retain(|it| !it.0.starts_with("2.")),
            "is missing",
        ),
        (
            |r| {
                r.scalars.remove("1.momentum.time");
            },
            "number of steps",
        ),
        (
            |r| {
                r.scalars.insert("1.momentum.time".into(), Scalar::UInt(2));
            },
            "number of steps",
        ),
        (|r| r.tensors[1].2.push(1), "is wrong"),
    ];
    for (change, expected) in cases {
        let message = complaint(&with_record_of(adamw(), change));
        assert!(message.contains(expected), "{message}");
    }
    // The state of one optimiser does not fit another.
    let mut other = checkpoint();
    other.optimiser = adamw().optimiser;
    assert!(complaint(&other).contains("is missing"));
}

#[test]
fn a_forged_average_is_refused_by_name() {
    type Change = fn(&mut TensorFile);
    let average = "average.backbone.blocks.0.slope";
    let cases: [(Change, &str); 4] = [
        (
            |f| drop(f.tensors.remove("average.head.weight")),
            "it has no average.head.weight",
        ),
        (
            |f| {
                let slope = f
                    .tensors
                    .get_mut("average.backbone.blocks.0.slope")
                    .unwrap();
                slope.2[..4].copy_from_slice(&f32::NAN.to_le_bytes());
            },
            "slope has values that are not finite",
        ),
        (
            |f| {
                let slope = f
                    .tensors
                    .get_mut("average.backbone.blocks.0.slope")
                    .unwrap();
                slope.1.push(1);
            },
            "must be F32 [4]",
        ),
        (
            |f| {
                let slope = f.tensors["head.weight"].clone();
                f.tensors.insert("average.tail".into(), slope);
            },
            "average.tail is not the average of a parameter",
        ),
    ];
    for (change, expected) in cases {
        let mut forged = averaged_checkpoint("");
        assert!(forged.snapshot.file.tensors.contains_key(average));
        change(&mut forged.snapshot.file);
        let message = complaint(&forged);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_forged_model_is_refused_by_name() {
    type Change = fn(&mut TensorFile);
    let cases: [(Change, &str); 3] = [
        (|f| drop(f.tensors.remove("head.weight")), "head.weight"),
        (
            |f| {
                let slope = f.tensors.get_mut("backbone.blocks.0.slope").unwrap();
                slope.2[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
            },
            "slope has values that are not finite",
        ),
        (
            |f| {
                let weight = f.tensors.get_mut("backbone.feature.weight").unwrap();
                weight.1.reverse();
            },
            "must be F32 [36, 3]",
        ),
    ];
    for (change, expected) in cases {
        let mut forged = checkpoint();
        change(&mut forged.snapshot.file);
        let message = complaint(&forged);
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn a_snapshot_is_the_model_of_a_checkpoint() {
    let checkpoint = checkpoint();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("best.safetensors");
    for bytes in [
        checkpoint.snapshot.to_bytes().unwrap(),
        checkpoint.to_bytes().unwrap(),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let read = Snapshot::load(&path).unwrap();
        assert_eq!(read.file, checkpoint.snapshot.file);
        assert!(Model::load(&path, &Device::flex()).is_ok());
    }
    let message = Checkpoint::load(&path);
    assert!(message.is_ok());
    std::fs::write(&path, checkpoint.snapshot.to_bytes().unwrap()).unwrap();
    let message = Checkpoint::load(&path).unwrap_err().to_string();
    assert!(
        message.contains("it is a model, not a checkpoint"),
        "{message}"
    );
}
