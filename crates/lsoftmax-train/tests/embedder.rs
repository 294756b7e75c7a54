//! An embedder gives the same results for files and for pixels, equal to those of the evaluation.

use lsoftmax_data::Dataset;
use lsoftmax_train::{
    Answers, DeviceChoice, Embedder, Experiment, Picture, ScoreKind, Settings, embeddings,
    load_data, train,
};
use std::fs;

fn trained(loss: &str) -> (Embedder, Dataset) {
    let settings = Settings {
        loss: Some(loss.into()),
        network: Some("compact".parse().unwrap()),
        train_samples: Some(300),
        test_samples: Some(60),
        iterations: Some(20),
        batch: Some(20),
        ..Settings::default()
    };
    let experiment = Experiment::resolve(settings, Settings::default()).unwrap();
    let split = load_data(&experiment).unwrap();
    let device = DeviceChoice::CPU.open().unwrap();
    let trained = train(&experiment, &split, &device, &mut ()).unwrap();
    let embedder = Embedder::of(trained.model, trained.info, None).unwrap();
    (embedder, split.test)
}

#[test]
fn files_and_pixels_are_the_images_of_the_data_set() {
    let (embedder, data) = trained("l-softmax");
    let [_, height, width] = embedder.info.image;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.pgm");
    let mut file = format!("P5\n{width} {height}\n255\n").into_bytes();
    file.extend_from_slice(data.image(0));
    fs::write(&path, file).unwrap();
    let size = [height, width, 1];
    let bytes = data.image(1);
    let pictures = [Picture::File(&path), Picture::Pixels { bytes, size }];
    let read = embedder.read(&pictures).unwrap();
    assert_eq!(read.bytes(), [data.image(0), data.image(1)].concat());
    let (model, info) = (&embedder.model, &embedder.info);
    // Alone, since the last bits depend on the size of a batch.
    let alone = embedder.read(&pictures[..1]).unwrap();
    let row = embeddings(model, info, &alone).unwrap();
    assert_eq!(row, embedder.embed(&[path]).unwrap().rows);
    let message = |picture| embedder.read(&[picture]).unwrap_err().to_string();
    let none = dir.path().join("none.png");
    assert!(message(Picture::File(&none)).starts_with("cannot read"));
    let size = [height, width, 2];
    let wrong = message(Picture::Pixels { bytes, size });
    assert!(wrong.contains("1 or 3 channels"), "{wrong}");
    assert!(embedder.read(&[]).is_err());
}

#[test]
fn predictions_are_of_the_logits_or_the_cosines() {
    for (loss, kind) in [
        ("l-softmax", ScoreKind::Probabilities),
        ("cos-face", ScoreKind::Probabilities),
        ("triplet", ScoreKind::Cosines),
    ] {
        let (embedder, data) = trained(loss);
        let (model, info) = (&embedder.model, &embedder.info);
        let expected = Answers::of(model, info, &data).unwrap();
        let found = embedder.predict(&data).unwrap();
        assert_eq!(found.kind, kind);
        if kind == ScoreKind::Cosines {
            assert_eq!(found.scores, expected.cosines);
            continue;
        }
        let classes = info.class_names.len();
        let rows = found.scores.chunks_exact(classes);
        for (probabilities, logits) in rows.zip(expected.logits.chunks_exact(classes)) {
            let sum: f64 = logits.iter().map(|&logit| f64::from(logit).exp()).sum();
            for (&found, &logit) in probabilities.iter().zip(logits) {
                let expected = f64::from(logit).exp() / sum;
                assert!(
                    (f64::from(found) - expected).abs() < 1e-6,
                    "{found} {expected}"
                );
            }
        }
    }
}
