//! Embeddings of known images, to search in.

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

/// Embeddings with the paths and labels of their images, tied to the model that made them.
///
/// As a file it is a safetensors file with one tensor, `embeddings`; paths, labels and the model's
/// digest stand in its metadata, and a SHA-256 tells a damaged one.
#[derive(Clone, Debug, PartialEq)]
pub struct Gallery {
    model: String,
    model_file: String,
    size: usize,
    embeddings: Vec<f32>,
    paths: Vec<String>,
    labels: Vec<String>,
    /// The embeddings are there all the same.
    index: Option<IndexPart>,
}

/// A gallery with so many images or more is better searched by an index: comparing a query with all
/// of 100,000 embeddings of 512 numbers reads 200 MB.
pub const INDEX_FROM: usize = 100_000;

/// An approximate index as it goes with a gallery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexPart {
    /// The share of the ten true neighbours that it finds, on images of the gallery.
    pub recall_at_10: f64,
    /// How many images that was measured on.
    pub probes: usize,
    #[serde(skip)]
    pub(crate) bytes: Vec<u8>,
}

/// All of a gallery that is no tensor.
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

/// An image found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hit {
    /// Where it was when the gallery was made.
    pub path: String,
    /// Its class.
    pub label: String,
    /// Its cosine with the image searched for.
    pub score: f32,
}

impl IndexPart {
    /// What is written about it.
    fn without_bytes(&self) -> Self {
        Self {
            bytes: Vec::new(),
            ..*self
        }
    }
}

const VERSION: u32 = 1;
/// Most bytes for an image: no feature has more than 65,536 numbers, twice as many with the mirror
/// image, and an index takes less than the embeddings.
const MOST_BYTES: u64 = 2 << 20;
const GALLERY: &str = "gallery";
const EMBEDDINGS: &str = "embeddings";
const INDEX: &str = "index";
/// More than the paths of ten million images take.
const LARGEST_HEADER: u64 = 1 << 30;

impl Description {
    /// What the header of a file says, if that can be true.
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
    /// Embeddings with what they are of.
    ///
    /// # Shapes
    /// - embeddings: `[image, size]`, rows of length 1, made by the model whose
    ///   [`embedding_digest`](crate::Model::embedding_digest) is `model`
    /// - paths, labels: `[image]`, where each image was found and its class
    ///
    /// # Errors
    /// The lengths do not fit each other, or there is no image.
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

    /// Writes the file, aside and then renamed.
    ///
    /// # Errors
    /// A folder that cannot be written, a full disk.
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

    /// Whether a file is a gallery by its header, which alone is read.
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

    /// Reads a gallery.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or is no gallery of this version.
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
            return Err(broken("its embeddings are no matrix".into()));
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

    /// How many images it has.
    // It has one at least.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.paths.len()
    }

    /// Where the model's file was.
    pub fn model_file(&self) -> &str {
        &self.model_file
    }

    /// The approximate index, where one was built.
    pub fn index(&self) -> Option<&IndexPart> {
        self.index.as_ref()
    }

    /// What does not fit, if anything.
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

    /// Refuses embeddings of another model or of another length.
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
                format!("of {} numbers, as those of the gallery", self.size),
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

    /// The `k` nearest images of each query, all of them compared.
    ///
    /// # Shapes
    /// - queries: `[query, size]`, rows of length 1, made by the model with this digest
    ///
    /// # Errors
    /// Another model than the gallery's, embeddings of another length, or a value that is not finite.
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
