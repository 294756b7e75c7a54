//! All of a trained model that is not a tensor.

use crate::error::RecordError;
use crate::image_choice::ImageRules;
use crate::network::NetworkKind;
use crate::objective::{self, MetricTerm};
use crate::open_set::Decision;
use lsoftmax_data::Preprocessing;
use lsoftmax_metrics::OperatingPoint;
use lsoftmax_spec::{Annealing, Loss};
use serde::{Deserialize, Serialize};

/// Version of the layout of model files.
pub const MODEL_VERSION: u32 = 2;

/// All of a model that is not a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Version of the file's layout.
    pub version: u32,
    /// The network.
    pub network: NetworkKind,
    /// Size of an image: channels, height, width.
    pub image: [usize; 3],
    /// A name for each class.
    pub class_names: Vec<String>,
    /// What is done to the bytes of an image first.
    pub preprocessing: Preprocessing,
    /// The loss it was trained with.
    pub loss: Loss,
    /// The loss on distances beside it, or in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pairs: Option<MetricTerm>,
    /// How images of other sizes come to the model's.
    #[serde(default)]
    pub images: ImageRules,
    /// Whether an embedding is made of the features of an image and of its mirror image.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mirrored: bool,
    /// When two images count as one class, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// The schedule of λ and m.
    pub annealing: Annealing,
    /// Steps trained.
    pub step: u64,
    /// λ of the last step.
    pub lambda: f64,
}

impl ModelInfo {
    /// Describes an untrained model.
    pub fn new(
        network: impl Into<NetworkKind>,
        image: [usize; 3],
        class_names: Vec<String>,
        preprocessing: Preprocessing,
        loss: Loss,
        annealing: Annealing,
    ) -> Self {
        let guessing = 1.0 / class_names.len() as f64;
        let lambda = annealing.at(0, loss).1.of(guessing, class_names.len());
        Self {
            version: MODEL_VERSION,
            network: network.into(),
            image,
            class_names,
            preprocessing,
            loss,
            pairs: None,
            images: ImageRules::default(),
            mirrored: false,
            decision: None,
            annealing,
            step: 0,
            lambda,
        }
    }

    /// The loss it was trained with, for people.
    pub fn loss_label(&self) -> String {
        objective::label(self.loss, self.pairs.as_ref())
    }

    /// The cosine from which on two images count as one class: the one given, the most lenient with a
    /// false accept rate of at most `far`, or else the model's own; with its rates, where these were
    /// measured.
    ///
    /// # Errors
    /// The model has no threshold of its own, or `far` cannot be measured on its pairs.
    pub fn threshold(
        &self,
        given: Option<f32>,
        far: Option<f64>,
    ) -> Result<(f32, Option<OperatingPoint>), RecordError> {
        if let Some(threshold) = given {
            if !(-1.0..=1.0).contains(&threshold) {
                let expected = "a cosine, from -1 to 1";
                return Err(RecordError::setting("threshold", expected, threshold));
            }
            return Ok((threshold, None));
        }
        let Some(decision) = &self.decision else {
            let expected = "given: this model has none of its own, since it was not tested on enough \
                            pairs (that takes 4 classes, 2 of them with two images or more, in a \
                            test part or an open set)";
            return Err(RecordError::setting("threshold", expected, "none"));
        };
        let point = far.map_or(Ok(decision.best), |far| decision.at_far(far))?;
        Ok((point.threshold, Some(point)))
    }

    /// Length of an embedding.
    pub fn embedding_size(&self) -> usize {
        self.network.feature() * if self.mirrored { 2 } else { 1 }
    }
}
