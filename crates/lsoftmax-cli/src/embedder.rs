//! A trained model that reads images from files.

use crate::misuse::Misuse;
use crate::output;
use anyhow::bail;
use lsoftmax_data::faces::{Landmarks, alignment_step};
use lsoftmax_data::images::{Broken, Channels, ClassFolders, Decoded, ImageList, ImageOptions};
use lsoftmax_data::{Dataset, RunImages, names};
use lsoftmax_train::{DeviceChoice, MODEL_FILE, Model, ModelInfo, embeddings, images_beside};
use std::path::{Path, PathBuf};

pub(crate) struct Embedder {
    pub(crate) model: Model,
    pub(crate) info: ModelInfo,
    /// The model's file.
    pub(crate) file: PathBuf,
    landmarks: Option<Landmarks>,
    broken: Broken,
}

/// Embeddings of images that could be read.
pub(crate) struct Embedded {
    /// `[image, feature]`, rows of length 1.
    pub(crate) rows: Vec<f32>,
    pub(crate) paths: Vec<String>,
    pub(crate) labels: Vec<String>,
    /// The images that could not be read, and why.
    pub(crate) skipped: Vec<(PathBuf, String)>,
    /// What of the folders may be missing.
    pub(crate) warnings: Vec<String>,
}

/// The file of a model, given that or its run's folder.
pub(crate) fn model_file(run: &Path) -> PathBuf {
    if run.is_dir() {
        run.join(MODEL_FILE)
    } else {
        run.to_owned()
    }
}

impl Embedder {
    pub(crate) fn open(
        run: &Path,
        landmarks: Option<&Path>,
        device: DeviceChoice,
    ) -> anyhow::Result<Self> {
        let file = model_file(run);
        let (model, info) = Model::load(&file, &device.open()?)?;
        if info.images.align.is_some() && landmarks.is_none() {
            bail!(Misuse(
                "this model was trained on aligned faces: --landmarks has to say where the eyes, the \
                 nose and the corners of the mouth of each image are"
                    .into()
            ));
        }
        if info.images.align.is_none() && landmarks.is_some() {
            bail!(Misuse(
                "--landmarks are for models that were trained with --align; this one was not"
                    .into()
            ));
        }
        let landmarks = landmarks.map(Landmarks::read).transpose()?;
        Ok(Self {
            model,
            info,
            file,
            landmarks,
            broken: Broken::Skip,
        })
    }

    /// The images of the run that the model is of, if they are at hand: the run records them, and
    /// its classes are the model's.
    pub(crate) fn trained_images(&self) -> anyhow::Result<Option<RunImages>> {
        let images = images_beside(&self.file)?;
        Ok(images.filter(|images| images.are_of(&self.info.class_names)))
    }

    /// Refuses images that cannot be read, instead of leaving them out.
    pub(crate) fn refusing(mut self, refuse: bool) -> Self {
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
    pub(crate) fn decode(&self, place: &Path) -> anyhow::Result<Decoded> {
        self.decode_list(place, &ImageList::from_anything(place)?)
    }

    /// The images of a folder of classes or a list.
    pub(crate) fn decode_classes(
        &self,
        place: &Path,
        folders: ClassFolders,
    ) -> anyhow::Result<Decoded> {
        self.decode_list(place, &ImageList::from_path_as(place, folders)?)
    }

    fn decode_list(&self, place: &Path, list: &ImageList) -> anyhow::Result<Decoded> {
        // Where a single image's path counts from only the landmarks can tell.
        let root = self.landmarks.as_ref().and_then(|it| it.root_of(place));
        let root = root.unwrap_or_else(|| list.base().to_owned());
        Ok(list.decode(&self.options(&root))?)
    }

    /// The embeddings of files by their paths within a folder, and the images; one that cannot be read
    /// is an error.
    pub(crate) fn embed_files(
        &self,
        files: &[String],
        root: &Path,
    ) -> anyhow::Result<(Vec<f32>, Dataset)> {
        let files: Vec<PathBuf> = files.iter().map(|file| root.join(file)).collect();
        let decoded = ImageList::from_files(&files)?.decode(&self.options(root))?;
        let rows = embeddings(&self.model, &self.info, &decoded.dataset)?;
        Ok((rows, decoded.dataset))
    }

    /// The embeddings of all images of these places.
    pub(crate) fn embed(&self, places: &[PathBuf]) -> anyhow::Result<Embedded> {
        let mut all = Embedded {
            rows: Vec::new(),
            paths: Vec::new(),
            labels: Vec::new(),
            skipped: Vec::new(),
            warnings: Vec::new(),
        };
        for place in places {
            let decoded = self.decode(place)?;
            let data = &decoded.dataset;
            all.rows.extend(embeddings(&self.model, &self.info, data)?);
            for path in &decoded.paths {
                // Another name in the table would lead to no file.
                let Some(text) = path.to_str() else {
                    let name = names::text(path.as_os_str());
                    bail!(
                        "the name of {name} is not UTF-8, as that of an image has to be: rename it"
                    );
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
}

impl Embedded {
    /// Says which images were left out.
    pub(crate) fn note(&self, quiet: bool) {
        for warning in &self.warnings {
            output::note(&format!("warning: {warning}"));
        }
        if !quiet {
            for (path, reason) in &self.skipped {
                output::note(&format!("left out {}: {reason}", path.display()));
            }
        }
    }
}
