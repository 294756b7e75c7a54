//! Trained models as [ONNX](https://onnx.ai) files, which other programs and languages run.
//!
//! [`to_onnx`] lowers a model to operator set 17 (IR version 8): the preprocessing, the network of its
//! row with the batch normalisation folded into the weights, and the class layer. The size of a batch is
//! free.
//!
//! | value | type | shape |
//! |---|---|---|
//! | input `image` | uint8, or float32 if preprocessed ([`Pixels`]) | `[batch, height, width, channel]` or `[batch, channel, height, width]` ([`Layout`]) |
//! | output `feature` | float32 | `[batch, feature]` |
//! | output `embedding` | float32, length 1 | `[batch, feature]`, or twice as long where the model embeds mirror images too |
//! | output `logits` or `cosines` ([`Scores`]) | float32 | `[batch, class]` |
//!
//! Class names, threshold, loss and digests stand in the file's metadata ([`metadata`]).
//!
//! The messages are written by hand: a file needs ten of them. Nothing here depends on Burn.

mod error;
mod graph;
mod lower;
mod metadata;
mod tensors;
mod wire;

pub use error::OnnxError;
pub use graph::is_own;
pub use metadata::metadata;
pub use tensors::Tensors;

use lsoftmax_record::{ModelInfo, NetworkKind};
use lsoftmax_spec::margin::Normalisation;

/// How the images of a batch lie in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// `[batch, height, width, channel]`, as Pillow and numpy have images.
    #[default]
    Nhwc,
    /// `[batch, channel, height, width]`, as PyTorch has them.
    Nchw,
}

/// What the numbers of an image are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pixels {
    /// Bytes from 0 to 255; the file preprocesses them.
    #[default]
    Bytes,
    /// Float32 after the model's preprocessing: `(byte - mean) * scale`.
    Preprocessed,
}

/// The images that a file takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// Their order in memory.
    pub layout: Layout,
    /// Their numbers.
    pub pixels: Pixels,
}

/// What a class layer gives: the values that the loss compared, without its margin. The largest is the
/// answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scores {
    /// `w·x`.
    Logits {
        /// Whether class weights have length 1.
        unit_weights: bool,
    },
    /// `cos θ`, where the loss normalises features and class weights, or trains no class weights.
    Cosines {
        /// The factor that makes logits of them, if a loss had one.
        scale: Option<f64>,
    },
}

impl Scores {
    /// Those of a model.
    ///
    /// # Errors
    /// The loss is out of range.
    pub fn of(info: &ModelInfo) -> Result<Self, OnnxError> {
        // The class weights are then the mean directions of their classes.
        if info.pairs.is_some_and(|pairs| pairs.alone) {
            return Ok(Self::Cosines { scale: None });
        }
        let Normalisation {
            weights,
            feature_scale,
        } = info.loss.margin()?.normalisation();
        Ok(match feature_scale {
            Some(_) => Self::Cosines {
                scale: feature_scale,
            },
            None => Self::Logits {
                unit_weights: weights,
            },
        })
    }

    /// The name of the output.
    pub fn name(self) -> &'static str {
        match self {
            Self::Logits { .. } => "logits",
            Self::Cosines { .. } => "cosines",
        }
    }

    fn about(self) -> &'static str {
        match self {
            Self::Logits { .. } => {
                "a row an image, a column a class: the logits that the loss trained"
            }
            Self::Cosines { .. } => {
                "a row an image, a column a class: cosines with the class weights"
            }
        }
    }
}

/// A trained model, to be exported.
#[derive(Clone, Copy, Debug)]
pub struct Trained<'a> {
    /// All of it that is not a tensor.
    pub info: &'a ModelInfo,
    /// Its tensors.
    pub tensors: &'a Tensors,
    /// SHA-256 of its file's content, as in the metadata of the model file.
    pub digest: &'a str,
    /// SHA-256 of all that an embedding depends on, as in galleries.
    pub embedding_digest: &'a str,
}

/// The ONNX file of a model. The same model gives the same bytes.
///
/// # Errors
/// Tensors that are missing, not of the shape that the network's row asks for, or not finite; a file of
/// more than 2 GiB, the limit of the format.
pub fn to_onnx(model: Trained<'_>, input: Input) -> Result<Vec<u8>, OnnxError> {
    let info = model.info;
    let NetworkKind::Row(network) = &info.network else {
        return Err(OnnxError::OwnNetwork(info.network.name().to_owned()));
    };
    let head = info.class_names.len().saturating_mul(network.feature);
    let weights = network.weights(info.image)?.saturating_add(head);
    let bytes = (weights as u64).saturating_mul(size_of::<f32>() as u64);
    // Before memory is taken for it.
    if bytes > graph::MOST_BYTES {
        return Err(OnnxError::TooLarge {
            bytes,
            most: graph::MOST_BYTES,
        });
    }
    let graph = lower::model(info, network, model.tensors, input)?;
    let about = format!("{} trained with {}", network.name, info.loss_label());
    graph.finish("lsoftmax", &about, &metadata(model, input)?)
}

#[cfg(test)]
mod tests;
