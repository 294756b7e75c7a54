//! Caches decoded images in one file, so that the next start does not decode them again.
//!
//! ```text
//! magic and version     8 bytes
//! key                   32 bytes: SHA-256 over the options, and path and content of each image
//! channels, skipped     u32 each
//! bytes of the reasons  u64
//! skipped               an entry u32, a length u32 and the reason in UTF-8, for each
//! images                [sample, channel, height, width]
//! checksum              u32: CRC-32C over all preceding bytes
//! ```
//!
//! Numbers are little-endian. A file is used only if its key, length and checksum are as expected.

use super::{ImageList, ImageOptions};
use crate::digest::Digest;
use crate::error::DataError;
use crate::file::atomic_write_with;
use crate::origins::path_within;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Changes with the format and with anything that changes the bytes of a decoded image.
const MAGIC: &[u8; 8] = b"lsmimg\x00\x02";
const HEADER: u64 = 8 + 32 + 4 + 4 + 8;
const CHECKSUM: u64 = 4;

/// The cached content.
#[derive(Debug, PartialEq)]
pub(crate) struct Content {
    pub(crate) channels: usize,
    pub(crate) images: Vec<u8>,
    /// The unreadable entries in order, with the reasons.
    pub(crate) skipped: Vec<(u32, String)>,
}

/// The cache of a list of images.
pub(crate) struct Cache<'a> {
    path: PathBuf,
    list: &'a ImageList,
    /// Digest of the list's location and the options.
    settings: Sha256,
}

impl<'a> Cache<'a> {
    pub(crate) fn new(dir: &Path, list: &'a ImageList, options: &ImageOptions) -> Self {
        // One file per list and options; a later state of the list replaces it.
        let mut settings = Sha256::new();
        let source = fs::canonicalize(&list.source).unwrap_or_else(|_| list.source.clone());
        update(&mut settings, source.as_os_str().as_encoded_bytes());
        let ImageOptions {
            size,
            channels,
            fit,
            broken: _,
            cache: _,
            alignment,
        } = options;
        let text = format!("{size:?} {channels:?} {fit:?} {alignment:?}");
        update(&mut settings, text.as_bytes());
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(settings.clone().finalize());
        let name = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        Self {
            path: dir.join(format!("images-{name:016x}.cache")),
            list,
            settings,
        }
    }

    /// Whether a cache file exists, with any content.
    pub(crate) fn is_there(&self) -> bool {
        self.path.exists()
    }

    /// The key of the cached content. An unreadable file has no digest.
    fn key(&self, digests: &[Option<Digest>]) -> [u8; 32] {
        let mut key = self.settings.clone();
        for (entry, digest) in self.list.entries.iter().zip(digests) {
            update(
                &mut key,
                path_within(&entry.path, self.list.base()).as_bytes(),
            );
            update(
                &mut key,
                digest.as_ref().map_or(&[], |it| &it.as_bytes()[..]),
            );
        }
        key.finalize().into()
    }

    /// The cached content of the list, if it exists, matches these digests, and is undamaged. If it
    /// exists but cannot be used, the reason becomes a remark.
    pub(crate) fn read(
        &self,
        digests: &[Option<Digest>],
        size: [usize; 2],
        remarks: &mut Vec<String>,
    ) -> Option<Content> {
        let reason = match self.parse(digests, size) {
            Ok(Ok(content)) => return Some(content),
            Ok(Err(reason)) => reason.to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => error.to_string(),
        };
        remarks.push(format!(
            "decoded the images again because {} is {reason}",
            self.path.display()
        ));
        None
    }

    fn parse(
        &self,
        digests: &[Option<Digest>],
        size: [usize; 2],
    ) -> io::Result<Result<Content, &'static str>> {
        const DAMAGED: &str = "damaged";
        let entries = self.list.entries.len();
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
            return Ok(Err("damaged or from another version"));
        }
        if reader.bytes::<32>()? != self.key(digests) {
            return Ok(Err("for other images"));
        }
        let channels = u32::from_le_bytes(reader.bytes()?) as usize;
        let count = u32::from_le_bytes(reader.bytes()?) as usize;
        let reasons = u64::from_le_bytes(reader.bytes()?);
        // Compare lengths with that of the file before allocating memory.
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
        let text = reader.read_vec(reasons)?;
        let images = reader.read_vec(images)?;
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

    pub(crate) fn write(
        &self,
        content: &Content,
        digests: &[Option<Digest>],
        size: [usize; 2],
    ) -> Result<(), DataError> {
        debug_assert_eq!(
            content.images.len() % (content.channels * size[0] * size[1]),
            0
        );
        if let Some(dir) = self.path.parent() {
            fs::create_dir_all(dir).map_err(|source| DataError::file("make", dir, source))?;
        }
        let mut head = [&MAGIC[..], &self.key(digests)].concat();
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

/// Adds a text with its length, so that the concatenation of texts is unambiguous.
fn update(hash: &mut Sha256, text: &[u8]) {
    hash.update((text.len() as u64).to_le_bytes());
    hash.update(text);
}

/// The skipped entries in ascending order, if `bytes` contains exactly those.
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

/// A reader that computes the checksum of what it has read.
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

    fn read_vec(&mut self, count: usize) -> io::Result<Vec<u8>> {
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
