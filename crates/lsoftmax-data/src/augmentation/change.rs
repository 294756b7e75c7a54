//! Random changes of one image in one epoch, apart from its view.

use super::operations::{self, Image};
use super::{Augmentation, ColourJitter, RandAugment};
use crate::dataset::MemoryLayout;
use crate::random::Rng;
use std::borrow::Cow;
use std::ops::Range;

/// Keys that separate the random numbers of each kind of change, so that one kind does not affect
/// another.
const RAND_AUGMENT: u64 = 0x7261_6e64;
const COLOUR_JITTER: u64 = 0x6a69_7474;
const CUTOUT: u64 = 0x6375_746f;
const RANDOM_ERASING: u64 = 0x6572_6173;

/// Range of the rectangle's share of the image in random erasing, and of its height divided by its
/// width.
const ERASED: [f64; 2] = [0.02, 0.33];
const ASPECT: [f64; 2] = [0.3, 1.0 / 0.3];
/// Number of random rectangles to try before giving up.
const TRIES: usize = 10;

/// The changes of an image in an epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    augmentation: &'a Augmentation,
    seed: u64,
    epoch: u64,
    index: u64,
}

impl<'a> Change<'a> {
    pub(super) fn new(augmentation: &'a Augmentation, [seed, epoch, index]: [u64; 3]) -> Self {
        Self {
            augmentation,
            seed,
            epoch,
            index,
        }
    }

    fn rng(&self, stream: u64) -> Rng {
        Rng::at(self.seed, &[stream, self.epoch, self.index])
    }

    /// Applies changes of colour and shape to the image `[channel, height, width]`. Pixels from
    /// outside the image get the bytes of `mean`.
    pub(crate) fn bytes<'b>(
        &self,
        bytes: &'b [u8],
        shape: [usize; 3],
        mean: &[u8],
    ) -> Cow<'b, [u8]> {
        let Augmentation {
            rand_augment,
            colour_jitter,
            ..
        } = self.augmentation;
        if rand_augment.is_none() && colour_jitter.is_none() {
            return Cow::Borrowed(bytes);
        }
        let mut image = Image::new(bytes.to_vec(), shape);
        if let Some(RandAugment {
            operations,
            magnitude,
        }) = *rand_augment
        {
            let mut rng = self.rng(RAND_AUGMENT);
            for _ in 0..operations {
                operations::random(&mut image, magnitude / 10.0, mean, &mut rng);
            }
        }
        if let Some(jitter) = *colour_jitter {
            jitter.apply(&mut image, &mut self.rng(COLOUR_JITTER));
        }
        Cow::Owned(image.into_bytes())
    }

    /// Sets a square and a rectangle of a preprocessed image to 0, the mean.
    pub(crate) fn erase(&self, out: &mut [f32], shape: [usize; 3], layout: MemoryLayout) {
        let [_, height, width] = shape;
        let side = self.augmentation.cutout;
        if side > 0 {
            let mut rng = self.rng(CUTOUT);
            let mut along = |size: usize| {
                let centre = rng.below(size as u64) as usize;
                let start = centre.saturating_sub(side / 2);
                start..(centre + side - side / 2).min(size)
            };
            let (rows, columns) = (along(height), along(width));
            clear(out, shape, layout, rows, &columns);
        }
        if self.augmentation.random_erasing > 0.0 {
            let mut rng = self.rng(RANDOM_ERASING);
            if rng.chance(self.augmentation.random_erasing)
                && let Some((rows, columns)) = rectangle(height, width, &mut rng)
            {
                clear(out, shape, layout, rows, &columns);
            }
        }
    }
}

impl ColourJitter {
    fn apply(self, image: &mut Image, rng: &mut Rng) {
        type Colour = fn(&mut Image, f64);
        let mut all: [(f64, Colour); 3] = [
            (self.brightness, operations::brightness),
            (self.contrast, operations::contrast),
            (self.saturation, operations::saturation),
        ];
        rng.shuffle(&mut all);
        for (most, change) in all {
            let factor = rng.between(1.0 - most, 1.0 + most);
            if most > 0.0 {
                change(image, factor);
            }
        }
    }
}

/// The rows and columns of a random rectangle that is smaller than the image, or `None` if none was
/// found.
fn rectangle(height: usize, width: usize, rng: &mut Rng) -> Option<(Range<usize>, Range<usize>)> {
    for _ in 0..TRIES {
        let area = (height * width) as f64 * rng.between(ERASED[0], ERASED[1]);
        let aspect = libm::exp(rng.between(libm::log(ASPECT[0]), libm::log(ASPECT[1])));
        let rows = (area * aspect).sqrt().round() as usize;
        let columns = (area / aspect).sqrt().round() as usize;
        if (1..height).contains(&rows) && (1..width).contains(&columns) {
            let top = rng.below((height - rows + 1) as u64) as usize;
            let left = rng.below((width - columns + 1) as u64) as usize;
            return Some((top..top + rows, left..left + columns));
        }
    }
    None
}

fn clear(
    out: &mut [f32],
    [channels, height, width]: [usize; 3],
    layout: MemoryLayout,
    rows: Range<usize>,
    columns: &Range<usize>,
) {
    // The number of planes, and of adjacent values per pixel.
    let (planes, values) = match layout {
        MemoryLayout::Nchw => (channels, 1),
        MemoryLayout::Nhwc => (1, channels),
    };
    for plane in 0..planes {
        for row in rows.clone() {
            let start = (plane * height + row) * width;
            out[(start + columns.start) * values..(start + columns.end) * values].fill(0.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: [usize; 3] = [3, 12, 10];

    fn augmentation(list: &[&str]) -> Augmentation {
        Augmentation::parse(list).unwrap()
    }

    /// The erased rows and columns, the same in all channels and layouts.
    fn erased(augmentation: &Augmentation, epoch: u64, index: u32) -> Vec<(usize, usize)> {
        let [channels, height, width] = SHAPE;
        let erase = |layout| {
            let mut out = vec![1.0; channels * height * width];
            augmentation
                .change(5, epoch, index)
                .erase(&mut out, SHAPE, layout);
            out
        };
        let (planes, pixels) = (erase(MemoryLayout::Nchw), erase(MemoryLayout::Nhwc));
        let mut places = Vec::new();
        for (at, pixel) in pixels.chunks_exact(channels).enumerate() {
            for (channel, &value) in pixel.iter().enumerate() {
                assert_eq!(value, planes[channel * height * width + at]);
                assert_eq!(value, pixel[0]);
            }
            if pixel[0] == 0.0 {
                places.push((at / width, at % width));
            }
        }
        places
    }

    /// Height and width of positions that form a full rectangle.
    fn size(places: &[(usize, usize)]) -> (usize, usize) {
        let rows = places.iter().map(|place| place.0);
        let columns = places.iter().map(|place| place.1);
        let extent = |least: Option<usize>, most: Option<usize>| most.unwrap() + 1 - least.unwrap();
        let size = (
            extent(rows.clone().min(), rows.max()),
            extent(columns.clone().min(), columns.max()),
        );
        assert_eq!(size.0 * size.1, places.len());
        size
    }

    #[test]
    fn cutout_is_a_square_around_any_pixel() {
        let cutout = augmentation(&["cutout:5"]);
        let mut whole = 0;
        let mut seen = [[false; 10]; 12];
        for index in 0..2_000 {
            let places = erased(&cutout, 1, index);
            let (rows, columns) = size(&places);
            assert!((3..=5).contains(&rows) && (3..=5).contains(&columns));
            whole += u32::from(places.len() == 25);
            for (row, column) in places {
                seen[row][column] = true;
            }
        }
        assert!(seen.iter().flatten().all(|&seen| seen));
        // The square is whole for 8 of 12 centre rows and 6 of 10 centre columns.
        assert!((700..900).contains(&whole), "{whole}");
    }

    #[test]
    fn random_erasing_takes_a_share_of_some_images() {
        let erasing = augmentation(&["random-erasing:0.25"]);
        let mut times = 0;
        for index in 0..2_000 {
            let places = erased(&erasing, 0, index);
            if !places.is_empty() {
                times += 1;
                size(&places);
                let share = places.len() as f64 / 120.0;
                assert!((0.005..0.45).contains(&share), "{share}");
            }
        }
        assert!((430..570).contains(&times), "{times}");
    }

    #[test]
    fn changes_depend_on_seed_epoch_and_index_alone() {
        let all = augmentation(&["rand-augment:2:9", "colour-jitter:0.4:0.4:0.4"]);
        let bytes: Vec<u8> = (0..360).map(|i| (i * 31 % 256) as u8).collect();
        let change = |seed, epoch, index| {
            let change = all.change(seed, epoch, index);
            change.bytes(&bytes, SHAPE, &[100, 120, 140]).into_owned()
        };
        assert_eq!(change(1, 2, 3), change(1, 2, 3));
        assert_ne!(change(1, 2, 3), change(2, 2, 3));
        assert_ne!(change(1, 2, 3), change(1, 3, 3));
        assert_ne!(change(1, 2, 3), change(1, 2, 4));
        // Adding another kind of change does not affect the existing ones.
        let cutout = augmentation(&["cutout:5"]);
        let both = augmentation(&["cutout:5", "rand-augment:2:9"]);
        assert_eq!(erased(&cutout, 4, 9), erased(&both, 4, 9));
        assert_eq!(both.view(1, 2, 3), cutout.view(1, 2, 3));
    }

    #[test]
    fn a_jitter_of_nothing_changes_nothing_and_grey_images_have_contrast() {
        let bytes: Vec<u8> = (0..120).map(|i| (i * 2) as u8).collect();
        let shape = [1, 12, 10];
        let mut times = 0;
        for index in 0..50 {
            let none = augmentation(&["colour-jitter:0:0:0"]);
            assert_eq!(*none.change(1, 0, index).bytes(&bytes, shape, &[9]), bytes);
            let contrast = augmentation(&["colour-jitter:0:0.5:0"]);
            contrast.check(shape).unwrap();
            let changed = contrast.change(1, 0, index);
            times += u32::from(*changed.bytes(&bytes, shape, &[9]) != bytes);
        }
        // A factor close to 1 changes nothing.
        assert!(times > 45, "{times}");
        let saturation = augmentation(&["colour-jitter:0:0:0.1"]);
        let message = saturation.check(shape).unwrap_err().to_string();
        assert!(message.contains("have no colour"), "{message}");
    }
}
