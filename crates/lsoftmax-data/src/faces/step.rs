//! Alignment as a step of decoding.

use super::{Alignment, FaceTemplate, Landmarks};
use crate::error::DataError;
use crate::images::{self, DecodedImage};
use crate::preprocessing::MemoryLayout;
use std::path::{Path, PathBuf};

/// The step that aligns each image by its landmarks, for
/// [`ImageOptions::alignment`](crate::images::ImageOptions::alignment). Landmarks are looked up by the
/// path within `root`, with slashes; an image without any is a broken one.
pub fn alignment_step(
    landmarks: Landmarks,
    source: &Path,
    root: PathBuf,
    template: FaceTemplate,
) -> images::Alignment {
    let name = format!("{template} by {} of {}", source.display(), landmarks.len());
    images::Alignment::new(name, move |path, image| {
        let within = path.strip_prefix(&root).unwrap_or(path);
        let key = within.to_string_lossy().replace('\\', "/");
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
        // The template's own points, 20 pixels to the right.
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
            alignment: Some(alignment_step(
                landmarks,
                &file,
                root,
                FaceTemplate::Sphere112x96,
            )),
            ..ImageOptions::default()
        };
        let face = decode_image(&dir.path().join("a.pgm"), &options).unwrap();
        assert_eq!(face[..96], (20..116).collect::<Vec<u8>>());
        let error = decode_image(&dir.path().join("b.pgm"), &options).unwrap_err();
        assert!(
            error.to_string().contains("landmarks of \"b.pgm\""),
            "{error}"
        );
    }
}
