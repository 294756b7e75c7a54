//! A trained model applied to image files or decoded images.

use crate::error::TrainError;
use crate::evaluation::{embeddings, features, host};
use crate::model::Model;
use crate::run_folder::MODEL_FILE;
use crate::stop::Stop;
use crate::test_images::images_beside;
use burn::module::Module as _;
use burn::tensor::{Device, Tensor, TensorData};
use lsoftmax_data::faces::{Landmarks, alignment_step};
use lsoftmax_data::images::{
    Broken, Channels, ClassFolders, Decoded, DecodedImage, ImageList, ImageOptions, base,
    decode_image, prepare_image,
};
use lsoftmax_data::{Dataset, RunImages, names};
use lsoftmax_record::ModelInfo;
use rayon::prelude::*;
use std::path::{Path, PathBuf};

/// A trained model together with the preparation of its images.
#[derive(Debug)]
pub struct Embedder {
    /// The model.
    pub model: Model,
    /// The description of the model: everything that is not a tensor.
    pub info: ModelInfo,
    /// The path of the model file, empty if the model was not read from a file.
    pub file: PathBuf,
    landmarks: Option<Landmarks>,
    broken: Broken,
}

/// Embeddings of the images that could be read.
#[derive(Clone, Debug, Default)]
pub struct Embedded {
    /// The embeddings, `[image, feature]`, with rows of length 1.
    pub rows: Vec<f32>,
    /// The path of each image.
    pub paths: Vec<String>,
    /// The class of each image, from its folder or list.
    pub labels: Vec<String>,
    /// The images that could not be read, and why.
    pub skipped: Vec<(PathBuf, String)>,
    /// Warnings about the folders, such as parts that may be missing.
    pub warnings: Vec<String>,
}

/// A single image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture<'a> {
    /// An image file.
    File(&'a Path),
    /// Decoded pixels: bytes `[height, width, channel]` with 1 or 3 channels, upright.
    Pixels {
        /// The bytes.
        bytes: &'a [u8],
        /// Height, width and channels.
        size: [usize; 3],
    },
}

/// The kind of class score that a model gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreKind {
    /// Probabilities: the softmax of the logits that the loss trained, without its margin.
    Probabilities,
    /// Cosines with the class weights, for a loss that does not train logits.
    Cosines,
}

/// Class scores of images.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// The scores, `[image, class]`.
    pub scores: Vec<f32>,
    /// The kind of the scores.
    pub kind: ScoreKind,
}

/// The path of a model file, given the file itself or its run folder.
pub fn model_file(run: &Path) -> PathBuf {
    if run.is_dir() {
        run.join(MODEL_FILE)
    } else {
        run.to_owned()
    }
}

impl Embedder {
    /// Opens a model by its file or its run folder.
    ///
    /// # Errors
    /// The same as for [`Model::load`]. Also if the model was trained on aligned faces and no
    /// landmarks are given, or the reverse.
    pub fn open(run: &Path, landmarks: Option<&Path>, device: &Device) -> Result<Self, TrainError> {
        let file = model_file(run);
        let (model, info) = Model::load(&file, device)?;
        Ok(Self {
            file,
            ..Self::of(model, info, landmarks)?
        })
    }

    /// Wraps a model that is already in memory.
    ///
    /// # Errors
    /// The same as for [`open`](Self::open) with regard to landmarks.
    pub fn of(model: Model, info: ModelInfo, landmarks: Option<&Path>) -> Result<Self, TrainError> {
        if info.images.align.is_some() && landmarks.is_none() {
            let expected = "given: this model was trained on aligned faces, and the file of landmarks \
                            gives the eyes, the nose and the corners of the mouth of each image";
            return Err(TrainError::setting("landmarks", expected, "none"));
        }
        if let (None, Some(file)) = (info.images.align, landmarks) {
            let expected = "left out: this model was trained without `align`";
            return Err(TrainError::setting("landmarks", expected, file.display()));
        }
        Ok(Self {
            model,
            info,
            file: PathBuf::new(),
            landmarks: landmarks.map(Landmarks::read).transpose()?,
            broken: Broken::Skip,
        })
    }

    /// The images that the model was trained on, if the model file lies in its run folder and the
    /// run recorded its images.
    ///
    /// # Errors
    /// The run's list of images is damaged.
    pub fn trained_images(&self) -> Result<Option<RunImages>, TrainError> {
        let images = images_beside(&self.file)?;
        Ok(images.filter(|images| images.are_of(&self.info.class_names)))
    }

    /// Whether to return an error for images that cannot be read, instead of skipping them.
    #[must_use]
    pub fn refusing(mut self, refuse: bool) -> Self {
        if refuse {
            self.broken = Broken::Refuse;
        }
        self
    }

    /// The image preparation of the model. Paths in the landmarks file are relative to `root`.
    fn options(&self, root: &Path) -> ImageOptions {
        let [channels, height, width] = self.info.image;
        let mut options = ImageOptions {
            size: [height, width],
            channels: if channels == 1 {
                Channels::Grey
            } else {
                Channels::Colour
            },
            fit: self.info.images.fit,
            broken: self.broken,
            ..ImageOptions::default()
        };
        if let (Some(template), Some(landmarks)) = (self.info.images.align, &self.landmarks) {
            let step = alignment_step(landmarks.clone(), root.to_owned(), template);
            options.alignment = Some(step);
        }
        options
    }

    /// Reads and prepares all images of a folder or list, regardless of what its folders mean.
    ///
    /// # Errors
    /// There are no images, or none of them can be read.
    pub fn decode(&self, place: &Path) -> Result<Decoded, TrainError> {
        self.decode_list(place, &ImageList::from_anything(place)?)
    }

    /// Reads and prepares the images of a list or of a folder with one folder per class.
    ///
    /// # Errors
    /// The same as for [`decode`](Self::decode); also if the folders are not classes.
    pub fn decode_classes(
        &self,
        place: &Path,
        folders: ClassFolders,
    ) -> Result<Decoded, TrainError> {
        self.decode_list(place, &ImageList::from_path_as(place, folders)?)
    }

    fn decode_list(&self, place: &Path, list: &ImageList) -> Result<Decoded, TrainError> {
        // For a single image, only the landmarks file shows what its path is relative to.
        let root = self.landmarks.as_ref().and_then(|it| it.root_of(place));
        let root = root.unwrap_or_else(|| list.base().to_owned());
        Ok(list.decode(&self.options(&root))?)
    }

    /// Reads and prepares single images. All get class 0.
    ///
    /// # Errors
    /// There are no images, or one cannot be read. For a model trained on aligned faces, also if an
    /// image is not a file, since landmarks are looked up by path.
    pub fn read(&self, images: &[Picture<'_>]) -> Result<Dataset, TrainError> {
        let size: usize = self.info.image.iter().product();
        let length = images.len().saturating_mul(size);
        let mut bytes = Vec::new();
        if bytes.try_reserve_exact(length).is_err() {
            let found = format!("{} images of {size} bytes", images.len());
            return Err(TrainError::setting("images", "less than the memory", found));
        }
        bytes.resize(length, 0);
        let read: Vec<Result<(), TrainError>> = bytes
            .par_chunks_exact_mut(size)
            .zip(images)
            .map(|(out, image)| self.read_one(image, out))
            .collect();
        // Report the first error in the order of the images, not in time.
        read.into_iter().collect::<Result<(), _>>()?;
        let names = vec![String::new()];
        Ok(Dataset::new(
            bytes,
            vec![0; images.len()],
            self.info.image,
            names,
        )?)
    }

    fn read_one(&self, image: &Picture<'_>, out: &mut [u8]) -> Result<(), TrainError> {
        match *image {
            Picture::File(path) => {
                let failed = |source| TrainError::file("read", path, source);
                std::fs::metadata(path).map_err(failed)?;
                let root = self.landmarks.as_ref().and_then(|it| it.root_of(path));
                let root = root.unwrap_or_else(|| base(path).to_owned());
                out.copy_from_slice(&decode_image(path, &self.options(&root))?);
            }
            Picture::Pixels { .. } if self.info.images.align.is_some() => {
                let expected = "paths, since this model was trained on aligned faces and looks up \
                                landmarks by path";
                return Err(TrainError::setting("images", expected, "pixels"));
            }
            Picture::Pixels { bytes, size } => {
                let image = DecodedImage::new(bytes.to_vec(), size)?;
                prepare_image(image, &self.options(Path::new("")), out)?;
            }
        }
        Ok(())
    }

    /// The embeddings of files, given by their paths relative to `root`, and the prepared images.
    ///
    /// # Errors
    /// An image cannot be read. Otherwise the same as for [`embeddings`].
    pub fn embed_files(
        &self,
        files: &[String],
        root: &Path,
    ) -> Result<(Vec<f32>, Dataset), TrainError> {
        let files: Vec<PathBuf> = files.iter().map(|file| root.join(file)).collect();
        let decoded = ImageList::from_files(&files)?.decode(&self.options(root))?;
        let rows = embeddings(&self.model, &self.info, &decoded.dataset)?;
        Ok((rows, decoded.dataset))
    }

    /// The embeddings of all images in the given folders, lists or files.
    ///
    /// # Errors
    /// The same as for [`decode`](Self::decode) and [`embeddings`]; also if a path is not UTF-8.
    pub fn embed(&self, places: &[PathBuf]) -> Result<Embedded, TrainError> {
        let mut all = Embedded::default();
        for place in places {
            let decoded = self.decode(place)?;
            let data = &decoded.dataset;
            all.rows.extend(embeddings(&self.model, &self.info, data)?);
            for path in &decoded.paths {
                // A converted name in the table would not lead back to the file.
                let Some(text) = path.to_str() else {
                    return Err(TrainError::ImageName(names::text(path.as_os_str())));
                };
                all.paths.push(text.to_owned());
            }
            let name = |&label: &u32| data.class_names[label as usize].clone();
            all.labels.extend(data.labels().iter().map(name));
            all.skipped.extend(decoded.skipped);
            all.warnings.extend(decoded.warnings);
        }
        Ok(all)
    }

    /// Class scores for images.
    ///
    /// # Errors
    /// The images do not have the model's size, or a feature is not finite.
    pub fn predict(&self, data: &Dataset) -> Result<Predictions, TrainError> {
        let features = features(&self.model, &self.info, data, Stop::NEVER)?;
        let classes = self.info.class_names.len();
        let head = self.model.head.valid();
        let shape = [data.len(), self.info.network.feature()];
        let x = Tensor::<2>::from_data(
            TensorData::new(features, shape),
            &head.weight.val().device(),
        );
        // Here the class weights are the mean directions of the classes, and no logits were
        // trained.
        if self.info.pairs.is_some_and(|pairs| pairs.alone) {
            return Ok(Predictions {
                scores: host(head.cosines(x)),
                kind: ScoreKind::Cosines,
            });
        }
        let mut scores = host(head.logits(x));
        scores.chunks_exact_mut(classes).for_each(softmax);
        Ok(Predictions {
            scores,
            kind: ScoreKind::Probabilities,
        })
    }
}

/// Turns the logits of one image into probabilities, in place.
fn softmax(logits: &mut [f32]) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exponentials = logits.iter().map(|&logit| f64::from(logit - largest).exp());
    let sum: f64 = exponentials.sum();
    for logit in logits {
        *logit = (f64::from(*logit - largest).exp() / sum) as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_add_up_to_one_however_large_the_logits() {
        let mut logits = [1000.0, 1001.0, -3e38];
        softmax(&mut logits);
        let expected = [1.0 / (1.0 + 1f32.exp()), 1.0 / (1.0 + (-1f32).exp()), 0.0];
        for (found, expected) in logits.iter().zip(expected) {
            assert!((found - expected).abs() < 1e-6, "{logits:?}");
        }
    }
}
