//! Resamples images through a similarity.

use super::similarity::Similarity;
use crate::dataset::MemoryLayout;
use crate::error::DataError;

/// Grey, grey with alpha, RGB, RGBA.
const MAX_CHANNELS: usize = 4;
/// Samples per side of a pixel when shrinking; bounds the work for any landmarks.
const MAX_SAMPLES: usize = 32;

/// One image.
pub(super) struct Source<'a> {
    bytes: &'a [u8],
    shape: [usize; 3],
    layout: MemoryLayout,
}

/// Memory strides of channel, row and column.
fn strides([channels, height, width]: [usize; 3], layout: MemoryLayout) -> [usize; 3] {
    match layout {
        MemoryLayout::Nchw => [height * width, width, 1],
        MemoryLayout::Nhwc => [1, width * channels, channels],
    }
}

impl<'a> Source<'a> {
    pub(super) fn new(
        bytes: &'a [u8],
        shape: [usize; 3],
        layout: MemoryLayout,
    ) -> Result<Self, DataError> {
        let [channels, height, width] = shape;
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(DataError::out_of_range(
                "the number of channels of an image",
                format!("1 to {MAX_CHANNELS}"),
                channels,
            ));
        }
        check_length(bytes, shape)?;
        if bytes.is_empty() {
            return Err(DataError::out_of_range(
                "the size of an image",
                "at least 1x1",
                format!("{height}x{width}"),
            ));
        }
        Ok(Self {
            bytes,
            shape,
            layout,
        })
    }

    /// Returns an image of `[height, width]` whose pixels are sampled from the source at the
    /// positions given by `to_source`.
    pub(super) fn warp(&self, to_source: &Similarity, [height, width]: [usize; 2]) -> Vec<u8> {
        let [channels, ..] = self.shape;
        let mut out = vec![0; channels * height * width];
        let [plane, row, column] = strides([channels, height, width], self.layout);
        let offsets = sample_offsets(to_source.scale());
        let count = (offsets.len() * offsets.len()) as f64;
        for y in 0..height {
            for x in 0..width {
                let mut sums = [0.0; MAX_CHANNELS];
                for &dy in &offsets {
                    for &dx in &offsets {
                        let place = to_source.apply([x as f64 + dx, y as f64 + dy]);
                        self.add_bilinear(place, &mut sums);
                    }
                }
                for (channel, sum) in sums[..channels].iter().enumerate() {
                    // Rounded to nearest; a mean of bytes stays within 0 ..= 255.
                    out[channel * plane + y * row + x * column] = (sum / count + 0.5) as u8;
                }
            }
        }
        out
    }

    /// Adds the value of each channel at a position; pixels outside are 0.
    fn add_bilinear(&self, [x, y]: [f64; 2], sums: &mut [f64; MAX_CHANNELS]) {
        let [channels, height, width] = self.shape;
        let [plane, row, column] = strides(self.shape, self.layout);
        let ([left, wx], [top, wy]) = (split(x), split(y));
        for (y, wy) in [(top, 1.0 - wy), (top + 1.0, wy)] {
            let Some(y) = index(y, height) else { continue };
            for (x, wx) in [(left, 1.0 - wx), (left + 1.0, wx)] {
                let Some(x) = index(x, width) else { continue };
                let start = y * row + x * column;
                for (channel, sum) in sums[..channels].iter_mut().enumerate() {
                    *sum += wy * wx * f64::from(self.bytes[start + channel * plane]);
                }
            }
        }
    }
}

/// Checks that `bytes` is an image of `[channels, height, width]`.
pub(super) fn check_length(
    bytes: &[u8],
    [channels, height, width]: [usize; 3],
) -> Result<(), DataError> {
    let expected = channels
        .checked_mul(height)
        .and_then(|product| product.checked_mul(width));
    if expected == Some(bytes.len()) {
        return Ok(());
    }
    Err(DataError::out_of_range(
        "the number of bytes of an image",
        format!("that of {channels}x{height}x{width}"),
        bytes.len(),
    ))
}

/// Sample positions along a side of a pixel, relative to its centre: one in the middle, or evenly
/// spaced ones if the side spans more than two source pixels.
fn sample_offsets(source_pixels: f64) -> Vec<f64> {
    let count = if source_pixels > 2.0 {
        (source_pixels.ceil() as usize).min(MAX_SAMPLES)
    } else {
        1
    };
    (0..count)
        .map(|sample| (sample as f64 + 0.5) / count as f64 - 0.5)
        .collect()
}

/// The integer and the fractional part.
fn split(value: f64) -> [f64; 2] {
    let floor = value.floor();
    [floor, value - floor]
}

/// An integer as an index below `size`.
fn index(value: f64, size: usize) -> Option<usize> {
    (value >= 0.0 && value < size as f64).then_some(value as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faces::{Alignment, FaceTemplate};
    use proptest::prelude::*;

    const TEMPLATE: FaceTemplate = FaceTemplate::Arc112x112;

    /// Maps points of the template into an image in which the face is `1 / scale` as large.
    fn alignment(scale: f64, [dx, dy]: [f64; 2]) -> Alignment {
        let landmarks = TEMPLATE
            .points()
            .map(|[x, y]| [x / scale + dx, y / scale + dy]);
        Alignment::estimate(&landmarks, TEMPLATE).unwrap()
    }

    #[test]
    fn the_identity_keeps_the_image_in_either_layout() {
        let planar: Vec<u8> = (0..3 * 112 * 112).map(|i| (i * 7 % 251) as u8).collect();
        let mut interleaved = Vec::new();
        for pixel in 0..112 * 112 {
            interleaved.extend((0..3).map(|channel| planar[channel * 112 * 112 + pixel]));
        }
        let same = alignment(1.0, [0.0, 0.0]);
        for (bytes, layout) in [
            (planar, MemoryLayout::Nchw),
            (interleaved, MemoryLayout::Nhwc),
        ] {
            assert_eq!(same.warp(&bytes, [3, 112, 112], layout).unwrap(), bytes);
        }
    }

    #[test]
    fn half_a_pixel_is_the_mean_and_outside_is_black() {
        let image = vec![100; 112 * 112];
        let moved = alignment(1.0, [0.5, 0.0]);
        let face = moved
            .warp(&image, [1, 112, 112], MemoryLayout::Nchw)
            .unwrap();
        // The last column is half way between the image and the outside.
        assert!(
            face.chunks(112)
                .all(|row| row[..111] == [100; 111] && row[111] == 50)
        );
        let moved = alignment(1.0, [20.0, 0.0]);
        let face = moved
            .warp(&image, [1, 112, 112], MemoryLayout::Nchw)
            .unwrap();
        assert!(
            face.chunks(112)
                .all(|row| row[..92] == [100; 92] && row[92..] == [0; 20])
        );
    }

    #[test]
    fn shrinking_averages_pixels() {
        // Stripes of one pixel: without averaging the face would be all black or all white.
        let (side, shrink) = (112 * 8, 8.0);
        let image: Vec<u8> = (0..side * side)
            .map(|i| if i % 2 == 0 { 255 } else { 0 })
            .collect();
        let face = alignment(1.0 / shrink, [(shrink - 1.0) / 2.0; 2])
            .warp(&image, [1, side, side], MemoryLayout::Nchw)
            .unwrap();
        let inner = face.chunks(112).flat_map(|row| &row[1..111]);
        assert!(inner.clone().all(|&value| (127..=128).contains(&value)));
    }

    #[test]
    fn mismatched_images_are_rejected() {
        let message = |bytes: usize, shape| {
            alignment(1.0, [0.0, 0.0])
                .warp(&vec![0; bytes], shape, MemoryLayout::Nhwc)
                .unwrap_err()
                .to_string()
        };
        assert!(message(11, [3, 2, 2]).contains("that of 3x2x2, found 11"));
        assert!(message(0, [3, 0, 2]).contains("at least 1x1, found 0x2"));
        assert!(message(0, [0, 2, 2]).contains("1 to 4, found 0"));
        assert!(message(5, [5, 1, 1]).contains("1 to 4, found 5"));
        assert!(message(8, [2, usize::MAX, 2]).contains("found 8"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn anything_that_can_be_estimated_can_be_warped(
            landmarks in prop::array::uniform5(prop::array::uniform2(-50.0..250.0)),
            height in 1..40usize,
            width in 1..40usize,
        ) {
            if let Ok(alignment) = Alignment::estimate(&landmarks, TEMPLATE) {
                let image = vec![255; height * width];
                if let Ok(face) = alignment.warp(&image, [1, height, width], MemoryLayout::Nchw) {
                    prop_assert_eq!(face.len(), 112 * 112);
                }
            }
        }
    }
}
