//! Decodes an image list to a data set.

#[cfg(doc)]
use super::Reading;
use super::cache::{Cache, Content};
use super::{Broken, Channels, DecodedImage, ExpectedFound, ImageList, ImageOptions, decode, fit};
use crate::dataset::Dataset;
use crate::digest::Digest;
use crate::error::DataError;
use crate::origins::path_within;
use fast_image_resize::Resizer;
use rayon::prelude::*;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Number of images that [`Channels::Auto`] inspects.
const MAX_INSPECTED: usize = 64;
/// Maximum number of broken images in a message.
const MAX_NAMED: usize = 3;

/// The decoded images of a list.
#[derive(Clone, Debug)]
pub struct Decoded {
    /// The readable images in list order, with all classes. The origin of each is its path relative
    /// to [`ImageList::base`] and the digest of the file.
    pub dataset: Dataset,
    /// The file of each sample.
    pub paths: Vec<PathBuf>,
    /// The index of each sample in [`ImageList::entries`].
    pub entries: Vec<usize>,
    /// The unreadable images and the reasons.
    pub skipped: Vec<(PathBuf, String)>,
    /// Information for the user, one sentence each.
    pub remarks: Vec<String>,
    /// Possible problems of the list ([`Reading::warnings`]).
    pub warnings: Vec<String>,
}

/// Decodes one image to `[channel, height, width]`, exactly like the images of a data set.
///
/// # Errors
/// The size is out of range; or the file does not exist, is not an image, is damaged, or is too
/// large (256 MiB; decoded 16,384 pixels per side and 512 MiB).
pub fn decode_image(path: &Path, options: &ImageOptions) -> Result<Vec<u8>, DataError> {
    options.check()?;
    let wrong = |(expected, found): ExpectedFound| DataError::format(path, expected, found);
    let bytes = decode::read(path).map_err(wrong)?;
    let image = aligned(path, &bytes, options).map_err(wrong)?;
    let channels = channels_of(&image, options);
    let mut out = vec![0; channels * options.size[0] * options.size[1]];
    finish(image, channels, options, &mut Resizer::new(), &mut out).map_err(wrong)?;
    Ok(out)
}

/// Converts a decoded image to `[channel, height, width]`, exactly like the images of a data set,
/// without alignment. `out` has that length. The number of channels is given by the options, or is
/// that of the image.
///
/// # Errors
/// The size is out of range, `out` has another length, or the image cannot be resized.
pub fn prepare_image(
    image: DecodedImage,
    options: &ImageOptions,
    out: &mut [u8],
) -> Result<(), DataError> {
    options.check()?;
    let channels = channels_of(&image, options);
    let [height, width] = options.size;
    if out.len() != channels * height * width {
        let expected = format!("that of {channels}x{height}x{width}");
        return Err(DataError::out_of_range(
            "the number of bytes",
            expected,
            out.len(),
        ));
    }
    let wrong = |(expected, found)| DataError::out_of_range("the image", expected, found);
    finish(image, channels, options, &mut Resizer::new(), out).map_err(wrong)
}

/// The number of channels of a single image.
fn channels_of(image: &DecodedImage, options: &ImageOptions) -> usize {
    match options.channels {
        Channels::Grey => 1,
        Channels::Colour => 3,
        Channels::Auto => 3 - 2 * usize::from(image.is_grey()),
    }
}

/// Decodes the bytes of a file and aligns the image.
fn aligned(
    path: &Path,
    bytes: &[u8],
    options: &ImageOptions,
) -> Result<DecodedImage, ExpectedFound> {
    let image = decode::image(bytes)?;
    match &options.alignment {
        None => Ok(image),
        Some(alignment) => (alignment.step)(path, image).map_err(|error| match error {
            DataError::Format {
                expected, found, ..
            } => (expected, found),
            other => (
                format!("an image for {}", alignment.name),
                other.to_string(),
            ),
        }),
    }
}

/// Converts the channels and resizes.
fn finish(
    image: DecodedImage,
    channels: usize,
    options: &ImageOptions,
    resizer: &mut Resizer,
    out: &mut [u8],
) -> Result<(), ExpectedFound> {
    let image = if channels == 1 {
        image.into_grey()
    } else {
        image.into_colour()
    };
    fit::fit(&image, options.fit, options.size, resizer, out)
}

impl ImageList {
    /// Decodes all images on all cores.
    ///
    /// # Errors
    /// The size is out of range; memory does not suffice; no image of a class can be read; or one
    /// image cannot, with [`Broken::Refuse`].
    pub fn decode(&self, options: &ImageOptions) -> Result<Decoded, DataError> {
        options.check()?;
        let mut remarks = Vec::new();
        let (content, digests) = self.decode_or_read_cache(options, &mut remarks)?;
        let Content {
            channels,
            images,
            skipped,
        } = content;
        let mut broken = skipped.iter().map(|&(entry, _)| entry as usize).peekable();
        let entries: Vec<usize> = (0..self.entries.len())
            .filter(|entry| broken.next_if_eq(entry).is_none())
            .collect();
        let labels = entries.iter().map(|&entry| self.entries[entry].label);
        let [height, width] = options.size;
        let dataset = Dataset::new(
            images,
            labels.collect(),
            [channels, height, width],
            self.class_names.clone(),
        )?;
        let origin = |&entry: &usize| {
            let path = path_within(&self.entries[entry].path, self.base());
            Some((path, digests[entry]?))
        };
        let dataset = dataset.with_origins(entries.iter().filter_map(origin))?;
        if !skipped.is_empty() {
            remarks.push(format!(
                "{} broken images skipped: {}",
                skipped.len(),
                self.names(&skipped)
            ));
        }
        Ok(Decoded {
            dataset,
            paths: entries
                .iter()
                .map(|&entry| self.entries[entry].path.clone())
                .collect(),
            entries,
            skipped: skipped
                .into_iter()
                .map(|(entry, reason)| (self.entries[entry as usize].path.clone(), reason))
                .collect(),
            remarks,
            warnings: self.reading.warnings.clone(),
        })
    }

    /// The decoded images and the digests of their files. Reads and writes the cache, if there is one.
    fn decode_or_read_cache(
        &self,
        options: &ImageOptions,
        remarks: &mut Vec<String>,
    ) -> Result<(Content, Vec<Option<Digest>>), DataError> {
        let cache = options
            .cache
            .as_deref()
            .map(|dir| Cache::new(dir, self, options));
        let cached = cache.as_ref().filter(|cache| cache.is_there());
        let cached = cached.and_then(|cache| {
            let digests = self.digests();
            let content = cache.read(&digests, options.size, remarks)?;
            Some((content, digests))
        });
        let from_cache = cached.is_some();
        let (content, digests) = match cached {
            Some(cached) => cached,
            None => self.decode_anew(options)?,
        };
        self.check_broken(&content, options.broken)?;
        if let Some(cache) = &cache
            && !from_cache
            && self.can_be_opened(&content.skipped)
            && let Err(error) = cache.write(&content, &digests, options.size)
        {
            remarks.push(format!("the decoded images were not cached: {error}"));
        }
        Ok((content, digests))
    }

    /// The digest of each file; `None` for unreadable files.
    fn digests(&self) -> Vec<Option<Digest>> {
        let files = self.entries.par_iter();
        files
            .map(|entry| decode::read(&entry.path).ok())
            .map(|bytes| bytes.map(|bytes| Digest::of(&bytes)))
            .collect()
    }

    /// Reads each file once, for both its image and its digest.
    fn decode_anew(
        &self,
        options: &ImageOptions,
    ) -> Result<(Content, Vec<Option<Digest>>), DataError> {
        let channels = match options.channels {
            Channels::Grey => 1,
            Channels::Colour => 3,
            Channels::Auto => self.auto_channels(options),
        };
        let size = channels * options.size[0] * options.size[1];
        let mut images = self
            .entries
            .len()
            .checked_mul(size)
            .and_then(|bytes| {
                let mut images = Vec::new();
                images.try_reserve_exact(bytes).ok()?;
                images.resize(bytes, 0);
                Some(images)
            })
            .ok_or_else(|| {
                DataError::out_of_range(
                    "the memory for the images",
                    "available",
                    format!("{} images of {size} bytes", self.entries.len()),
                )
            })?;
        let (digests, outcomes): (Vec<Option<Digest>>, Vec<Result<(), ExpectedFound>>) = images
            .par_chunks_exact_mut(size)
            .zip(&self.entries)
            .map_init(Resizer::new, |resizer, (out, entry)| {
                let bytes = match decode::read(&entry.path) {
                    Ok(bytes) => bytes,
                    Err(wrong) => return (None, Err(wrong)),
                };
                let image = aligned(&entry.path, &bytes, options);
                let image = image.and_then(|it| finish(it, channels, options, resizer, out));
                (Some(Digest::of(&bytes)), image)
            })
            .unzip();
        let (mut skipped, mut kept) = (Vec::new(), 0);
        for (entry, outcome) in outcomes.into_iter().enumerate() {
            match outcome {
                Ok(()) => {
                    images.copy_within(entry * size..(entry + 1) * size, kept * size);
                    kept += 1;
                }
                Err((expected, found)) => {
                    skipped.push((entry as u32, format!("expected {expected}, found {found}")));
                }
            }
        }
        images.truncate(kept * size);
        let content = Content {
            channels,
            images,
            skipped,
        };
        Ok((content, digests))
    }

    /// Whether all broken images can be opened. A file that cannot be opened today may be readable
    /// tomorrow, so it must not be cached as broken.
    fn can_be_opened(&self, skipped: &[(u32, String)]) -> bool {
        skipped.iter().all(|&(entry, _)| {
            let path = &self.entries[entry as usize].path;
            path.is_file() && File::open(path).is_ok()
        })
    }

    /// Returns 1 if none of the inspected images has colour, else 3.
    fn auto_channels(&self, options: &ImageOptions) -> usize {
        let count = self.entries.len();
        let some = count.min(MAX_INSPECTED);
        let colour = (0..some).into_par_iter().any(|place| {
            let path = &self.entries[place * count / some].path;
            let image = decode::read(path).and_then(|bytes| aligned(path, &bytes, options));
            image.is_ok_and(|image| !image.is_grey())
        });
        if colour { 3 } else { 1 }
    }

    /// Rejects broken images if they must be.
    pub(super) fn check_broken(&self, content: &Content, broken: Broken) -> Result<(), DataError> {
        let skipped = &content.skipped;
        if skipped.is_empty() {
            return Ok(());
        }
        if broken == Broken::Refuse || skipped.len() == self.entries.len() {
            return Err(DataError::format(
                &self.source,
                "images that can be read",
                format!(
                    "{} broken of {}: {}",
                    skipped.len(),
                    self.entries.len(),
                    self.names(skipped)
                ),
            ));
        }
        let mut left = vec![0usize; self.class_names.len()];
        for entry in &self.entries {
            left[entry.label as usize] += 1;
        }
        for &(entry, _) in skipped {
            let label = self.entries[entry as usize].label;
            left[label as usize] -= 1;
            if left[label as usize] == 0 {
                let of_class: Vec<_> = skipped
                    .iter()
                    .filter(|&&(entry, _)| self.entries[entry as usize].label == label)
                    .cloned()
                    .collect();
                return Err(DataError::format(
                    &self.source,
                    format!(
                        "an image of the class {:?} that can be read",
                        self.class_names[label as usize]
                    ),
                    format!("{} broken: {}", of_class.len(), self.names(&of_class)),
                ));
            }
        }
        Ok(())
    }

    /// The first few broken images.
    fn names(&self, skipped: &[(u32, String)]) -> String {
        let names = skipped.iter().take(MAX_NAMED).map(|(entry, reason)| {
            let path = &self.entries[*entry as usize].path;
            let path = path.strip_prefix(self.base()).unwrap_or(path);
            format!("{} ({reason})", path.display())
        });
        let names = names.collect::<Vec<_>>().join(", ");
        match skipped.len().saturating_sub(MAX_NAMED) {
            0 => names,
            more => format!("{names} and {more} more"),
        }
    }
}
