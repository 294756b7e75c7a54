//! A trained model that reads images: from files, or decoded ones.

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

/// A trained model, and how it wants its images.
#[derive(Debug)]
pub struct Embedder {
    /// The model.
    pub model: Model,
    /// All of it that is not a tensor.
    pub info: ModelInfo,
    /// The model's file, if it comes from one.
    pub file: PathBuf,
    landmarks: Option<Landmarks>,
    broken: Broken,
}

/// Embeddings of images that could be read.
#[derive(Clone, Debug, Default)]
pub struct Embedded {
    /// `[image, feature]`, rows of length 1.
    pub rows: Vec<f32>,
    /// The path of each image.
    pub paths: Vec<String>,
    /// The class of each image by its folder or list.
    pub labels: Vec<String>,
    /// The images that could not be read, and why.
    pub skipped: Vec<(PathBuf, String)>,
    /// What of the folders may be missing.
    pub warnings: Vec<String>,
}

/// A single image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture<'a> {
    /// A file.
    File(&'a Path),
    /// Bytes `[height, width, channel]` with 1 or 3 channels, upright.
    Pixels {
        /// The bytes.
        bytes: &'a [u8],
        /// Height, width and channels.
        size: [usize; 3],
    },
}

/// What a class layer compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreKind {
    /// Probabilities: the softmax of the logits that the loss trained, without its margin.
    Probabilities,
    /// Cosines with the class weights, where the loss trained no logits.
    Cosines,
}

/// The classes of images.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// `[image, class]`.
    pub scores: Vec<f32>,
    /// What the scores are.
    pub kind: ScoreKind,
}

/// The file of a model, given that or its run's folder.
pub fn model_file(run: &Path) -> PathBuf {
    if run.is_dir() {
        run.join(MODEL_FILE)
    } else {
        run.to_owned()
    }
}

impl Embedder {
    /// Opens a model by its file or by its run's folder.
    ///
    /// # Errors
    /// As for [`Model::load`]; landmarks for a model that was trained without, or none for one that
    /// was trained with them.
    pub fn open(run: &Path, landmarks: Option<&Path>, device: &Device) -> Result<Self, TrainError> {
        let file = model_file(run);
        let (model, info) = Model::load(&file, device)?;
        Ok(Self {
            file,
            ..Self::of(model, info, landmarks)?
        })
    }

    /// A model at hand.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn of(model: Model, info: ModelInfo, landmarks: Option<&Path>) -> Result<Self, TrainError> {
        if info.images.align.is_some() && landmarks.is_none() {
            let expected = "given: this model was trained on aligned faces, and the file of landmarks \
                            says where the eyes, the nose and the corners of the mouth of each image are";
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

    /// The images of the run that the model is of, if they are at hand: the run records them, and
    /// its classes are the model's.
    ///
    /// # Errors
    /// The run's list of images is damaged.
    pub fn trained_images(&self) -> Result<Option<RunImages>, TrainError> {
        let images = images_beside(&self.file)?;
        Ok(images.filter(|images| images.are_of(&self.info.class_names)))
    }

    /// Refuses images that cannot be read, instead of leaving them out.
    #[must_use]
    pub fn refusing(mut self, refuse: bool) -> Self {
        if refuse {
            self.broken = Broken::Refuse;
        }
        self
    }

    /// How the model wants its images; their paths in the landmarks' file count from `root`.
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

    /// The images of one place, as the model wants them, whatever its folders stand for.
    ///
    /// # Errors
    /// There are no images, or none that can be read.
    pub fn decode(&self, place: &Path) -> Result<Decoded, TrainError> {
        self.decode_list(place, &ImageList::from_anything(place)?)
    }

    /// The images of a folder of classes or a list.
    ///
    /// # Errors
    /// As for [`decode`](Self::decode), and folders that are no classes.
    pub fn decode_classes(
        &self,
        place: &Path,
        folders: ClassFolders,
    ) -> Result<Decoded, TrainError> {
        self.decode_list(place, &ImageList::from_path_as(place, folders)?)
    }

    fn decode_list(&self, place: &Path, list: &ImageList) -> Result<Decoded, TrainError> {
        // Where a single image's path counts from only the landmarks can tell.
        let root = self.landmarks.as_ref().and_then(|it| it.root_of(place));
        let root = root.unwrap_or_else(|| list.base().to_owned());
        Ok(list.decode(&self.options(&root))?)
    }

    /// Single images, as the model wants them, with the class 0 each.
    ///
    /// # Errors
    /// There are none, one cannot be read, or one is not a file where the model wants aligned faces, whose
    /// landmarks are found by their paths.
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
        // The first error in order, not in time.
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
                let expected = "paths, since this model was trained on aligned faces, whose landmarks \
                                are found by the paths";
                return Err(TrainError::setting("images", expected, "pixels"));
            }
            Picture::Pixels { bytes, size } => {
                let image = DecodedImage::new(bytes.to_vec(), size)?;
                prepare_image(image, &self.options(Path::new("")), out)?;
            }
        }
        Ok(())
    }

    /// The embeddings of files by their paths within a folder, and the images; one that cannot be read
    /// is an error.
    ///
    /// # Errors
    /// As said, and as for [`embeddings`].
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

    /// The embeddings of all images of these places.
    ///
    /// # Errors
    /// As for [`decode`](Self::decode) and [`embeddings`], and a path that is not UTF-8.
    pub fn embed(&self, places: &[PathBuf]) -> Result<Embedded, TrainError> {
        let mut all = Embedded::default();
        for place in places {
            let decoded = self.decode(place)?;
            let data = &decoded.dataset;
            all.rows.extend(embeddings(&self.model, &self.info, data)?);
            for path in &decoded.paths {
                // Another name in the table would lead to no file.
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

    /// The classes of images.
    ///
    /// # Errors
    /// Images of another size than the model's, or a feature that is no finite number.
    pub fn predict(&self, data: &Dataset) -> Result<Predictions, TrainError> {
        let features = features(&self.model, &self.info, data, Stop::NEVER)?;
        let classes = self.info.class_names.len();
        let head = self.model.head.valid();
        let shape = [data.len(), self.info.network.feature()];
        let x = Tensor::<2>::from_data(
            TensorData::new(features, shape),
            &head.weight.val().device(),
        );
        // The class weights are then the mean directions of their classes, and no logits were trained.
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

/// Turns the logits of an image into probabilities.
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
