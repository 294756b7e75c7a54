use crate::error::DataError;
use crate::preprocessing::{MemoryLayout, Preprocessing, View};
use crate::random::permutation;
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

#[derive(Debug, PartialEq, Eq)]
struct Samples {
    /// `[sample, channel, height, width]`.
    images: Vec<u8>,
    labels: Vec<u32>,
}

/// Keeps the choice of held-out images apart from other random numbers of the same seed.
const HELD_OUT: u64 = 0x6865_6c64;

/// What to train on and what to test on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The images to train on.
    pub train: Dataset,
    /// The images to test on.
    pub test: Dataset,
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
            samples: Arc::new(Samples { images, labels }),
            channels,
            height,
            width,
            class_names,
        })
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

    /// The first images of each class, `count` in all (at least 1), in their old order:
    /// as many of each class as of any other, as far as there are so many; everything if
    /// `count` is not below the size.
    #[must_use]
    pub fn subset(&self, count: usize) -> Self {
        let count = count.max(1);
        if count >= self.len() {
            return self.clone();
        }
        let mut take = self.shares(count);
        self.select(|index| {
            let take = &mut take[self.label(index) as usize];
            let wanted = *take > 0;
            *take -= usize::from(wanted);
            wanted
        })
    }

    /// Two parts: all but `count` images, and `count` images, as many of each class as of any other
    /// as far as there are so many; `seed` draws them.
    ///
    /// # Errors
    /// A part would be empty.
    pub fn hold_out(&self, count: usize, seed: u64) -> Result<(Self, Self), DataError> {
        if !(1..self.len()).contains(&count) {
            return Err(DataError::number(
                "held-out",
                format!(
                    "0, or from 1 to {} of {} images",
                    self.len() - 1,
                    self.len()
                ),
                count,
            ));
        }
        let mut take = self.shares(count);
        let mut held = vec![false; self.len()];
        for index in permutation(seed, &[HELD_OUT], self.len()) {
            let take = &mut take[self.label(index as usize) as usize];
            if *take > 0 {
                *take -= 1;
                held[index as usize] = true;
            }
        }
        let part = |wanted: bool| self.select(|index| held[index] == wanted);
        Ok((part(false), part(true)))
    }

    /// How many of each class make up `count` images, at most all there are.
    fn shares(&self, count: usize) -> Vec<usize> {
        let available = self.class_counts();
        let mut take = vec![0; available.len()];
        let mut left = count;
        while left > 0 {
            for (take, &available) in take.iter_mut().zip(&available) {
                if left > 0 && *take < available {
                    *take += 1;
                    left -= 1;
                }
            }
        }
        take
    }

    /// The images that are wanted, in their order; at least one is.
    fn select(&self, mut wanted: impl FnMut(usize) -> bool) -> Self {
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for (index, &label) in self.labels().iter().enumerate() {
            if wanted(index) {
                images.extend_from_slice(self.image(index));
                labels.push(label);
            }
        }
        Self {
            samples: Arc::new(Samples { images, labels }),
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
    fn subsets_are_balanced_and_keep_the_order() {
        let set = tiny().subset(4);
        assert_eq!(set.labels(), [0, 0, 1, 1]);
        assert_eq!(set.image(2), [12, 13, 14, 15]);
        assert_eq!(set.class_counts(), [2, 2, 0]);
        assert_eq!(tiny().subset(5).labels(), [0, 0, 0, 1, 1]);
        assert_eq!(tiny().subset(99), tiny());
        assert_eq!(tiny().subset(0).len(), 1);
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

    #[test]
    fn what_is_held_out_is_fair_and_not_trained_on() {
        let labels: Vec<u32> = (0..100).map(|i| u32::from(i >= 90)).collect();
        let names = vec!["a".into(), "b".into()];
        let data = Dataset::new((0..100).collect(), labels, [1, 1, 1], names).unwrap();
        let (train, held) = data.hold_out(8, 3).unwrap();
        assert_eq!((train.len(), held.class_counts()), (92, vec![4, 4]));
        let bytes = |part: &Dataset| {
            (0..part.len())
                .map(|i| part.image(i)[0])
                .collect::<Vec<_>>()
        };
        let mut all = [bytes(&train), bytes(&held)].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<u8>>());
        assert_eq!(data.hold_out(8, 3).unwrap().1, held);
        assert_ne!(data.hold_out(8, 4).unwrap().1, held);
        // More than the small class has.
        assert_eq!(data.hold_out(40, 3).unwrap().1.class_counts(), [30, 10]);
        for count in [0, 100, 101] {
            let message = data.hold_out(count, 3).unwrap_err().to_string();
            assert!(
                message.contains("held-out must be 0, or from 1 to 99"),
                "{message}"
            );
        }
    }
}
