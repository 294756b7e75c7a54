//! Resizes images.

use super::{DecodedImage, ExpectedFound, Fit};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

/// Writes the image `[channel, height, width]` into `out`, which must have that length.
pub(crate) fn fit(
    image: &DecodedImage,
    fit: Fit,
    [height, width]: [usize; 2],
    resizer: &mut Resizer,
    out: &mut [u8],
) -> Result<(), ExpectedFound> {
    let inner = match fit {
        Fit::Crop | Fit::Stretch => [height, width],
        Fit::Pad => within([image.height(), image.width()], [height, width]),
    };
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
        .use_alpha(false);
    let options = match fit {
        Fit::Crop => options.fit_into_destination(Some((0.5, 0.5))),
        Fit::Stretch | Fit::Pad => options,
    };
    let resized = match image.channels() {
        1 => resized::<U8>(image, inner, &options, resizer),
        _ => resized::<U8x3>(image, inner, &options, resizer),
    };
    let resized = resized.map_err(|error| {
        (
            format!("an image that can be resized to {height}x{width}"),
            format!("{}x{}: {error}", image.height(), image.width()),
        )
    })?;
    let (top, left) = ((height - inner[0]) / 2, (width - inner[1]) / 2);
    let channels = image.channels();
    if inner != [height, width] {
        out.fill(0);
    }
    let row_bytes = inner[1] * channels;
    for (channel, plane) in out.chunks_exact_mut(height * width).enumerate() {
        let rows = plane.chunks_exact_mut(width).skip(top);
        for (row, from) in rows.zip(resized.chunks_exact(row_bytes)) {
            let values = from[channel..].iter().step_by(channels);
            for (value, &byte) in row[left..].iter_mut().zip(values) {
                *value = byte;
            }
        }
    }
    Ok(())
}

/// The bytes of an image with pixels of this type, resized to a height and a width.
///
/// `Resizer::resize` would find the type at run time, but the code for all of its types would then be
/// compiled into this crate, which took a third of its compile time.
fn resized<P: PixelTrait>(
    image: &DecodedImage,
    [height, width]: [usize; 2],
    options: &ResizeOptions,
    resizer: &mut Resizer,
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let (from_width, from_height) = (image.width() as u32, image.height() as u32);
    let source = TypedImageRef::<P>::from_buffer(from_width, from_height, image.bytes())?;
    let mut bytes = vec![0; height * width * image.channels()];
    let mut target = TypedImage::<P>::from_buffer(width as u32, height as u32, &mut bytes)?;
    resizer.resize_typed(&source, &mut target, options)?;
    Ok(bytes)
}

/// The largest size of this aspect ratio within another size, at least one pixel in each direction.
fn within(image: [usize; 2], size: [usize; 2]) -> [usize; 2] {
    let [h, w] = image.map(|side| side as u64);
    let [height, width] = size.map(|side| side as u64);
    // The relatively longer side fills its room; the other is rounded.
    let scaled =
        |side: u64, room: u64, other: u64| ((2 * side * room + other) / (2 * other)).max(1);
    if h * width > w * height {
        [size[0], scaled(w, height, h) as usize]
    } else {
        [scaled(h, width, w) as usize, size[1]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fitted(image: &DecodedImage, how: Fit, size: [usize; 2]) -> Vec<u8> {
        let mut out = vec![7; image.channels() * size[0] * size[1]];
        fit(image, how, size, &mut Resizer::new(), &mut out).unwrap();
        out
    }

    /// Left third 30, middle 120, right 210.
    fn stripes() -> DecodedImage {
        let row = [[30; 20], [120; 20], [210; 20]].concat();
        DecodedImage::new(row.repeat(20), [20, 60, 1]).unwrap()
    }

    #[test]
    fn an_image_of_the_right_size_is_unchanged() {
        let bytes: Vec<u8> = (0..60).map(|i| (i * 37 % 256) as u8).collect();
        let image = DecodedImage::new(bytes.clone(), [4, 5, 3]).unwrap();
        for how in [Fit::Crop, Fit::Stretch, Fit::Pad] {
            let out = fitted(&image, how, [4, 5]);
            for (place, &byte) in bytes.iter().enumerate() {
                assert_eq!(out[place % 3 * 20 + place / 3], byte);
            }
        }
    }

    #[test]
    fn crop_keeps_the_middle_stretch_the_whole_image_pad_the_aspect_ratio() {
        let crop = fitted(&stripes(), Fit::Crop, [10, 10]);
        // The filter reaches slightly beyond the cropped edge.
        assert!(crop.iter().all(|byte| byte.abs_diff(120) < 8), "{crop:?}");
        let stretch = fitted(&stripes(), Fit::Stretch, [10, 9]);
        assert_eq!((stretch[0], stretch[4], stretch[8]), (30, 120, 210));
        let pad = fitted(&stripes(), Fit::Pad, [30, 30]);
        let middle = &pad[15 * 30..16 * 30];
        assert_eq!((middle[0], middle[15], middle[29]), (30, 120, 210));
        let blank = |row: usize| pad[row * 30..(row + 1) * 30].iter().all(|&b| b == 0);
        assert_eq!((0..30).filter(|&row| blank(row)).count(), 20);
        assert!(blank(0) && blank(9) && !blank(10) && !blank(19) && blank(20));
    }

    #[test]
    fn details_finer_than_a_pixel_are_averaged() {
        // Alternating black and white columns: an aliasing filter would give stripes again.
        let image = DecodedImage::new([0, 255].repeat(64 * 32), [64, 64, 1]).unwrap();
        let out = fitted(&image, Fit::Stretch, [8, 8]);
        assert!(out.iter().all(|&byte| byte.abs_diff(127) < 6), "{out:?}");
    }

    #[test]
    fn lines_of_pixels_fit_too() {
        for size in [[1, 9000], [9000, 1], [1, 1]] {
            let image = DecodedImage::new(vec![200; size[0] * size[1]], [size[0], size[1], 1]);
            for how in [Fit::Crop, Fit::Stretch, Fit::Pad] {
                for to in [[1, 64], [64, 1], [32, 32]] {
                    let out = fitted(image.as_ref().unwrap(), how, to);
                    assert!(out.contains(&200), "{size:?} {how:?} {to:?}");
                }
            }
        }
    }
}
