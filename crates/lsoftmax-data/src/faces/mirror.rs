//! Mirrors images left to right.

use super::warp::check_length;
use crate::error::DataError;

/// Mirrors an image `[channels, height, width]` left to right.
///
/// # Errors
/// The length does not match the shape.
pub fn mirror(image: &[u8], shape: [usize; 3]) -> Result<Vec<u8>, DataError> {
    check_length(image, shape)?;
    let mut mirrored = image.to_vec();
    // An image without columns has no bytes, and therefore no rows to reverse.
    for row in mirrored.chunks_exact_mut(shape[2].max(1)) {
        row.reverse();
    }
    Ok(mirrored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_row_of_each_channel_is_reversed() {
        let image = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let mirrored = mirror(&image, [2, 2, 3]).unwrap();
        assert_eq!(mirrored, [3, 2, 1, 6, 5, 4, 9, 8, 7, 12, 11, 10]);
        assert_eq!(mirror(&mirrored, [2, 2, 3]).unwrap(), image);
        assert!(mirror(&[], [1, 5, 0]).unwrap().is_empty());
    }

    #[test]
    fn a_mismatched_length_is_rejected() {
        for shape in [[1, 2, 2], [0, 2, 2], [usize::MAX, 2, 2]] {
            let message = mirror(&[0; 5], shape).unwrap_err().to_string();
            assert!(message.contains("found 5"), "{message}");
        }
    }
}
