//! Tensors and text by name, in the safetensors format.

use crate::error::TrainError;
use burn::tensor::TensorData;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, HashMap};

/// The key of the digest in the metadata.
const SHA_256: &str = "sha256";

/// A tensor's type, shape and bytes.
pub(crate) type Entry = (Dtype, Vec<usize>, Vec<u8>);

/// What stands in a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TensorFile {
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) tensors: BTreeMap<String, Entry>,
}

impl TensorFile {
    /// Adds a tensor of f32.
    pub(crate) fn add(&mut self, name: &str, data: &TensorData) {
        let entry = (Dtype::F32, data.shape().to_vec(), data.bytes().to_vec());
        self.tensors.insert(name.to_owned(), entry);
    }

    /// A tensor of f32 of this shape.
    pub(crate) fn tensor(&self, name: &str, shape: &[usize]) -> Result<TensorData, String> {
        let (dtype, found, bytes) = self
            .tensors
            .get(name)
            .ok_or_else(|| format!("it has no {name}"))?;
        if *dtype != Dtype::F32 || found != shape {
            return Err(format!(
                "{name} must be F32 {shape:?}, found {dtype:?} {found:?}"
            ));
        }
        let values: Vec<f32> = bytes
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        Ok(TensorData::new(values, shape.to_vec()))
    }

    pub(crate) fn add_bytes(&mut self, name: &str, bytes: Vec<u8>) {
        let entry = (Dtype::U8, vec![bytes.len()], bytes);
        self.tensors.insert(name.to_owned(), entry);
    }

    /// Takes out what [`add_bytes`](Self::add_bytes) put in.
    pub(crate) fn take_bytes(&mut self, name: &str) -> Result<Vec<u8>, String> {
        match self.tensors.remove(name) {
            Some((Dtype::U8, _, bytes)) => Ok(bytes),
            Some((dtype, ..)) => Err(format!("{name} must be U8, found {dtype:?}")),
            None => Err(format!("it has no {name}")),
        }
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, TrainError> {
        let broken = |error: safetensors::SafeTensorError| TrainError::Model {
            path: "model".into(),
            message: error.to_string(),
        };
        let views: Vec<_> = self
            .tensors
            .iter()
            .map(|(name, (dtype, shape, bytes))| {
                TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name.as_str(), view))
            })
            .collect::<Result<_, _>>()
            .map_err(broken)?;
        let metadata: HashMap<_, _> = self.metadata.clone().into_iter().collect();
        safetensors::serialize(views, Some(metadata)).map_err(broken)
    }

    /// The file with a SHA-256 of itself in its metadata.
    pub(crate) fn to_sealed_bytes(&self) -> Result<Vec<u8>, TrainError> {
        let mut file = self.clone();
        file.metadata.insert(SHA_256.into(), self.digest());
        file.to_bytes()
    }

    /// Reads what [`to_sealed_bytes`](Self::to_sealed_bytes) wrote, if nothing of it has changed.
    pub(crate) fn parse_sealed(bytes: &[u8]) -> Result<Self, String> {
        let mut file = Self::parse(bytes)?;
        let noted = file.metadata.remove(SHA_256);
        let noted = noted.ok_or("it has no SHA-256 of itself")?;
        let found = file.digest();
        if noted == found {
            Ok(file)
        } else {
            Err(format!("its SHA-256 must be {noted}, found {found}"))
        }
    }

    /// SHA-256 over names, shapes and values of all tensors, and over the metadata.
    pub(crate) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut part = |bytes: &[u8]| {
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        };
        for (key, value) in &self.metadata {
            part(key.as_bytes());
            part(value.as_bytes());
        }
        for (name, (dtype, shape, values)) in &self.tensors {
            part(name.as_bytes());
            part(format!("{dtype:?} {shape:?}").as_bytes());
            part(values);
        }
        format!("{:x}", hash.finalize())
    }

    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        Ok(Self {
            metadata: header
                .metadata()
                .clone()
                .unwrap_or_default()
                .into_iter()
                .collect(),
            tensors: tensors
                .tensors()
                .into_iter()
                .map(|(name, view)| {
                    let entry = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
                    (name, entry)
                })
                .collect(),
        })
    }
}
