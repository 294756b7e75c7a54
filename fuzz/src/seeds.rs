//! What the parsers begin with: small files of every kind, made here or by the scripts beside the
//! golden files of the tests.

use lsoftmax_data::npy;
use lsoftmax_networks::{NetworkSpec, NormLayer, Stage};
use lsoftmax_record::NetworkChoice;
use lsoftmax_train::{
    Checkpoint, DeviceChoice, Experiment, Gallery, Observer, Settings, TrainError, Trained,
    load_data, train,
};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The golden files of `lsoftmax-data` with one of these endings.
fn golden(folder: &str, endings: &[&str]) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/lsoftmax-data/src")
        .join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    paths.retain(|path| {
        let ending = path.extension().unwrap_or_default();
        endings.iter().any(|known| ending == *known)
    });
    paths.sort();
    paths.iter().flat_map(fs::read).collect()
}

pub(crate) fn images() -> Vec<Vec<u8>> {
    golden("images/golden", &["jpg", "png", "webp", "bmp", "pnm"])
}

pub(crate) fn parquet() -> Vec<Vec<u8>> {
    let mut files = golden("parquet_file/golden", &["parquet"]);
    // The bomb and the deep schema are large, and say little.
    files.retain(|bytes| bytes.len() < 5000);
    files
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(crate) fn idx() -> Vec<Vec<u8>> {
    let header = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3];
    vec![
        [&header[..], &[7; 12]].concat(),
        vec![0, 0, 8, 1, 0, 0, 0, 2, 0, 1],
        vec![0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7, 9],
    ]
}

pub(crate) fn cifar() -> Vec<Vec<u8>> {
    let image: Vec<u8> = (0..3072).map(|i| (i % 251) as u8).collect();
    vec![
        [&[3], &image[..], &[9], &image[..]].concat(),
        [&[3, 42], &image[..]].concat(),
    ]
}

pub(crate) fn npy() -> Vec<Vec<u8>> {
    let header = |head: &str, values: &[u8]| {
        let length = (head.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], head.as_bytes(), values].concat()
    };
    let mut seeds = Vec::new();
    for (kind, size) in [
        ("<f4", 4),
        ("<f8", 8),
        ("<f2", 2),
        (">f4", 4),
        ("|u1", 1),
        ("<i8", 8),
    ] {
        let head = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': (2, 3), }}\n");
        seeds.push(header(&head, &vec![1; 6 * size]));
    }
    let fortran = "{'descr': '<f4', 'fortran_order': True, 'shape': (3,), }\n";
    seeds.push(header(fortran, &[0; 12]));
    let ours = tempfile::NamedTempFile::new().ok().and_then(|file| {
        npy::write(file.path(), &[1, 2], &npy::Values::F32(vec![1.0, 2.0])).ok()?;
        fs::read(file.path()).ok()
    });
    seeds.extend(ours);
    seeds
}

pub(crate) fn list() -> Vec<Vec<u8>> {
    texts(&[
        "path,label,split\na.png,one,train\nb.png,two,test\n",
        "label,path\n\"one, or\",a.png\ntwo,b.png\n",
        "Path,Label,extra\r\n./a.png,\"with \"\"quotes\"\"\",1\r\nb.png,größe,2\r\n",
    ])
}

pub(crate) fn landmarks() -> Vec<Vec<u8>> {
    texts(&[
        "path,x1,y1,x2,y2,x3,y3,x4,y4,x5,y5\na.png,1,2,3,4,5,6,7,8,9,10\n",
        "left_eye_x,left_eye_y,right_eye_x,right_eye_y,nose_x,nose_y,left_mouth_x,left_mouth_y,\
         right_mouth_x,right_mouth_y,path\n1.5,2e1,3,4,5,6,7,8,9,10,b.png\n",
        "a.png 1 2 3 4 5 6 7 8 9 10\nb.png 1 2 3 4 5 6 7 8 9 10\n",
    ])
}

pub(crate) fn pairs() -> Vec<Vec<u8>> {
    texts(&[
        "2\t1\nAnna\t1\t2\nAnna\t1\tBert\t3\nCarl\t1\t2\nCarl\t2\tDora\t1\n",
        "1\nAnna\t1\t2\nAnna\t1\tBert\t3\n",
        "left,right,same,fold\na.png,b.png,1,0\na.png,c.png,0,1\n",
        "a.png b.png 1\na.png c.png 0\n",
    ])
}

pub(crate) fn identities() -> Vec<Vec<u8>> {
    texts(&["Anna\nBert\n", "2\nAnna\t3\nBert\t1\n", "# names\nAnna\n"])
}

pub(crate) fn experiment() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    paths.sort();
    let mut seeds: Vec<Vec<u8>> = paths.iter().flat_map(fs::read).take(12).collect();
    let resolved = Experiment::resolve(settings(), Settings::default());
    seeds.extend(
        resolved
            .and_then(|experiment| experiment.to_toml())
            .map(String::into_bytes),
    );
    seeds
}

pub(crate) fn network() -> Vec<Vec<u8>> {
    NetworkSpec::names()
        .into_iter()
        .filter_map(|name| NetworkSpec::named(name).ok())
        .filter_map(|network| toml::to_string(&network).ok())
        .map(String::into_bytes)
        .collect()
}

/// A training of a moment.
fn settings() -> Settings {
    Settings {
        loss: Some("l-softmax".to_owned()),
        train_samples: Some(60),
        test_samples: Some(30),
        iterations: Some(4),
        batch: Some(16),
        network: Some(NetworkChoice::Row(NetworkSpec {
            name: "tiny".into(),
            stages: vec![Stage {
                channels: 4,
                convs: 1,
                units: 0,
                kernel: 3,
                stride: 2,
                pool: true,
            }],
            feature: 3,
            normalisation: NormLayer::Batch,
        })),
        evaluations: Some(1),
        ..Settings::default()
    }
}

/// Keeps the last checkpoint.
#[derive(Default)]
struct Keep {
    step: u64,
    checkpoint: Option<Checkpoint>,
}

impl Observer for Keep {
    fn step(&mut self, step: u64, _: f64) {
        self.step = step;
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        self.checkpoint = Some(checkpoint.clone());
        Ok(())
    }

    fn stops(&self) -> bool {
        self.step >= 3
    }
}

/// A checkpoint and a model of a short training.
fn trained() -> &'static (Vec<u8>, Vec<u8>) {
    static TRAINED: OnceLock<(Vec<u8>, Vec<u8>)> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let run = || -> Result<(Vec<u8>, Vec<u8>), TrainError> {
            let experiment = Experiment::resolve(settings(), Settings::default())?;
            let split = load_data(&experiment)?;
            let device = DeviceChoice::CPU.open()?;
            let mut keep = Keep::default();
            // Stopped on the way, which is an error.
            train(&experiment, &split, &device, &mut keep).err();
            let checkpoint = keep
                .checkpoint
                .map_or(Ok(Vec::new()), |kept| kept.to_bytes())?;
            let Trained { model, info, .. } = train(&experiment, &split, &device, &mut ())?;
            Ok((checkpoint, model.to_bytes(&info)?))
        };
        run().unwrap_or_else(|error| panic!("no model to begin with: {error}"))
    })
}

pub(crate) fn checkpoint() -> Vec<Vec<u8>> {
    vec![trained().0.clone()]
}

pub(crate) fn model() -> Vec<Vec<u8>> {
    vec![trained().1.clone()]
}

pub(crate) fn gallery() -> Vec<Vec<u8>> {
    let texts = |texts: [&str; 3]| texts.map(str::to_owned).to_vec();
    let gallery = Gallery::new(
        "0".repeat(64),
        "model.safetensors".into(),
        2,
        vec![1.0, 0.0, 0.0, 1.0, 0.6, 0.8],
        texts(["a.png", "b.png", "c.png"]),
        texts(["one", "two", "two"]),
    );
    let Ok(gallery) = gallery else {
        return Vec::new();
    };
    let file = tempfile::NamedTempFile::new().ok();
    let bytes = file.and_then(|file| {
        gallery.save(file.path()).ok()?;
        fs::read(file.path()).ok()
    });
    bytes.into_iter().collect()
}
