use crate::error::DataError;

/// An image of bytes `[height, width, channel]` with one channel (grey) or three (red, green,
/// blue), and at least one pixel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodedImage {
    bytes: Vec<u8>,
    height: usize,
    width: usize,
    channels: usize,
}

impl DecodedImage {
    /// Creates an image of bytes `[height, width, channel]`.
    ///
    /// # Errors
    /// A size is zero, there are not one or three channels, or the length does not match.
    pub fn new(bytes: Vec<u8>, [height, width, channels]: [usize; 3]) -> Result<Self, DataError> {
        let expected = height
            .checked_mul(width)
            .and_then(|area| area.checked_mul(channels));
        if bytes.is_empty() || expected != Some(bytes.len()) || !matches!(channels, 1 | 3) {
            return Err(DataError::out_of_range(
                "the number of bytes",
                format!("that of {height}x{width}x{channels}, with 1 or 3 channels"),
                bytes.len(),
            ));
        }
        Ok(Self {
            bytes,
            height,
            width,
            channels,
        })
    }

    /// The bytes `[height, width, channel]`.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// 1 for grey, 3 for colour.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Whether all pixels are grey.
    pub fn is_grey(&self) -> bool {
        self.channels == 1
            || self
                .bytes
                .as_chunks::<3>()
                .0
                .iter()
                .all(|&[r, g, b]| r == g && g == b)
    }

    /// Converts the image to grey: the luma of Rec. 709, rounded.
    #[must_use]
    pub fn into_grey(self) -> Self {
        if self.channels == 1 {
            return self;
        }
        let luma = |&[r, g, b]: &[u8; 3]| {
            ((2126 * u32::from(r) + 7152 * u32::from(g) + 722 * u32::from(b) + 5000) / 10_000) as u8
        };
        Self {
            bytes: self.bytes.as_chunks::<3>().0.iter().map(luma).collect(),
            channels: 1,
            ..self
        }
    }

    /// Converts the image to three channels.
    #[must_use]
    pub fn into_colour(self) -> Self {
        if self.channels == 3 {
            return self;
        }
        Self {
            bytes: self.bytes.iter().flat_map(|&byte| [byte; 3]).collect(),
            channels: 3,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grey_and_colour() {
        let colour = DecodedImage::new(vec![255, 0, 0, 10, 10, 10], [1, 2, 3]).unwrap();
        assert!(!colour.is_grey());
        let grey = colour.into_grey();
        assert_eq!((grey.bytes(), grey.channels()), (&[54, 10][..], 1));
        let back = grey.into_colour();
        assert_eq!(back.bytes(), [54, 54, 54, 10, 10, 10]);
        assert!(back.is_grey());
    }

    #[test]
    fn sizes_must_match() {
        for (bytes, size) in [
            (0, [0, 0, 1]),
            (5, [1, 2, 3]),
            (4, [1, 2, 2]),
            (4, [usize::MAX, 2, 1]),
        ] {
            assert!(DecodedImage::new(vec![0; bytes], size).is_err());
        }
    }
}
