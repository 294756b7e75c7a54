//! Embeddings of known images, to be searched.

#[cfg(feature = "usearch")]
mod approximate;

#[cfg(feature = "usearch")]
pub use approximate::ApproximateSearch;

use crate::error::TrainError;
use crate::tensor_file::{Header, TensorFile};
use burn::tensor::TensorData;
use lsoftmax_data::atomic_write;
use lsoftmax_metrics::{Matrix, SearchOptions, nearest};
use serde::{Deserialize, Serialize};
use std::io::Read as _;
use std::path::Path;

/// Embeddings with the paths and labels of their images, tied to the model that computed them.
///
/// A gallery is stored as a safetensors file with one tensor, `embeddings`. The metadata hold the
/// paths, the labels and the model's digest, and a SHA-256 that detects damage.
#[derive(Clone, Debug, PartialEq)]
pub struct Gallery {
    model: String,
    model_file: String,
    size: usize,
    embeddings: Vec<f32>,
    paths: Vec<String>,
    labels: Vec<String>,
    /// The index, in addition to the embeddings.
    index: Option<IndexPart>,
}

/// Number of images from which an index is worthwhile: an exact search over 100,000 embeddings of
/// 512 values reads 200 MB per query.
pub const INDEX_FROM: usize = 100_000;

/// The description of the approximate index of a gallery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexPart {
    /// Share of the ten true nearest neighbours that the index finds, measured on images of the
    /// gallery.
    pub recall_at_10: f64,
    /// Number of images used to measure the recall.
    pub probes: usize,
    #[serde(skip)]
    pub(crate) bytes: Vec<u8>,
}

/// The part of a gallery that is not stored as tensors.
#[derive(Serialize, Deserialize)]
struct Description {
    version: u32,
    model: String,
    model_file: String,
    paths: Vec<String>,
    labels: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    index: Option<IndexPart>,
}

/// An image found by a search.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hit {
    /// The path of the image when the gallery was made.
    pub path: String,
    /// Its class.
    pub label: String,
    /// Its cosine with the query image.
    pub score: f32,
}

impl IndexPart {
    /// The description without the bytes of the index.
    fn without_bytes(&self) -> Self {
        Self {
            bytes: Vec::new(),
            ..*self
        }
    }
}

const VERSION: u32 = 1;
/// Upper bound on bytes per image: a feature has at most 65,536 values, twice as many with the
/// mirror image, and an index takes less than the embeddings.
const MOST_BYTES: u64 = 2 << 20;
const GALLERY: &str = "gallery";
const EMBEDDINGS: &str = "embeddings";
const INDEX: &str = "index";
/// Upper bound on the header size, more than the paths of ten million images take.
const LARGEST_HEADER: u64 = 1 << 30;

impl Description {
    /// Reads the description from the header of a file and checks that it is plausible.
    fn of(header: &Header) -> Result<Self, String> {
        header.sealed()?;
        let json = header.metadata.get(GALLERY);
        let json = json.ok_or("its metadata has no entry \"gallery\"")?;
        let found: Self = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if found.version != VERSION {
            let version = found.version;
            return Err(format!("version {VERSION} expected, {version} found"));
        }
        let most = (found.paths.len() as u64).saturating_mul(MOST_BYTES);
        if header.bytes > most {
            return Err(format!(
                "at most {most} bytes for {} paths expected, {} found",
                found.paths.len(),
                header.bytes
            ));
        }
        Ok(found)
    }
}

impl Gallery {
    /// Creates a gallery from embeddings.
    ///
    /// # Shapes
    /// - embeddings: `[image, size]`, rows of length 1, computed by the model whose
    ///   [`embedding_digest`](crate::Model::embedding_digest) is `model`
    /// - paths, labels: `[image]`, the path and the class of each image
    ///
    /// # Errors
    /// The lengths do not match, or there are no images.
    pub fn new(
        model: String,
        model_file: String,
        size: usize,
        embeddings: Vec<f32>,
        paths: Vec<String>,
        labels: Vec<String>,
    ) -> Result<Self, TrainError> {
        let gallery = Self {
            model,
            model_file,
            size,
            embeddings,
            paths,
            labels,
            index: None,
        };
        let wrong = |message| TrainError::Gallery {
            path: "gallery".into(),
            message,
        };
        gallery.consistent().map_err(wrong)?;
        Ok(gallery)
    }

    /// Writes the gallery to a file, which is replaced atomically.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), TrainError> {
        let description = Description {
            version: VERSION,
            model: self.model.clone(),
            model_file: self.model_file.clone(),
            paths: self.paths.clone(),
            labels: self.labels.clone(),
            index: self.index.as_ref().map(IndexPart::without_bytes),
        };
        let json = serde_json::to_string(&description).map_err(|error| TrainError::Gallery {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
        let mut file = TensorFile::default();
        file.metadata.insert(GALLERY.to_owned(), json);
        let shape = [self.paths.len(), self.size];
        file.add(EMBEDDINGS, &TensorData::new(self.embeddings.clone(), shape));
        if let Some(index) = &self.index {
            file.add_bytes(INDEX, index.bytes.clone());
        }
        Ok(atomic_write(path, &file.to_bytes()?)?)
    }

    /// Whether a file is a gallery. Reads only its header.
    pub fn is_file(path: &Path) -> bool {
        let header = || -> Option<serde_json::Value> {
            let mut file = std::fs::File::open(path).ok()?;
            let mut length = [0; 8];
            file.read_exact(&mut length).ok()?;
            let mut header = Vec::new();
            let length = u64::from_le_bytes(length);
            file.take(length.min(LARGEST_HEADER))
                .read_to_end(&mut header)
                .ok()?;
            serde_json::from_slice(&header).ok()
        };
        path.is_file() && header().is_some_and(|it| it["__metadata__"][GALLERY].is_string())
    }

    /// Reads a gallery from a file.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or is not a gallery of this version.
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        let broken = |message: String| TrainError::Gallery {
            path: path.to_owned(),
            message,
        };
        let check = |header: &Header| Description::of(header).map_err(broken);
        let (mut file, description) = TensorFile::read(path, broken, check)?;
        let Description {
            model,
            model_file,
            paths,
            labels,
            mut index,
            ..
        } = description;
        let Some((_, shape, _)) = file.tensors.get(EMBEDDINGS) else {
            return Err(broken(format!("it has no {EMBEDDINGS}")));
        };
        let &[count, size] = &shape[..] else {
            return Err(broken("its embeddings are not a matrix".into()));
        };
        if let Some(index) = &mut index {
            index.bytes = file.take_bytes(INDEX).map_err(broken)?;
        }
        let embeddings = file.tensor(EMBEDDINGS, &[count, size]).map_err(broken)?;
        let embeddings = embeddings
            .try_into_vec()
            .map_err(|error| broken(format!("{error:?}")))?;
        let gallery = Self {
            model,
            model_file,
            size,
            embeddings,
            paths,
            labels,
            index,
        };
        gallery.consistent().map_err(broken)?;
        Ok(gallery)
    }

    /// Number of images.
    // A gallery has at least one image.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// The path of the model file when the gallery was made.
    pub fn model_file(&self) -> &str {
        &self.model_file
    }

    /// The approximate index, if one was built.
    pub fn index(&self) -> Option<&IndexPart> {
        self.index.as_ref()
    }

    /// Checks that embeddings, paths and labels have matching lengths.
    fn consistent(&self) -> Result<(), String> {
        let (paths, labels) = (self.paths.len(), self.labels.len());
        let values = self.embeddings.len();
        let fits = paths.checked_mul(self.size) == Some(values);
        if fits && values > 0 && labels == paths {
            return Ok(());
        }
        Err(format!(
            "embeddings of {} numbers each, a path and a label for each expected; {values} numbers, \
             {paths} paths and {labels} labels found",
            self.size
        ))
    }

    /// Checks that embeddings are from the same model and have the same length.
    fn check(&self, model: &str, size: usize) -> Result<(), TrainError> {
        if model != self.model {
            return Err(TrainError::OtherModel {
                gallery: self.model.clone(),
                model: model.to_owned(),
            });
        }
        if size != self.size {
            return Err(TrainError::setting(
                "queries",
                format!("of {} numbers, like those of the gallery", self.size),
                size,
            ));
        }
        Ok(())
    }

    fn hit(&self, row: u32, score: f32) -> Hit {
        Hit {
            path: self.paths[row as usize].clone(),
            label: self.labels[row as usize].clone(),
            score,
        }
    }

    /// The `k` nearest images of each query, by comparison with all of them.
    ///
    /// # Shapes
    /// - queries: `[query, size]`, rows of length 1, computed by the model whose digest is `model`
    ///
    /// # Errors
    /// The queries are from another model or have another length, or a value is not finite.
    pub fn search(
        &self,
        model: &str,
        queries: Matrix<'_>,
        k: usize,
    ) -> Result<Vec<Vec<Hit>>, TrainError> {
        self.check(model, queries.columns())?;
        let gallery = Matrix::new(&self.embeddings, self.paths.len(), self.size)?;
        let k = k.clamp(1, self.paths.len());
        let found = nearest(queries, gallery, k, SearchOptions::default())?;
        let hit = |(row, score): (u32, f32)| self.hit(row, score);
        Ok((0..queries.rows())
            .map(|query| found.of(query).into_iter().flatten().map(hit).collect())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gallery() -> Gallery {
        Gallery::new(
            "m".into(),
            "run/model.safetensors".into(),
            2,
            vec![1.0, 0.0, 0.0, 1.0, 0.6, 0.8],
            vec!["a b.png".into(), "ä/ü.png".into(), "c.png".into()],
            vec!["a".into(), "ä".into(), "c".into()],
        )
        .unwrap()
    }

    #[test]
    fn what_was_saved_is_loaded_and_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("g.safetensors");
        gallery().save(&path).unwrap();
        let loaded = Gallery::load(&path).unwrap();
        assert_eq!(loaded, gallery());
        let query = Matrix::new(&[0.0, 1.0], 1, 2).unwrap();
        let found = loaded.search("m", query, 2).unwrap();
        let paths: Vec<&str> = found[0].iter().map(|hit| &*hit.path).collect();
        assert_eq!(paths, ["ä/ü.png", "c.png"]);
        assert_eq!(found[0][1].score, 0.8);
        assert_eq!(loaded.search("m", query, 99).unwrap()[0].len(), 3);
    }

    #[test]
    fn another_model_or_size_is_refused() {
        let query = Matrix::new(&[0.0, 1.0], 1, 2).unwrap();
        let message = gallery().search("n", query, 1).unwrap_err().to_string();
        assert!(message.contains("another model"), "{message}");
        let query = Matrix::new(&[0.0, 1.0, 0.0], 1, 3).unwrap();
        assert!(gallery().search("m", query, 1).is_err());
    }

    #[test]
    fn a_file_that_was_cut_short_or_changed_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("g.safetensors");
        gallery().save(&path).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let message = Gallery::load(&path).unwrap_err().to_string();
            assert!(message.contains("g.safetensors"), "{message}");
        }
        let mut changed = whole;
        let last = changed.len() - 1;
        changed[last] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        let message = Gallery::load(&path).unwrap_err().to_string();
        assert!(message.contains("SHA-256"), "{message}");
    }
}
