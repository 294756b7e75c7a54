//! Named tensors and text in the safetensors format.

use crate::error::TrainError;
use burn::tensor::TensorData;
use lsoftmax_data::open_file;
use safetensors::tensor::{TensorInfo, TensorView};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

/// The metadata key of the digest.
pub(crate) const SHA_256: &str = "sha256";
/// The maximum size of a header in bytes that the format allows.
const LARGEST_HEADER: u64 = 100_000_000;
/// Size in bytes of the field that holds the header's length.
const LENGTH: usize = 8;

/// A tensor's type, shape and bytes.
pub(crate) type Entry = (Dtype, Vec<usize>, Vec<u8>);

/// The contents of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct TensorFile {
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) tensors: BTreeMap<String, Entry>,
}

/// The contents of a file's header, available before the tensors are read.
pub(crate) struct Header {
    pub(crate) metadata: BTreeMap<String, String>,
    /// Total size of the tensors in bytes.
    pub(crate) bytes: u64,
}

impl TensorFile {
    /// Adds an f32 tensor.
    pub(crate) fn add(&mut self, name: &str, data: &TensorData) {
        let entry = (Dtype::F32, data.shape().to_vec(), data.bytes().to_vec());
        self.tensors.insert(name.to_owned(), entry);
    }

    /// Returns the f32 tensor with this name and shape.
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

    /// Whether all values of the f32 tensors are finite.
    pub(crate) fn is_finite(&self) -> bool {
        let numbers = self.tensors.values().filter(|entry| entry.0 == Dtype::F32);
        numbers
            .flat_map(|(.., bytes)| bytes.as_chunks::<4>().0)
            .all(|&bytes| f32::from_le_bytes(bytes).is_finite())
    }

    pub(crate) fn add_bytes(&mut self, name: &str, bytes: Vec<u8>) {
        let entry = (Dtype::U8, vec![bytes.len()], bytes);
        self.tensors.insert(name.to_owned(), entry);
    }

    /// Removes and returns the bytes stored by [`add_bytes`](Self::add_bytes).
    pub(crate) fn take_bytes(&mut self, name: &str) -> Result<Vec<u8>, String> {
        match self.tensors.remove(name) {
            Some((Dtype::U8, _, bytes)) => Ok(bytes),
            Some((dtype, ..)) => Err(format!("{name} must be U8, found {dtype:?}")),
            None => Err(format!("it has no {name}")),
        }
    }

    /// The file as bytes, with a SHA-256 of its contents in the metadata. The same contents always
    /// give the same bytes, unlike `safetensors` itself, which writes metadata in the order of a
    /// hash map.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, TrainError> {
        let broken = |message: String| TrainError::Model {
            path: "model".into(),
            message,
        };
        let json = |text: &str| serde_json::Value::from(text).to_string();
        let mut metadata = self.metadata.clone();
        metadata.insert(SHA_256.into(), self.digest());
        let metadata = metadata
            .iter()
            .map(|(key, value)| format!("{}:{}", json(key), json(value)));
        let metadata: Vec<String> = metadata.collect();
        let mut header = format!("{{\"__metadata__\":{{{}}}", metadata.join(","));
        // Wide types first, so that all tensors are aligned.
        let mut tensors: Vec<_> = self.tensors.iter().collect();
        tensors.sort_by_key(|(_, (dtype, ..))| Reverse(*dtype));
        let mut end = 0;
        for (name, (dtype, shape, bytes)) in &tensors {
            TensorView::new(*dtype, shape.clone(), bytes).map_err(|e| broken(e.to_string()))?;
            let start = end;
            end += bytes.len();
            let info = TensorInfo {
                dtype: *dtype,
                shape: shape.clone(),
                data_offsets: (start, end),
            };
            let info = serde_json::to_string(&info).map_err(|e| broken(e.to_string()))?;
            header.extend([",", &json(name), ":", &info]);
        }
        header.push('}');
        while header.len() % LENGTH != 0 {
            header.push(' ');
        }
        if header.len() as u64 > LARGEST_HEADER {
            return Err(broken(format!(
                "names and metadata take {} bytes, and the format has room for {LARGEST_HEADER}",
                header.len()
            )));
        }
        let mut file = Vec::with_capacity(LENGTH + header.len() + end);
        file.extend((header.len() as u64).to_le_bytes());
        file.extend(header.into_bytes());
        for (_, (.., bytes)) in tensors {
            file.extend(bytes);
        }
        Ok(file)
    }

    /// SHA-256 over the names, shapes and values of all tensors and over the metadata.
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

    /// Reads a file. `check` is given the header before memory is allocated for the tensors, and
    /// its result is returned with the file. A SHA-256 in the file is verified.
    ///
    /// # Errors
    /// The file cannot be read. `broken` creates the error for a damaged file.
    pub(crate) fn read<T>(
        path: &Path,
        broken: impl Fn(String) -> TrainError,
        check: impl FnOnce(&Header) -> Result<T, TrainError>,
    ) -> Result<(Self, T), TrainError> {
        let mut file = open_file(path)?;
        let unreadable = |source| TrainError::file("read", path, source);
        let length = file.metadata().map_err(unreadable)?.len();
        let mut bytes = Vec::new();
        let mut more = |bytes: &mut Vec<u8>, count: u64| {
            file.by_ref()
                .take(count)
                .read_to_end(bytes)
                .map_err(unreadable)
        };
        more(&mut bytes, LENGTH as u64)?;
        let size = <[u8; LENGTH]>::try_from(&bytes[..])
            .map_err(|_| broken(format!("it is cut off after {length} bytes")))?;
        let size = u64::from_le_bytes(size);
        let left = length.checked_sub(LENGTH as u64);
        let Some(data) = left.and_then(|left| left.checked_sub(size)) else {
            return Err(broken(format!(
                "its header must have {size} bytes, and the file has {length}"
            )));
        };
        if size > LARGEST_HEADER {
            return Err(broken(format!(
                "its header must have at most {LARGEST_HEADER} bytes, found {size}"
            )));
        }
        more(&mut bytes, size)?;
        let header: JsonHeader = serde_json::from_slice(&bytes[LENGTH..])
            .map_err(|error| broken(format!("its header is damaged: {error}")))?;
        let made = check(&Header {
            metadata: header.metadata,
            bytes: data,
        })?;
        bytes
            .try_reserve_exact(data as usize)
            .map_err(|_| broken(format!("its {length} bytes do not fit the memory")))?;
        more(&mut bytes, data)?;
        Ok((Self::parse(&bytes).map_err(broken)?, made))
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| e.to_string())?;
        let tensors = SafeTensors::deserialize(bytes).map_err(|e| e.to_string())?;
        let mut file = Self {
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
        };
        if let Some(noted) = file.metadata.remove(SHA_256) {
            let found = file.digest();
            if noted != found {
                return Err(format!("its SHA-256 must be {noted}, found {found}"));
            }
        }
        Ok(file)
    }
}

impl Header {
    /// Refuses a file without a SHA-256 of its contents.
    pub(crate) fn sealed(&self) -> Result<(), String> {
        if self.metadata.contains_key(SHA_256) {
            return Ok(());
        }
        Err("it has no SHA-256 of itself".into())
    }
}

/// The part of a header that does not describe tensors.
#[derive(Deserialize)]
struct JsonHeader {
    #[serde(rename = "__metadata__", default)]
    metadata: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn file() -> TensorFile {
        let mut file = TensorFile::default();
        file.add("b", &TensorData::new(vec![1.0_f32, 2.0], [2]));
        file.add("a", &TensorData::new(vec![3.0_f32], [1, 1]));
        file.add_bytes("bytes", vec![7, 8, 9]);
        file.metadata
            .insert("ä \"quoted\"".into(), "{\"x\": [1]}\n".into());
        for key in 'a'..='z' {
            file.metadata.insert(key.into(), "value".into());
        }
        file
    }

    #[test]
    fn the_layout_is_that_of_the_library_and_always_the_same() {
        let mut plain = file();
        plain.metadata.clear();
        let bytes = plain.to_bytes().unwrap();
        let views = plain.tensors.iter().map(|(name, (dtype, shape, bytes))| {
            let view = TensorView::new(*dtype, shape.clone(), bytes).unwrap();
            (name.clone(), view)
        });
        let metadata = HashMap::from([(SHA_256.to_owned(), plain.digest())]);
        assert_eq!(
            bytes,
            safetensors::serialize(views, Some(metadata)).unwrap()
        );
        assert_eq!(file().to_bytes().unwrap(), file().to_bytes().unwrap());
        assert_eq!(
            TensorFile::parse(&file().to_bytes().unwrap()).unwrap(),
            file()
        );
    }

    #[test]
    fn a_header_is_checked_before_the_tensors_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let broken = |message| TrainError::Gallery {
            path: "f".into(),
            message,
        };
        let read = |bytes: &[u8], length: u64| {
            std::fs::write(&path, bytes).unwrap();
            let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
            file.set_len(length).unwrap();
            let check = |header: &Header| match header.bytes {
                0..=1000 => Ok(header.metadata.len()),
                _ => Err(broken("too large".into())),
            };
            TensorFile::read(&path, broken, check).map_err(|error| error.to_string())
        };
        let whole = file().to_bytes().unwrap();
        let length = whole.len() as u64;
        assert_eq!(read(&whole, length).unwrap(), (file(), 28));
        for (bytes, length, expected) in [
            // A tebibyte of zeros.
            (&whole[..], 1 << 40, "too large"),
            (&[], 1 << 40, "damaged"),
            (&[0xff; 8], 1 << 40, "18446744073709551615 bytes"),
            (
                &[0, 0, 0, 10, 0, 0, 0, 0],
                1 << 40,
                "at most 100000000 bytes",
            ),
            (&whole[..5], 5, "cut off after 5 bytes"),
            (&whole[..100], 100, "the file has 100"),
        ] {
            let message = read(bytes, length).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}
