use crate::error::DataError;
use crate::preprocessing::{MemoryLayout, Preprocessing};
use std::sync::Arc;

/// Labelled images, decoded once and kept as bytes. Cloning shares them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dataset {
    images: Arc<[u8]>,
    labels: Arc<[u32]>,
    /// Channels of an image: 1 for grey, 3 for colour.
    pub channels: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// A name for each class.
    pub class_names: Vec<String>,
}

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
            images: images.into(),
            labels: labels.into(),
            channels,
            height,
            width,
            class_names,
        })
    }

    /// The number of images, at least 1.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// The number of classes, with or without images.
    pub fn num_classes(&self) -> usize {
        self.class_names.len()
    }

    /// The bytes of an image, `[channel, height, width]`.
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.channels * self.height * self.width;
        &self.images[index * size..(index + 1) * size]
    }

    /// All labels.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// How many images each class has.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.num_classes()];
        for &label in self.labels.iter() {
            counts[label as usize] += 1;
        }
        counts
    }

    /// The first images of each class, `count` in all and as many of each class as there
    /// are, in their old order; everything if `count` is not below the size.
    #[must_use]
    pub fn subset(&self, count: usize) -> Self {
        if count >= self.len() {
            return self.clone();
        }
        // Round robin: how many of each class fit.
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
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for (index, &label) in self.labels.iter().enumerate() {
            if take[label as usize] > 0 {
                take[label as usize] -= 1;
                images.extend_from_slice(self.image(index));
                labels.push(label);
            }
        }
        Self {
            images: images.into(),
            labels: labels.into(),
            ..self.clone()
        }
    }

    /// The preprocessing that suits these (training) images.
    pub fn preprocessing(&self) -> Preprocessing {
        Preprocessing::of(self)
    }

    /// All images in order, as batches for an evaluation; the last may be smaller.
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
                preprocessing.apply(self, index, layout, out);
            }
            Batch {
                step: number as u64,
                pixels,
                labels: self.labels[indices.clone()].to_vec(),
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
    }
}
