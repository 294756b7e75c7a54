//! Folders and lists of images as a data set.
//!
//! A class is a folder of images ([`ImageList::from_folder`]) or a name in a list
//! ([`ImageList::from_csv`]). Images are read by what is in them and not by their names, turned
//! as their EXIF data says, put on white where they are transparent, brought to one size
//! ([`Fit`]) and kept as bytes. [`decode_image`] does the same to one file. The same files give
//! the same bytes, whatever the number of threads.
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
mod parts;
mod pixels;
pub(crate) mod source;
mod tree;

pub use check::{
    BrokenImage, ClassImages, DuplicateKind, Duplicates, ImageCheck, SizeImages, check,
    holds_images,
};
#[cfg(feature = "parquet")]
pub(crate) use decode::guarded;
pub(crate) use kinds::ENDINGS;
pub use kinds::OtherFiles;
pub use list::{ImageEntry, ImageList, Part, Reading, base};
pub use load::{Decoded, decode_image};
pub use pixels::DecodedImage;

use crate::error::DataError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most rows or columns of an image in a data set.
const LARGEST_SIZE: usize = 4096;

/// How images are decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageOptions {
    /// Rows and columns of the result, each from 1 to 4096.
    pub size: [usize; 2],
    /// Grey or colour.
    pub channels: Channels,
    /// How images of another shape come to that size.
    pub fit: Fit,
    /// What becomes of images that cannot be read.
    pub broken: Broken,
    /// A folder for what was decoded, made if it is not there, so that the next start need not
    /// decode again. A file in it is used only for the very same images (path and content) and options,
    /// and only if it is undamaged.
    pub cache: Option<PathBuf>,
    /// What is done to an image before it is resized.
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
    /// Refuses a size out of range.
    fn check(&self) -> Result<(), DataError> {
        if self
            .size
            .iter()
            .all(|side| (1..=LARGEST_SIZE).contains(side))
        {
            return Ok(());
        }
        let [height, width] = self.size;
        Err(DataError::number(
            "image-size",
            format!("from 1x1 to {LARGEST_SIZE}x{LARGEST_SIZE} (height x width)"),
            format!("{height}x{width}"),
        ))
    }
}

/// Which folders of a folder of images are classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassFolders {
    /// The folders directly in it, or in its parts, where nothing else can be meant; else an error
    /// says what can be.
    #[default]
    Auto,
    /// The folders directly in it, or in its parts, with all images that lie below each.
    Top,
    /// Every folder that holds images, with the way to it as its name (`Latin/character01`).
    Each,
}

/// Grey or colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channels {
    /// One channel, the luma of Rec. 709: `0.2126 R + 0.7152 G + 0.0722 B`.
    Grey,
    /// Three channels; a grey image has the same value in all of them.
    Colour,
    /// Grey if up to 64 images, spread evenly over the list, show no colour, else colour. For one
    /// file, that file decides.
    #[default]
    Auto,
}

/// How an image of another shape comes to the size that is asked for. The filter is bicubic
/// (Catmull-Rom), stretched where the image shrinks, so that nothing aliases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fit {
    /// Scaled until it covers the size; what stands over is cut off evenly on both sides.
    #[default]
    Crop,
    /// Width and height scaled each for itself.
    Stretch,
    /// Scaled until it fits within the size, with black on both sides.
    Pad,
}

/// What becomes of images that cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Broken {
    /// They are left out, and named. A class without any other image is an error.
    #[default]
    Skip,
    /// They are an error, which names the first of them.
    Refuse,
}

/// What an alignment does to an image; its error makes the image a broken one.
type Step = dyn Fn(&Path, DecodedImage) -> Result<DecodedImage, DataError> + Send + Sync;

/// A step between decoding and resizing, such as turning faces upright.
#[derive(Clone)]
pub struct Alignment {
    name: String,
    step: Arc<Step>,
}

impl Alignment {
    /// A step. It gets the file and its image of one or three channels, as stored, and has to be a
    /// function of them alone. `name` tells it from other steps, with all its settings: what was
    /// decoded with one name is not used with another.
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

/// By name.
impl PartialEq for Alignment {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Alignment {}

/// What was expected, and what was found.
type Wrong = (String, String);

#[cfg(test)]
mod tests;
