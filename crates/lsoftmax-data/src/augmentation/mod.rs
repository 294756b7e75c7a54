//! Random changes of training images.

mod change;
mod names;
mod operations;

pub(crate) use change::Change;

use crate::dataset::View;
use crate::error::DataError;
use crate::random::Rng;

/// Random changes of training images, which depend only on (seed, epoch, index).
///
/// They are applied in the order of the fields, except for the crop and the mirroring, which come
/// after the changes of colour. [`parse`](Self::parse) reads them from text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Augmentation {
    /// Pixels added on each side before a random crop of the original size; must be less than the
    /// height and width of an image. Added pixels have the value of the mean (0 after
    /// preprocessing).
    pub pad_crop: usize,
    /// Whether added pixels show the image mirrored at its edge instead of the mean.
    pub reflect: bool,
    /// Mirroring left to right.
    pub mirror: Mirror,
    /// Random operations of equal strength.
    pub rand_augment: Option<RandAugment>,
    /// Random brightness, contrast and saturation.
    pub colour_jitter: Option<ColourJitter>,
    /// Side of a square that is set to the mean, or 0 for none. Its centre is anywhere in the image
    /// (DeVries and Taylor 2017).
    pub cutout: usize,
    /// Probability that a rectangle of 2 to 33 % of the image is set to the mean (Zhong et al. 2017).
    pub random_erasing: f64,
}

/// Which images are mirrored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mirror {
    /// None.
    #[default]
    Never,
    /// Each image with probability 1/2, independently in each epoch.
    Random,
    /// Each image in every second epoch. Which half starts is random.
    Alternating,
}

/// Operations drawn from a list of 14, all of the same strength (Cubuk et al. 2019).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RandAugment {
    /// Number of operations, from 1 to 10.
    pub operations: usize,
    /// The strength of the operations, from 0 to 10.
    pub magnitude: f64,
}

/// Factors for brightness, contrast and saturation, each uniform in [1 - x, 1 + x], in random order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColourJitter {
    /// The x for the brightness, from 0 to 1.
    pub brightness: f64,
    /// The x for the contrast, from 0 to 1.
    pub contrast: f64,
    /// The x for the saturation, from 0 to 1; 0 for grey images.
    pub saturation: f64,
}

/// Separates the random numbers of the crop and the mirroring from others with the same seed.
const STREAM: u64 = 0x6175_676d;
/// The same for the epochs in which an image is mirrored.
const PHASE: u64 = 0x7068_6173;

impl Augmentation {
    /// No augmentation.
    pub fn none() -> Self {
        Self::default()
    }

    /// The augmentation of CIFAR10+: pad by 4, crop, mirror.
    pub fn cifar_plus() -> Self {
        Self {
            pad_crop: 4,
            mirror: Mirror::Random,
            ..Self::none()
        }
    }

    /// Whether the augmentation is only a crop with mean padding and mirroring, which a graphics
    /// processor can apply to images on the device. Everything else is done on the host.
    pub fn is_view(&self) -> bool {
        let view = Self {
            pad_crop: self.pad_crop,
            mirror: self.mirror,
            ..Self::none()
        };
        *self == view
    }

    /// The view of an image in an epoch.
    pub(crate) fn view(&self, seed: u64, epoch: u64, index: u32) -> View {
        if self.pad_crop == 0 && self.mirror == Mirror::Never {
            return View::default();
        }
        let mut rng = Rng::at(seed, &[STREAM, epoch, index.into()]);
        let places = 2 * self.pad_crop as u64 + 1;
        // Start of the crop, relative to the image.
        let mut start = || rng.below(places) as isize - self.pad_crop as isize;
        View {
            top: start(),
            left: start(),
            mirror: match self.mirror {
                Mirror::Never => false,
                Mirror::Random => rng.chance(0.5),
                Mirror::Alternating => {
                    let second = Rng::at(seed, &[PHASE, index.into()]).chance(0.5);
                    epoch.is_multiple_of(2) != second
                }
            },
            reflect: self.reflect,
        }
    }

    /// All other changes of an image in an epoch.
    pub(crate) fn change(&self, seed: u64, epoch: u64, index: u32) -> Change<'_> {
        Change::new(self, [seed, epoch, index.into()])
    }

    /// Checks the augmentation against the shape of the images: channels, height, width.
    pub(crate) fn check(&self, [channels, height, width]: [usize; 3]) -> Result<(), DataError> {
        let side = height.min(width);
        if self.pad_crop >= side {
            return Err(DataError::out_of_range(
                "crop of the augmentation",
                format!("below {side}, the smaller side of an image"),
                self.pad_crop,
            ));
        }
        if self.cutout > side {
            return Err(DataError::out_of_range(
                "cutout of the augmentation",
                format!("at most {side}, the smaller side of an image"),
                self.cutout,
            ));
        }
        let saturation = self.colour_jitter.map_or(0.0, |jitter| jitter.saturation);
        if channels != 3 && saturation != 0.0 {
            return Err(DataError::out_of_range(
                "saturation of colour-jitter",
                format!("0 for images of {channels} channels, which have no colour"),
                saturation,
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;
    use crate::dataset::{MemoryLayout, Preprocessing};
    use std::collections::HashMap;

    #[test]
    fn an_alternating_mirror_turns_each_image_in_every_second_epoch() {
        let alternating = Augmentation {
            mirror: Mirror::Alternating,
            ..Augmentation::none()
        };
        let mirrored = |epoch, index| alternating.view(7, epoch, index).mirror;
        let mut first = 0;
        for index in 0..2_000 {
            first += u32::from(mirrored(0, index));
            for epoch in 0..5 {
                assert_eq!(
                    mirrored(epoch, index),
                    mirrored(0, index) == (epoch % 2 == 0)
                );
            }
        }
        assert!((900..1_100).contains(&first), "{first}");
    }

    /// Views are the same as before other changes were added.
    #[test]
    fn views_keep_their_bits() {
        let views = (0..6).map(|epoch| {
            let view = Augmentation::cifar_plus().view(3, epoch, 11);
            (view.top, view.left, view.mirror)
        });
        let expected = [
            (4, 2, false),
            (4, -4, true),
            (4, 0, true),
            (3, 1, true),
            (3, -2, true),
            (0, 2, true),
        ];
        assert_eq!(views.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn crops_and_mirrors_are_uniform_and_repeatable() {
        // A bright pixel in the middle shows the shift, and a dimmer one to its right the
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
