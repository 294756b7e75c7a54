//! Conversion of experiment settings to options of the image reader.

use crate::error::TrainError;
use lsoftmax_data::faces::{Landmarks, alignment_step};
use lsoftmax_data::images::{ImageOptions, base};
use lsoftmax_record::ImageChoice;
use std::path::Path;

/// Options of the image reader. Image paths are relative to `root`.
pub(crate) fn image_options(choice: &ImageChoice, root: &Path) -> Result<ImageOptions, TrainError> {
    let mut options = ImageOptions {
        size: choice.size,
        channels: choice.channels,
        fit: choice.rules.fit,
        broken: choice.broken,
        cache: choice.cache.clone(),
        alignment: None,
    };
    if let (Some(template), Some(file)) = (choice.rules.align, &choice.landmarks) {
        let landmarks = Landmarks::read(file)?;
        let root = base(root).to_owned();
        options.alignment = Some(alignment_step(landmarks, root, template));
    }
    Ok(options)
}
