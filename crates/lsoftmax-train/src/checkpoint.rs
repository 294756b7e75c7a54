//! A training in the middle, as one file.

use crate::error::TrainError;
use crate::model::{Model, ModelInfo};
use crate::tensor_file::TensorFile;
use crate::training::{Frame, Progress, Window};
use burn::tensor::Device;
use lsoftmax::RunningSignal;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Everything a training needs to go on as if it had never stopped.
///
/// The file is a model file ([`Model::load`] reads it) with two entries more: the state of the
/// optimiser, and what is counted beside the tensors. A SHA-256 over all of it tells a damaged file.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The model's tensors: a copy, which no further step changes.
    pub(crate) file: TensorFile,
    pub(crate) info: ModelInfo,
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
    pub(crate) good: Option<u64>,
    /// How often λ was raised.
    pub(crate) recoveries: u32,
    /// Where the last recovery went back to.
    pub(crate) recovered_from: Option<u64>,
    pub(crate) stuck_since: Option<u64>,
    pub(crate) curve: Vec<Progress>,
    pub(crate) window: Window,
    /// What a gate with a memory has seen.
    #[serde(default)]
    pub(crate) running: RunningSignal,
    pub(crate) frames: Vec<Frame>,
    pub(crate) best: Option<Best>,
    pub(crate) remarks: Vec<String>,
    /// Seconds of training, evaluations left out.
    pub(crate) seconds: f64,
}

/// The model that was best on the held-out part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Steps it had been trained for.
    pub step: u64,
    /// Its error on the held-out part.
    pub held_out_error_percent: f64,
    /// Its error on the test set, which was not asked for the choice; set at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_error_percent: Option<f64>,
}

/// Names in the file.
const OPTIMISER: &str = "optimiser";
const TRAINING: &str = "training";

impl Checkpoint {
    /// The model as it was, and what goes with it.
    ///
    /// # Errors
    /// Its tensors do not fit its network.
    pub fn model(&self, device: &Device) -> Result<(Model, ModelInfo), TrainError> {
        Model::from_file(&self.file, "the checkpoint".as_ref(), device)
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
        let mut file = self.file.clone();
        file.add_bytes(OPTIMISER, self.optimiser.clone());
        file.metadata.insert(TRAINING.into(), json);
        file.to_sealed_bytes()
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// A file that cannot be read, or is damaged.
    pub fn load(path: &Path) -> Result<Self, TrainError> {
        let damaged = |message: String| TrainError::Checkpoint {
            path: path.to_owned(),
            message,
        };
        let bytes = std::fs::read(path).map_err(|source| TrainError::file("read", path, source))?;
        let mut file = TensorFile::parse_sealed(&bytes).map_err(damaged)?;
        let json = file
            .metadata
            .get(TRAINING)
            .ok_or_else(|| damaged("it is a model, and no checkpoint".into()))?;
        let state = serde_json::from_str(json).map_err(|error| damaged(error.to_string()))?;
        let optimiser = file.take_bytes(OPTIMISER).map_err(damaged)?;
        file.metadata.remove(TRAINING);
        let info = Model::info(&file, path)?;
        Ok(Self {
            file,
            info,
            optimiser,
            state,
        })
    }
}
