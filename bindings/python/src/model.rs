//! Trained models applied to images.

use crate::arrays::Array;
use crate::errors::{exception, value_error};
use crate::work::detached;
use lsoftmax_data::Dataset;
use lsoftmax_metrics::{Matrix, argmax, cosine_scores};
use lsoftmax_train::{
    DeviceChoice, Embedder, ModelInfo, Picture, ScoreKind, TrainError, embeddings,
};
use numpy::ndarray::Ix4;
use numpy::{PyArray1, PyArray2, PyArrayMethods as _};
use pyo3::prelude::*;
use std::path::PathBuf;

/// Parses the name of a device.
pub(crate) fn device_of(name: &str) -> PyResult<DeviceChoice> {
    let device: Result<DeviceChoice, _> = name.parse();
    Ok(device.map_err(|error| exception(&error))?.resolve())
}

/// A trained model together with the preparation of its images.
#[pyclass(frozen, module = "lsoftmax._lsoftmax")]
pub(crate) struct Model {
    embedder: Embedder,
}

/// A path, or a batch of images `[image, height, width, channel]`.
enum Input<'py> {
    File(PathBuf),
    Pixels(Array<'py, u8, Ix4>),
}

impl<'py> Input<'py> {
    fn new(input: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(path) = input.extract() {
            return Ok(Self::File(path));
        }
        Array::new(input, "images").map(Self::Pixels)
    }

    fn pictures(&self) -> PyResult<Vec<Picture<'_>>> {
        let array = match self {
            Self::File(path) => return Ok(vec![Picture::File(path)]),
            Self::Pixels(array) => array,
        };
        let [images, height, width, channels] = array.shape4();
        let size = [height, width, channels];
        let length = size.iter().product();
        if images == 0 || length == 0 {
            return Ok(Vec::new());
        }
        let chunks = array.values()?.chunks_exact(length);
        Ok(chunks
            .map(|bytes| Picture::Pixels { bytes, size })
            .collect())
    }
}

type Matrix32<'py> = Bound<'py, PyArray2<f32>>;
/// Rows, paths, labels, and the skipped images with the reasons.
type Embedded<'py> = (
    Matrix32<'py>,
    Vec<String>,
    Vec<String>,
    Vec<(PathBuf, String)>,
    Vec<String>,
);
/// The class with the largest score for each image, all scores, and the kind of score.
type Predicted<'py> = (Bound<'py, PyArray1<i64>>, Matrix32<'py>, &'static str);
/// Cosine, threshold, and the rates at the threshold.
type Verdict = (f32, f32, Option<(f64, f64)>);

impl Model {
    /// Wraps a model that was just trained.
    pub(crate) fn of(embedder: Embedder) -> Self {
        Self { embedder }
    }

    pub(crate) fn info_of(&self) -> &ModelInfo {
        &self.embedder.info
    }

    /// Reads images and runs the model on them.
    fn ask<T: Send>(
        &self,
        py: Python<'_>,
        images: &[Bound<'_, PyAny>],
        answer: impl FnOnce(&Embedder, &Dataset) -> Result<T, TrainError> + Send,
    ) -> PyResult<(usize, T)> {
        let inputs: Vec<Input> = images.iter().map(Input::new).collect::<PyResult<_>>()?;
        let mut pictures = Vec::new();
        for input in &inputs {
            pictures.extend(input.pictures()?);
        }
        let embedder = &self.embedder;
        let found = detached(py, || {
            rayon::scope(|_| -> Result<(usize, T), TrainError> {
                let data = embedder.read(&pictures)?;
                Ok((data.len(), answer(embedder, &data)?))
            })
        })?;
        found.map_err(|error| exception(&error))
    }

    fn matrix(py: Python<'_>, values: Vec<f32>, shape: [usize; 2]) -> PyResult<Matrix32<'_>> {
        PyArray1::from_vec(py, values).reshape(shape)
    }
}

#[pymethods]
impl Model {
    /// Loads a model from its file or its run folder.
    #[staticmethod]
    #[pyo3(signature = (path, landmarks=None, device="cpu"))]
    fn load(
        py: Python<'_>,
        path: PathBuf,
        landmarks: Option<PathBuf>,
        device: &str,
    ) -> PyResult<Self> {
        let device = device_of(device)?;
        let open = || Embedder::open(&path, landmarks.as_deref(), &device.open()?);
        let embedder = detached(py, open)?;
        Ok(Self::of(embedder.map_err(|error| exception(&error))?))
    }

    /// The model description as JSON, the display name of the loss, the length of an embedding, and
    /// the SHA-256 of the model file.
    fn info(&self) -> PyResult<(String, String, usize, String)> {
        let info = self.info_of();
        let digest = self.embedder.model.digest(info);
        Ok((
            serde_json::to_string(info).map_err(value_error)?,
            info.loss_label(),
            info.embedding_size(),
            digest.map_err(|error| exception(&error))?,
        ))
    }

    /// Embeddings `[image, column]` of length 1.
    fn embed<'py>(
        &self,
        py: Python<'py>,
        images: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Matrix32<'py>> {
        let (count, rows) = self.ask(py, &images, |embedder, data| {
            embeddings(&embedder.model, &embedder.info, data)
        })?;
        Self::matrix(py, rows, [count, self.info_of().embedding_size()])
    }

    /// Embeds the images of a folder or a list.
    fn embed_folder<'py>(&self, py: Python<'py>, place: PathBuf) -> PyResult<Embedded<'py>> {
        let embedder = &self.embedder;
        let found = detached(py, || rayon::scope(|_| embedder.embed(&[place])))?;
        let found = found.map_err(|error| exception(&error))?;
        let shape = [found.paths.len(), self.info_of().embedding_size()];
        Ok((
            Self::matrix(py, found.rows, shape)?,
            found.paths,
            found.labels,
            found.skipped,
            found.warnings,
        ))
    }

    /// Classes `[image]` and scores `[image, class]`.
    fn predict<'py>(
        &self,
        py: Python<'py>,
        images: Vec<Bound<'py, PyAny>>,
    ) -> PyResult<Predicted<'py>> {
        let (count, found) = self.ask(py, &images, Embedder::predict)?;
        let classes = self.info_of().class_names.len();
        let answers = found.scores.chunks_exact(classes);
        let answers = answers.map(|scores| argmax(scores).unwrap_or_default() as i64);
        Ok((
            PyArray1::from_vec(py, answers.collect()),
            Self::matrix(py, found.scores, [count, classes])?,
            match found.kind {
                ScoreKind::Probabilities => "probabilities",
                ScoreKind::Cosines => "cosines",
            },
        ))
    }

    /// Decides whether two images show the same class.
    #[pyo3(signature = (left, right, threshold=None, far=None))]
    fn verify<'py>(
        &self,
        py: Python<'py>,
        left: Bound<'py, PyAny>,
        right: Bound<'py, PyAny>,
        threshold: Option<f32>,
        far: Option<f64>,
    ) -> PyResult<Verdict> {
        let chosen = self.info_of().threshold(threshold, far);
        let (threshold, rates) = chosen.map_err(|error| exception(&error))?;
        // One batch each, as in the command: the last bits of an embedding depend on the size of its batch.
        let embed = |image| {
            let (_, row) = self.ask(py, &[image], |embedder, data| {
                embeddings(&embedder.model, &embedder.info, data)
            })?;
            Ok::<_, PyErr>(row)
        };
        let (left, right) = (embed(left)?, embed(right)?);
        let size = self.info_of().embedding_size();
        let row = |values| Matrix::new(values, 1, size).map_err(value_error);
        let scores = cosine_scores(row(&left)?, row(&right)?).map_err(value_error)?;
        let rates = rates.map(|point| (point.far, point.tar));
        Ok((scores[0], threshold, rates))
    }
}
