//! Alignment as a decoding step.

use super::landmarks::key;
use super::{Alignment, FaceTemplate, Landmarks};
use crate::dataset::MemoryLayout;
use crate::error::DataError;
use crate::images::{self, DecodedImage};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;

/// Creates the step that aligns each image by its landmarks, for
/// [`ImageOptions::alignment`](crate::images::ImageOptions::alignment). Landmarks are looked up by
/// the path within `root`, with slashes; an image without landmarks counts as broken.
pub fn alignment_step(
    landmarks: Landmarks,
    root: PathBuf,
    template: FaceTemplate,
) -> images::Alignment {
    // The digest covers every input of the step, so that a cache of other landmarks is not used.
    let mut digest = Sha256::new();
    for (path, points) in landmarks.iter() {
        digest.update((path.len() as u64).to_le_bytes());
        digest.update(path.as_bytes());
        for value in points.as_flattened() {
            digest.update(value.to_le_bytes());
        }
    }
    let name = format!("{template} by {:x}", digest.finalize());
    images::Alignment::new(name, move |path, image| {
        let key = key(path, &root);
        let points = landmarks.get(&key).ok_or_else(|| {
            DataError::format(path, format!("landmarks of {key:?}"), "none in the file")
        })?;
        let alignment = Alignment::estimate(points, template)?;
        let shape = [image.channels(), image.height(), image.width()];
        let face = alignment.warp(image.bytes(), shape, MemoryLayout::Nhwc)?;
        let [height, width] = template.size();
        DecodedImage::new(face, [height, width, image.channels()])
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::{ImageOptions, decode_image};
    use std::fs;

    #[test]
    fn an_image_is_aligned_by_its_own_landmarks() {
        let dir = tempfile::tempdir().unwrap();
        let (height, width) = (120, 140);
        let pgm = |name: &str| {
            let mut bytes = format!("P5\n{width} {height}\n255\n").into_bytes();
            bytes.extend((0..height * width).map(|i| (i % width) as u8));
            fs::write(dir.path().join(name), bytes).unwrap();
        };
        pgm("a.pgm");
        pgm("b.pgm");
        // The template's own points, shifted by 20 pixels to the right.
        let points = FaceTemplate::Sphere112x96.points();
        let cells: Vec<String> = points
            .iter()
            .flat_map(|[x, y]| [(x + 20.0).to_string(), y.to_string()])
            .collect();
        let header = "path,x1,y1,x2,y2,x3,y3,x4,y4,x5,y5";
        let file = dir.path().join("landmarks.csv");
        fs::write(&file, format!("{header}\na.pgm,{}\n", cells.join(","))).unwrap();
        let landmarks = Landmarks::read(&file).unwrap();
        let root = dir.path().to_owned();
        let options = ImageOptions {
            size: [112, 96],
            alignment: Some(alignment_step(landmarks, root, FaceTemplate::Sphere112x96)),
            ..ImageOptions::default()
        };
        let face = decode_image(&dir.path().join("a.pgm"), &options).unwrap();
        assert_eq!(face[..96], (20..116).collect::<Vec<u8>>());
        let error = decode_image(&dir.path().join("b.pgm"), &options).unwrap_err();
        assert!(
            error.to_string().contains("landmarks of \"b.pgm\""),
            "{error}"
        );
        // For a single image, the file determines the folder that its paths are relative to.
        let landmarks = Landmarks::read(&file).unwrap();
        let root = landmarks.root_of(&dir.path().join("a.pgm"));
        assert_eq!(root.as_deref(), Some(dir.path()));
        assert_eq!(landmarks.root_of(&dir.path().join("b.pgm")), None);
    }

    #[test]
    fn other_landmarks_are_another_step() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("landmarks.csv");
        let step = |x: f64, template| {
            let text = format!("path,x1,y1,x2,y2,x3,y3,x4,y4,x5,y5\na,{x},2,3,4,5,6,7,8,9,10\n");
            fs::write(&file, text).unwrap();
            let landmarks = Landmarks::read(&file).unwrap();
            alignment_step(landmarks, PathBuf::new(), template)
        };
        let [sphere, arc] = FaceTemplate::ALL;
        assert_eq!(step(1.0, sphere), step(1.0, sphere));
        assert_ne!(step(1.0, sphere), step(1.5, sphere));
        assert_ne!(step(1.0, sphere), step(1.0, arc));
    }
}
