//! The state of an unfinished training run, as one file.

use crate::error::TrainError;
use crate::learner::AVERAGE;
use crate::model::{Model, read_info};
use crate::network::Network;
use crate::optimiser::{are_finite, check_record};
use crate::tensor_file::{Header, TensorFile};
use crate::window::Window;
use burn::tensor::Device;
use lsoftmax::RunningSignal;
use lsoftmax_networks::Backbone;
use lsoftmax_record::{Best, Frame, ModelInfo, NetworkKind, Progress, Settings};
use lsoftmax_spec::Optimiser;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A copy of a model during training. Later steps do not change it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) file: TensorFile,
    pub(crate) info: ModelInfo,
}

/// The complete state of a training run, from which it resumes to the same bits as without the
/// interruption.
///
/// The file is a model file ([`Model::load`] reads it) with two additional entries: the state of
/// the optimiser, and the counters of the training loop. A SHA-256 over the whole file detects
/// damage.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    pub(crate) snapshot: Snapshot,
    /// The optimiser state, in the optimiser's own format.
    pub(crate) optimiser: Vec<u8>,
    pub(crate) state: TrainingState,
}

/// The part of the training state that is not stored as tensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrainingState {
    /// The experiment, as TOML.
    pub(crate) experiment: String,
    /// Number of threads at the start of the run. It affects the last bits of the results.
    pub(crate) threads: usize,
    /// Number of completed steps.
    pub(crate) step: u64,
    /// The step of the last checkpoint at which the training showed no sign of divergence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) good: Option<u64>,
    /// Number of times λ was raised.
    pub(crate) recoveries: u32,
    /// The step to which the last recovery returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recovered_from: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stuck_since: Option<u64>,
    pub(crate) curve: Vec<Progress>,
    /// The last interval of the curve, if its evaluation is still pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pending: Option<Progress>,
    pub(crate) window: Window,
    /// The running signal of a gate that averages over batches.
    #[serde(default)]
    pub(crate) running: RunningSignal,
    pub(crate) frames: Vec<Frame>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) best: Option<Best>,
    pub(crate) remarks: Vec<String>,
    /// Seconds of training, excluding evaluations.
    pub(crate) seconds: f64,
}

/// Names of the entries in the file.
const OPTIMISER: &str = "optimiser";
const TRAINING: &str = "training";
/// A name that sorts after every name that begins with [`AVERAGE`].
const AFTER_AVERAGE: &str = "average/";

impl Snapshot {
    /// The stored model and its description.
    ///
    /// # Errors
    /// The tensors do not fit the network.
    pub fn model(&self, device: &Device) -> Result<(Model, ModelInfo), TrainError> {
        self.network_model(device)
    }

    /// [`model`](Self::model) for any network.
    ///
    /// # Errors
    /// The same as for [`model`](Self::model); also if the file holds another network.
    pub fn network_model<N: Network>(
        &self,
        device: &Device,
    ) -> Result<(Model<N>, ModelInfo), TrainError> {
        let path = "the checkpoint".as_ref();
        let model = Model::from_file(&self.file, &self.info, path, device)?;
        Ok((model, self.info.clone()))
    }

    /// The model file as bytes.
    ///
    /// # Errors
    /// A number cannot be represented in the format.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TrainError> {
        self.file.to_bytes()
    }

    /// Reads a model file, or the model of a checkpoint.
    ///
    /// # Errors
    /// The same as for [`Model::load`].
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        let damaged = |message| damaged(path, message);
        let check = |header: &Header| read_info(header, path);
        let (mut file, info) = TensorFile::read(path, damaged, check)?;
        file.tensors.remove(OPTIMISER);
        file.metadata.remove(TRAINING);
        file.tensors.retain(|name, _| !name.starts_with(AVERAGE));
        let snapshot = Self { file, info };
        snapshot.check_finite(path)?;
        if let NetworkKind::Row(_) = snapshot.info.network {
            snapshot.network::<Backbone>(path)?;
        }
        Ok(snapshot)
    }

    /// The model with the averaged weights, if the file has them.
    pub(crate) fn averaged<N: Network>(
        &self,
        path: &Path,
        device: &Device,
    ) -> Result<Option<Model<N>>, TrainError> {
        let mut file = self.file.clone();
        let mut averages = file.tensors.split_off(AVERAGE);
        let mut others = averages.split_off(AFTER_AVERAGE);
        file.tensors.append(&mut others);
        if averages.is_empty() {
            return Ok(None);
        }
        let parameters =
            Model::<N>::from_file(&file, &self.info, path, &Device::flex())?.parameters()?;
        for (parameter, _) in parameters {
            let name = format!("{AVERAGE}{parameter}");
            let average = averages.remove(&name);
            let average = average.ok_or_else(|| damaged(path, format!("it has no {name}")))?;
            file.tensors.insert(parameter, average);
        }
        if let Some(name) = averages.keys().next() {
            return Err(damaged(
                path,
                format!("{name} is not the average of a parameter"),
            ));
        }
        Ok(Some(Model::from_file(&file, &self.info, path, device)?))
    }

    /// Builds the model, which checks that the tensors fit the network.
    fn network<N: Network>(&self, path: &Path) -> Result<Model<N>, TrainError> {
        Model::from_file(&self.file, &self.info, path, &Device::flex())
    }

    /// Checks that all values of the tensors are finite.
    fn check_finite(&self, path: &Path) -> Result<(), TrainError> {
        for (name, (_, _, bytes)) in &self.file.tensors {
            if !are_finite(bytes) {
                let message = format!("{name} has values that are not finite");
                return Err(damaged(path, message));
            }
        }
        Ok(())
    }
}

fn damaged(path: &Path, message: String) -> TrainError {
    TrainError::Checkpoint {
        path: path.to_owned(),
        message,
    }
}

impl Checkpoint {
    /// The stored model and its description.
    ///
    /// # Errors
    /// The tensors do not fit the network.
    pub fn model(&self, device: &Device) -> Result<(Model, ModelInfo), TrainError> {
        self.snapshot.model(device)
    }

    /// Number of completed steps.
    pub fn step(&self) -> u64 {
        self.state.step
    }

    /// The step of the checkpoint to which a recovery would return.
    pub fn good_step(&self) -> Option<u64> {
        self.state.good
    }

    /// The step of the best model so far.
    pub fn best_step(&self) -> Option<u64> {
        self.state.best.as_ref().map(|best| best.step)
    }

    /// Number of threads at the start of the run.
    pub fn threads(&self) -> usize {
        self.state.threads
    }

    /// The experiment, as TOML.
    pub fn experiment(&self) -> &str {
        &self.state.experiment
    }

    /// The curve so far.
    pub fn curve(&self) -> &[Progress] {
        &self.state.curve
    }

    /// The checkpoint file as bytes.
    ///
    /// # Errors
    /// A number cannot be represented in the format.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TrainError> {
        let json = serde_json::to_string(&self.state).map_err(|error| TrainError::Model {
            path: "checkpoint".into(),
            message: error.to_string(),
        })?;
        let mut file = self.snapshot.file.clone();
        file.add_bytes(OPTIMISER, self.optimiser.clone());
        file.metadata.insert(TRAINING.into(), json);
        file.to_bytes()
    }

    /// Reads a checkpoint and checks everything that a resumed run takes from it.
    ///
    /// # Errors
    /// The file cannot be read or is damaged.
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        let damaged = |message| damaged(path, message);
        let check = |header: &Header| {
            header.sealed().map_err(damaged)?;
            read_info(header, path)
        };
        let (mut file, info) = TensorFile::read(path, damaged, check)?;
        let json = file
            .metadata
            .remove(TRAINING)
            .ok_or_else(|| damaged("it is a model, not a checkpoint".into()))?;
        let state: TrainingState =
            serde_json::from_str(&json).map_err(|error| damaged(error.to_string()))?;
        let optimiser = file.take_bytes(OPTIMISER).map_err(damaged)?;
        let snapshot = Snapshot { file, info };
        snapshot.check_finite(path)?;
        let checkpoint = Self {
            snapshot,
            optimiser,
            state,
        };
        if let NetworkKind::Row(_) = checkpoint.snapshot.info.network {
            checkpoint.check_network::<Backbone>(path)?;
        }
        Ok(checkpoint)
    }

    /// The optimiser that the checkpoint's experiment names.
    pub(crate) fn optimiser(&self, path: &Path) -> Result<Optimiser, TrainError> {
        let damaged = |error: String| damaged(path, error);
        let settings: Settings =
            toml::from_str(&self.state.experiment).map_err(|error| damaged(error.to_string()))?;
        let optimiser = settings.without_idle_annealing().optimiser();
        optimiser.map_err(|error| damaged(error.to_string()))
    }

    /// Checks that the tensors and the optimiser state fit the network.
    ///
    /// # Errors
    /// Names the first one that does not fit.
    pub(crate) fn check_network<N: Network>(&self, path: &Path) -> Result<(), TrainError> {
        let model = self.snapshot.network::<N>(path)?;
        self.snapshot.averaged::<N>(path, &Device::flex())?;
        let info = &self.snapshot.info;
        // Before the first step no parameter has a momentum. Class weights that no loss trains
        // never get one.
        let alone = info.pairs.is_some_and(|pairs| pairs.alone);
        // A custom network may have parameters that are not trained.
        let is_row = matches!(info.network, NetworkKind::Row(_));
        let moves =
            |name: &str| is_row && self.state.step > 0 && !(alone && name.starts_with("head."));
        let (state, optimiser) = (self.optimiser.clone(), self.optimiser(path)?);
        check_record(
            state,
            &optimiser,
            &model.parameters()?,
            self.state.step,
            moves,
        )
        .map_err(|message| damaged(path, message))
    }
}

#[cfg(test)]
pub(crate) mod tests;
