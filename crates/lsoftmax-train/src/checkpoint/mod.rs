//! A training in the middle, as one file.

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

/// A model in the middle of its training: a copy, which no further step changes.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(crate) file: TensorFile,
    pub(crate) info: ModelInfo,
}

/// Everything a training needs to go on as if it had never stopped.
///
/// The file is a model file ([`Model::load`] reads it) with two entries more: the state of the
/// optimiser, and what is counted beside the tensors. A SHA-256 over all of it tells a damaged file.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    pub(crate) snapshot: Snapshot,
    /// The optimiser's own format.
    pub(crate) optimiser: Vec<u8>,
    pub(crate) state: TrainingState,
}

/// What is counted beside the tensors.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrainingState {
    /// The experiment, as TOML.
    pub(crate) experiment: String,
    /// Threads it was begun with: their number decides the last bits.
    pub(crate) threads: usize,
    /// Steps done.
    pub(crate) step: u64,
    /// The step of the last checkpoint that was made without signs of divergence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) good: Option<u64>,
    /// How often λ was raised.
    pub(crate) recoveries: u32,
    /// Where the last recovery went back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) recovered_from: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stuck_since: Option<u64>,
    pub(crate) curve: Vec<Progress>,
    /// The last stretch, if its evaluation is still to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pending: Option<Progress>,
    pub(crate) window: Window,
    /// What a gate with a memory has seen.
    #[serde(default)]
    pub(crate) running: RunningSignal,
    pub(crate) frames: Vec<Frame>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) best: Option<Best>,
    pub(crate) remarks: Vec<String>,
    /// Seconds of training, evaluations left out.
    pub(crate) seconds: f64,
}

/// Names in the file.
const OPTIMISER: &str = "optimiser";
const TRAINING: &str = "training";
/// The name after all that begin with [`AVERAGE`].
const AFTER_AVERAGE: &str = "average/";

impl Snapshot {
    /// The model as it was, and what goes with it.
    ///
    /// # Errors
    /// Its tensors do not fit its network.
    pub fn model(&self, device: &Device) -> Result<(Model, ModelInfo), TrainError> {
        self.network_model(device)
    }

    /// [`model`](Self::model) for any network.
    ///
    /// # Errors
    /// As [`model`](Self::model), and a network that is another.
    pub fn network_model<N: Network>(
        &self,
        device: &Device,
    ) -> Result<(Model<N>, ModelInfo), TrainError> {
        let path = "the checkpoint".as_ref();
        let model = Model::from_file(&self.file, &self.info, path, device)?;
        Ok((model, self.info.clone()))
    }

    /// A model file as bytes.
    ///
    /// # Errors
    /// Numbers that the format cannot hold.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TrainError> {
        self.file.to_bytes()
    }

    /// Reads a model file, or the model of a checkpoint.
    ///
    /// # Errors
    /// As for [`Model::load`].
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

    /// The model with the average of the weights, if the file has one.
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
                format!("{name} is the average of no parameter"),
            ));
        }
        Ok(Some(Model::from_file(&file, &self.info, path, device)?))
    }

    /// The model, to check that the tensors are those of the network.
    fn network<N: Network>(&self, path: &Path) -> Result<Model<N>, TrainError> {
        Model::from_file(&self.file, &self.info, path, &Device::flex())
    }

    /// Whether all values of the tensors are finite.
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
    /// The model as it was, and what goes with it.
    ///
    /// # Errors
    /// Its tensors do not fit its network.
    pub fn model(&self, device: &Device) -> Result<(Model, ModelInfo), TrainError> {
        self.snapshot.model(device)
    }

    /// Steps done.
    pub fn step(&self) -> u64 {
        self.state.step
    }

    /// The step of the checkpoint that a recovery would go back to.
    pub fn good_step(&self) -> Option<u64> {
        self.state.good
    }

    /// The step of the best model so far.
    pub fn best_step(&self) -> Option<u64> {
        self.state.best.as_ref().map(|best| best.step)
    }

    /// Threads the training was begun with.
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

    /// The file as bytes.
    ///
    /// # Errors
    /// Numbers that the format cannot hold.
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

    /// Reads a checkpoint, and checks all that a training takes over from it.
    ///
    /// # Errors
    /// A file that cannot be read, or is damaged.
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
            .ok_or_else(|| damaged("it is a model, and no checkpoint".into()))?;
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

    /// The optimiser of its experiment.
    pub(crate) fn optimiser(&self, path: &Path) -> Result<Optimiser, TrainError> {
        let damaged = |error: String| damaged(path, error);
        let settings: Settings =
            toml::from_str(&self.state.experiment).map_err(|error| damaged(error.to_string()))?;
        let optimiser = settings.without_idle_annealing().optimiser();
        optimiser.map_err(|error| damaged(error.to_string()))
    }

    /// Checks that tensors and the optimiser's state are those of the network.
    ///
    /// # Errors
    /// They are not: the first is named.
    pub(crate) fn check_network<N: Network>(&self, path: &Path) -> Result<(), TrainError> {
        let model = self.snapshot.network::<N>(path)?;
        self.snapshot.averaged::<N>(path, &Device::flex())?;
        let info = &self.snapshot.info;
        // Before the first step nothing has a velocity, and class weights that no loss trains never do.
        let alone = info.pairs.is_some_and(|pairs| pairs.alone);
        // A program's own network may have parameters that are not trained.
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
