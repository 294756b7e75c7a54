mod generated;

pub use crate::images::SourceOptions;

use crate::cifar;
use crate::dataset::Dataset;
use crate::duplicates;
use crate::error::DataError;
use crate::idx;
use crate::images;
use crate::open_set::OpenSet;
use crate::splits::Split;
use generated::MAX_CLASSES;
use std::path::{Path, PathBuf};

/// A source of images, identified by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataSource {
    /// `glyphs`: generated digits.
    Glyphs,
    /// `alphabet:N`: N invented characters.
    Alphabet {
        /// The number of characters.
        classes: u32,
    },
    /// `mnist`, `fashion-mnist` or `idx`: files in MNIST's format, of any size and with any number
    /// of classes.
    Idx {
        /// Uses the class names of Fashion-MNIST. They are also used if the name of the folder
        /// contains "fashion".
        fashion: bool,
    },
    /// `cifar10`.
    Cifar10,
    /// `cifar100`.
    Cifar100,
    /// `images`: a folder with one folder of images per class, or a list of images
    /// ([`ImageList`](crate::images::ImageList)).
    Images,
}

/// The default folder of data sets: the folder in `LSOFTMAX_DATA`, or `data`.
pub fn data_root() -> PathBuf {
    std::env::var_os("LSOFTMAX_DATA").map_or_else(|| "data".into(), PathBuf::from)
}

/// More would take 8 GB.
const MAX_SAMPLES: usize = 10_000_000;

const FASHION: [&str; 10] = [
    "T-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
];

impl DataSource {
    /// The names accepted by [`parse`](Self::parse).
    pub const NAMES: &[&str] = &[
        "glyphs",
        "alphabet:N",
        "mnist",
        "fashion-mnist",
        "idx",
        "cifar10",
        "cifar100",
        "images",
    ];

    /// The source with this name.
    ///
    /// # Errors
    /// The name is unknown, or the N of `alphabet:N` is out of range.
    pub fn parse(name: &str) -> Result<Self, DataError> {
        if let Some(classes) = name.strip_prefix("alphabet") {
            let number = classes.strip_prefix(':').unwrap_or(classes);
            return match number.parse() {
                Ok(classes @ 2..=MAX_CLASSES) => Ok(Self::Alphabet { classes }),
                _ => Err(DataError::out_of_range(
                    "N of alphabet:N",
                    "a number from 2 to 100000, as in alphabet:40",
                    format!("{number:?}"),
                )),
            };
        }
        let lower = name.to_lowercase();
        match name {
            "glyphs" => Ok(Self::Glyphs),
            "mnist" | "idx" => Ok(Self::Idx { fashion: false }),
            "fashion-mnist" => Ok(Self::Idx { fashion: true }),
            "cifar10" => Ok(Self::Cifar10),
            "cifar100" => Ok(Self::Cifar100),
            "images" => Ok(Self::Images),
            _ => Err(DataError::UnknownSource {
                name: name.to_owned(),
                hint: Self::NAMES
                    .iter()
                    .map(|&known| (strsim::jaro_winkler(known, &lower), known))
                    .filter(|&(similarity, _)| similarity > 0.75)
                    .max_by(|a, b| a.0.total_cmp(&b.0))
                    .map(|(_, known)| known),
                known: Self::NAMES.join(", "),
            }),
        }
    }

    /// Whether the program generates the images.
    pub fn is_generated(self) -> bool {
        matches!(self, Self::Glyphs | Self::Alphabet { .. })
    }

    /// The default folder of this source below [`data_root`], named like its published archive.
    pub fn folder(self) -> Option<&'static str> {
        match self {
            Self::Glyphs | Self::Alphabet { .. } | Self::Images => None,
            Self::Idx { fashion: false } => Some("mnist"),
            Self::Idx { fashion: true } => Some("fashion-mnist"),
            Self::Cifar10 => Some("cifar-10-batches-bin"),
            Self::Cifar100 => Some("cifar-100-binary"),
        }
    }

    /// The default folder, if it exists.
    fn usual_folder(self) -> Option<PathBuf> {
        let path = data_root().join(self.folder()?);
        path.is_dir().then_some(path)
    }

    /// Loads or generates the images.
    ///
    /// # Errors
    /// Files are missing or damaged, or a number of samples or classes is out of range; for images
    /// also the errors of [`ImageList`](crate::images::ImageList), and fewer than two classes to
    /// train on.
    pub fn load(self, options: &SourceOptions) -> Result<Split, DataError> {
        check_samples(options)?;
        let (mut split, origin) = self.read(options)?;
        match &options.open_set {
            Some(OpenSet::Classes(count)) if !self.is_generated() => {
                split.keep_classes_out(*count, options.seed)?;
            }
            Some(OpenSet::Folder(path)) => images::source::add_open_set(&mut split, path, options)?,
            _ => {}
        }
        // Generated sets already have the requested sizes.
        if !self.is_generated() {
            let subset = |data: Dataset, samples: Option<usize>| match samples {
                Some(samples) => data.subset(samples),
                None => data,
            };
            split.train = subset(split.train, options.train_samples);
            split.test = subset(split.test, options.test_samples);
        }
        let chosen = match &options.open_set {
            Some(OpenSet::Folder(path)) => Some(path),
            // The rows of a list define their parts.
            None => options.dir.as_ref(),
            // Drawn by this program: nobody has declared that these classes differ.
            Some(OpenSet::Classes(_)) => None,
        };
        if let Some(path) = chosen {
            duplicates::refuse_trained(&split, path)?;
        }
        split.warnings.extend(duplicates::warnings(&split));
        split.summary = origin.map(|origin| images::source::summary(&split, &origin));
        Ok(split)
    }

    /// All images; for a folder or list of images also a description of it.
    fn read(self, options: &SourceOptions) -> Result<(Split, Option<String>), DataError> {
        let usual = self.usual_folder();
        let files = |name: &str, files| {
            let folder = options.dir.as_deref().or(usual.as_deref());
            folder.ok_or_else(|| DataError::NoFolder {
                name: name.into(),
                files,
            })
        };
        let split = match self {
            Self::Glyphs | Self::Alphabet { .. } => self.generate(options)?,
            Self::Idx { fashion } => {
                let name = if fashion { "fashion-mnist" } else { "mnist" };
                let dir: &Path = files(name, idx::FILES)?;
                let folder = dir.file_name().unwrap_or_default().to_string_lossy();
                let fashion = fashion || folder.to_lowercase().contains("fashion");
                idx::load(dir, name, fashion.then_some(&FASHION))?
            }
            Self::Cifar10 => cifar::load_cifar10(files("cifar10", cifar::CIFAR10_FILES)?)?,
            Self::Cifar100 => cifar::load_cifar100(files("cifar100", cifar::CIFAR100_FILES)?)?,
            Self::Images => {
                let path = options.dir.as_deref().ok_or_else(|| {
                    DataError::out_of_range(
                        "data-dir",
                        "a folder with one folder of images per class, or a .csv or .parquet list \
                         of images, for --data images",
                        "none",
                    )
                })?;
                let (split, origin) = images::source::load(path, options)?;
                return Ok((split, Some(origin)));
            }
        };
        Ok((split, None))
    }
}

fn check_samples(options: &SourceOptions) -> Result<(), DataError> {
    for (name, samples) in [
        ("train-samples", options.train_samples),
        ("test-samples", options.test_samples),
    ] {
        if let Some(samples) = samples
            && !(1..=MAX_SAMPLES).contains(&samples)
        {
            let expected = format!("from 1 to {MAX_SAMPLES}");
            return Err(DataError::out_of_range(name, expected, samples));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_sources_or_to_the_nearest_name() {
        for name in DataSource::NAMES {
            DataSource::parse(&name.replace('N', "40")).unwrap();
        }
        let message = DataSource::parse("glyph").unwrap_err().to_string();
        assert!(message.contains("did you mean glyphs?"), "{message}");
        for (name, nearest) in [
            ("MNIST", "mnist"),
            ("CIFAR-10", "cifar10"),
            ("cifar_100", "cifar100"),
            ("fashion_mnist", "fashion-mnist"),
        ] {
            let message = DataSource::parse(name).unwrap_err().to_string();
            assert!(
                message.contains(&format!("did you mean {nearest}?")),
                "{message}"
            );
        }
        let message = DataSource::parse("x").unwrap_err().to_string();
        assert!(!message.contains("did you mean"), "{message}");
        for bad in [
            "alphabet",
            "alphabet:1",
            "alphabet:x",
            "alphabet:99999999999",
        ] {
            assert!(
                DataSource::parse(bad)
                    .unwrap_err()
                    .to_string()
                    .contains("from 2 to 100000")
            );
        }
    }

    #[test]
    fn missing_data_is_reported() {
        let load = |name: &str, dir: Option<&str>, samples| {
            let options = SourceOptions {
                dir: dir.map(Into::into),
                train_samples: samples,
                ..SourceOptions::default()
            };
            DataSource::parse(name)
                .unwrap()
                .load(&options)
                .unwrap_err()
                .to_string()
        };
        // Unless the files are in their default folder on this machine.
        if DataSource::Cifar100.usual_folder().is_none() {
            assert!(load("cifar100", None, None).contains("--data glyphs needs no files"));
        }
        assert!(load("cifar10", Some("/nonexistent"), None).contains("has no data_batch_1.bin"));
        assert!(load("glyphs", None, Some(0)).contains("train-samples must be from 1"));
        assert!(load("glyphs", None, Some(usize::MAX)).contains("train-samples must be from 1"));
    }
}
