//! How an experiment reads folders of images.

use crate::error::RecordError;
use crate::model_info::ImageRules;
use crate::settings::Settings;
use lsoftmax_data::faces::FaceTemplate;
use lsoftmax_data::images::{Broken, Channels, ClassFolders, Fit};
use serde::Deserialize;
use serde::de::value::{BorrowedStrDeserializer, Error as NoName};
use std::path::PathBuf;

/// How images come to one size: the settings of the data set `images`.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageChoice {
    /// Rows and columns.
    pub size: [usize; 2],
    /// Grey or colour.
    pub channels: Channels,
    /// What becomes of another shape, and of faces.
    pub rules: ImageRules,
    /// What becomes of images that cannot be read.
    pub broken: Broken,
    /// A folder for what was decoded.
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

/// One of the names of an enum, or an error that knows them all.
pub(crate) fn named<'a, T: Deserialize<'a>>(
    setting: &'static str,
    text: &'a str,
    known: &'static [&'static str],
) -> Result<T, RecordError> {
    T::deserialize(BorrowedStrDeserializer::<NoName>::new(text))
        .map_err(|_| RecordError::unknown_name(setting, known, text))
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
        let channels = settings
            .channels
            .as_deref()
            .map_or(Ok(Channels::default()), |text| {
                named("channels", text, &["grey", "colour", "auto"])
            })?;
        let fit = settings.fit.as_deref().map_or(Ok(Fit::default()), |text| {
            named("fit", text, &["crop", "stretch", "pad"])
        })?;
        let broken = settings
            .broken
            .as_deref()
            .map_or(Ok(Broken::default()), |text| {
                named("broken", text, &["skip", "refuse"])
            })?;
        let class_folders = settings.class_folders.as_deref();
        let class_folders = class_folders.map_or(Ok(ClassFolders::default()), |text| {
            named("class-folders", text, &["auto", "top", "each"])
        })?;
        Ok(Self {
            size,
            channels,
            rules: ImageRules { fit, align },
            broken,
            cache: settings.image_cache.clone(),
            landmarks: settings.landmarks.clone(),
            exclude: settings.exclude.clone(),
            class_folders,
            test_share: settings.test_share.unwrap_or(DEFAULT_SHARE),
        })
    }

    /// The settings that [`resolve`](Self::resolve) reads this from.
    pub(crate) fn write(&self, settings: &mut Settings) {
        let [height, width] = self.size;
        settings.image_size = Some(format!("{height}x{width}"));
        let name = |value: Result<toml::Value, _>| {
            let value: Option<toml::Value> = value.ok();
            value.and_then(|value: toml::Value| value.as_str().map(str::to_owned))
        };
        settings.channels = name(toml::Value::try_from(self.channels));
        settings.fit = name(toml::Value::try_from(self.rules.fit));
        settings.broken = name(toml::Value::try_from(self.broken));
        settings.image_cache.clone_from(&self.cache);
        settings.align = self.rules.align.map(|template| template.to_string());
        settings.landmarks.clone_from(&self.landmarks);
        settings.exclude.clone_from(&self.exclude);
        settings.class_folders = name(toml::Value::try_from(self.class_folders));
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
