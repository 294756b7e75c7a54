//! Captioned images in rows.

use lsoftmax_data::Dataset;
use lsoftmax_record::{Mistake, Neighbourhood};

/// Rows of images under a heading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ImageStrip {
    /// The heading.
    pub title: String,
    /// A sentence under the heading.
    pub about: String,
    /// The rows.
    pub rows: Vec<StripRow>,
}

/// A row of images.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StripRow {
    /// The text next to the row.
    pub caption: String,
    /// The images.
    pub images: Vec<Thumbnail>,
}

/// A small image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thumbnail {
    /// Number of columns; at most 256 are drawn.
    pub width: usize,
    /// Number of rows; at most 256 are drawn.
    pub height: usize,
    /// Number of channels: 1 for grey, 3 for colour.
    pub channels: usize,
    /// The pixels, `[channel, height, width]`.
    pub bytes: Vec<u8>,
    /// The text below the image, also its text alternative.
    pub caption: String,
    /// Whether the image is marked as correct or wrong; `None` for no mark.
    pub right: Option<bool>,
}

impl ImageStrip {
    /// Pairs that a model judged wrongly. `data` is the data set of the pairs.
    pub fn mistakes(label: &str, mistakes: &[Mistake], data: &Dataset) -> Self {
        let image = |index: u32| Thumbnail::new(data, index, class_name(data, index), None);
        let rows = mistakes.iter().map(|mistake| StripRow {
            caption: format!(
                "{}, cosine {:.3}",
                if mistake.same {
                    "the same"
                } else {
                    "different"
                },
                mistake.score
            ),
            images: vec![image(mistake.left), image(mistake.right)],
        });
        Self {
            title: format!("Worst mistakes of {label}"),
            about: "Pairs of different classes with the largest cosines, and pairs of one class \
                    with the smallest, among the pairs that were judged."
                .into(),
            rows: rows.collect(),
        }
    }

    /// Images and their nearest neighbours. `data` is the data set of the images.
    pub fn neighbours(label: &str, neighbourhoods: &[Neighbourhood], data: &Dataset) -> Self {
        let rows = neighbourhoods.iter().map(|near| {
            let own = class_name(data, near.probe);
            let mut images = vec![Thumbnail::new(data, near.probe, own.clone(), None)];
            images.extend(near.nearest.iter().map(|&(index, score)| {
                let class = class_name(data, index);
                let right = class == own;
                Thumbnail::new(data, index, format!("{score:.3} {class}"), Some(right))
            }));
            StripRow {
                caption: own,
                images,
            }
        });
        Self {
            title: format!("Nearest neighbours by {label}"),
            about:
                "An image and its nearest neighbours among all others: ✓ of the same class, ✗ of \
                    another."
                    .into(),
            rows: rows.collect(),
        }
    }
}

impl Thumbnail {
    /// An image of a data set. An index out of range gives a thumbnail without bytes, which is
    /// drawn as "no picture".
    pub fn new(data: &Dataset, index: u32, caption: String, right: Option<bool>) -> Self {
        let index = index as usize;
        Self {
            width: data.width,
            height: data.height,
            channels: data.channels,
            bytes: if index < data.len() {
                data.image(index).to_vec()
            } else {
                Vec::new()
            },
            caption,
            right,
        }
    }
}

fn class_name(data: &Dataset, index: u32) -> String {
    let label = data.labels().get(index as usize);
    let name = label.and_then(|&label| data.class_names.get(label as usize));
    name.cloned().unwrap_or_default()
}
