//! Decodes an image file to bytes. File headers are not trusted: sizes are checked before memory is
//! allocated.

use super::{DecodedImage, ExpectedFound, jpeg};
use crate::error::DataError;
use crate::file::{open_file, read_at_most};
use crate::guard::guarded;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::io::Cursor;
use std::path::Path;

/// Maximum size of a file in bytes.
const MAX_FILE_BYTES: u64 = 256 << 20;
/// Maximum number of rows or columns of an image.
const MAX_SIDE: u32 = 16_384;
/// Maximum size of a decoded image in bytes.
const MAX_IMAGE_BYTES: u64 = 512 << 20;

const FORMATS: [ImageFormat; 5] = [
    ImageFormat::Jpeg,
    ImageFormat::Png,
    ImageFormat::WebP,
    ImageFormat::Bmp,
    ImageFormat::Pnm,
];
const AN_IMAGE: &str = "a JPEG, PNG, WebP, BMP or PNM image";

/// Reads the bytes of an image file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, ExpectedFound> {
    // The message already starts with the path.
    let unreadable = |error| {
        let found = match error {
            DataError::Format { found, .. } => found,
            DataError::File { source, .. } => source.to_string(),
            other => other.to_string(),
        };
        (AN_IMAGE.to_owned(), found)
    };
    let file = open_file(path).map_err(unreadable)?;
    let bytes = read_at_most(file, MAX_FILE_BYTES, path)
        .map_err(|error| (AN_IMAGE.to_owned(), error.to_string()))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err((
            format!("at most {} MiB", MAX_FILE_BYTES >> 20),
            "a larger file".to_owned(),
        ));
    }
    Ok(bytes)
}

/// Decodes the bytes of a file to an upright image of one or three channels.
pub(crate) fn image(bytes: &[u8]) -> Result<DecodedImage, ExpectedFound> {
    guarded(|| decode(bytes))
}

pub(super) fn decode(bytes: &[u8]) -> Result<DecodedImage, ExpectedFound> {
    if bytes.is_empty() {
        return Err((AN_IMAGE.to_owned(), "an empty file".to_owned()));
    }
    let format = image::guess_format(bytes)
        .ok()
        .filter(|format| FORMATS.contains(format))
        .ok_or_else(|| (AN_IMAGE.to_owned(), "an unknown file signature".to_owned()))?;
    let image = if format == ImageFormat::Jpeg {
        jpeg::decode(bytes, allowed)?
    } else {
        other_than_jpeg(bytes, format)?
    };
    eight_bits(image)
}

/// Rejects an image with too many columns, rows or bytes.
fn allowed([width, height]: [u32; 2], bytes: u64) -> Result<(), ExpectedFound> {
    if width <= MAX_SIDE && height <= MAX_SIDE && bytes <= MAX_IMAGE_BYTES {
        return Ok(());
    }
    Err((
        format!(
            "an image of at most {MAX_SIDE}x{MAX_SIDE} pixels and {} MiB",
            MAX_IMAGE_BYTES >> 20
        ),
        format!("{width}x{height}"),
    ))
}

fn other_than_jpeg(bytes: &[u8], format: ImageFormat) -> Result<DynamicImage, ExpectedFound> {
    let name = format.extensions_str()[0].to_uppercase();
    let damaged = |error: image::ImageError| (format!("an undamaged {name}"), error.to_string());
    // Without limits on the sides, so that the error can report the size.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_IMAGE_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    allowed(decoder.dimensions().into(), decoder.total_bytes())?;
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    decoder.set_limits(limits).map_err(damaged)?;
    // An unreadable orientation counts as none.
    let orientation = decoder
        .orientation()
        .unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Converts to eight bits per value, with transparent areas on white.
fn eight_bits(image: DynamicImage) -> Result<DecodedImage, ExpectedFound> {
    let (height, width) = (image.height() as usize, image.width() as usize);
    let (bytes, channels) = match (image.color().has_color(), image.color().has_alpha()) {
        (false, false) => (image.into_luma8().into_raw(), 1),
        (true, false) => (image.into_rgb8().into_raw(), 3),
        (false, true) => (on_white::<2>(image.into_luma_alpha8().as_raw()), 1),
        (true, true) => (on_white::<4>(image.into_rgba8().as_raw()), 3),
    };
    DecodedImage::new(bytes, [height, width, channels])
        .map_err(|error| ("an image with pixels".to_owned(), error.to_string()))
}

/// Blends pixels of `N` bytes, the last of which is opacity, onto white.
fn on_white<const N: usize>(pixels: &[u8]) -> Vec<u8> {
    let pixels = pixels.as_chunks::<N>().0;
    let blend = |pixel: &[u8; N]| {
        let alpha = u32::from(pixel[N - 1]);
        pixel.map(|value| ((u32::from(value) * alpha + 255 * (255 - alpha) + 127) / 255) as u8)
    };
    let mut out = Vec::with_capacity(pixels.len() * (N - 1));
    for pixel in pixels {
        out.extend_from_slice(&blend(pixel)[..N - 1]);
    }
    out
}
