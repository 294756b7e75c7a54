use crate::dataset::Dataset;
use serde::{Deserialize, Serialize};

/// How the values of a batch lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryLayout {
    /// `[batch, channel, height, width]`.
    Nchw,
    /// `[batch, height, width, channel]`.
    Nhwc,
}

/// What is done to the bytes of an image before a network sees them: the mean of the
/// training set is taken away, as the paper does, and the rest divided by 128.
///
/// The mean is one number a channel (Caffe's mean file has one a pixel; with batch
/// normalisation after the first convolution the two train alike, and one number a channel
/// suits images of any size). The division keeps first activations near 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Mean byte of each channel.
    pub mean: Vec<f32>,
    /// Factor after the mean is taken away.
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

    /// The value of a byte.
    pub(crate) fn value(&self, byte: u8, channel: usize) -> f32 {
        (f32::from(byte) - self.mean[channel]) * self.scale
    }

    /// Writes one image into `out`.
    pub(crate) fn apply(
        &self,
        data: &Dataset,
        index: usize,
        layout: MemoryLayout,
        out: &mut [f32],
    ) {
        let area = data.height * data.width;
        for (channel, bytes) in data.image(index).chunks_exact(area).enumerate() {
            for (place, &byte) in bytes.iter().enumerate() {
                out[layout.place(place, area, channel, data.channels)] = self.value(byte, channel);
            }
        }
    }
}

impl MemoryLayout {
    /// Where a value of an image stands, given its pixel and channel.
    pub(crate) fn place(self, pixel: usize, area: usize, channel: usize, channels: usize) -> usize {
        match self {
            Self::Nchw => channel * area + pixel,
            Self::Nhwc => pixel * channels + channel,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_centred_a_channel_in_either_layout() {
        let names = vec!["a".into()];
        let data =
            Dataset::new(vec![0, 2, 4, 6, 10, 30, 50, 70], vec![0], [2, 2, 2], names).unwrap();
        let preprocessing = data.preprocessing();
        assert_eq!(preprocessing.mean, [3.0, 40.0]);
        let mut out = vec![0.0; 8];
        preprocessing.apply(&data, 0, MemoryLayout::Nchw, &mut out);
        let expected = [-3.0, -1.0, 1.0, 3.0, -30.0, -10.0, 10.0, 30.0].map(|v: f32| v / 128.0);
        assert_eq!(out, expected);
        preprocessing.apply(&data, 0, MemoryLayout::Nhwc, &mut out);
        assert_eq!(
            out[..4],
            [expected[0], expected[4], expected[1], expected[5]]
        );
    }
}
