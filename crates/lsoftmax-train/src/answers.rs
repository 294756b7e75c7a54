//! All outputs of a model for a set of images, which an exported model must reproduce.

use crate::error::TrainError;
use crate::evaluation::{embeddings, features, host};
use crate::model::Model;
use crate::network::Network;
use crate::stop::Stop;
use burn::module::Module as _;
use burn::tensor::{Tensor, TensorData};
use lsoftmax_data::Dataset;
use lsoftmax_record::ModelInfo;

/// The outputs of a model for a set of images, one row per image.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// The output of the network, `[image, feature]`.
    pub features: Vec<f32>,
    /// Embeddings of length 1, `[image, feature]` or, with [`ModelInfo::mirrored`],
    /// `[image, 2 feature]`.
    pub embeddings: Vec<f32>,
    /// The logits of the loss without its margin, `[image, class]`.
    pub logits: Vec<f32>,
    /// Cosines between features and class weights, `[image, class]`.
    pub cosines: Vec<f32>,
}

impl Answers {
    /// Computes the outputs of a model. Only the embeddings use the mirror images.
    ///
    /// # Errors
    /// The images do not have the model's size, or a feature is not finite.
    pub fn of<N: Network>(
        model: &Model<N>,
        info: &ModelInfo,
        data: &Dataset,
    ) -> Result<Self, TrainError> {
        // This also checks the size of the images.
        let embeddings = embeddings(model, info, data)?;
        let features = features(model, info, data, Stop::NEVER)?;
        let head = model.head.valid();
        let shape = [data.len(), info.network.feature()];
        let x = TensorData::new(features.clone(), shape);
        let x = Tensor::<2>::from_data(x, &head.weight.val().device());
        Ok(Self {
            logits: host(head.logits(x.clone())),
            cosines: host(head.cosines(x)),
            features,
            embeddings,
        })
    }
}
