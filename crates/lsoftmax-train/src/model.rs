//! Backbone and head as one module, and the one file that holds all of a trained model.

use crate::error::TrainError;
use crate::network::{Backbone, NetworkSpec, class_weights};
use burn::module::{Module, Param, RunningState};
use burn::tensor::{Device, Tensor, TensorData};
use lsoftmax::{Annealing, Loss, MarginHead, MarginHeadConfig};
use lsoftmax_data::{Preprocessing, atomic_write};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::path::Path;

/// A classifier: the network and its class layer.
#[derive(Module, Debug)]
pub struct Model {
    /// Images to features.
    pub backbone: Backbone,
    /// Features to loss, logits or cosines.
    pub head: MarginHead,
}

/// All of a model that is not a tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// Version of the file's layout.
    pub version: u32,
    /// The network's row.
    pub network: NetworkSpec,
    /// Size of an image: channels, height, width.
    pub image: [usize; 3],
    /// A name for each class.
    pub class_names: Vec<String>,
    /// What is done to the bytes of an image first.
    pub preprocessing: Preprocessing,
    /// The loss it was trained with.
    pub loss: Loss,
    /// The schedule of λ and m.
    pub annealing: Annealing,
    /// Steps trained.
    pub step: u64,
    /// λ of the last step.
    pub lambda: f64,
}

const VERSION: u32 = 1;
/// The key of the file's metadata under which [`ModelInfo`] stands, as JSON.
const METADATA: &str = "lsoftmax";

impl ModelInfo {
    /// Describes an untrained model.
    pub fn new(
        network: NetworkSpec,
        image: [usize; 3],
        class_names: Vec<String>,
        preprocessing: Preprocessing,
        loss: Loss,
        annealing: Annealing,
    ) -> Self {
        let lambda = annealing.at(0, loss).1;
        Self {
            version: VERSION,
            network,
            image,
            class_names,
            preprocessing,
            loss,
            annealing,
            step: 0,
            lambda,
        }
    }
}

impl Model {
    /// A model with fresh weights, a function of `seed`.
    ///
    /// # Errors
    /// A network that does not suit the images, or a loss out of range.
    pub fn new(info: &ModelInfo, seed: u64, device: &Device) -> Result<Self, TrainError> {
        let classes = info.class_names.len();
        let feature = info.network.feature;
        let backbone = Backbone::new(&info.network, info.image, seed, device)?;
        let mut head = MarginHeadConfig::new(feature, classes)
            .with_loss(info.loss)
            .with_annealing(info.annealing.clone())
            .init(device)?;
        head.weight = class_weights(seed, classes, feature, device);
        Ok(Self { backbone, head })
    }

    /// The model as bytes in the safetensors format; [`ModelInfo`] stands in its metadata.
    ///
    /// # Errors
    /// A λ that JSON cannot hold.
    pub fn to_bytes(&self, info: &ModelInfo) -> Result<Vec<u8>, TrainError> {
        let broken = |message: String| TrainError::Model {
            path: "model".into(),
            message,
        };
        let mut visitor = Collect(Vec::new());
        each_tensor(&mut self.clone(), &mut visitor)?;
        let views: Vec<_> = visitor
            .0
            .iter()
            .map(|(name, data)| {
                let bytes: &[u8] = data.bytes();
                let view = TensorView::new(Dtype::F32, data.shape().to_vec(), bytes);
                view.map(|view| (name.as_str(), view))
            })
            .collect::<Result<_, _>>()
            .map_err(|e| broken(e.to_string()))?;
        let json = serde_json::to_string(info).map_err(|e| broken(e.to_string()))?;
        let metadata = HashMap::from([(METADATA.to_owned(), json)]);
        safetensors::serialize(views, Some(metadata)).map_err(|e| broken(e.to_string()))
    }

    /// Writes the model file, aside and then renamed.
    ///
    /// # Errors
    /// A folder that cannot be written, a full disk.
    pub fn save(&self, info: &ModelInfo, path: &Path) -> Result<(), TrainError> {
        Ok(atomic_write(path, &self.to_bytes(info)?)?)
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or is no model of this version.
    pub fn load(path: &Path, device: &Device) -> Result<(Self, ModelInfo), TrainError> {
        let bytes = std::fs::read(path).map_err(|source| TrainError::file("read", path, source))?;
        let broken = |message: String| TrainError::Model {
            path: path.to_owned(),
            message,
        };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| broken(e.to_string()))?;
        let json = header
            .metadata()
            .as_ref()
            .and_then(|metadata| metadata.get(METADATA))
            .ok_or_else(|| broken("its metadata has no entry \"lsoftmax\"".into()))?;
        let info: ModelInfo = serde_json::from_str(json).map_err(|e| broken(e.to_string()))?;
        if info.version != VERSION {
            return Err(broken(format!(
                "version {VERSION} expected, {} found",
                info.version
            )));
        }
        // Before memory is taken for what the metadata promises.
        let head = info.class_names.len().saturating_mul(info.network.feature);
        let weights = info.network.weights(info.image)?.saturating_add(head);
        if weights.saturating_mul(size_of::<f32>()) > bytes.len() {
            return Err(broken(format!(
                "{weights} weights expected, {} bytes found",
                bytes.len()
            )));
        }
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| broken(e.to_string()))?;
        let mut model = Self::new(&info, 0, device)?;
        each_tensor(
            &mut model,
            &mut Restore {
                tensors: &tensors,
                path,
                device,
            },
        )?;
        Ok((model, info))
    }
}

/// What is done with each tensor of a model, in the order of the file.
trait TensorVisitor {
    fn visit<const D: usize>(
        &mut self,
        name: String,
        tensor: Tensor<D>,
    ) -> Result<Tensor<D>, TrainError>;
}

fn each_tensor(model: &mut Model, visitor: &mut impl TensorVisitor) -> Result<(), TrainError> {
    fn param<const D: usize>(
        visitor: &mut impl TensorVisitor,
        name: String,
        param: &mut Param<Tensor<D>>,
    ) -> Result<(), TrainError> {
        let tensor = visitor.visit(name, param.val().without_autodiff())?;
        let device = param.val().device();
        *param = Param::from_tensor(Tensor::from_data(tensor.into_data(), &device));
        Ok(())
    }
    fn running(
        visitor: &mut impl TensorVisitor,
        name: String,
        state: &mut RunningState<Tensor<1>>,
    ) -> Result<(), TrainError> {
        let old = state.value_sync();
        let device = old.device();
        let tensor = visitor.visit(name, old.without_autodiff())?;
        *state = RunningState::new(Tensor::from_data(tensor.into_data(), &device));
        Ok(())
    }
    for (i, block) in model.backbone.blocks.iter_mut().enumerate() {
        let name = |part: &str| format!("backbone.blocks.{i}.{part}");
        param(visitor, name("weight"), &mut block.weight)?;
        param(visitor, name("gamma"), &mut block.gamma)?;
        param(visitor, name("beta"), &mut block.beta)?;
        param(visitor, name("slope"), &mut block.slope)?;
        running(visitor, name("mean"), &mut block.mean)?;
        running(visitor, name("var"), &mut block.var)?;
    }
    let feature = &mut model.backbone.feature;
    let name = |part: &str| format!("backbone.feature.{part}");
    param(visitor, name("weight"), &mut feature.weight)?;
    param(visitor, name("gamma"), &mut feature.gamma)?;
    param(visitor, name("beta"), &mut feature.beta)?;
    running(visitor, name("mean"), &mut feature.mean)?;
    running(visitor, name("var"), &mut feature.var)?;
    param(visitor, "head.weight".into(), &mut model.head.weight)
}

struct Collect(Vec<(String, TensorData)>);

impl TensorVisitor for Collect {
    fn visit<const D: usize>(
        &mut self,
        name: String,
        tensor: Tensor<D>,
    ) -> Result<Tensor<D>, TrainError> {
        self.0.push((name, tensor.to_data()));
        Ok(tensor)
    }
}

struct Restore<'a> {
    tensors: &'a SafeTensors<'a>,
    path: &'a Path,
    device: &'a Device,
}

impl TensorVisitor for Restore<'_> {
    fn visit<const D: usize>(
        &mut self,
        name: String,
        tensor: Tensor<D>,
    ) -> Result<Tensor<D>, TrainError> {
        let broken = |message: String| TrainError::Model {
            path: self.path.to_owned(),
            message,
        };
        let found = self
            .tensors
            .tensor(&name)
            .map_err(|e| broken(format!("{name}: {e}")))?;
        let shape = tensor.dims();
        if found.dtype() != Dtype::F32 || found.shape() != shape {
            return Err(broken(format!(
                "{name} must be F32 {shape:?}, found {:?} {:?}",
                found.dtype(),
                found.shape()
            )));
        }
        let values: Vec<f32> = found
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
            .collect();
        Ok(Tensor::from_data(
            TensorData::new(values, shape),
            &self.device.clone().inner(),
        ))
    }
}
