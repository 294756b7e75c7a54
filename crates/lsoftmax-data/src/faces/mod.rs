//! The face pipeline after the detector: alignment by five landmarks, verification pairs, lists of
//! people.
//!
//! Face verification follows SphereFace's public code (W. Liu et al., CVPR 2017), the closest
//! published implementation of the face experiments in the L-Softmax paper:
//!
//! 1. **Landmarks.** A detector (for example MTCNN) finds the left eye, right eye, tip of the nose,
//!    and left and right corner of the mouth in each image. Left means left in the image. The
//!    results are read from a CSV file: [`Landmarks`].
//! 2. **Alignment.** The least-squares similarity (rotation, scale, translation) maps the five
//!    points to those of a [`FaceTemplate`], and the image is resampled: [`Alignment`]. Training
//!    and test images are treated alike.
//! 3. **Training** on a folder with one folder of images per person, such as CASIA-WebFace. People
//!    who are also in the test set must be excluded: [`IdentityList`]. Images are mirrored at
//!    random.
//! 4. **Features.** The feature of a test image is its own feature followed by that of its mirror
//!    image ([`mirror`]), so twice as long; or only its own feature.
//! 5. **Verification.** [`PairsFile`] lists the pairs of images to compare and which of them show
//!    the same person. Pairs are scored by the cosine of their features. In LFW's protocol the mean
//!    to subtract and the threshold come from nine folds, the accuracy from the tenth, and the
//!    result is the mean over the ten.
//!
//! Coordinates are in pixels, x to the right and y down, with integers at pixel centres. Shapes are
//! `[channels, height, width]`. Files are UTF-8 text with Unix or Windows line endings.
//!
//! ```
//! use lsoftmax_data::MemoryLayout;
//! use lsoftmax_data::faces::{Alignment, FaceTemplate, mirror};
//!
//! // A grey image of 250 rows and columns, and the detected landmarks.
//! let image = vec![128; 250 * 250];
//! let landmarks = [[105.0, 112.0], [146.0, 112.0], [125.0, 136.0], [109.0, 159.0], [143.0, 159.0]];
//!
//! let alignment = Alignment::estimate(&landmarks, FaceTemplate::Sphere112x96)?;
//! let face = alignment.warp(&image, [1, 250, 250], MemoryLayout::Nchw)?;
//! assert_eq!(face.len(), 112 * 96);
//! let mirrored = mirror(&face, [1, 112, 96])?;
//! # assert_eq!(mirrored.len(), face.len());
//! # Ok::<(), lsoftmax_data::DataError>(())
//! ```

mod alignment;
mod landmarks;
mod mirror;
mod pairs;
mod similarity;
mod step;
mod warp;

pub use crate::identities::{IdentityList, lfw_image};
pub use alignment::{Alignment, FaceTemplate};
pub use landmarks::Landmarks;
pub use mirror::mirror;
pub use pairs::{FacePair, PairImages, PairsFile};
pub use similarity::Similarity;
pub use step::alignment_step;

/// Left eye, right eye, nose, left and right corner of the mouth, as (x, y) in pixels. Left means
/// left in the image.
pub type FivePoints = [[f64; 2]; 5];
