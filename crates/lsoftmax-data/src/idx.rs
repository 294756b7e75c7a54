//! IDX files, raw or gzipped: the format of MNIST and similar sets.

use crate::dataset::Dataset;
use crate::error::DataError;
use crate::file::{open_file, read_at_most};
use crate::splits::Split;
use flate2::read::MultiGzDecoder;
use std::io::{Read, Seek as _};
use std::path::{Path, PathBuf};

/// First four bytes: unsigned bytes in three dimensions, or in one.
const IMAGES: u32 = 0x0803;
const LABELS: u32 = 0x0801;

/// The required files of a folder, for messages.
pub(crate) const FILES: &str = "train-images-idx3-ubyte, train-labels-idx1-ubyte, \
     t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, each raw or .gz (MNIST: \
     https://storage.googleapis.com/cvdf-datasets/mnist/, Fashion-MNIST: \
     https://github.com/zalandoresearch/fashion-mnist)";

/// Maximum expansion of a deflate stream.
const MAX_EXPANSION: u64 = 1032;

/// Reads the four files of a folder, or otherwise of its subfolder `name`, raw or gzipped.
///
/// Images are grey and may have any size. The number of classes follows from the largest label of
/// both parts. Classes are named by number unless `class_names` has a name for each of them.
///
/// # Errors
/// A file is missing, damaged, truncated, longer than expected, or has a header that contradicts
/// its length; images and labels, or the two parts, do not match. Headers are checked against the
/// file length before memory is allocated.
pub fn load(dir: &Path, name: &str, class_names: Option<&[&str]>) -> Result<Split, DataError> {
    let nested = dir.join(name);
    let here = find(dir, "train-images", "idx3").is_ok();
    let dir = if !here && nested.is_dir() {
        nested
    } else {
        dir.to_owned()
    };
    let (train_images, size) = images(&find(&dir, "train-images", "idx3")?)?;
    let train_labels_path = find(&dir, "train-labels", "idx1")?;
    let train_labels = labels(&train_labels_path)?;
    let test_path = find(&dir, "t10k-images", "idx3")?;
    let (test_images, test_size) = images(&test_path)?;
    let test_labels_path = find(&dir, "t10k-labels", "idx1")?;
    let test_labels = labels(&test_labels_path)?;
    if test_size != size {
        return Err(DataError::format(
            test_path,
            format!("images of {}x{} as in the training file", size[1], size[0]),
            format!("{}x{}", test_size[1], test_size[0]),
        ));
    }
    let largest = train_labels
        .iter()
        .chain(&test_labels)
        .max()
        .copied()
        .unwrap_or(0);
    let class_names: Vec<String> = match class_names {
        Some(names) if names.len() > largest as usize => {
            names.iter().map(|&name| name.to_owned()).collect()
        }
        _ => (0..=largest).map(|class| class.to_string()).collect(),
    };
    let shape = [1, size[0], size[1]];
    let pair = |path, file: &str, images: Vec<u8>, labels: Vec<u32>| {
        let count = images.len() / (size[0] * size[1]);
        if count == labels.len() {
            let data = Dataset::new(images, labels, shape, class_names.clone())?;
            data.packed_in(|index| (file, index))
        } else {
            Err(DataError::format(
                path,
                format!("{count} labels, one for each image of the matching file"),
                format!("{} labels; download both files again", labels.len()),
            ))
        }
    };
    Ok(Split::new(
        pair(
            train_labels_path,
            "train-images-idx3-ubyte",
            train_images,
            train_labels,
        )?,
        pair(
            test_labels_path,
            "t10k-images-idx3-ubyte",
            test_images,
            test_labels,
        )?,
    ))
}

/// The path of the file, under any of its usual names.
fn find(dir: &Path, part: &str, dimensions: &str) -> Result<PathBuf, DataError> {
    let names = ["-", "."].map(|dot| format!("{part}{dot}{dimensions}-ubyte"));
    names
        .iter()
        .flat_map(|name| [dir.join(name), dir.join(format!("{name}.gz"))])
        .find(|path| path.is_file())
        .ok_or_else(|| DataError::Missing {
            path: dir.to_owned(),
            missing: format!("{} (nor {}.gz)", names[0], names[0]),
            hint: format!(
                "--data-dir must be the folder with {FILES}; --data glyphs needs no files"
            ),
        })
}

/// The bytes `[image, row, column]`, and the numbers of rows and columns.
fn images(path: &Path) -> Result<(Vec<u8>, [usize; 2]), DataError> {
    let (bytes, dims) = read::<3>(path, IMAGES)?;
    Ok((bytes, [dims[1], dims[2]]))
}

fn labels(path: &Path) -> Result<Vec<u32>, DataError> {
    let (bytes, _) = read::<1>(path, LABELS)?;
    Ok(bytes.into_iter().map(u32::from).collect())
}

/// Checks the header against the file before allocating memory.
fn read<const D: usize>(path: &Path, magic: u32) -> Result<(Vec<u8>, [usize; D]), DataError> {
    let mut file = open_file(path)?;
    let unreadable = |source| DataError::file("read", path, source);
    let length = file.metadata().map_err(unreadable)?.len();
    let start = read_at_most(&mut file, 1, path)?;
    file.rewind().map_err(unreadable)?;
    // Detected by the first bytes, not by the name, because browsers and unpackers rename files.
    if start == GZIP {
        let content = Content::AtMost(length.saturating_mul(MAX_EXPANSION));
        parse(path, magic, MultiGzDecoder::new(file), content)
    } else {
        parse(path, magic, file, Content::Exactly(length))
    }
}

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// Number of available bytes in a file, including the header.
#[derive(Clone, Copy)]
enum Content {
    Exactly(u64),
    AtMost(u64),
}

fn parse<const D: usize>(
    path: &Path,
    magic: u32,
    mut reader: impl Read,
    content: Content,
) -> Result<(Vec<u8>, [usize; D]), DataError> {
    let header_len = 4 * (D + 1);
    let header = read_at_most(
        reader.by_ref().take(header_len as u64),
        header_len as u64,
        path,
    )?;
    if header.len() < header_len {
        return Err(DataError::format(
            path,
            format!("an IDX header of {header_len} bytes"),
            format!("{} bytes; the file is truncated", header.len()),
        ));
    }
    let word = |i: usize| {
        u32::from_be_bytes([
            header[4 * i],
            header[4 * i + 1],
            header[4 * i + 2],
            header[4 * i + 3],
        ])
    };
    if word(0) != magic {
        return Err(DataError::format(
            path,
            format!("an IDX file that starts with {magic:#010x}"),
            format!("{:#010x}", word(0)),
        ));
    }
    let dims: [usize; D] = std::array::from_fn(|i| word(i + 1) as usize);
    let sizes = dims.map(|dim| dim.to_string()).join(" x ");
    let promised = (dims.iter()).try_fold(1u64, |product, &dim| product.checked_mul(dim as u64));
    let implausible = |expected: &str| DataError::format(path, expected, format!("sizes {sizes}"));
    let promised = match promised {
        Some(bytes @ 1..) => bytes,
        Some(0) => return Err(implausible("at least one value")),
        None => return Err(implausible("plausible sizes")),
    };
    let wrong = |found: String| {
        DataError::format(
            path,
            format!("{promised} bytes after the header, which says {sizes}"),
            format!("{found}; download the file again"),
        )
    };
    let after_header = |length: u64| length.saturating_sub(header_len as u64);
    match content {
        Content::Exactly(length) if after_header(length) != promised => {
            return Err(wrong(after_header(length).to_string()));
        }
        Content::AtMost(length) if after_header(length) < promised => {
            let most = after_header(length);
            return Err(wrong(format!("at most {most} from a .gz file this small")));
        }
        _ => {}
    }
    let bytes = read_at_most(reader, promised, path)?;
    match bytes.len() as u64 {
        found if found == promised => Ok((bytes, dims)),
        found if found > promised => Err(wrong("more".into())),
        found => Err(wrong(found.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::fs;
    use std::io::Write as _;

    fn idx(magic: u32, dims: &[u32], data: &[u8]) -> Vec<u8> {
        let mut bytes = magic.to_be_bytes().to_vec();
        bytes.extend(dims.iter().flat_map(|dim| dim.to_be_bytes()));
        bytes.extend(data);
        bytes
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// A folder with 3 training and 2 test images of 2x3.
    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: Vec<u8>| fs::write(dir.path().join(name), bytes).unwrap();
        let pixels: Vec<u8> = (0..18).collect();
        write("train-images-idx3-ubyte", idx(IMAGES, &[3, 2, 3], &pixels));
        write(
            "train-labels-idx1-ubyte.gz",
            gz(&idx(LABELS, &[3], &[0, 4, 1])),
        );
        write(
            "t10k-images.idx3-ubyte.gz",
            gz(&idx(IMAGES, &[2, 2, 3], &pixels[..12])),
        );
        write("t10k-labels-idx1-ubyte", idx(LABELS, &[2], &[1, 2]));
        dir
    }

    #[test]
    fn every_image_has_an_index_and_a_digest() {
        let dir = folder();
        let split = load(dir.path(), "mnist", None).unwrap();
        let origin = split.train.origin(2).unwrap();
        assert_eq!(origin.path, "train-images-idx3-ubyte/2");
        assert_eq!(origin.digest, crate::Digest::of(split.train.image(2)));
        // The test images equal the first two training images, with other labels.
        let warnings = crate::duplicates::warnings(&split);
        assert!(warnings[0].starts_with("2 of 2 test images are identical"));
        assert!(warnings[1].contains("train-images-idx3-ubyte/0 (class 0) and t10k-images"));
        let images = crate::RunImages::new(&split, &[]);
        assert!(images.are_in(&split));
        let mut pixels: Vec<u8> = (0..18).collect();
        pixels[17] = 99;
        let path = dir.path().join("train-images-idx3-ubyte");
        fs::write(path, idx(IMAGES, &[3, 2, 3], &pixels)).unwrap();
        let changed = load(dir.path(), "mnist", None).unwrap();
        assert!(!images.are_in(&changed));
        let found = images.changes(&crate::RunImages::new(&changed, &[]));
        let expected = "1 with other content (train-images-idx3-ubyte/2)";
        assert_eq!(found.as_deref(), Some(expected));
        let test = images.select(crate::RunPart::Test, &changed.test, &[]);
        assert_eq!(test.unwrap(), split.test);
    }

    fn error_with(name: &str, bytes: &[u8]) -> String {
        let dir = folder();
        fs::write(dir.path().join(name), bytes).unwrap();
        load(dir.path(), "mnist", None).unwrap_err().to_string()
    }

    #[test]
    fn reads_raw_and_gzipped_files_of_any_size() {
        let split = load(folder().path(), "mnist", None).unwrap();
        assert_eq!((split.train.height, split.train.width), (2, 3));
        assert_eq!(split.train.labels(), [0, 4, 1]);
        assert_eq!(split.train.num_classes(), 5);
        assert_eq!(split.test.image(1), [6, 7, 8, 9, 10, 11]);
    }

    #[test]
    fn a_header_with_four_billion_images_is_an_error() {
        let lie = idx(IMAGES, &[u32::MAX, 28, 28], &[0; 100]);
        for (name, bytes, found) in [
            (
                "train-images-idx3-ubyte",
                lie.clone(),
                "found 100; download",
            ),
            (
                "t10k-images.idx3-ubyte.gz",
                gz(&lie),
                "from a .gz file this small",
            ),
        ] {
            let message = error_with(name, &bytes);
            assert!(message.contains("4294967295 x 28 x 28"), "{message}");
            assert!(message.contains(found), "{message}");
        }
        // A claim that the length of the .gz allows: memory grows only with the data.
        let lie = gz(&idx(IMAGES, &[40, 28, 28], &[0; 100]));
        let message = error_with("t10k-images.idx3-ubyte.gz", &lie);
        assert!(
            message.contains("found 100; download the file again"),
            "{message}"
        );
        let huge = idx(IMAGES, &[u32::MAX; 3], &[]);
        assert!(error_with("train-images-idx3-ubyte", &huge).contains("plausible sizes"));
    }

    #[test]
    fn damage_is_reported() {
        let images = "train-images-idx3-ubyte";
        let good = idx(IMAGES, &[3, 2, 3], &[7; 18]);
        assert!(error_with(images, &good[..20]).contains("18 bytes after the header"));
        assert!(error_with(images, &good[..7]).contains("the file is truncated"));
        assert!(error_with(images, &[good, vec![0]].concat()).contains("found 19"));
        assert!(error_with(images, &idx(LABELS, &[9], &[0; 9])).contains("starts with 0x00000803"));
        assert!(error_with(images, &idx(IMAGES, &[0, 2, 3], &[])).contains("at least one value"));
        let two = idx(IMAGES, &[2, 2, 3], &[0; 12]);
        assert!(error_with(images, &two).contains("2 labels, one for each image"));
        let other = gz(&idx(IMAGES, &[2, 3, 3], &[0; 18]));
        assert!(error_with("t10k-images.idx3-ubyte.gz", &other).contains("3x2 as in the training"));
        assert!(
            error_with("train-labels-idx1-ubyte.gz", b"no gzip at all")
                .contains("found 0x6e6f2067")
        );
        let missing = load(tempfile::tempdir().unwrap().path(), "mnist", None).unwrap_err();
        assert!(
            missing
                .to_string()
                .contains("has no train-images-idx3-ubyte"),
            "{missing}"
        );
    }

    #[test]
    fn gzip_is_detected_by_content_and_read_to_the_end() {
        let images = "train-images-idx3-ubyte";
        let whole = gz(&idx(IMAGES, &[3, 2, 3], &[7; 18]));
        let load = |bytes: &[u8]| {
            let dir = folder();
            fs::write(dir.path().join(images), bytes).unwrap();
            load(dir.path(), "mnist", None).map(|split| split.train.image(2).to_vec())
        };
        assert_eq!(load(&whole).unwrap(), [7; 6]);
        for cut in 0..whole.len() {
            assert!(load(&whole[..cut]).is_err(), "cut to {cut} bytes");
        }
        assert!(load(&[&whole[..], b"more"].concat()).is_err());
        let mut damaged = whole;
        let checksum = damaged.len() - 6;
        damaged[checksum] ^= 1;
        assert!(load(&damaged).is_err());
    }

    #[test]
    fn files_in_the_folder_come_before_a_subfolder() {
        let dir = folder();
        fs::create_dir(dir.path().join("mnist")).unwrap();
        assert!(load(dir.path(), "mnist", None).is_ok());
        let above = tempfile::tempdir().unwrap();
        fs::rename(dir.path(), above.path().join("mnist")).unwrap();
        assert!(load(above.path(), "mnist", None).is_ok());
        fs::rename(above.path().join("mnist"), dir.path()).unwrap();
    }

    #[test]
    fn reads_the_real_mnist() {
        let Some(data) = std::env::var_os("LSOFTMAX_DATA") else {
            eprintln!("skipped: LSOFTMAX_DATA is not set");
            return;
        };
        let split = load(Path::new(&data), "mnist", None).unwrap();
        assert_eq!((split.train.len(), split.test.len()), (60_000, 10_000));
        assert_eq!(split.train.labels()[..5], [5, 0, 4, 1, 9]);
        assert_eq!(split.test.class_counts()[0], 980);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let path = Path::new("x");
            let any = Content::AtMost(u64::MAX);
            parse::<3>(path, IMAGES, &bytes[..], Content::Exactly(bytes.len() as u64)).ok();
            parse::<1>(path, LABELS, &bytes[..], any).ok();
            parse::<1>(path, LABELS, MultiGzDecoder::new(&bytes[..]), any).ok();
            let labelled = [&LABELS.to_be_bytes()[..], &bytes].concat();
            parse::<1>(path, LABELS, &labelled[..], any).ok();
        }

        #[test]
        fn every_truncation_is_an_error(cut in 0usize..33) {
            let bytes = idx(IMAGES, &[3, 2, 3], &[7; 18]);
            let path = Path::new("x");
            prop_assert!(parse::<3>(path, IMAGES, &bytes[..], Content::AtMost(34)).is_ok());
            prop_assert!(parse::<3>(path, IMAGES, &bytes[..cut], Content::AtMost(34)).is_err());
        }
    }
}
