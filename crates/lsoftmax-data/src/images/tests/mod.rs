//! Image folders and lists as users have them, valid and invalid.

mod caching;
mod decoding;
mod folders;
mod layouts;
mod lists;
mod parts;
mod pixels;
mod real;
mod record;

use super::*;
use crate::Digest;
use image::{ExtendedColorType, ImageFormat};
use std::fs;
use std::io::Cursor;
use tempfile::TempDir;

/// A grey PNG of one value.
fn png(value: u8) -> Vec<u8> {
    encoded(
        &[value; 64],
        [8, 8],
        ExtendedColorType::L8,
        ImageFormat::Png,
    )
}

fn encoded(
    bytes: &[u8],
    [height, width]: [u32; 2],
    colour: ExtendedColorType,
    format: ImageFormat,
) -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image::write_buffer_with_format(&mut file, bytes, width, height, colour, format).unwrap();
    file.into_inner()
}

/// A JPEG with some content.
fn jpeg() -> Vec<u8> {
    let bytes: Vec<u8> = (0..48 * 64 * 3).map(|i| (i * i / 7 % 251) as u8).collect();
    encoded(&bytes, [48, 64], ExtendedColorType::Rgb8, ImageFormat::Jpeg)
}

/// A folder with these files; subfolders are created.
fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        put(dir.path(), name, bytes);
    }
    dir
}

fn put(dir: &Path, name: &str, bytes: &[u8]) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Classes `a`, `b` and so on with the given numbers of images. Image `i` of class `c` has the
/// value `20 c + i`.
fn classes(counts: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (class, &count) in (0u8..).zip(counts) {
        for image in 0..count {
            let name = format!("{}/{image}.png", char::from(b'a' + class));
            put(dir.path(), &name, &png(20 * class + image));
        }
    }
    dir
}

fn small() -> ImageOptions {
    ImageOptions {
        size: [4, 4],
        ..ImageOptions::default()
    }
}

#[track_caller]
fn says<T: std::fmt::Debug>(result: Result<T, DataError>, parts: &[&str]) {
    let message = result.unwrap_err().to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    assert_eq!(message.lines().count(), 1, "{message}");
}
