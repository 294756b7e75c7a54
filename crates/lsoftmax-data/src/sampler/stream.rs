use crate::random::permutation;

/// The order of images in a training: consecutive epochs, each in its own random order,
/// concatenated and cut into batches regardless of epoch boundaries.
///
/// Position p of the stream, which is element `p % batch` of step `p / batch`, is image
/// `p % samples` in the order of epoch `p / samples`. Every batch is therefore full, every epoch
/// has each image once, a batch may span two epochs, and a batch larger than the data set repeats
/// images.
///
/// The batch of a step is a function of (seed, size, batch, step) alone, so that any part of a
/// training can be reproduced.
#[derive(Clone, Debug)]
pub struct Sampler {
    seed: u64,
    samples: usize,
    batch: usize,
    /// The last requested epoch; a cache that does not affect results.
    epoch: Option<(u64, Vec<u32>)>,
}

/// Separates these random numbers from others of the same seed.
const STREAM: u64 = 0x6f72_6472;

impl Sampler {
    /// Creates a sampler over `samples` images in batches of `batch`; both at least 1.
    pub fn new(seed: u64, samples: usize, batch: usize) -> Self {
        Self {
            seed,
            samples: samples.max(1),
            batch: batch.max(1),
            epoch: None,
        }
    }

    /// The images of a step as (epoch, index), always a full batch.
    pub fn batch(&mut self, step: u64) -> Vec<(u64, u32)> {
        let samples = self.samples as u128;
        let first = u128::from(step) * self.batch as u128;
        (0..self.batch)
            .map(|i| {
                let position = first + i as u128;
                let epoch = (position / samples) as u64;
                (epoch, self.order(epoch)[(position % samples) as usize])
            })
            .collect()
    }

    fn order(&mut self, epoch: u64) -> &[u32] {
        let cached = self.epoch.take().filter(|(of, _)| *of == epoch);
        let order = cached.map_or_else(
            || permutation(self.seed, &[STREAM, epoch], self.samples),
            |(_, o)| o,
        );
        &self.epoch.insert((epoch, order)).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_stream_is_one_permutation_after_another(
            seed in any::<u64>(),
            samples in 1usize..40,
            batch in 1usize..60,
            first in 0u64..1_000_000,
        ) {
            let mut sampler = Sampler::new(seed, samples, batch);
            // Enough steps for one complete epoch, wherever the first step is in its own.
            let steps = (2 * samples).div_ceil(batch) as u64;
            let stream: Vec<_> = (first..first + steps).flat_map(|s| sampler.batch(s)).collect();
            prop_assert!(stream.is_sorted_by_key(|&(epoch, _)| epoch));
            let start = first * batch as u64;
            prop_assert_eq!(stream[0].0, start / samples as u64);
            let whole = start.div_ceil(samples as u64);
            let mut seen: Vec<u32> = stream
                .iter()
                .filter(|&&(epoch, _)| epoch == whole)
                .map(|&(_, index)| index)
                .collect();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..samples as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn every_epoch_has_each_image_once() {
        for (samples, batch) in [(10, 3), (7, 7), (5, 12), (1, 4)] {
            let mut sampler = Sampler::new(1, samples, batch);
            let steps = 6 * samples as u64;
            let mut seen: Vec<(u64, u32)> = (0..steps).flat_map(|s| sampler.batch(s)).collect();
            let whole = seen.len() / samples * samples;
            seen.truncate(whole);
            seen.sort_unstable();
            let expected: Vec<_> = (0..(whole / samples) as u64)
                .flat_map(|epoch| (0..samples as u32).map(move |index| (epoch, index)))
                .collect();
            assert_eq!(seen, expected, "{samples} {batch}");
        }
    }

    #[test]
    fn any_step_can_be_reproduced() {
        let forward: Vec<_> = (0..20).map(|s| Sampler::new(3, 13, 5).batch(s)).collect();
        let mut sampler = Sampler::new(3, 13, 5);
        for step in (0..20).rev() {
            assert_eq!(sampler.batch(step), forward[step as usize]);
        }
        assert_ne!(forward[0], Sampler::new(4, 13, 5).batch(0));
    }
}
