//! How an experiment reads folders of images.

use crate::error::RecordError;
use crate::names;
use crate::settings::Settings;
use lsoftmax_data::faces::FaceTemplate;
use lsoftmax_data::images::{Broken, Channels, ClassFolders, Fit};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How images of files are read: the settings of the data set `images`.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageChoice {
    /// Rows and columns.
    pub size: [usize; 2],
    /// Grey or colour.
    pub channels: Channels,
    /// How images get this size.
    pub rules: ImageRules,
    /// The treatment of images that cannot be read.
    pub broken: Broken,
    /// A folder for decoded images.
    pub cache: Option<PathBuf>,
    /// The landmarks of faces.
    pub landmarks: Option<PathBuf>,
    /// A file with the names of classes to leave out.
    pub exclude: Option<PathBuf>,
    /// Which folders are classes.
    pub class_folders: ClassFolders,
    /// The share of each class to test on.
    pub test_share: f64,
}

const DEFAULT_SIZE: [usize; 2] = [112, 112];
const DEFAULT_SHARE: f64 = 0.2;

/// How an image of a file gets the size that a model takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageRules {
    /// How an image of another shape is fitted.
    pub fit: Fit,
    /// The face template that images are aligned to by their landmarks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub align: Option<FaceTemplate>,
}

impl ImageChoice {
    pub(crate) fn resolve(settings: &Settings) -> Result<Self, RecordError> {
        let align: Option<FaceTemplate> = settings.align.as_deref().map(str::parse).transpose()?;
        if align.is_some() != settings.landmarks.is_some() {
            let expected =
                "given together with landmarks: a template and the five points of each image";
            return Err(RecordError::setting(
                "align",
                expected,
                "one of the two alone",
            ));
        }
        let size = match (&settings.image_size, align) {
            (Some(text), _) => parse_size(text)?,
            (None, Some(template)) => template.size(),
            (None, None) => DEFAULT_SIZE,
        };
        let fit = names::parse("fit", settings.fit.as_deref(), names::FITS)?;
        let class_folders = settings.class_folders.as_deref();
        Ok(Self {
            size,
            channels: names::parse("channels", settings.channels.as_deref(), names::CHANNELS)?,
            rules: ImageRules { fit, align },
            broken: names::parse("broken", settings.broken.as_deref(), names::BROKEN)?,
            cache: settings.image_cache.clone(),
            landmarks: settings.landmarks.clone(),
            exclude: settings.exclude.clone(),
            class_folders: names::parse("class-folders", class_folders, names::CLASS_FOLDERS)?,
            test_share: settings.test_share.unwrap_or(DEFAULT_SHARE),
        })
    }

    /// The settings that [`resolve`](Self::resolve) reads this from.
    pub(crate) fn write(&self, settings: &mut Settings) {
        let [height, width] = self.size;
        settings.image_size = Some(format!("{height}x{width}"));
        settings.channels = names::name(self.channels);
        settings.fit = names::name(self.rules.fit);
        settings.broken = names::name(self.broken);
        settings.image_cache.clone_from(&self.cache);
        settings.align = self.rules.align.map(|template| template.to_string());
        settings.landmarks.clone_from(&self.landmarks);
        settings.exclude.clone_from(&self.exclude);
        settings.class_folders = names::name(self.class_folders);
        settings.test_share = Some(self.test_share);
    }
}

/// Reads `HEIGHTxWIDTH`, or one number for both.
fn parse_size(text: &str) -> Result<[usize; 2], RecordError> {
    let (height, width) = text.split_once('x').unwrap_or((text, text));
    match (height.trim().parse(), width.trim().parse()) {
        (Ok(height), Ok(width)) => Ok([height, width]),
        _ => Err(RecordError::setting(
            "image-size",
            "HEIGHTxWIDTH, such as 112x96, or one number",
            format!("{text:?}"),
        )),
    }
}
