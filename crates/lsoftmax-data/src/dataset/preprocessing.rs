use super::Dataset;
use crate::error::DataError;
use serde::{Deserialize, Serialize};

/// Memory layout of the values of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryLayout {
    /// `[batch, channel, height, width]`.
    Nchw,
    /// `[batch, height, width, channel]`.
    Nhwc,
}

/// The visible part of an image: pixel (x, y) shows (x + left, y + top), or (width - 1 - x + left,
/// y + top) with `mirror`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// Rows added above the image if negative, removed at its top if positive.
    pub top: isize,
    /// The same for columns at the left.
    pub left: isize,
    /// Mirrors left to right.
    pub mirror: bool,
    /// Rows and columns outside the image show its mirror image, and not the mean.
    pub reflect: bool,
}

impl View {
    /// The row or column of an image that a place shows; `None` outside.
    fn source(self, place: isize, size: usize) -> Option<usize> {
        let last = size as isize - 1;
        let place = match place {
            _ if !self.reflect => place,
            ..0 => -place,
            _ if place > last => 2 * last - place,
            _ => place,
        };
        usize::try_from(place).ok().filter(|&place| place < size)
    }
}

/// Preprocessing of image bytes for a network: subtracts the mean of the training set, as in the
/// paper, and divides by 128.
///
/// The mean has one value per channel by default, or one per pixel like Caffe's mean file
/// ([`with_mean_image`](Self::with_mean_image)). With batch normalisation after the first
/// convolution both train equally well, and one value per channel works for images of any size. The
/// division brings values to -2 .. 2, so that a learning rate of 0.1 suits the first convolution as
/// well as the others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Mean byte: one value, one per channel, or one per value `[channel, height, width]`.
    pub mean: Vec<f32>,
    /// Factor applied after subtracting the mean.
    pub scale: f32,
}

impl Preprocessing {
    pub(crate) fn of(data: &Dataset) -> Self {
        let area = data.height * data.width;
        let mut sums = vec![0u64; data.channels];
        for index in 0..data.len() {
            for (sum, channel) in sums.iter_mut().zip(data.image(index).chunks_exact(area)) {
                *sum += channel.iter().map(|&byte| u64::from(byte)).sum::<u64>();
            }
        }
        let count = (data.len() * area) as f64;
        Self {
            mean: sums
                .iter()
                .map(|&sum| (sum as f64 / count) as f32)
                .collect(),
            scale: 1.0 / 128.0,
        }
    }

    /// The same scale with the mean image of these (training) images.
    #[must_use]
    pub fn with_mean_image(self, data: &Dataset) -> Self {
        Self {
            mean: data.mean_image(),
            ..self
        }
    }

    /// Checks this against an image shape: channels, height, width.
    ///
    /// # Errors
    /// The number of means is wrong, or a number is not finite.
    pub fn check(&self, [channels, height, width]: [usize; 3]) -> Result<(), DataError> {
        let values = channels.saturating_mul(height).saturating_mul(width);
        if ![1, channels, values].contains(&self.mean.len()) {
            return Err(DataError::out_of_range(
                "the number of means of the preprocessing",
                format!("1, {channels} or {values} for images of {channels}x{height}x{width}"),
                self.mean.len(),
            ));
        }
        for &value in self.mean.iter().chain([&self.scale]) {
            if !value.is_finite() {
                return Err(DataError::out_of_range(
                    "each number of the preprocessing",
                    "finite",
                    value,
                ));
            }
        }
        Ok(())
    }

    /// The mean byte of each channel.
    pub(crate) fn mean_bytes(&self, channels: usize, area: usize) -> Vec<u8> {
        let mean = |channel| {
            let means = self.means(channel, channels, area);
            means.iter().sum::<f32>() / means.len() as f32
        };
        (0..channels)
            .map(|channel| mean(channel).round() as u8)
            .collect()
    }

    /// The means of a channel: one, or one per pixel.
    fn means(&self, channel: usize, channels: usize, area: usize) -> &[f32] {
        match self.mean.len() {
            1 => &self.mean,
            count if count == channels => &self.mean[channel..=channel],
            _ => &self.mean[channel * area..(channel + 1) * area],
        }
    }

    /// Writes the view of one image into `out`; pixels outside the image are 0, the mean.
    pub(crate) fn apply(
        &self,
        data: &Dataset,
        index: usize,
        view: View,
        layout: MemoryLayout,
        out: &mut [f32],
    ) {
        let shape = [data.channels, data.height, data.width];
        self.apply_to(data.image(index), shape, view, layout, out);
    }

    /// [`apply`](Self::apply) for the bytes of an image `[channel, height, width]`.
    pub(crate) fn apply_to(
        &self,
        image: &[u8],
        [channels, height, width]: [usize; 3],
        view: View,
        layout: MemoryLayout,
        out: &mut [f32],
    ) {
        let area = height * width;
        for (channel, bytes) in image.chunks_exact(area).enumerate() {
            let means = self.means(channel, channels, area);
            let (start, step) = match layout {
                MemoryLayout::Nchw => (channel * area, 1),
                MemoryLayout::Nhwc => (channel, channels),
            };
            for y in 0..height {
                let row = &mut out[start + y * width * step..];
                let row = row.iter_mut().step_by(step).take(width);
                let Some(y) = view.source(y as isize + view.top, height) else {
                    row.for_each(|value| *value = 0.0);
                    continue;
                };
                let bytes = &bytes[y * width..(y + 1) * width];
                let means = if means.len() == 1 {
                    means
                } else {
                    &means[y * width..(y + 1) * width]
                };
                for (x, value) in row.enumerate() {
                    let x = if view.mirror { width - 1 - x } else { x };
                    *value = match view.source(x as isize + view.left, width) {
                        Some(x) => {
                            let mean = if means.len() == 1 { means[0] } else { means[x] };
                            (f32::from(bytes[x]) - mean) * self.scale
                        }
                        None => 0.0,
                    };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_centred_per_channel_in_either_layout() {
        let names = vec!["a".into()];
        let data =
            Dataset::new(vec![0, 2, 4, 6, 10, 30, 50, 70], vec![0], [2, 2, 2], names).unwrap();
        let preprocessing = data.preprocessing();
        assert_eq!(preprocessing.mean, [3.0, 40.0]);
        let mut out = vec![0.0; 8];
        preprocessing.apply(&data, 0, View::default(), MemoryLayout::Nchw, &mut out);
        let expected = [-3.0, -1.0, 1.0, 3.0, -30.0, -10.0, 10.0, 30.0].map(|v: f32| v / 128.0);
        assert_eq!(out, expected);
        preprocessing.apply(&data, 0, View::default(), MemoryLayout::Nhwc, &mut out);
        assert_eq!(
            out[..4],
            [expected[0], expected[4], expected[1], expected[5]]
        );
    }

    #[test]
    fn the_mean_may_have_one_number_per_value_or_one_for_all() {
        let names = vec!["a".into()];
        let data = Dataset::new(vec![0, 10, 20, 30, 40, 60], vec![0], [2, 1, 3], names).unwrap();
        let mut out = vec![9.0; 6];
        let by_value = data.preprocessing().with_mean_image(&data);
        by_value.check([2, 1, 3]).unwrap();
        by_value.apply(&data, 0, View::default(), MemoryLayout::Nchw, &mut out);
        assert_eq!(out, [0.0; 6]);
        let one = Preprocessing {
            mean: vec![20.0],
            scale: 0.5,
        };
        let view = View {
            top: 0,
            left: 1,
            ..View::default()
        };
        one.apply(&data, 0, view, MemoryLayout::Nchw, &mut out);
        assert_eq!(out, [-5.0, 0.0, 0.0, 10.0, 20.0, 0.0]);
        let mirrored = View {
            mirror: true,
            ..view
        };
        one.apply(&data, 0, mirrored, MemoryLayout::Nchw, &mut out);
        assert_eq!(out, [0.0, 0.0, -5.0, 0.0, 20.0, 10.0]);
        for (left, expected) in [
            (1, [-5.0, 0.0, -5.0, 10.0, 20.0, 10.0]),
            (-2, [0.0, -5.0, -10.0, 20.0, 10.0, 5.0]),
        ] {
            let reflected = View {
                left,
                reflect: true,
                ..View::default()
            };
            one.apply(&data, 0, reflected, MemoryLayout::Nchw, &mut out);
            assert_eq!(out, expected);
        }
    }

    #[test]
    fn mismatched_means_are_rejected() {
        let check = |mean: &[f32], scale| {
            let preprocessing = Preprocessing {
                mean: mean.to_vec(),
                scale,
            };
            preprocessing.check([3, 2, 2]).map_err(|e| e.to_string())
        };
        for good in [1, 3, 12] {
            check(&vec![1.0; good], 1.0).unwrap();
        }
        for bad in [0, 2, 4, 13] {
            let message = check(&vec![1.0; bad], 1.0).unwrap_err();
            assert!(message.contains("must be 1, 3 or 12"), "{message}");
        }
        assert!(check(&[f32::NAN], 1.0).unwrap_err().contains("found NaN"));
        assert!(check(&[1.0], f32::INFINITY).unwrap_err().contains("finite"));
    }
}
