//! Pairs and the images they are about.

use super::PairsFile;
use crate::error::DataError;
use crate::images::ENDINGS;
use crate::names::as_on_disk;
use std::collections::HashMap;
use std::path::Path;

/// Missing images that an error names.
const NAMED: usize = 3;

/// The images of a [`PairsFile`], each once: a feature an image is all that its pairs need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairImages {
    /// Files relative to the folder of images, with slashes, in the order in which the pairs
    /// first name them.
    pub images: Vec<String>,
    /// For each pair, in the order of the file, the places of its two images in `images`.
    pub pairs: Vec<[usize; 2]>,
}

impl PairsFile {
    /// Finds the file of each image in `root`: the file itself, or the same with another of
    /// the endings that [`ImageList::from_folder`](crate::images::ImageList::from_folder) knows,
    /// in lower or upper case, in either spelling of Unicode; the first that exists.
    ///
    /// # Errors
    /// Images without a file: how many, and the first of them.
    pub fn resolve(&self, root: &Path) -> Result<PairImages, DataError> {
        let mut places = HashMap::new();
        let (mut images, mut missing) = (Vec::new(), Vec::new());
        let mut pairs = Vec::with_capacity(self.pairs.len());
        for pair in &self.pairs {
            pairs.push([&*pair.left, &*pair.right].map(|image| {
                *places.entry(image).or_insert_with(|| {
                    images.push(find(root, image).unwrap_or_else(|| {
                        missing.push(image);
                        image.to_owned()
                    }));
                    images.len() - 1
                })
            }));
        }
        if missing.is_empty() {
            return Ok(PairImages { images, pairs });
        }
        let (missed, count) = (missing.len(), images.len());
        missing.truncate(NAMED);
        let more = if missed > NAMED { ", ..." } else { "" };
        Err(DataError::Missing {
            path: root.to_owned(),
            missing: format!("{}{more}", missing.join(", ")),
            hint: format!(
                "{missed} of the {count} images of the pairs are missing, with any of the \
                 endings {}",
                ENDINGS.join(", ")
            ),
        })
    }
}

/// The file of an image in `root`, relative to it.
fn find(root: &Path, image: &str) -> Option<String> {
    let existing = |image: String| {
        let image = as_on_disk(root, &image)?;
        root.join(&image).is_file().then_some(image)
    };
    let image = image.to_owned();
    if let Some(found) = existing(image.clone()) {
        return Some(found);
    }
    // What follows a dot need not be an ending: `John_D._0001`.
    let stem = match image.rsplit_once('.') {
        Some((stem, ending)) if ENDINGS.contains(&&*ending.to_lowercase()) => stem,
        _ => &image,
    };
    ENDINGS
        .iter()
        .flat_map(|ending| [(*ending).to_owned(), ending.to_uppercase()])
        .map(|ending| format!("{stem}.{ending}"))
        .find_map(existing)
}
