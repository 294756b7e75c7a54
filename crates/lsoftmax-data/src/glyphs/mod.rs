//! Images drawn by the program: data that needs no download.
//!
//! [`digits`] are the ten digits as strokes, [`alphabet`] invented characters made the
//! same way. A sample is a pure function of (seed, stream, index), and only operations
//! that IEEE 754 rounds exactly (and `libm`) are used: same seed, same bytes, on every
//! machine and any number of threads.

mod canvas;
mod distortion;
mod shapes;

use crate::random::Rng;
use canvas::Canvas;
use distortion::Distortion;
use rayon::prelude::*;
use shapes::Glyph;
use std::ops::Range;

/// Rows and columns of an image.
pub const SIDE: usize = 28;

/// Which of two disjoint streams of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Samples to train on.
    Train,
    /// Samples to test on.
    Test,
}

/// Images `[sample, 28, 28]`, white strokes on black, with their labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// A byte a pixel.
    pub images: Vec<u8>,
    /// A class a sample.
    pub labels: Vec<u32>,
}

/// How far samples stray from the clean shape; [`scaled`](Self::scaled) turns all of it up
/// or down.
///
/// The default values are set so that the `compact` network with plain softmax errs on 2 to
/// 3 percent of the test digits after 600 steps on 20,000: low enough for a few epochs, high
/// enough for losses to differ. Nothing is mislabelled; what is hard is hard to see. Lengths are shares of the glyph's box,
/// angles radians, thickness and blur pixels, brightness shares of white.
#[derive(Clone, Debug, PartialEq)]
pub struct Difficulty {
    /// Largest shear to either side.
    pub slant: f64,
    /// Largest rotation to either side.
    pub rotation: f64,
    /// Largest relative change of width and of height.
    pub stretch: f64,
    /// Largest shift.
    pub shift: f64,
    /// Standard deviation of each control point.
    pub jitter: f64,
    /// Standard deviation of the knots of the smooth displacement field.
    pub elastic: f64,
    /// Thinnest and thickest stroke.
    pub thickness: (f64, f64),
    /// Largest share of its neighbours that a pixel takes on.
    pub blur: f64,
    /// Lowest brightness of a stroke.
    pub contrast: f64,
    /// Largest standard deviation of the noise.
    pub noise: f64,
    /// Share of samples with a stroke that does not belong there.
    pub clutter: f64,
    /// Share of samples with a patch wiped out.
    pub occlusion: f64,
}

impl Default for Difficulty {
    fn default() -> Self {
        Self {
            slant: 0.45,
            rotation: 0.30,
            stretch: 0.28,
            shift: 0.10,
            jitter: 0.035,
            elastic: 0.055,
            thickness: (1.0, 3.6),
            blur: 0.8,
            contrast: 0.45,
            noise: 0.16,
            clutter: 0.35,
            occlusion: 0.30,
        }
    }
}

impl Difficulty {
    /// All distortions times `factor`: 0 is the clean shape, 1 the same as before.
    #[must_use]
    pub fn scaled(&self, factor: f64) -> Self {
        let middle = 2.2;
        Self {
            slant: self.slant * factor,
            rotation: self.rotation * factor,
            stretch: self.stretch * factor,
            shift: self.shift * factor,
            jitter: self.jitter * factor,
            elastic: self.elastic * factor,
            thickness: (
                middle + (self.thickness.0 - middle) * factor,
                middle + (self.thickness.1 - middle) * factor,
            ),
            blur: self.blur * factor,
            contrast: 1.0 - (1.0 - self.contrast) * factor,
            noise: self.noise * factor,
            clutter: self.clutter * factor,
            occlusion: self.occlusion * factor,
        }
    }
}

/// Keys that keep the random numbers of different uses apart.
const DIGITS: u64 = 0x6469_6769;
const LETTERS: u64 = 0x6c65_7474;

/// The first `count` digits of a stream; the class of sample i is i mod 10.
pub fn digits(seed: u64, stream: Stream, count: usize, difficulty: &Difficulty) -> Generated {
    generate(count, |index| {
        let label = (index % 10) as u32;
        let mut rng = Rng::at(seed, &[DIGITS, stream as u64, index as u64]);
        let variants = shapes::digit(label);
        let variant = rng.below(variants.len() as u64) as usize;
        (label, draw(&variants[variant], &mut rng, difficulty))
    })
}

/// Samples of the invented characters `classes`, in turn; labels count from 0 within the
/// range.
///
/// The shape of a character depends on its number alone and not on the seed, so that a
/// range never used in training gives classes never seen: train on `0..40`, test
/// verification on `40..60`.
pub fn alphabet(
    seed: u64,
    stream: Stream,
    classes: Range<u32>,
    samples_per_class: usize,
    difficulty: &Difficulty,
) -> Generated {
    let width = classes.len();
    let shapes: Vec<Glyph> = classes.clone().map(shapes::invented).collect();
    generate(width * samples_per_class, |index| {
        let (label, sample) = (index % width, index / width);
        let class = u64::from(classes.start) + label as u64;
        let mut rng = Rng::at(seed, &[LETTERS, stream as u64, class, sample as u64]);
        (label as u32, draw(&shapes[label], &mut rng, difficulty))
    })
}

fn generate(count: usize, sample: impl Fn(usize) -> (u32, Canvas) + Sync) -> Generated {
    let mut images = vec![0; count * SIDE * SIDE];
    let labels = images
        .par_chunks_exact_mut(SIDE * SIDE)
        .enumerate()
        .map(|(index, image)| {
            let (label, canvas) = sample(index);
            canvas.write(image);
            label
        })
        .collect();
    Generated { images, labels }
}

fn draw(glyph: &Glyph, rng: &mut Rng, difficulty: &Difficulty) -> Canvas {
    let distortion = Distortion::new(rng, difficulty);
    let mut canvas = Canvas::new();
    let thickness = rng.between(difficulty.thickness.0, difficulty.thickness.1);
    let brightness = rng.between(difficulty.contrast, 1.0);
    for stroke in &glyph.0 {
        let path: Vec<_> = stroke
            .jittered(rng, difficulty.jitter)
            .path()
            .into_iter()
            .map(|point| distortion.apply(point))
            .collect();
        canvas.stroke(&path, thickness, brightness);
    }
    if rng.chance(difficulty.clutter) {
        let from = (rng.between(0.0, 27.0), rng.between(0.0, 27.0));
        let to = (
            from.0 + rng.between(-9.0, 9.0),
            from.1 + rng.between(-9.0, 9.0),
        );
        let (thickness, share) = (rng.between(0.8, 2.0), rng.between(0.4, 0.9));
        canvas.stroke(&[from, to], thickness, brightness * share);
    }
    if rng.chance(difficulty.occlusion) {
        let (x, y) = (rng.between(4.0, 22.0), rng.between(4.0, 22.0));
        canvas.wipe((x, y), rng.between(1.5, 4.0), rng.between(1.5, 4.0));
    }
    canvas.blur(rng.between(0.0, difficulty.blur));
    canvas.noise(rng, difficulty.noise);
    canvas
}

#[cfg(test)]
mod tests;
