//! From a file to the bytes of an image. What a file says of itself is not believed: sizes are
//! checked before memory is taken.

use super::{DecodedImage, Wrong, jpeg};
use crate::error::DataError;
use crate::file::{open_file, read_at_most};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Most bytes of a file.
const LARGEST_FILE: u64 = 256 << 20;
/// Most rows or columns of an image.
const LARGEST_SIDE: u32 = 16_384;
/// Most bytes of a decoded image.
const LARGEST_IMAGE: u64 = 512 << 20;

const FORMATS: [ImageFormat; 5] = [
    ImageFormat::Jpeg,
    ImageFormat::Png,
    ImageFormat::WebP,
    ImageFormat::Bmp,
    ImageFormat::Pnm,
];
const AN_IMAGE: &str = "a JPEG, PNG, WebP, BMP or PNM image";

/// The bytes of an image's file.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Wrong> {
    // The path stands before the message already.
    let unreadable = |error| {
        let found = match error {
            DataError::Format { found, .. } => found,
            DataError::File { source, .. } => source.to_string(),
            other => other.to_string(),
        };
        (AN_IMAGE.to_owned(), found)
    };
    let file = open_file(path).map_err(unreadable)?;
    let bytes = read_at_most(file, LARGEST_FILE, path)
        .map_err(|error| (AN_IMAGE.to_owned(), error.to_string()))?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err((
            format!("at most {} MiB", LARGEST_FILE >> 20),
            "a larger file".to_owned(),
        ));
    }
    Ok(bytes)
}

/// The image in the bytes of a file, upright, of one channel or three.
pub(crate) fn image(bytes: &[u8]) -> Result<DecodedImage, Wrong> {
    guarded(|| decode(bytes))
}

/// What a decoder says, and if it panics that it did.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> Result<T, Wrong>) -> Result<T, Wrong> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        Err((
            "content that can be decoded".to_owned(),
            "some that the decoder panics at".to_owned(),
        ))
    })
}

pub(super) fn decode(bytes: &[u8]) -> Result<DecodedImage, Wrong> {
    if bytes.is_empty() {
        return Err((AN_IMAGE.to_owned(), "an empty file".to_owned()));
    }
    let format = image::guess_format(bytes)
        .ok()
        .filter(|format| FORMATS.contains(format))
        .ok_or_else(|| (AN_IMAGE.to_owned(), "other first bytes".to_owned()))?;
    let image = if format == ImageFormat::Jpeg {
        jpeg::decode(bytes, allowed)?
    } else {
        other_than_jpeg(bytes, format)?
    };
    eight_bits(image)
}

/// Refuses an image of more columns, rows or bytes than are read.
fn allowed([width, height]: [u32; 2], bytes: u64) -> Result<(), Wrong> {
    if width <= LARGEST_SIDE && height <= LARGEST_SIDE && bytes <= LARGEST_IMAGE {
        return Ok(());
    }
    Err((
        format!(
            "an image of at most {LARGEST_SIDE}x{LARGEST_SIDE} pixels and {} MiB",
            LARGEST_IMAGE >> 20
        ),
        format!("{width}x{height}"),
    ))
}

fn other_than_jpeg(bytes: &[u8], format: ImageFormat) -> Result<DynamicImage, Wrong> {
    let name = format.extensions_str()[0].to_uppercase();
    let damaged = |error: image::ImageError| (format!("an undamaged {name}"), error.to_string());
    // Without the sides, so that the size is known when it is refused.
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(LARGEST_IMAGE);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(damaged)?;
    allowed(decoder.dimensions().into(), decoder.total_bytes())?;
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    decoder.set_limits(limits).map_err(damaged)?;
    // An orientation that cannot be read is none.
    let orientation = decoder
        .orientation()
        .unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    image.apply_orientation(orientation);
    Ok(image)
}

/// Eight bits a value, and white where nothing is.
fn eight_bits(image: DynamicImage) -> Result<DecodedImage, Wrong> {
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

/// Pixels of `N` bytes, the last of which is the opacity, on a white page.
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
