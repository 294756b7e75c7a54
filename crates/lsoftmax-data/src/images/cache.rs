//! Decoded images in one file, so that the next start need not decode them again.
//!
//! ```text
//! magic and version     8 bytes
//! key                   32 bytes: SHA-256 over the list and the options
//! channels, skipped     u32 each
//! bytes of the reasons  u64
//! skipped               an entry u32, a length u32 and the reason in UTF-8, for each
//! images                [sample, channel, height, width]
//! checksum              u32: CRC-32C over all before
//! ```
//!
//! Numbers are little-endian. Nothing is taken from a file whose key, length or checksum is not
//! the one expected.

use super::{ImageList, ImageOptions};
use crate::error::DataError;
use crate::file::atomic_write_with;
use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// Changes with the format, and with whatever changes the bytes of a decoded image.
const MAGIC: &[u8; 8] = b"lsmimg\x00\x01";
const HEADER: u64 = 8 + 32 + 4 + 4 + 8;
const CHECKSUM: u64 = 4;

/// What is kept.
#[derive(Debug, PartialEq)]
pub(crate) struct Content {
    pub(crate) channels: usize,
    pub(crate) images: Vec<u8>,
    /// The entries that cannot be read, in their order, and why.
    pub(crate) skipped: Vec<(u32, String)>,
}

/// Where the images of a list are kept, and by which key.
pub(crate) struct Cache {
    path: PathBuf,
    key: [u8; 32],
}

impl Cache {
    pub(crate) fn new(dir: &Path, list: &ImageList, options: &ImageOptions) -> Self {
        // One file for a list and its options, which a later state of the list replaces.
        let mut name = Sha256::new();
        let source = fs::canonicalize(&list.source).unwrap_or_else(|_| list.source.clone());
        update(&mut name, source.as_os_str().as_encoded_bytes());
        let ImageOptions {
            size,
            channels,
            fit,
            broken: _,
            cache: _,
            alignment,
        } = options;
        let settings = format!("{size:?} {channels:?} {fit:?} {alignment:?}");
        update(&mut name, settings.as_bytes());
        let mut key = name.clone();
        let states: Vec<[u64; 3]> = list
            .entries
            .par_iter()
            .map(|entry| state(&entry.path))
            .collect();
        for (entry, state) in list.entries.iter().zip(states) {
            update(&mut key, entry.path.as_os_str().as_encoded_bytes());
            for number in state {
                key.update(number.to_le_bytes());
            }
        }
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(name.finalize());
        let name = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        Self {
            path: dir.join(format!("images-{name:016x}.cache")),
            key: key.finalize().into(),
        }
    }

    /// What is kept of a list with so many entries, if it is there, of this state of the list, and
    /// undamaged. Why it is not, unless it is not there, becomes a remark.
    pub(crate) fn read(
        &self,
        entries: usize,
        size: [usize; 2],
        remarks: &mut Vec<String>,
    ) -> Option<Content> {
        let reason = match self.parse(entries, size) {
            Ok(Ok(content)) => return Some(content),
            Ok(Err(reason)) => reason.to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => error.to_string(),
        };
        remarks.push(format!(
            "images decoded anew, as {} is {reason}",
            self.path.display()
        ));
        None
    }

    fn parse(&self, entries: usize, size: [usize; 2]) -> io::Result<Result<Content, &'static str>> {
        const DAMAGED: &str = "damaged";
        let file = File::open(&self.path)?;
        let length = file.metadata()?.len();
        let mut reader = Summed {
            inner: file,
            sum: 0,
        };
        if length < HEADER + CHECKSUM {
            return Ok(Err(DAMAGED));
        }
        if reader.bytes::<8>()? != *MAGIC {
            return Ok(Err("damaged or of another version"));
        }
        if reader.bytes::<32>()? != self.key {
            return Ok(Err("of other images"));
        }
        let channels = u32::from_le_bytes(reader.bytes()?) as usize;
        let count = u32::from_le_bytes(reader.bytes()?) as usize;
        let reasons = u64::from_le_bytes(reader.bytes()?);
        // Lengths are compared with that of the file before memory is taken for them.
        let images = entries
            .checked_sub(count)
            .and_then(|kept| kept.checked_mul(channels))
            .and_then(|planes| planes.checked_mul(size[0] * size[1]));
        let expected = images.and_then(|images| {
            (images as u64)
                .checked_add(reasons)?
                .checked_add(HEADER + CHECKSUM)
        });
        if !matches!(channels, 1 | 3) || expected != Some(length) {
            return Ok(Err(DAMAGED));
        }
        let (Some(images), Ok(reasons)) = (images, usize::try_from(reasons)) else {
            return Ok(Err(DAMAGED));
        };
        let text = reader.some(reasons)?;
        let images = reader.some(images)?;
        let sum = reader.sum;
        if u32::from_le_bytes(reader.bytes()?) != sum {
            return Ok(Err(DAMAGED));
        }
        Ok(skipped(&text, count, entries)
            .map(|skipped| Content {
                channels,
                images,
                skipped,
            })
            .ok_or(DAMAGED))
    }

    pub(crate) fn write(&self, content: &Content, size: [usize; 2]) -> Result<(), DataError> {
        debug_assert_eq!(
            content.images.len() % (content.channels * size[0] * size[1]),
            0
        );
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir).map_err(|source| DataError::file("make", dir, source))?;
        }
        let mut head = [&MAGIC[..], &self.key].concat();
        head.extend((content.channels as u32).to_le_bytes());
        head.extend((content.skipped.len() as u32).to_le_bytes());
        let mut reasons = Vec::new();
        for (entry, reason) in &content.skipped {
            reasons.extend(entry.to_le_bytes());
            reasons.extend((reason.len() as u32).to_le_bytes());
            reasons.extend(reason.as_bytes());
        }
        head.extend((reasons.len() as u64).to_le_bytes());
        head.extend(reasons);
        let sum = crc32c::crc32c_append(crc32c::crc32c(&head), &content.images);
        atomic_write_with(&self.path, |file| {
            file.write_all(&head)?;
            file.write_all(&content.images)?;
            file.write_all(&sum.to_le_bytes())
        })
    }
}

/// Adds a text, so that two of them cannot be taken for two others.
fn update(hash: &mut Sha256, text: &[u8]) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

/// Length and time of change of a file; zeros if it is not there.
fn state(path: &Path) -> [u64; 3] {
    fs::metadata(path).map_or([0; 3], |metadata| {
        let changed = metadata.modified().ok();
        let changed = changed.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let changed = changed.unwrap_or_default();
        [
            metadata.len(),
            changed.as_secs(),
            u64::from(changed.subsec_nanos()),
        ]
    })
}

/// The entries that were skipped, in rising order, if the bytes are just that.
fn skipped(mut bytes: &[u8], count: usize, entries: usize) -> Option<Vec<(u32, String)>> {
    let mut skipped: Vec<(u32, String)> = Vec::new();
    for _ in 0..count {
        let (entry, rest) = bytes.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (reason, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        let entry = u32::from_le_bytes(*entry);
        let rising = skipped.last().is_none_or(|&(last, _)| last < entry);
        if !rising || entry as usize >= entries {
            return None;
        }
        skipped.push((entry, std::str::from_utf8(reason).ok()?.to_owned()));
        bytes = rest;
    }
    bytes.is_empty().then_some(skipped)
}

/// A reader that knows the checksum of what it has read.
struct Summed {
    inner: File,
    sum: u32,
}

impl Summed {
    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes)?;
        self.sum = crc32c::crc32c_append(self.sum, &bytes);
        Ok(bytes)
    }

    fn some(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(count)
            .map_err(|_| io::ErrorKind::OutOfMemory)?;
        (&mut self.inner)
            .take(count as u64)
            .read_to_end(&mut bytes)?;
        if bytes.len() != count {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.sum = crc32c::crc32c_append(self.sum, &bytes);
        Ok(bytes)
    }
}
