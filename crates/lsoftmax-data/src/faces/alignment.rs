//! Alignment of faces to a template.

use super::similarity::{Similarity, mean};
use super::{FivePoints, warp};
use crate::dataset::MemoryLayout;
use crate::error::DataError;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Size of an aligned face and positions of its landmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FaceTemplate {
    /// `112x96`: 112 rows, 96 columns. The template of SphereFace (W. Liu et al., CVPR 2017), the
    /// code that the authors of L-Softmax published for faces.
    #[serde(rename = "112x96")]
    Sphere112x96,
    /// `112x112`: the same points 8 pixels further to the right. The template of ArcFace (J. Deng
    /// et al., CVPR 2019) and of its authors' project `insightface`.
    #[serde(rename = "112x112")]
    Arc112x112,
}

impl FaceTemplate {
    /// All templates.
    pub const ALL: [Self; 2] = [Self::Sphere112x96, Self::Arc112x112];

    /// The name in files and flags, rows x columns.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sphere112x96 => "112x96",
            Self::Arc112x112 => "112x112",
        }
    }

    /// Height and width in pixels.
    pub const fn size(self) -> [usize; 2] {
        match self {
            Self::Sphere112x96 => [112, 96],
            Self::Arc112x112 => [112, 112],
        }
    }

    /// Left eye, right eye, nose, left and right corner of the mouth, in pixels.
    ///
    /// SphereFace used these numbers in MATLAB, which counts pixels from 1. All other
    /// implementations, and this one, apply the same numbers to landmarks that count from 0.
    pub const fn points(self) -> FivePoints {
        match self {
            Self::Sphere112x96 => [
                [30.2946, 51.6963],
                [65.5318, 51.5014],
                [48.0252, 71.7366],
                [33.5493, 92.3655],
                [62.7299, 92.2041],
            ],
            Self::Arc112x112 => [
                [38.2946, 51.6963],
                [73.5318, 51.5014],
                [56.0252, 71.7366],
                [41.5493, 92.3655],
                [70.7299, 92.2041],
            ],
        }
    }
}

impl fmt::Display for FaceTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for FaceTemplate {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        Self::ALL
            .into_iter()
            .find(|template| template.name() == text)
            .ok_or_else(|| {
                DataError::out_of_range(
                    "the face template",
                    Self::ALL.map(Self::name).join(" or "),
                    format!("{text:?}"),
                )
            })
    }
}

/// The transform of one image to an aligned face.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alignment {
    template: FaceTemplate,
    similarity: Similarity,
}

impl Alignment {
    /// Estimates the least-squares similarity from the landmarks of an image, in its pixels, to
    /// those of the template ([`Similarity::between`]).
    ///
    /// # Errors
    /// The landmarks are not a face; see [`Similarity::between`].
    pub fn estimate(landmarks: &FivePoints, template: FaceTemplate) -> Result<Self, DataError> {
        Ok(Self {
            template,
            similarity: Similarity::between(landmarks, &template.points())?,
        })
    }

    /// The template of the aligned face.
    pub fn template(&self) -> FaceTemplate {
        self.template
    }

    /// The transform from pixels of the image to pixels of the aligned face.
    pub fn similarity(&self) -> Similarity {
        self.similarity
    }

    /// Returns the aligned face, `[channels, height, width]` of the template, in the memory layout
    /// of the source.
    ///
    /// `source` is one image of shape `[channels, height, width]`: channel by channel with
    /// [`MemoryLayout::Nchw`], pixel by pixel (RGBRGB) with [`MemoryLayout::Nhwc`].
    ///
    /// Each pixel of the face is sampled at the position given by the inverse similarity, with
    /// bilinear interpolation between pixel centres and black (0) outside the source. This matches
    /// `cv2.warpAffine` with its defaults, as used by the published pipelines. Below half of the
    /// source's scale that would skip pixels and alias; there, a pixel of the face is the mean over
    /// its area, of up to 32 x 32 such samples spaced no further apart than the source's pixels
    /// (down to a scale of 1/32).
    ///
    /// # Errors
    /// The length does not match the shape, there are not 1 to 4 channels, or the centre of the
    /// landmarks is outside the image: they belong to another image.
    pub fn warp(
        &self,
        source: &[u8],
        shape: [usize; 3],
        layout: MemoryLayout,
    ) -> Result<Vec<u8>, DataError> {
        let source = warp::Source::new(source, shape, layout)?;
        let to_source = self.similarity.inverse();
        // Least squares maps mean to mean, so this is the centre of the landmarks.
        let [x, y] = to_source.apply(mean(&self.template.points()));
        let [_, height, width] = shape;
        let inside = |value, size| (-0.5..size as f64 - 0.5).contains(&value);
        if !inside(x, width) || !inside(y, height) {
            return Err(DataError::out_of_range(
                "the centre of the landmarks",
                format!("inside the image of {height}x{width}"),
                format!("x = {x:.1}, y = {y:.1}"),
            ));
        }
        Ok(source.warp(&to_source, self.template.size()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_have_names_sizes_and_points() {
        for template in FaceTemplate::ALL {
            assert_eq!(
                template.to_string().parse::<FaceTemplate>().unwrap(),
                template
            );
            let [height, width] = template.size();
            assert_eq!(template.name(), format!("{height}x{width}"));
        }
        let [sphere, arc] = FaceTemplate::ALL.map(FaceTemplate::points);
        for (sphere, arc) in sphere.iter().zip(arc) {
            assert!((sphere[0] + 8.0 - arc[0]).abs() < 1e-9);
            assert_eq!(sphere[1], arc[1]);
        }
        let message = "96x112".parse::<FaceTemplate>().unwrap_err().to_string();
        assert!(message.contains("112x96 or 112x112"), "{message}");
    }

    /// A square of 3 x 3 around each point, black elsewhere.
    fn dots(points: FivePoints, [height, width]: [usize; 2]) -> Vec<u8> {
        let mut image = vec![0; height * width];
        for [x, y] in points {
            for dy in 0..3 {
                for dx in 0..3 {
                    image[(y as usize + dy - 1) * width + x as usize + dx - 1] = 255;
                }
            }
        }
        image
    }

    #[test]
    fn dots_are_moved_to_the_points_of_the_template() {
        // Integer pixels; a tilted head, larger than the template.
        let landmarks = [
            [90.0, 120.0],
            [160.0, 100.0],
            [138.0, 150.0],
            [117.0, 200.0],
            [175.0, 183.0],
        ];
        for template in FaceTemplate::ALL {
            let alignment = Alignment::estimate(&landmarks, template).unwrap();
            let source = dots(landmarks, [300, 260]);
            let face = alignment
                .warp(&source, [1, 300, 260], MemoryLayout::Nchw)
                .unwrap();
            let [height, width] = template.size();
            assert_eq!(face.len(), height * width);
            for (landmark, point) in landmarks.into_iter().zip(template.points()) {
                let [x, y] = alignment.similarity().apply(landmark);
                // No similarity fits five points exactly.
                assert!((x - point[0]).abs() < 3.0 && (y - point[1]).abs() < 3.0);
                // Centre of mass around the expected position of the dot.
                let (mut mass, mut sum) = (0.0, [0.0; 2]);
                for row in y as usize - 4..y as usize + 6 {
                    for column in x as usize - 4..x as usize + 6 {
                        let value = f64::from(face[row * width + column]);
                        mass += value;
                        sum[0] += value * column as f64;
                        sum[1] += value * row as f64;
                    }
                }
                assert!(mass > 500.0);
                let found = sum.map(|sum| sum / mass);
                assert!(
                    (found[0] - x).abs() < 0.1 && (found[1] - y).abs() < 0.1,
                    "{found:?}"
                );
            }
        }
    }

    #[test]
    fn landmarks_of_another_image_are_rejected() {
        let landmarks = FaceTemplate::Arc112x112
            .points()
            .map(|[x, y]| [x + 300.0, y]);
        let alignment = Alignment::estimate(&landmarks, FaceTemplate::Arc112x112).unwrap();
        let warp = |shape: [usize; 3]| {
            alignment
                .warp(&vec![9; shape.iter().product()], shape, MemoryLayout::Nchw)
                .map_err(|error| error.to_string())
        };
        warp([1, 200, 400]).unwrap();
        let message = warp([1, 200, 300]).unwrap_err();
        assert!(
            message.contains("inside the image of 200x300, found x = 356.0"),
            "{message}"
        );
    }
}
