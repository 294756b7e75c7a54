use crate::digest::Digest;
use crate::error::DataError;
use crate::names::nfc;
use crate::origins::{Origin, Origins};
use crate::preprocessing::{MemoryLayout, Preprocessing, View};
use rayon::prelude::*;
use std::collections::HashMap;
use std::fmt::Display;
use std::sync::Arc;

/// Labelled images, decoded once and kept as bytes. Cloning shares them.
///
/// There is at least one image, and every label names a class. A class need not have
/// images: [`class_counts`](Self::class_counts) says which have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    samples: Arc<Samples>,
    /// Channels of an image: 1 for grey, 3 for colour.
    pub channels: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// A name for each class.
    pub class_names: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Samples {
    /// `[sample, channel, height, width]`.
    images: Vec<u8>,
    labels: Vec<u32>,
    /// Where each sample comes from; none of generated ones.
    origins: Option<Origins>,
}

/// Images of a batch as numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The step of the training that it is for; the number of the batch in an evaluation.
    pub step: u64,
    /// Images, channels, height and width, whatever the layout in memory.
    pub shape: [usize; 4],
    /// The values in the layout asked for.
    pub pixels: Vec<f32>,
    /// A label an image.
    pub labels: Vec<u32>,
    /// Where each image stands in its data set.
    pub indices: Vec<u32>,
}

impl Dataset {
    /// Checks and keeps images `[sample, channel, height, width]`.
    ///
    /// # Errors
    /// A size of zero, lengths that do not fit, a label that names no class.
    pub fn new(
        images: Vec<u8>,
        labels: Vec<u32>,
        [channels, height, width]: [usize; 3],
        class_names: Vec<String>,
    ) -> Result<Self, DataError> {
        if labels.is_empty() {
            return Err(DataError::number("the number of images", "at least 1", 0));
        }
        let expected = [channels, height, width]
            .iter()
            .try_fold(labels.len(), |product, &size| product.checked_mul(size));
        if expected != Some(images.len()) || images.is_empty() {
            return Err(DataError::number(
                "the number of bytes",
                format!("{} images of {channels}x{height}x{width}", labels.len()),
                images.len(),
            ));
        }
        if labels.len() > u32::MAX as usize {
            return Err(DataError::number(
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

    /// The same images, with the path and the digest of each ([`Origin`]). Parts that are taken of
    /// the data set keep them.
    ///
    /// # Errors
    /// There is not one for each image.
    pub fn with_origins(
        self,
        origins: impl IntoIterator<Item = (impl AsRef<str>, Digest)>,
    ) -> Result<Self, DataError> {
        let origins = Origins::new(origins.into_iter());
        if origins.len() != self.len() {
            return Err(DataError::number(
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

    /// The same images, each known by the file that holds it, its number there, and the digest of
    /// its pixels.
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

    /// Where an image comes from, if the images come from files.
    ///
    /// # Panics
    /// There is no image of this index.
    pub fn origin(&self, index: usize) -> Option<Origin<'_>> {
        let origins = self.samples.origins.as_ref();
        origins.map(|origins| origins.get(index))
    }

    /// Whether images come from files, and [`origin`](Self::origin) says from which.
    pub fn has_origins(&self) -> bool {
        self.samples.origins.is_some()
    }

    /// The number of images, at least 1.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.samples.labels.len()
    }

    /// The number of classes, with or without images.
    pub fn num_classes(&self) -> usize {
        self.class_names.len()
    }

    /// The bytes of an image, `[channel, height, width]`.
    ///
    /// # Panics
    /// There is no image of this index.
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
    /// There is no image of this index.
    pub fn label(&self, index: usize) -> u32 {
        self.samples.labels[index]
    }

    /// All labels.
    pub fn labels(&self) -> &[u32] {
        &self.samples.labels
    }

    /// How many images each class has.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.num_classes()];
        for &label in self.labels() {
            counts[label as usize] += 1;
        }
        counts
    }

    /// The mean byte of each value of an image, `[channel, height, width]`.
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

    /// All images, each with left and right exchanged.
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

    /// The images that are wanted, in their order; at least one is.
    pub(crate) fn select(&self, mut wanted: impl FnMut(usize) -> bool) -> Self {
        self.select_as(self.class_names.clone(), |index| {
            wanted(index).then(|| self.label(index))
        })
    }

    /// The images that get a label, in their order; at least one does, and each names a class.
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

    /// The same images with the classes of another data set or of a model, matched by name in
    /// Unicode's form C.
    ///
    /// # Errors
    /// A class with images has a name that is not among these; the nearest one is named.
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

    /// These images and then the others, which have the same shape and classes.
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

    /// The preprocessing that suits these (training) images.
    pub fn preprocessing(&self) -> Preprocessing {
        Preprocessing::of(self)
    }

    /// All images in order, as batches of `size` (at least 1) for an evaluation: nothing
    /// is shuffled or changed, and the last batch may be smaller.
    ///
    /// # Panics
    /// The preprocessing is for images of another shape, which
    /// [`Preprocessing::check`] finds out.
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
    fn the_mean_image_is_a_mean_a_place() {
        assert_eq!(tiny().mean_image(), [10.0, 11.0, 12.0, 13.0]);
        assert_eq!((tiny().label(3), tiny().label(5)), (1, 0));
    }

    #[test]
    fn refuses_what_does_not_fit() {
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
