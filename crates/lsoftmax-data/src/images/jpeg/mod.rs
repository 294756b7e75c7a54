//! JPEG files. Decoders fill what is missing with grey, as a browser should and a training must
//! not: so the file is walked over first ([`Layout::of`]), and only one whose blocks are all there
//! is decoded. The decoder is `jpeg-decoder`, which agrees with libjpeg-turbo on the samplings and
//! scans that encoders write; the one that `image` has does not where a component has a scan of
//! its own, or where chroma is sampled more finely than luma.

mod huffman;
mod layout;
mod scan;
#[cfg(test)]
mod tests;

use super::Wrong;
use image::metadata::Orientation;
use image::{DynamicImage, GrayImage, RgbImage};
use jpeg_decoder::{ColorTransform, Decoder, PixelFormat};
use layout::{Colours, Layout};

/// Decodes a JPEG: its size, as the header tells it, is asked about before memory is taken.
pub(super) fn decode(
    bytes: &[u8],
    allowed: impl Fn([u32; 2], u64) -> Result<(), Wrong>,
) -> Result<DynamicImage, Wrong> {
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
    let mut image: DynamicImage = image.ok_or_else(|| damaged(&"another size in its data"))?;
    // An orientation that cannot be read is none.
    if let Some(turn) = decoder.exif_data().and_then(Orientation::from_exif_chunk) {
        image.apply_orientation(turn);
    }
    Ok(image)
}

/// Red, green and blue of pixels of cyan, magenta, yellow and black.
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
