//! What a file says of its model beside the graph.

use crate::error::OnnxError;
use crate::{Input, Layout, Pixels, Scores, Trained};
use serde_json::json;

/// The entries of `metadata_props`, in their order: text by name. Lists and objects are JSON.
///
/// | entry | content |
/// |---|---|
/// | `class_names` | list of the names, by the columns of the scores |
/// | `threshold` | cosine of two embeddings from which on they count as one class; missing where the model has none |
/// | `false_accept_rate`, `true_accept_rate` | measured at this threshold, 0 to 1 |
/// | `validation_different_pairs`, `validation_same_pairs` | pairs that they were measured on |
/// | `validation_classes_unseen` | whether these were of classes not trained on: `true` or `false` |
/// | `loss` | the loss for people |
/// | `cosine_scale` | the factor between `cosines` and the logits of the loss, where there is one |
/// | `network` | the network's row |
/// | `input` | layout, pixels, channels, and how an image gets its size |
/// | `preprocessing` | mean and scale, also where the graph contains them |
/// | `mirrored` | whether an embedding is of image and mirror image |
/// | `step` | steps trained |
/// | `model_sha256` | SHA-256 in the model file |
/// | `embedding_sha256` | that of all that an embedding depends on, as in galleries |
///
/// # Errors
/// The loss is out of range, or a number that JSON cannot hold.
pub fn metadata(model: Trained<'_>, input: Input) -> Result<Vec<(String, String)>, OnnxError> {
    let info = model.info;
    let mut entries = vec![("class_names", json!(info.class_names).to_string())];
    if let Some(decision) = &info.decision {
        let best = decision.best;
        entries.extend([
            ("threshold", best.threshold.to_string()),
            ("false_accept_rate", best.far.to_string()),
            ("true_accept_rate", best.tar.to_string()),
            (
                "validation_different_pairs",
                decision.different_pairs.to_string(),
            ),
            ("validation_same_pairs", decision.same_pairs.to_string()),
            (
                "validation_classes_unseen",
                decision.unseen_classes.to_string(),
            ),
        ]);
    }
    entries.push(("loss", info.loss_label()));
    if let Scores::Cosines { scale: Some(scale) } = Scores::of(info)? {
        entries.push(("cosine_scale", scale.to_string()));
    }
    let rules = json!({
        "layout": match input.layout {
            Layout::Nhwc => "nhwc",
            Layout::Nchw => "nchw",
        },
        "pixels": match input.pixels {
            Pixels::Bytes => "bytes",
            Pixels::Preprocessed => "preprocessed",
        },
        "channels": match info.image[0] {
            1 => json!("grey"),
            3 => json!("rgb"),
            other => json!(other),
        },
        "size": info.images,
    });
    entries.extend([
        ("network", json!(info.network).to_string()),
        ("input", rules.to_string()),
        ("preprocessing", json!(info.preprocessing).to_string()),
        ("mirrored", info.mirrored.to_string()),
        ("step", info.step.to_string()),
        ("model_sha256", model.digest.to_owned()),
        ("embedding_sha256", model.embedding_digest.to_owned()),
    ]);
    let entries = entries.into_iter();
    Ok(entries
        .map(|(key, value)| (key.to_owned(), value))
        .collect())
}
