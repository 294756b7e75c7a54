mod preprocessing;

pub use preprocessing::{MemoryLayout, Preprocessing, View};

use crate::digest::Digest;
use crate::error::DataError;
use crate::names::nfc;
use crate::origins::{Origin, Origins};
use rayon::prelude::*;
use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;

/// Labelled images, decoded once and stored as bytes. Clones share them.
///
/// There is at least one image, and every label is a class. Classes may be empty; see
/// [`class_counts`](Self::class_counts).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    samples: Arc<Samples>,
    /// Channels per image: 1 for grey, 3 for colour.
    pub channels: usize,
    /// Rows per image.
    pub height: usize,
    /// Columns per image.
    pub width: usize,
    /// The name of each class.
    pub class_names: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Samples {
    /// `[sample, channel, height, width]`.
    images: Vec<u8>,
    labels: Vec<u32>,
    /// The origin of each sample; `None` for generated ones.
    origins: Option<Origins>,
}

/// A batch of images as floats.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The training step of the batch; in an evaluation, the index of the batch.
    pub step: u64,
    /// Batch size, channels, height and width, independent of the memory layout.
    pub shape: [usize; 4],
    /// The values, in the requested layout.
    pub pixels: Vec<f32>,
    /// The label of each image.
    pub labels: Vec<u32>,
    /// The index of each image in its data set.
    pub indices: Vec<u32>,
}

impl Dataset {
    /// Checks and stores images `[sample, channel, height, width]`.
    ///
    /// # Errors
    /// A size is zero, the lengths do not match, or a label is not a class.
    pub fn new(
        images: Vec<u8>,
        labels: Vec<u32>,
        [channels, height, width]: [usize; 3],
        class_names: Vec<String>,
    ) -> Result<Self, DataError> {
        if labels.is_empty() {
            return Err(DataError::out_of_range(
                "the number of images",
                "at least 1",
                0,
            ));
        }
        let expected = [channels, height, width]
            .iter()
            .try_fold(labels.len(), |product, &size| product.checked_mul(size));
        if expected != Some(images.len()) || images.is_empty() {
            return Err(DataError::out_of_range(
                "the number of bytes",
                format!("{} images of {channels}x{height}x{width}", labels.len()),
                images.len(),
            ));
        }
        if labels.len() > u32::MAX as usize {
            return Err(DataError::out_of_range(
                "the number of images",
                "below 2^32",
                labels.len(),
            ));
        }
        let classes = class_names.len();
        if let Some((row, &label)) = labels
            .iter()
            .enumerate()
            .find(|&(_, &label)| label as usize >= classes)
        {
            return Err(DataError::Label {
                row,
                label,
                classes,
            });
        }
        Ok(Self {
            samples: Arc::new(Samples {
                images,
                labels,
                origins: None,
            }),
            channels,
            height,
            width,
            class_names,
        })
    }

    /// The same images with a path and digest for each ([`Origin`]). Subsets of the data set keep
    /// them.
    ///
    /// # Errors
    /// There is not one origin per image.
    pub fn with_origins(
        self,
        origins: impl IntoIterator<Item = (impl AsRef<str>, Digest)>,
    ) -> Result<Self, DataError> {
        let origins = Origins::new(origins.into_iter());
        if origins.len() != self.len() {
            return Err(DataError::out_of_range(
                "the number of origins",
                format!("that of the images, {}", self.len()),
                origins.len(),
            ));
        }
        let Samples { images, labels, .. } = Arc::unwrap_or_clone(self.samples);
        Ok(Self {
            samples: Arc::new(Samples {
                images,
                labels,
                origins: Some(origins),
            }),
            ..self
        })
    }

    /// The same images, each identified by the file that contains it, its index in the file, and
    /// the digest of its pixels.
    pub(crate) fn packed_in<F: Display>(
        self,
        place: impl Fn(usize) -> (F, usize),
    ) -> Result<Self, DataError> {
        let digests: Vec<Digest> = (0..self.len())
            .into_par_iter()
            .map(|index| Digest::of(self.image(index)))
            .collect();
        let origins = digests.into_iter().enumerate().map(|(index, digest)| {
            let (file, number) = place(index);
            (format!("{file}/{number}"), digest)
        });
        self.with_origins(origins)
    }

    /// The origin of an image, if the images come from files.
    ///
    /// # Panics
    /// `index` is out of range.
    pub fn origin(&self, index: usize) -> Option<Origin<'_>> {
        let origins = self.samples.origins.as_ref();
        origins.map(|origins| origins.get(index))
    }

    /// Whether images come from files, so that [`origin`](Self::origin) is known.
    pub fn has_origins(&self) -> bool {
        self.samples.origins.is_some()
    }

    /// Number of images, at least 1.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.samples.labels.len()
    }

    /// Number of classes, including empty ones.
    pub fn num_classes(&self) -> usize {
        self.class_names.len()
    }

    /// The bytes of an image, `[channel, height, width]`.
    ///
    /// # Panics
    /// `index` is out of range.
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.channels * self.height * self.width;
        &self.samples.images[index * size..(index + 1) * size]
    }

    /// The bytes of all images, `[sample, channel, height, width]`.
    pub fn bytes(&self) -> &[u8] {
        &self.samples.images
    }

    /// The class of an image.
    ///
    /// # Panics
    /// `index` is out of range.
    pub fn label(&self, index: usize) -> u32 {
        self.samples.labels[index]
    }

    /// All labels.
    pub fn labels(&self) -> &[u32] {
        &self.samples.labels
    }

    /// Number of images in each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.num_classes()];
        for &label in self.labels() {
            counts[label as usize] += 1;
        }
        counts
    }

    /// The mean image over all samples, `[channel, height, width]`.
    pub fn mean_image(&self) -> Vec<f32> {
        let mut sums = vec![0u64; self.image(0).len()];
        for image in self.samples.images.chunks_exact(sums.len()) {
            for (sum, &byte) in sums.iter_mut().zip(image) {
                *sum += u64::from(byte);
            }
        }
        let count = self.len() as f64;
        sums.iter()
            .map(|&sum| (sum as f64 / count) as f32)
            .collect()
    }

    /// All images, mirrored left to right.
    #[must_use]
    pub fn mirrored(&self) -> Self {
        let mut images = self.samples.images.clone();
        images
            .chunks_exact_mut(self.width)
            .for_each(<[u8]>::reverse);
        let samples = Samples {
            images,
            labels: self.labels().to_vec(),
            origins: self.samples.origins.clone(),
        };
        Self {
            samples: Arc::new(samples),
            ..self.clone()
        }
    }

    /// The selected images, in order. At least one must be selected.
    pub(crate) fn select(&self, mut wanted: impl FnMut(usize) -> bool) -> Self {
        self.select_as(self.class_names.clone(), |index| {
            wanted(index).then(|| self.label(index))
        })
    }

    /// The images that are given a label, in order. At least one must be, and each label must be a
    /// class.
    pub(crate) fn select_as(
        &self,
        class_names: Vec<String>,
        mut label: impl FnMut(usize) -> Option<u32>,
    ) -> Self {
        let (mut images, mut labels, mut taken) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..self.len() {
            if let Some(label) = label(index) {
                images.extend_from_slice(self.image(index));
                labels.push(label);
                taken.push(index as u32);
            }
        }
        let origins = self.samples.origins.as_ref();
        Self {
            samples: Arc::new(Samples {
                images,
                labels,
                origins: origins.map(|origins| origins.select(&taken)),
            }),
            class_names,
            ..self.clone()
        }
    }

    /// The same images with the classes of another data set or model, matched by name in Unicode
    /// normalisation form C.
    ///
    /// # Errors
    /// A class with images is not among these names; the error suggests the nearest name.
    pub fn relabelled(&self, class_names: &[String]) -> Result<Self, DataError> {
        let known: HashMap<_, _> = class_names.iter().map(|name| nfc(name)).zip(0..).collect();
        let places: Vec<Option<u32>> = (self.class_names.iter())
            .map(|name| known.get(&nfc(name)).copied())
            .collect();
        let counts = self.class_counts();
        let mut unknown = (0..counts.len()).filter(|&c| counts[c] > 0 && places[c].is_none());
        if let Some(first) = unknown.next() {
            let first = &self.class_names[first];
            let lower = nfc(first).to_lowercase();
            let near = class_names.iter().map(|name| {
                (
                    strsim::jaro_winkler(&nfc(name).to_lowercase(), &lower),
                    name,
                )
            });
            let near = near.filter(|&(similarity, _)| similarity > 0.75);
            return Err(DataError::UnknownClass {
                name: first.clone(),
                others: unknown.count(),
                nearest: near
                    .max_by(|a, b| a.0.total_cmp(&b.0))
                    .map(|(_, name)| name.clone()),
            });
        }
        Ok(self.select_as(class_names.to_vec(), |index| {
            places[self.label(index) as usize]
        }))
    }

    /// These images followed by the others, which must have the same shape and classes.
    pub(crate) fn followed_by(&self, other: &Self) -> Self {
        let samples = Samples {
            images: [&self.samples.images[..], &other.samples.images].concat(),
            labels: [self.labels(), other.labels()].concat(),
            origins: match (&self.samples.origins, &other.samples.origins) {
                (Some(own), Some(other)) => Some(own.followed_by(other)),
                _ => None,
            },
        };
        Self {
            samples: Arc::new(samples),
            ..self.clone()
        }
    }

    /// The preprocessing for these (training) images.
    pub fn preprocessing(&self) -> Preprocessing {
        Preprocessing::of(self)
    }

    /// All images in order, in batches of `size` (at least 1) for an evaluation: neither shuffled
    /// nor augmented. The last batch may be smaller.
    ///
    /// # Panics
    /// The preprocessing is for another image shape; [`Preprocessing::check`] detects this.
    pub fn batches<'a>(
        &'a self,
        size: usize,
        preprocessing: &'a Preprocessing,
        layout: MemoryLayout,
    ) -> impl Iterator<Item = Batch> + 'a {
        let size = size.max(1);
        (0..self.len().div_ceil(size)).map(move |number| {
            let indices = number * size..((number + 1) * size).min(self.len());
            let mut pixels = vec![0.0; indices.len() * self.image(0).len()];
            for (out, index) in pixels
                .chunks_exact_mut(self.image(0).len())
                .zip(indices.clone())
            {
                preprocessing.apply(self, index, View::default(), layout, out);
            }
            Batch {
                step: number as u64,
                pixels,
                shape: [indices.len(), self.channels, self.height, self.width],
                labels: self.labels()[indices.clone()].to_vec(),
                indices: indices.map(|index| index as u32).collect(),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tiny() -> Dataset {
        let names = vec!["a".into(), "b".into(), "never".into()];
        Dataset::new((0..24).collect(), vec![0, 0, 0, 1, 1, 0], [1, 2, 2], names).unwrap()
    }

    #[test]
    fn the_mean_image_has_one_mean_per_value() {
        assert_eq!(tiny().mean_image(), [10.0, 11.0, 12.0, 13.0]);
        assert_eq!((tiny().label(3), tiny().label(5)), (1, 0));
    }

    #[test]
    fn mismatched_lengths_are_rejected() {
        let new = |bytes: usize, labels: Vec<u32>| {
            Dataset::new(
                vec![0; bytes],
                labels,
                [1, 2, 2],
                vec!["a".into(), "b".into()],
            )
        };
        assert!(new(8, vec![0, 1]).is_ok());
        assert!(new(7, vec![0, 1]).is_err());
        assert!(new(0, vec![]).is_err());
        let message = new(8, vec![0, 2]).unwrap_err().to_string();
        assert_eq!(
            message,
            "label 2 of sample 1 is out of range: there are 2 classes"
        );
    }

    #[test]
    fn evaluation_batches_cover_everything_once() {
        let set = tiny();
        let preprocessing = set.preprocessing();
        let batches: Vec<Batch> = set.batches(4, &preprocessing, MemoryLayout::Nchw).collect();
        assert_eq!(
            batches.iter().map(|b| b.labels.len()).collect::<Vec<_>>(),
            [4, 2]
        );
        assert_eq!(batches[1].indices, [4, 5]);
        assert_eq!(batches[1].pixels.len(), 8);
        assert_eq!(batches[1].shape, [2, 1, 2, 2]);
    }
}
