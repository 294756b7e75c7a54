//! A model and its optimiser: one training step.

use crate::average::Average;
use crate::batches::TrainBatch;
use crate::error::TrainError;
use crate::model::Model;
use crate::network::Network;
use crate::objective::Pairs;
use crate::optimiser::module_optimiser;
use crate::sgd::clip;
use crate::tensor_file::TensorFile;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::{Bytes, Device, Int, Tensor, Transaction};
use lsoftmax::{Annealing, Labels, RunningSignal};
use lsoftmax_networks::{Backbone, Precision};
use lsoftmax_record::{MetricTerm, ModelInfo};
use lsoftmax_spec::Optimiser;
use std::sync::Arc;

/// Where a checkpoint has the centres of center loss.
const CENTERS: &str = "center.centers";
/// What stands before the names of the averaged parameters in a checkpoint.
pub(crate) const AVERAGE: &str = "average.";

/// A model while it is trained.
pub struct Learner<N: Network = Backbone> {
    model: Model<N>,
    optimiser: ModuleOptimizer,
    device: Device,
    clip_norm: Option<f64>,
    pairs: Option<Pairs>,
    precision: Precision,
    average: Option<Average>,
}

/// What the forward pass of a step found; [`Learner::update`] goes on from it.
#[derive(Debug)]
pub struct Forward {
    /// `[batch, feature]`.
    pub features: Tensor<2>,
    /// The mean loss of the batch, `[1]`.
    pub loss: Tensor<1>,
    targets: Tensor<2>,
    labels: Tensor<1, Int>,
    host_labels: Arc<[u32]>,
}

/// The numbers of a step, on its device.
#[derive(Clone, Debug)]
pub struct StepNumbers {
    loss: Tensor<1>,
    targets: Tensor<2>,
    labels: Arc<[u32]>,
}

/// The numbers of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetNumbers {
    /// The mean loss of the batch.
    pub loss: f64,
    /// A row for each sample: cosine, feature norm, norm of the own class weight, confidence.
    pub targets: Vec<f32>,
    /// The labels of the batch.
    pub labels: Arc<[u32]>,
}

impl TargetNumbers {
    /// What the plain softmax gives the own class, for each sample.
    pub(crate) fn confidences(&self) -> Vec<f64> {
        let rows = self.targets.chunks_exact(4);
        rows.map(|row| f64::from(row[3])).collect()
    }
}

impl Forward {
    /// The loss and the figures of the targets, which [`StepNumbers::read`] reads.
    pub fn numbers(&self) -> StepNumbers {
        StepNumbers {
            loss: self.loss.clone().detach(),
            targets: self.targets.clone(),
            labels: self.host_labels.clone(),
        }
    }
}

impl StepNumbers {
    /// Reads the numbers of several steps, in one wait for the device.
    pub fn read(steps: Vec<Self>) -> Vec<TargetNumbers> {
        let labels: Vec<_> = steps.iter().map(|step| step.labels.clone()).collect();
        let all = steps.into_iter().fold(Transaction::default(), |all, step| {
            all.register(step.loss).register(step.targets)
        });
        let all = all.execute();
        all.chunks_exact(2)
            .zip(labels)
            .map(|(step, labels)| TargetNumbers {
                labels,
                loss: step[0].iter::<f64>().next().unwrap_or(f64::NAN),
                targets: step[1].iter::<f32>().collect(),
            })
            .collect()
    }
}

impl<N: Network> std::fmt::Debug for Learner<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Learner")
            .field("model", &self.model)
            .finish_non_exhaustive()
    }
}

impl<N: Network> Learner<N> {
    /// A model with fresh state of its optimiser. `model` lives on an autodiff device.
    pub fn new(model: Model<N>, optimiser: Optimiser) -> Self {
        let device = model.head.weight.val().device();
        Self {
            model,
            optimiser: module_optimiser(optimiser),
            device,
            clip_norm: optimiser.clip_norm,
            pairs: None,
            precision: Precision::F32,
            average: None,
        }
    }

    /// Trains the convolutions in another precision, which the device [has](lsoftmax_networks::trains_in).
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Trains with a loss on distances too, or with that alone.
    ///
    /// # Errors
    /// A number of it that is out of range.
    pub fn with_pairs(mut self, term: Option<MetricTerm>) -> Result<Self, TrainError> {
        let [classes, feature] = self.model.head.weight.dims();
        self.pairs = term
            .map(|term| Pairs::new(term, classes, feature, &self.device))
            .transpose()?;
        Ok(self)
    }

    /// Everything that is trained or moves, and is no state of the optimiser.
    pub(crate) fn to_file(&self, info: &ModelInfo) -> Result<TensorFile, TrainError> {
        let mut file = self.model.to_file(info)?;
        if let Some(centers) = self.pairs.as_ref().and_then(Pairs::centers) {
            file.add(CENTERS, &centers);
        }
        if let Some(average) = self.averaged() {
            average.add_parameters(AVERAGE, &mut file)?;
        }
        Ok(file)
    }

    /// Goes on with the average of a checkpoint.
    pub(crate) fn with_average(mut self, model: Option<&Model<N>>) -> Self {
        self.average = model.map(Average::of);
        self
    }

    /// Counts the weights of this step in their average, with a share of it: that of
    /// [`Averaging`](lsoftmax_spec::Averaging).
    pub fn average(&mut self, share: f64) {
        let average = self.average.get_or_insert_default();
        average.add(&self.model, share);
    }

    /// The model with the average of the weights, if there is one. The statistics of its normalisations are still
    /// those of the model.
    pub fn averaged(&self) -> Option<Model<N>> {
        let average = self.average.as_ref()?;
        Some(average.model(&self.model))
    }

    /// Goes on with the centres of center loss that a file has, where this training has any.
    ///
    /// # Errors
    /// They are missing, or of another size.
    pub(crate) fn with_centers(mut self, file: &TensorFile) -> Result<Self, TrainError> {
        let shape: [usize; 2] = self.model.head.weight.dims();
        if let Some(pairs) = &mut self.pairs
            && pairs.moves()
        {
            let centers = file.tensor(CENTERS, &shape);
            pairs.set_centers(centers.map_err(|message| TrainError::Model {
                path: "the checkpoint".into(),
                message,
            })?);
        }
        Ok(self)
    }

    /// Puts other class weights in the place of those there are.
    pub(crate) fn set_class_weights(&mut self, weights: Vec<f32>) {
        self.model.set_class_weights(weights);
    }

    /// Goes on with another schedule of λ and m.
    pub(crate) fn with_annealing(mut self, annealing: Annealing) -> Result<Self, TrainError> {
        self.model.head = self.model.head.with_annealing(annealing)?;
        Ok(self)
    }

    /// The state of the optimiser, in its own format.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn optimiser_state(&self) -> Result<Vec<u8>, TrainError> {
        let state = self.optimiser.into_bytes().map_err(optimiser_error)?;
        Ok(state.to_vec())
    }

    /// Goes on with an optimiser's state, for the same model.
    ///
    /// # Errors
    /// It is no such state.
    pub(crate) fn with_optimiser_state(mut self, state: Vec<u8>) -> Result<Self, TrainError> {
        lsoftmax_networks::check_default_device()?;
        let state = Bytes::from_bytes_vec(state);
        self.optimiser = self.optimiser.from_bytes(state).map_err(optimiser_error)?;
        Ok(self)
    }

    /// The loss of a batch at a step, counted from 0.
    ///
    /// # Errors
    /// A label that is no class.
    pub fn forward(&self, batch: TrainBatch) -> Result<Forward, TrainError> {
        self.forward_after(batch, RunningSignal::default())
    }

    /// [`forward`](Self::forward) after batches with this signal, for a [gate](lsoftmax::Gate) with a
    /// memory.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_after(
        &self,
        batch: TrainBatch,
        running: RunningSignal,
    ) -> Result<Forward, TrainError> {
        let TrainBatch {
            step,
            images,
            labels,
            host_labels,
        } = batch;
        let features = self.model.backbone.forward_in(images, self.precision);
        let head = &self.model.head;
        let known = Labels::from(labels.clone()).with_host(&host_labels);
        let out = head.loss_after(features.clone(), known, step, running)?;
        let loss = match &self.pairs {
            None => out.loss,
            Some(pairs) => pairs.add_to(out.loss, features.clone(), labels.clone(), step)?,
        };
        Ok(Forward {
            features,
            loss,
            targets: out.targets,
            labels,
            host_labels: host_labels.into(),
        })
    }

    /// The backward pass and the update of the weights.
    ///
    /// # Errors
    /// None that [`forward`](Self::forward) would not have had.
    pub fn update(mut self, forward: Forward, learning_rate: f64) -> Result<Self, TrainError> {
        let Forward {
            features,
            loss,
            labels,
            ..
        } = forward;
        if let Some(pairs) = self.pairs.as_mut().filter(|pairs| pairs.moves()) {
            pairs.update(features, labels)?;
        } else {
            // The backward pass may write over what nobody else holds.
            drop(features);
        }
        let gradients = loss.backward();
        let mut gradients = GradientsParams::from_grads(gradients, &self.model);
        if let Some(most) = self.clip_norm {
            gradients = clip(gradients, &self.model, most);
        }
        self.model = self.optimiser.step(learning_rate, self.model, gradients);
        Ok(self)
    }

    /// The model as it stands.
    pub fn model(&self) -> &Model<N> {
        &self.model
    }

    /// The model, training ended.
    pub fn into_model(self) -> Model<N> {
        self.model
    }
}

fn optimiser_error(error: impl std::fmt::Display) -> TrainError {
    TrainError::Model {
        path: "the optimiser's state".into(),
        message: error.to_string(),
    }
}
