//! CIFAR-10 and CIFAR-100 in their binary versions.

use crate::dataset::{Dataset, Split};
use crate::error::DataError;
use crate::file::read_at_most;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Bytes of an image: three planes of 32 x 32.
const PIXELS: usize = 3 * 32 * 32;
/// More than any file of either set; the real ones have 150 MB.
const LARGEST: u64 = 1 << 30;

const CIFAR10_CLASSES: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

/// What differs between the two.
struct Format {
    folder: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    names: &'static str,
    classes: usize,
    /// Bytes before the pixels; the last of them is the label.
    labels: usize,
}

const CIFAR10: Format = Format {
    folder: "cifar-10-batches-bin",
    train: &[
        "data_batch_1.bin",
        "data_batch_2.bin",
        "data_batch_3.bin",
        "data_batch_4.bin",
        "data_batch_5.bin",
    ],
    test: "test_batch.bin",
    names: "batches.meta.txt",
    classes: 10,
    labels: 1,
};

const CIFAR100: Format = Format {
    folder: "cifar-100-binary",
    train: &["train.bin"],
    test: "test.bin",
    names: "fine_label_names.txt",
    classes: 100,
    labels: 2,
};

pub(crate) const CIFAR10_FILES: &str = "data_batch_1.bin to data_batch_5.bin and test_batch.bin";
pub(crate) const CIFAR100_FILES: &str = "train.bin and test.bin";

/// Reads CIFAR-10 from its folder or the folder above.
///
/// # Errors
/// A file is missing, has no whole number of records, or a label that is no class.
pub fn load_cifar10(dir: &Path) -> Result<Split, DataError> {
    load(dir, &CIFAR10)
}

/// Reads CIFAR-100 with its fine labels.
///
/// # Errors
/// As [`load_cifar10`].
pub fn load_cifar100(dir: &Path) -> Result<Split, DataError> {
    load(dir, &CIFAR100)
}

fn load(dir: &Path, format: &Format) -> Result<Split, DataError> {
    let nested = dir.join(format.folder);
    let dir = if nested.is_dir() {
        nested
    } else {
        dir.to_owned()
    };
    let names = class_names(&dir.join(format.names), format);
    let train: Vec<PathBuf> = format.train.iter().map(|name| dir.join(name)).collect();
    Ok(Split {
        train: read(&train, format, &names)?,
        test: read(&[dir.join(format.test)], format, &names)?,
    })
}

/// The names of the file, or the built-in ones, or numbers.
fn class_names(path: &Path, format: &Format) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let names: Vec<String> = text
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    if names.len() == format.classes {
        names
    } else if format.classes == CIFAR10_CLASSES.len() {
        CIFAR10_CLASSES.map(str::to_owned).to_vec()
    } else {
        (0..format.classes).map(|class| class.to_string()).collect()
    }
}

fn read(paths: &[PathBuf], format: &Format, names: &[String]) -> Result<Dataset, DataError> {
    let record = format.labels + PIXELS;
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for path in paths {
        if !path.is_file() {
            return Err(DataError::Missing {
                path: path.parent().unwrap_or(Path::new(".")).to_owned(),
                missing: path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                hint: format!(
                    "--data-dir must be the folder {} of the binary version",
                    format.folder
                ),
            });
        }
        let file = File::open(path).map_err(|source| DataError::file("open", path, source))?;
        let bytes = read_at_most(file, LARGEST, path)?;
        if bytes.is_empty() || bytes.len() % record != 0 || bytes.len() as u64 > LARGEST {
            return Err(DataError::format(
                path,
                format!("a whole number of records of {record} bytes"),
                format!("{} bytes; get the file anew", bytes.len()),
            ));
        }
        for (row, record) in bytes.chunks_exact(record).enumerate() {
            let label = record[format.labels - 1];
            if label as usize >= format.classes {
                return Err(DataError::format(
                    path,
                    format!("labels below {}", format.classes),
                    format!("{label} in record {row}"),
                ));
            }
            labels.push(u32::from(label));
            images.extend_from_slice(&record[format.labels..]);
        }
    }
    Dataset::new(images, labels, [3, 32, 32], names.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(dir: &Path, name: &str, labels: &[&[u8]]) {
        let bytes: Vec<u8> = labels
            .iter()
            .flat_map(|&label| [label, &[label[0]; PIXELS][..]].concat())
            .collect();
        fs::write(dir.join(name), bytes).unwrap();
    }

    fn cifar10() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (i, name) in (0..).zip(CIFAR10.train) {
            write(dir.path(), name, &[&[i], &[9 - i]]);
        }
        write(dir.path(), CIFAR10.test, &[&[3]]);
        dir
    }

    #[test]
    fn reads_both_sets() {
        let split = load_cifar10(cifar10().path()).unwrap();
        assert_eq!(split.train.labels(), [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]);
        assert_eq!((split.test.len(), split.test.image(0)[77]), (1, 3));
        assert_eq!(split.train.class_names[9], "truck");
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), "train.bin", &[&[4, 99], &[5, 7]]);
        write(dir.path(), "test.bin", &[&[0, 1]]);
        assert_eq!(load_cifar100(dir.path()).unwrap().train.labels(), [99, 7]);
    }

    #[test]
    fn damage_is_named() {
        let dir = cifar10();
        let path = dir.path().join("data_batch_2.bin");
        fs::write(&path, vec![0; 3073 + 5]).unwrap();
        let message = load_cifar10(dir.path()).unwrap_err().to_string();
        assert!(
            message.contains("records of 3073 bytes, found 3078 bytes"),
            "{message}"
        );
        write(dir.path(), "data_batch_2.bin", &[&[1], &[10]]);
        let message = load_cifar10(dir.path()).unwrap_err().to_string();
        assert!(
            message.contains("labels below 10, found 10 in record 1"),
            "{message}"
        );
        fs::remove_file(&path).unwrap();
        let message = load_cifar10(dir.path()).unwrap_err().to_string();
        assert!(message.contains("has no data_batch_2.bin"), "{message}");
    }

    #[test]
    fn reads_the_real_cifar10() {
        let Some(data) = std::env::var_os("LSOFTMAX_DATA") else {
            eprintln!("skipped: LSOFTMAX_DATA is not set");
            return;
        };
        let split = load_cifar10(Path::new(&data)).unwrap();
        assert_eq!(split.train.class_counts(), [5000; 10]);
        assert_eq!(split.test.class_counts(), [1000; 10]);
        assert_eq!(
            split.train.class_names[split.train.labels()[0] as usize],
            "frog"
        );
    }
}
