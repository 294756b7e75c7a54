//! Image data sets from folders and lists.
//!
//! A class is a folder of images ([`ImageList::from_folder`]) or a name in a list
//! ([`ImageList::from_csv`]). Formats are detected by content, not by name. Images are rotated
//! according to their EXIF data, blended onto white where transparent, resized ([`Fit`]) and stored
//! as bytes. [`decode_image`] does the same for one file. The same files give the same bytes on any
//! number of threads.
//!
//! ```no_run
//! use lsoftmax_data::images::{ImageList, ImageOptions};
//! use std::path::Path;
//!
//! let list = ImageList::from_folder(Path::new("faces"))?;
//! let decoded = list.decode(&ImageOptions { size: [112, 96], ..ImageOptions::default() })?;
//! let (train, test) = decoded.dataset.split_share(0.2, 0)?;
//! # Ok::<(), lsoftmax_data::DataError>(())
//! ```

mod cache;
mod check;
mod decode;
mod files;
mod fit;
mod folder;
mod jpeg;
mod kinds;
mod list;
mod load;
mod locate;
mod options;
mod parts;
mod pixels;
pub(crate) mod source;
mod tree;

pub use check::{
    BrokenImage, ClassImages, DuplicateKind, Duplicates, ImageCheck, SizeImages, check,
    holds_images,
};
pub(crate) use kinds::ENDINGS;
pub use kinds::OtherFiles;
pub use list::{ImageEntry, ImageList, Part, Reading, base};
pub use load::{Decoded, decode_image, prepare_image};
pub use options::SourceOptions;
pub use pixels::DecodedImage;

use crate::error::{DataError, ExpectedFound};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Maximum number of rows or columns of an image in a data set.
const MAX_SIZE: usize = 4096;

/// Options for decoding images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageOptions {
    /// Rows and columns of the result, each from 1 to 4096.
    pub size: [usize; 2],
    /// Grey or colour.
    pub channels: Channels,
    /// Resizing of images with another aspect ratio.
    pub fit: Fit,
    /// Handling of unreadable images.
    pub broken: Broken,
    /// Cache folder for decoded images, created if missing, so that the next start does not decode
    /// them again. A cache file is used only for identical images (path and content) and options,
    /// and only if it is undamaged.
    pub cache: Option<PathBuf>,
    /// A step before resizing.
    pub alignment: Option<Alignment>,
}

impl Default for ImageOptions {
    /// 112 x 112 pixels, [`Channels::Auto`], [`Fit::Crop`], [`Broken::Skip`], no cache, no
    /// alignment.
    fn default() -> Self {
        Self {
            size: [112, 112],
            channels: Channels::default(),
            fit: Fit::default(),
            broken: Broken::default(),
            cache: None,
            alignment: None,
        }
    }
}

impl ImageOptions {
    /// Rejects a size out of range.
    fn check(&self) -> Result<(), DataError> {
        if self.size.iter().all(|side| (1..=MAX_SIZE).contains(side)) {
            return Ok(());
        }
        let [height, width] = self.size;
        Err(DataError::out_of_range(
            "image-size",
            format!("from 1x1 to {MAX_SIZE}x{MAX_SIZE} (height x width)"),
            format!("{height}x{width}"),
        ))
    }
}

/// The folders within a folder of images that are classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassFolders {
    /// The folders directly in it, or in its parts, if there is no other interpretation. Otherwise
    /// an error lists the choices.
    #[default]
    Auto,
    /// The folders directly in it, or in its parts, each with all images below it.
    Top,
    /// Every folder with images, named by its relative path (`Latin/character01`).
    Each,
}

/// Grey or colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// One channel, the luma of Rec. 709: `0.2126 R + 0.7152 G + 0.0722 B`.
    Grey,
    /// Three channels; a grey image has equal channels.
    Colour,
    /// Grey if up to 64 images, spaced evenly over the list, have no colour; otherwise colour. For
    /// a single file, that file decides.
    #[default]
    Auto,
}

/// Resizing of an image to another aspect ratio. The filter is bicubic (Catmull-Rom), widened when
/// the image shrinks to avoid aliasing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Scaled to cover the size; the excess is cropped evenly on both sides.
    #[default]
    Crop,
    /// Width and height scaled independently.
    Stretch,
    /// Scaled to fit within the size, with black bars on both sides.
    Pad,
}

/// Handling of unreadable images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Broken {
    /// Unreadable images are skipped and reported. A class without a readable image is an error.
    #[default]
    Skip,
    /// Unreadable images are an error, which names the first of them.
    Refuse,
}

/// The function of an alignment; its error marks the image as broken.
type Step = dyn Fn(&Path, DecodedImage) -> Result<DecodedImage, DataError> + Send + Sync;

/// A step between decoding and resizing, such as the alignment of faces.
#[derive(Clone)]
pub struct Alignment {
    name: String,
    step: Arc<Step>,
}

impl Alignment {
    /// Creates a step. It receives the file and its image of one or three channels, as stored, and
    /// must depend on nothing else. `name` must identify the step with all of its settings: a cache
    /// written under one name is not used under another.
    pub fn new(
        name: impl Into<String>,
        step: impl Fn(&Path, DecodedImage) -> Result<DecodedImage, DataError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            step: Arc::new(step),
        }
    }
}

impl fmt::Debug for Alignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Alignment").field(&self.name).finish()
    }
}

/// Compares by name.
impl PartialEq for Alignment {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Alignment {}

#[cfg(test)]
mod tests;
