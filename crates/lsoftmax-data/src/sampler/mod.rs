//! Selects the images of each batch as a function of seed and step, so that any part of a training
//! can be reproduced.

mod per_class;
mod stream;

pub use per_class::ClassSampler;
pub use stream::Sampler;

use crate::error::DataError;

/// The order of images in a training.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    Stream(Sampler),
    PerClass(ClassSampler),
}

impl Order {
    /// Batches of a given size, optionally with a given number of images per class.
    pub(crate) fn new(
        seed: u64,
        labels: &[u32],
        batch: usize,
        images_per_class: Option<usize>,
    ) -> Result<Self, DataError> {
        Ok(match images_per_class {
            None => Self::Stream(Sampler::new(seed, labels.len(), batch)),
            Some(images) => Self::PerClass(ClassSampler::new(seed, labels, batch, images)?),
        })
    }

    pub(crate) fn batch(&mut self, step: u64) -> Vec<(u64, u32)> {
        match self {
            Self::Stream(sampler) => sampler.batch(step),
            Self::PerClass(sampler) => sampler.batch(step),
        }
    }
}
