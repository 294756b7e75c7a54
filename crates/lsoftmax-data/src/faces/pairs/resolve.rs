//! Finds the image files of pairs.

use super::PairsFile;
use crate::error::DataError;
use crate::images::ENDINGS;
use crate::names::as_on_disk;
use std::collections::HashMap;
use std::path::Path;

/// Maximum number of missing images in an error message.
const MAX_NAMED: usize = 3;

/// The distinct images of a [`PairsFile`]: one feature per image is enough for all pairs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairImages {
    /// Files relative to the image folder, with slashes, in the order of their first occurrence in
    /// the pairs.
    pub images: Vec<String>,
    /// For each pair, in file order, the indices of its two images in `images`.
    pub pairs: Vec<[usize; 2]>,
}

impl PairsFile {
    /// Finds the file of each image in `root`: the file itself, or the same name with another
    /// extension supported by [`ImageList::from_folder`](crate::images::ImageList::from_folder), in
    /// lower or upper case and in either Unicode normal form. The first existing file is used.
    ///
    /// # Errors
    /// Some images have no file; the error gives their number and the first of them.
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
        missing.truncate(MAX_NAMED);
        let more = if missed > MAX_NAMED { ", ..." } else { "" };
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
    // The text after a dot need not be an extension: `John_D._0001`.
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
