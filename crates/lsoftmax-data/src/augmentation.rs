use crate::dataset::View;
use crate::error::DataError;
use crate::random::Rng;

/// Random changes of training images, as functions of (seed, epoch, index) alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Augmentation {
    /// Pixels added on each side before a random crop of the original size; must be less than the
    /// height and width of an image. Added pixels have the value of the mean (0 after
    /// preprocessing).
    pub pad_crop: usize,
    /// Mirrors images left to right with probability 1/2.
    pub mirror: bool,
}

/// Separates these random numbers from others of the same seed.
const STREAM: u64 = 0x6175_676d;

impl Augmentation {
    /// No augmentation.
    pub fn none() -> Self {
        Self::default()
    }

    /// The augmentation of CIFAR10+: pad by 4, crop, mirror.
    pub fn cifar_plus() -> Self {
        Self {
            pad_crop: 4,
            mirror: true,
        }
    }

    /// The view of an image in an epoch.
    pub(crate) fn view(self, seed: u64, epoch: u64, index: u32) -> View {
        if self == Self::none() {
            return View::default();
        }
        let mut rng = Rng::at(seed, &[STREAM, epoch, index.into()]);
        let places = 2 * self.pad_crop as u64 + 1;
        // Start of the crop, relative to the image.
        let mut start = || rng.below(places) as isize - self.pad_crop as isize;
        View {
            top: start(),
            left: start(),
            mirror: self.mirror && rng.chance(0.5),
        }
    }

    /// Checks this against the shape of images: channels, height, width.
    pub(crate) fn check(self, [_, height, width]: [usize; 3]) -> Result<(), DataError> {
        let side = height.min(width);
        if self.pad_crop < side {
            return Ok(());
        }
        Err(DataError::out_of_range(
            "pad_crop",
            format!("below {side}, the smaller side of an image"),
            self.pad_crop,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;
    use crate::dataset::{MemoryLayout, Preprocessing};
    use std::collections::HashMap;

    #[test]
    fn crops_and_mirrors_are_uniform_and_repeatable() {
        // One bright pixel in the middle shows the shift, and a dimmer one to its right the
        // mirroring.
        let mut image = vec![0; 81];
        image[40] = 255;
        image[41] = 128;
        let data = Dataset::new(image, vec![0], [1, 9, 9], vec!["a".into()]).unwrap();
        let preprocessing = Preprocessing {
            mean: vec![0.0],
            scale: 1.0,
        };
        let apply = |epoch| {
            let mut out = vec![0.0; 81];
            let view = Augmentation::cifar_plus().view(1, epoch, 0);
            preprocessing.apply(&data, 0, view, MemoryLayout::Nchw, &mut out);
            out
        };
        assert_eq!(apply(7), apply(7));
        let mut seen: HashMap<(usize, bool), usize> = HashMap::new();
        let n = 16_200;
        for epoch in 0..n {
            let out = apply(epoch as u64);
            let bright = out.iter().position(|&v| v == 255.0).unwrap();
            let mirrored = bright % 9 == 8 || out[bright + 1] != 128.0;
            // The last column does not show the neighbour: count only unambiguous cases.
            if (1..8).contains(&(bright % 9)) {
                *seen.entry((bright, mirrored)).or_default() += 1;
            }
        }
        assert_eq!(seen.len(), 9 * 7 * 2);
        let expected = n as f64 / 162.0;
        assert!(
            seen.values()
                .all(|&count| (count as f64 - expected).abs() < 0.5 * expected)
        );
    }
}
