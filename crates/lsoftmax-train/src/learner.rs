//! A model and its optimiser, and one training step.

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

/// Name of the center-loss centres in a checkpoint.
const CENTERS: &str = "center.centers";
/// Prefix of the averaged parameters in a checkpoint.
pub(crate) const AVERAGE: &str = "average.";

/// A model during training.
pub struct Learner<N: Network = Backbone> {
    model: Model<N>,
    optimiser: ModuleOptimizer,
    device: Device,
    clip_norm: Option<f64>,
    pairs: Option<Pairs>,
    precision: Precision,
    average: Option<Average>,
}

/// The result of a forward pass, from which [`Learner::update`] continues.
#[derive(Debug)]
pub struct Forward {
    /// The features, `[batch, feature]`.
    pub features: Tensor<2>,
    /// The mean loss of the batch, `[1]`.
    pub loss: Tensor<1>,
    targets: Tensor<2>,
    labels: Tensor<1, Int>,
    host_labels: Arc<[u32]>,
}

/// The figures of a step, on its device.
#[derive(Clone, Debug)]
pub struct StepNumbers {
    loss: Tensor<1>,
    targets: Tensor<2>,
    labels: Arc<[u32]>,
}

/// The figures of a step, in host memory.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetNumbers {
    /// The mean loss of the batch.
    pub loss: f64,
    /// One row per sample: cosine, feature norm, norm of the target class weight, confidence.
    pub targets: Vec<f32>,
    /// The labels of the batch.
    pub labels: Arc<[u32]>,
}

impl TargetNumbers {
    /// The probability that the plain softmax gives to the target class, for each sample.
    pub(crate) fn confidences(&self) -> Vec<f64> {
        let rows = self.targets.chunks_exact(4);
        rows.map(|row| f64::from(row[3])).collect()
    }
}

impl Forward {
    /// The loss and the target figures, to be read with [`StepNumbers::read`].
    pub fn numbers(&self) -> StepNumbers {
        StepNumbers {
            loss: self.loss.clone().detach(),
            targets: self.targets.clone(),
            labels: self.host_labels.clone(),
        }
    }
}

impl StepNumbers {
    /// Reads the figures of several steps while waiting only once for the device.
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
    /// Creates a learner with a fresh optimiser state. `model` must be on an autodiff device.
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

    /// Trains the convolutions in another precision, which the device must
    /// [support](lsoftmax_networks::trains_in).
    #[must_use]
    pub fn with_precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// Adds a metric loss, which may also replace the loss of the head.
    ///
    /// # Errors
    /// One of its parameters is out of range.
    pub fn with_pairs(mut self, term: Option<MetricTerm>) -> Result<Self, TrainError> {
        let [classes, feature] = self.model.head.weight.dims();
        self.pairs = term
            .map(|term| Pairs::new(term, classes, feature, &self.device))
            .transpose()?;
        Ok(self)
    }

    /// Everything that training changes, except the optimiser state.
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

    /// Continues with the average of a checkpoint.
    pub(crate) fn with_average(mut self, model: Option<&Model<N>>) -> Self {
        self.average = model.map(Average::of);
        self
    }

    /// Adds the current weights to their average. `share` is the fraction of the new average that
    /// comes from this step, as given by [`Averaging`](lsoftmax_spec::Averaging).
    pub fn average(&mut self, share: f64) {
        let average = self.average.get_or_insert_default();
        average.add(&self.model, share);
    }

    /// The model with the averaged weights, if they are averaged. Its normalisation statistics are
    /// still those of the trained model.
    pub fn averaged(&self) -> Option<Model<N>> {
        let average = self.average.as_ref()?;
        Some(average.model(&self.model))
    }

    /// Continues with the center-loss centres of a file, if this training uses them.
    ///
    /// # Errors
    /// The centres are missing or have another size.
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

    /// Replaces the class weights.
    pub(crate) fn set_class_weights(&mut self, weights: Vec<f32>) {
        self.model.set_class_weights(weights);
    }

    /// Continues with another schedule of λ and m.
    pub(crate) fn with_annealing(mut self, annealing: Annealing) -> Result<Self, TrainError> {
        self.model.head = self.model.head.with_annealing(annealing)?;
        Ok(self)
    }

    /// The optimiser state, in the optimiser's own format.
    ///
    /// # Errors
    /// The state cannot be serialised.
    pub(crate) fn optimiser_state(&self) -> Result<Vec<u8>, TrainError> {
        let state = self.optimiser.into_bytes().map_err(optimiser_error)?;
        Ok(state.to_vec())
    }

    /// Continues with the optimiser state of the same model.
    ///
    /// # Errors
    /// The bytes are not an optimiser state.
    pub(crate) fn with_optimiser_state(mut self, state: Vec<u8>) -> Result<Self, TrainError> {
        lsoftmax_networks::check_default_device()?;
        let state = Bytes::from_bytes_vec(state);
        self.optimiser = self.optimiser.from_bytes(state).map_err(optimiser_error)?;
        Ok(self)
    }

    /// The loss of a batch at a step, counted from 0.
    ///
    /// # Errors
    /// A label is not a class.
    pub fn forward(&self, batch: TrainBatch) -> Result<Forward, TrainError> {
        self.forward_after(batch, RunningSignal::default())
    }

    /// [`forward`](Self::forward) with the signal of the preceding batches, for a
    /// [gate](lsoftmax::Gate) that averages over batches.
    ///
    /// # Errors
    /// The same as for [`forward`](Self::forward).
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

    /// Runs the backward pass and updates the weights.
    ///
    /// # Errors
    /// Errors that [`forward`](Self::forward) would have returned before.
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
            // The backward pass may overwrite buffers that nothing else holds.
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

    /// The current model.
    pub fn model(&self) -> &Model<N> {
        &self.model
    }

    /// Ends the training and returns the model.
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
