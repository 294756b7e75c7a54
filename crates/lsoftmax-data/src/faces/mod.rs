//! The face pipeline, but for the detector: alignment by five landmarks, verification pairs,
//! lists of people.
//!
//! Faces are verified with these steps, as SphereFace's public code has them (W. Liu et al.,
//! CVPR 2017, the nearest executable account of what the L-Softmax paper did with faces):
//!
//! 1. **Landmarks.** A detector of your choice (MTCNN, say) finds in each image the
//!    left eye, right eye, tip of the nose, and left and right corner of the mouth. Left is
//!    the left of the image. Its results come as a CSV file: [`Landmarks`].
//! 2. **Alignment.** The least-squares similarity (rotation, scale, translation) brings the five
//!    points to those of a [`FaceTemplate`], and the image is sampled through it:
//!    [`Alignment`]. Training and test images go the same way.
//! 3. **Training** on a folder with a folder of images a person, such as CASIA-WebFace.
//!    People that the test knows too have to be left out: [`IdentityList`]. Images are
//!    mirrored at random.
//! 4. **Features.** That of a test image is the feature of the image followed by the feature of
//!    its mirror image ([`mirror`]), so twice as long; without that, the feature of the image.
//! 5. **Verification.** [`PairsFile`] says which pairs of images to compare and which of them
//!    show one person. Pairs are scored by the cosine of their features; in LFW's protocol the
//!    mean to take away and the threshold come from nine folds, the accuracy from the tenth,
//!    and the figure is the mean over the ten.
//!
//! Coordinates are pixels, x to the right and y down, whole numbers at the centres of pixels.
//! Shapes are `[channels, height, width]`. Files are UTF-8 text with Unix or Windows line ends.
//!
//! ```
//! use lsoftmax_data::MemoryLayout;
//! use lsoftmax_data::faces::{Alignment, FaceTemplate, mirror};
//!
//! // A grey image of 250 rows and columns, and where the detector saw the face.
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
mod layout;
mod mirror;
mod pairs;
mod similarity;
mod step;
mod warp;

pub use alignment::{Alignment, FaceTemplate};
pub use landmarks::Landmarks;
pub use layout::{IdentityList, lfw_image};
pub use mirror::mirror;
pub use pairs::{FacePair, PairImages, PairsFile};
pub use similarity::Similarity;
pub use step::alignment_step;

/// Left eye, right eye, nose, left and right corner of the mouth: (x, y) in pixels. Left is the
/// left of the image.
pub type FivePoints = [[f64; 2]; 5];
