//! The parsers of `lsoftmax-data`.

use crate::scratch::{file, files};
use lsoftmax_data::faces::{IdentityList, Landmarks, PairsFile};
use lsoftmax_data::images::{Channels, ImageList, ImageOptions, decode_image};
use lsoftmax_data::{load_cifar10, load_cifar100, load_idx, npy, parquet_file};

/// Images and labels that fit together with what comes in the other's place.
const IMAGES: &[u8] = &[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7, 9];
const LABELS: &[u8] = &[0, 0, 8, 1, 0, 0, 0, 2, 0, 1];

pub(crate) fn idx(bytes: &[u8]) {
    for (images, labels) in [(bytes, LABELS), (IMAGES, bytes)] {
        let names = [
            ("train-images-idx3-ubyte", images),
            ("train-labels-idx1-ubyte", labels),
            ("t10k-images-idx3-ubyte", images),
            ("t10k-labels-idx1-ubyte", labels),
        ];
        files(&names, |folder| {
            load_idx(folder, "mnist", None).ok();
        });
    }
}

pub(crate) fn cifar(bytes: &[u8]) {
    let names = [
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
        "test_batch.bin",
        "train.bin",
        "test.bin",
    ];
    files(&names.map(|name| (name, bytes)), |folder| {
        load_cifar10(folder).ok();
        load_cifar100(folder).ok();
    });
}

pub(crate) fn npy(bytes: &[u8]) {
    file("a.npy", bytes, |path| {
        npy::read(path).ok();
    });
}

pub(crate) fn list(bytes: &[u8]) {
    files(
        &[("a.csv", bytes), ("a.png", b""), ("b.png", b"")],
        |folder| {
            ImageList::from_csv(&folder.join("a.csv")).ok();
        },
    );
}

pub(crate) fn landmarks(bytes: &[u8]) {
    file("l.csv", bytes, |path| {
        Landmarks::read(path).ok();
    });
}

pub(crate) fn pairs(bytes: &[u8]) {
    file("pairs.txt", bytes, |path| {
        PairsFile::read(path).ok();
    });
}

pub(crate) fn identities(bytes: &[u8]) {
    file("names.txt", bytes, |path| {
        IdentityList::read(path).ok();
    });
}

pub(crate) fn parquet(bytes: &[u8]) {
    let names = [
        "path", "label", "text", "small", "big", "half", "list", "number",
    ];
    file("a.parquet", bytes, |path| {
        for name in names {
            parquet_file::read_columns(path, &[name]).ok();
        }
        ImageList::from_parquet(path).ok();
    });
}

pub(crate) fn images(bytes: &[u8]) {
    let options = ImageOptions {
        size: [16, 16],
        channels: Channels::Colour,
        ..ImageOptions::default()
    };
    file("image", bytes, |path| {
        if let Ok(pixels) = decode_image(path, &options) {
            assert_eq!(pixels.len(), 3 * 16 * 16);
        }
    });
}
