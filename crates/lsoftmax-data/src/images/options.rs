//! The options of a data source, most of which concern images.

use super::{ClassFolders, ImageOptions};
use crate::open_set::{OpenSet, SameNames};
use std::path::PathBuf;

/// Options of a source.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceOptions {
    /// Folder of the files; for images also a list (`.csv`, `.parquet`).
    pub dir: Option<PathBuf>,
    /// Seed of generated data and of drawn test images.
    pub seed: u64,
    /// Number of training images. For files a maximum ([`Dataset::subset`](crate::Dataset::subset)), all by default; for
    /// glyphs the exact number, 20,000 by default; for an alphabet rounded up to a multiple of its
    /// classes.
    pub train_samples: Option<usize>,
    /// Number of test images, likewise; 4,000 generated ones by default.
    pub test_samples: Option<usize>,
    /// Share of each class to test on ([`Dataset::split_share`](crate::Dataset::split_share)), above 0 and below 1. For image
    /// folders and lists that define no parts.
    pub test_share: f64,
    /// Classes to exclude from training.
    pub open_set: Option<OpenSet>,
    /// Handling of open-set classes from another folder with names of trained classes.
    pub open_set_same_names: SameNames,
    /// For images: a file with the names of classes to exclude
    /// ([`IdentityList`](crate::identities::IdentityList)). Does not apply to an open set in another
    /// folder.
    pub exclude: Option<PathBuf>,
    /// For a folder of images: the subfolders that are classes.
    pub class_folders: ClassFolders,
    /// Options for decoding images.
    pub images: ImageOptions,
}

impl Default for SourceOptions {
    /// All images, a fifth of them to test on, and no open set.
    fn default() -> Self {
        Self {
            dir: None,
            seed: 0,
            train_samples: None,
            test_samples: None,
            test_share: 0.2,
            open_set: None,
            open_set_same_names: SameNames::default(),
            exclude: None,
            class_folders: ClassFolders::default(),
            images: ImageOptions::default(),
        }
    }
}
