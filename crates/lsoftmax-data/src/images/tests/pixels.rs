//! What Pillow (with libjpeg-turbo) sees in images of every kind, against what is decoded here. The
//! files are made by `golden/images.py`; these tests fail when a decoder changes.

use super::super::decode::decode;
use std::fs;
use std::path::Path;

/// Samplings in which a sample of chroma stands for several pixels.
const SPREAD: [&str; 8] = ["2x1", "1x2", "2x2", "4x1", "1x4", "4x2", "mixed", "chroma"];

/// The largest difference of a value, and the mean one, that two right decoders may have.
fn allowed(name: &str) -> (u8, f64) {
    let stem = name.split('.').next().unwrap_or_default();
    match name.rsplit('.').next().unwrap_or_default() {
        // Chroma is spread over 2 or 4 pixels by weights that are rounded differently.
        "jpg" if SPREAD.iter().any(|sampling| stem.ends_with(sampling)) => (4, 0.3),
        // Two transforms, each as exact as the standard asks.
        "jpg" => (3, 0.1),
        // Lossy WebP is exact but for its chroma.
        "webp" if stem == "lossy" => (8, 1.2),
        // Values of 5 and 6 bits are spread over 8 by shifts or by a division.
        "bmp" if stem.starts_with("sixteen") => (8, 4.0),
        _ => (0, 0.0),
    }
}

#[test]
fn every_kind_of_file_shows_what_pillow_shows() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/images/golden");
    let mut kinds = 0;
    let mut wrong = Vec::new();
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in names {
        let Some(image) = name.strip_suffix(".ppm") else {
            continue;
        };
        kinds += 1;
        let expected = decode(&fs::read(folder.join(&name)).unwrap()).unwrap();
        let found = match decode(&fs::read(folder.join(image)).unwrap()) {
            Ok(found) => found,
            Err(error) => {
                wrong.push(format!("{image}: {error:?}"));
                continue;
            }
        };
        if (found.height(), found.width()) != (expected.height(), expected.width()) {
            wrong.push(format!("{image}: {}x{}", found.width(), found.height()));
            continue;
        }
        let colours: Vec<u8> = match found.channels() {
            1 => found.bytes().iter().flat_map(|&value| [value; 3]).collect(),
            _ => found.bytes().to_vec(),
        };
        let differences = colours.iter().zip(expected.bytes());
        let differences: Vec<u8> = differences.map(|(a, b)| a.abs_diff(*b)).collect();
        let largest = differences.iter().copied().max().unwrap_or(0);
        let sum: f64 = differences.iter().copied().map(f64::from).sum();
        let mean = sum / differences.len() as f64;
        let (most, most_mean) = allowed(image);
        if largest > most || mean > most_mean {
            wrong.push(format!(
                "{image}: differs by at most {largest}, by {mean:.3} in the mean"
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(kinds > 70, "{kinds}");
}
