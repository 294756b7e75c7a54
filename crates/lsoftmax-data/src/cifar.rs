//! CIFAR-10 and CIFAR-100 in their binary versions.

use crate::dataset::Dataset;
use crate::error::DataError;
use crate::file::{open_file, read_at_most, read_text};
use crate::splits::Split;
use std::path::{Path, PathBuf};

/// Bytes of an image: three planes of 32 x 32.
const PIXELS: usize = 3 * 32 * 32;
/// More than any file of either set; the real files have up to 150 MB.
const MAX_FILE_BYTES: u64 = 1 << 30;
/// Maximum size of a file of class names; the real ones have 1 kB.
const MAX_NAMES_BYTES: u64 = 1 << 16;

/// The classes of CIFAR-10, in the order of their labels.
const CIFAR10_CLASSES: &str = "airplane automobile bird cat deer dog frog horse ship truck";

/// The fine classes of CIFAR-100, in the order of their labels.
const CIFAR100_CLASSES: &str = "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus \
    butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach \
    couch crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster \
    house kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree \
    motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear \
    pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket \
    rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar \
    sunflower sweet_pepper table tank telephone television tiger tractor train trout tulip \
    turtle wardrobe whale willow_tree wolf woman worm";

/// The differences between the two formats.
struct Format {
    folder: &'static str,
    train: &'static [&'static str],
    test: &'static str,
    /// The file with the class names.
    names: &'static str,
    /// The class names without that file.
    classes: &'static str,
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
    classes: CIFAR10_CLASSES,
    labels: 1,
};

const CIFAR100: Format = Format {
    folder: "cifar-100-binary",
    train: &["train.bin"],
    test: "test.bin",
    names: "fine_label_names.txt",
    classes: CIFAR100_CLASSES,
    labels: 2,
};

/// The required files of a folder, for messages.
pub(crate) const CIFAR10_FILES: &str = "data_batch_1.bin to data_batch_5.bin and test_batch.bin \
     (the binary version on https://www.cs.toronto.edu/~kriz/cifar.html)";
pub(crate) const CIFAR100_FILES: &str = "train.bin and test.bin (the binary version on \
     https://www.cs.toronto.edu/~kriz/cifar.html)";

/// Reads CIFAR-10 from its folder or the parent folder: 3x32x32 images, 10 classes.
///
/// Class names are read from `batches.meta.txt`; without that file the standard names are used.
///
/// # Errors
/// A file is missing or does not hold a whole number of records, a label is not a class, or there
/// are not exactly 10 class names.
pub fn load_cifar10(dir: &Path) -> Result<Split, DataError> {
    load(dir, &CIFAR10)
}

/// Reads CIFAR-100 with its 100 fine labels. Class names are read from `fine_label_names.txt`;
/// without that file the standard names are used.
///
/// # Errors
/// As [`load_cifar10`].
pub fn load_cifar100(dir: &Path) -> Result<Split, DataError> {
    load(dir, &CIFAR100)
}

fn load(dir: &Path, format: &Format) -> Result<Split, DataError> {
    let nested = dir.join(format.folder);
    let here = dir.join(format.test).is_file();
    let dir = if !here && nested.is_dir() {
        nested
    } else {
        dir.to_owned()
    };
    let names = class_names(&dir.join(format.names), format)?;
    let train: Vec<PathBuf> = format.train.iter().map(|name| dir.join(name)).collect();
    Ok(Split::new(
        read(&train, format, &names)?,
        read(&[dir.join(format.test)], format, &names)?,
    ))
}

/// The class names of the file, or the built-in ones without a file.
fn class_names(path: &Path, format: &Format) -> Result<Vec<String>, DataError> {
    let built_in: Vec<String> = format.classes.split(' ').map(str::to_owned).collect();
    if !path.exists() {
        return Ok(built_in);
    }
    let names: Vec<String> = read_text(path, MAX_NAMES_BYTES)?
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    if names.len() == built_in.len() {
        return Ok(names);
    }
    Err(DataError::format(
        path,
        format!("{} class names, one per line", built_in.len()),
        format!("{}; download the file again or remove it", names.len()),
    ))
}

fn read(paths: &[PathBuf], format: &Format, names: &[String]) -> Result<Dataset, DataError> {
    let record = format.labels + PIXELS;
    let classes = names.len();
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    // The file of each image, and its index in the file.
    let mut places = Vec::new();
    for path in paths {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        if !path.is_file() {
            return Err(DataError::Missing {
                path: path.parent().unwrap_or(Path::new(".")).to_owned(),
                missing: path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                hint: format!(
                    "--data-dir must be the folder {} of the binary version, from \
                     https://www.cs.toronto.edu/~kriz/cifar.html (--data glyphs needs no files)",
                    format.folder
                ),
            });
        }
        let bytes = read_at_most(open_file(path)?, MAX_FILE_BYTES, path)?;
        if bytes.is_empty() || bytes.len() % record != 0 || bytes.len() as u64 > MAX_FILE_BYTES {
            return Err(DataError::format(
                path,
                format!("a whole number of records of {record} bytes"),
                format!("{} bytes; download the file again", bytes.len()),
            ));
        }
        for (row, record) in bytes.chunks_exact(record).enumerate() {
            let label = record[format.labels - 1];
            if label as usize >= classes {
                return Err(DataError::format(
                    path,
                    format!("labels below {classes}"),
                    format!("{label} in record {row}"),
                ));
            }
            labels.push(u32::from(label));
            places.push((file.clone(), row));
            images.extend_from_slice(&record[format.labels..]);
        }
    }
    let data = Dataset::new(images, labels, [3, 32, 32], names.to_vec())?;
    data.packed_in(|index| places[index].clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

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
        let train = load_cifar100(dir.path()).unwrap().train;
        assert_eq!(train.labels(), [99, 7]);
        assert_eq!(train.num_classes(), 100);
        assert_eq!(
            (&*train.class_names[0], &*train.class_names[99]),
            ("apple", "worm")
        );
    }

    #[test]
    fn damage_is_reported() {
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
    fn every_truncation_is_an_error() {
        let dir = cifar10();
        let path = dir.path().join("data_batch_5.bin");
        let whole = fs::read(&path).unwrap();
        let cuts = (0..whole.len()).step_by(97).chain([whole.len() - 1]);
        for cut in cuts.filter(|cut| cut % (PIXELS + 1) != 0 || *cut == 0) {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(load_cifar10(dir.path()).is_err(), "cut to {cut} bytes");
        }
    }

    #[test]
    fn class_names_are_read_from_the_file() {
        let dir = cifar10();
        let path = dir.path().join(CIFAR10.names);
        fs::write(&path, "a\nb\r\nc\nd\ne\nf\ng\nh\ni\nj\n\n").unwrap();
        let names = load_cifar10(dir.path()).unwrap().train.class_names;
        assert_eq!(names.concat(), "abcdefghij");
        fs::write(&path, "a\nb\n").unwrap();
        let message = load_cifar10(dir.path()).unwrap_err().to_string();
        assert!(
            message.contains("10 class names, one per line, found 2"),
            "{message}"
        );
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
