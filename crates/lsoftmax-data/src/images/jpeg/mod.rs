//! JPEG files. Decoders fill missing data with grey, which is right for a browser but not for
//! training. The file is therefore parsed first ([`Layout::of`]) and decoded only if all of its
//! blocks are present. The decoder is `jpeg-decoder`, which agrees with libjpeg-turbo on the
//! samplings and scans that encoders write. The decoder of `image` does not agree if a component
//! has its own scan, or if chroma is sampled more finely than luma.

mod huffman;
mod layout;
mod scan;
#[cfg(test)]
mod tests;

use super::ExpectedFound;
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use jpeg_decoder::{ColorTransform, Decoder, PixelFormat};
use layout::{Colours, Layout};

/// Decodes a JPEG. `allowed` is called with the size in the header before memory is allocated.
pub(super) fn decode(
    bytes: &[u8],
    allowed: impl Fn([u32; 2], u64) -> Result<(), ExpectedFound>,
) -> Result<DynamicImage, ExpectedFound> {
    let layout = Layout::of(bytes, allowed)?;
    let damaged =
        |error: &dyn std::fmt::Display| ("an undamaged JPG".to_owned(), error.to_string());
    let mut decoder = Decoder::new(bytes);
    decoder.set_color_transform(match layout.colours {
        Colours::Grey => ColorTransform::Grayscale,
        Colours::Rgb => ColorTransform::RGB,
        Colours::YCbCr => ColorTransform::YCbCr,
        Colours::Cmyk => ColorTransform::CMYK,
        Colours::Ycck => ColorTransform::YCCK,
    });
    let pixels = decoder.decode().map_err(|error| damaged(&error))?;
    let format = decoder.info().map(|info| info.pixel_format);
    let [width, height] = layout.size;
    let image = match format {
        Some(PixelFormat::L8) => GrayImage::from_raw(width, height, pixels).map(Into::into),
        Some(PixelFormat::RGB24) => RgbImage::from_raw(width, height, pixels).map(Into::into),
        Some(PixelFormat::CMYK32) => {
            RgbImage::from_raw(width, height, without_black(&pixels)).map(Into::into)
        }
        Some(PixelFormat::L16) | None => None,
    };
    let mut image: DynamicImage = image.ok_or_else(|| damaged(&"a different size in its data"))?;
    // An unreadable orientation counts as none.
    if let Some(turn) = decoder.exif_data().and_then(Orientation::from_exif_chunk) {
        image.apply_orientation(turn);
    }
    Ok(image)
}

/// Converts cyan, magenta, yellow and black to red, green and blue.
fn without_black(pixels: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(pixels.len() / 4 * 3);
    for &[cyan, magenta, yellow, black] in pixels.as_chunks::<4>().0 {
        let white = 255 - u32::from(black);
        out.extend(
            [cyan, magenta, yellow]
                .map(|ink| ((255 - u32::from(ink)) * white + 127) / 255)
                .map(|value| value as u8),
        );
    }
    out
}
