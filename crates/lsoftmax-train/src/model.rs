//! Backbone and head as one module, and the one file that holds all of a trained model.

use crate::error::TrainError;
use crate::tensor_file::{Header, TensorFile};
use burn::module::{Module, Param, ParamId, RunningState};
use burn::tensor::{Device, Tensor};
use lsoftmax::{Annealing, MarginHead, MarginHeadConfig};
use lsoftmax_data::atomic_write;
use lsoftmax_networks::{Backbone, BatchNorm, class_weights};
use lsoftmax_record::{MODEL_VERSION, ModelInfo};
use std::ops::RangeInclusive;
use std::path::Path;

/// A classifier: the network and its class layer.
#[derive(Module, Debug)]
pub struct Model {
    /// Images to features.
    pub backbone: Backbone,
    /// Features to loss, logits or cosines.
    pub head: MarginHead,
}

/// The name, shape and values of a tensor; the last dimension is the fastest.
pub type NamedTensor = (String, Vec<usize>, Vec<f32>);

/// Files of version 1 may be without a SHA-256 of themselves.
const VERSIONS: RangeInclusive<u32> = 1..=MODEL_VERSION;
/// Most bytes of a file beside its weights: normalisations, slopes, biases, and the optimiser's
/// names for them.
const OTHER_VALUES: u64 = 256 << 20;
/// The key of the file's metadata under which [`ModelInfo`] stands, as JSON.
const METADATA: &str = "lsoftmax";

impl Model {
    /// A model with fresh weights, a function of `seed`.
    ///
    /// # Errors
    /// A network that does not suit the images, or a loss out of range.
    pub fn new(info: &ModelInfo, seed: u64, device: &Device) -> Result<Self, TrainError> {
        let classes = info.class_names.len();
        let feature = info.network.feature;
        let backbone = Backbone::new(&info.network, info.image, seed, device)?;
        // Older files may have a schedule that their loss never used.
        let annealing = if info.annealing.suits(info.loss) {
            info.annealing.clone()
        } else {
            Annealing::none()
        };
        let mut head = MarginHeadConfig::new(feature, classes, annealing)
            .with_loss(info.loss)
            .init(device)?;
        head.weight = class_weights(seed, classes, feature, device);
        let mut model = Self { backbone, head };
        each_tensor(&mut model, &mut Keep)?;
        Ok(model)
    }

    /// The model as bytes in the safetensors format; [`ModelInfo`] stands in its metadata, and a
    /// SHA-256 over names, shapes, values and metadata.
    ///
    /// # Errors
    /// A λ that JSON cannot hold.
    pub fn to_bytes(&self, info: &ModelInfo) -> Result<Vec<u8>, TrainError> {
        self.to_file(info)?.to_bytes()
    }

    /// Name and shape of each parameter, in the order of their numbers.
    pub(crate) fn parameters(&self) -> Result<Vec<(String, Vec<usize>)>, TrainError> {
        let mut visitor = Shapes(Vec::new());
        each_tensor(&mut self.clone(), &mut visitor)?;
        let Shapes(mut shapes) = visitor;
        let is_statistic = |name: &str| matches!(name.rsplit_once('.'), Some((_, "mean" | "var")));
        shapes.retain(|(name, _)| !is_statistic(name));
        Ok(shapes)
    }

    pub(crate) fn to_file(&self, info: &ModelInfo) -> Result<TensorFile, TrainError> {
        let mut visitor = Collect(TensorFile::default());
        each_tensor(&mut self.clone(), &mut visitor)?;
        if !info.lambda.is_finite() {
            return Err(TrainError::setting("λ", "a finite number", info.lambda));
        }
        let json = serde_json::to_string(info).map_err(|error| TrainError::Model {
            path: "model".into(),
            message: error.to_string(),
        })?;
        let Collect(mut file) = visitor;
        file.metadata.insert(METADATA.to_owned(), json);
        Ok(file)
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
    /// A file that cannot be read, is damaged, is no model of this version or before, or needs more
    /// memory than [`NetworkSpec::check`](lsoftmax_networks::NetworkSpec::check) allows.
    pub fn load(path: &Path, device: &Device) -> Result<(Self, ModelInfo), TrainError> {
        let broken = |message: String| TrainError::Model {
            path: path.to_owned(),
            message,
        };
        let check = |header: &Header| Self::info(header, path);
        let (file, info) = TensorFile::read(path, broken, check)?;
        Ok((Self::from_file(&file, &info, path, device)?, info))
    }

    /// What the header of a file says of its model.
    pub(crate) fn info(header: &Header, path: &Path) -> Result<ModelInfo, TrainError> {
        let broken = |message: String| TrainError::Model {
            path: path.to_owned(),
            message,
        };
        let json = header
            .metadata
            .get(METADATA)
            .ok_or_else(|| broken("its metadata has no entry \"lsoftmax\"".into()))?;
        let mut info: ModelInfo = serde_json::from_str(json).map_err(|e| broken(e.to_string()))?;
        if !VERSIONS.contains(&info.version) {
            return Err(broken(format!(
                "version {MODEL_VERSION} or before expected, {} found",
                info.version
            )));
        }
        if info.version > 1 {
            header.sealed().map_err(broken)?;
        }
        info.version = MODEL_VERSION;
        // Before memory is taken for what the metadata promises.
        let head = info.class_names.len().saturating_mul(info.network.feature);
        let weights = info.network.weights(info.image)?.saturating_add(head);
        let least = (weights as u64).saturating_mul(size_of::<f32>() as u64);
        // A checkpoint has a velocity for each weight, and perhaps centres of the classes. All else
        // is small.
        let most = least.saturating_mul(3).saturating_add(OTHER_VALUES);
        if !(least..=most).contains(&header.bytes) {
            return Err(broken(format!(
                "{weights} weights expected, {} bytes found",
                header.bytes
            )));
        }
        Ok(info)
    }

    /// SHA-256 of all that an embedding depends on: the backbone's tensors, the network's row and what
    /// is done to an image first. Two models of one digest give the same embeddings.
    ///
    /// # Errors
    /// Numbers that the format cannot hold.
    pub fn embedding_digest(&self, info: &ModelInfo) -> Result<String, TrainError> {
        let mut file = self.to_file(info)?;
        file.tensors.retain(|name, _| !name.starts_with("head."));
        let matters = (
            &info.network,
            info.image,
            &info.preprocessing,
            info.mirrored,
            info.images,
        );
        let json = serde_json::to_string(&matters).map_err(|error| TrainError::Model {
            path: "model".into(),
            message: error.to_string(),
        })?;
        file.metadata.insert(METADATA.to_owned(), json);
        Ok(file.digest())
    }

    /// SHA-256 of all that stands in the model file, as its metadata has it.
    ///
    /// # Errors
    /// Numbers that the format cannot hold.
    pub fn digest(&self, info: &ModelInfo) -> Result<String, TrainError> {
        Ok(self.to_file(info)?.digest())
    }

    /// The tensors of the model file.
    ///
    /// # Errors
    /// Numbers that the format cannot hold.
    pub fn tensors(&self, info: &ModelInfo) -> Result<Vec<NamedTensor>, TrainError> {
        let tensors = self.to_file(info)?.tensors.into_iter();
        let tensors = tensors.map(|(name, (_, shape, bytes))| {
            let values = bytes.as_chunks::<4>().0.iter();
            let values = values.map(|&bytes| f32::from_le_bytes(bytes)).collect();
            (name, shape, values)
        });
        Ok(tensors.collect())
    }

    pub(crate) fn from_file(
        file: &TensorFile,
        info: &ModelInfo,
        path: &Path,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let mut model = Self::new(info, 0, device)?;
        each_tensor(&mut model, &mut Restore { file, path, device })?;
        Ok(model)
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

/// Visits all tensors. Parameters are numbered in this order, so that the optimiser's state can find
/// them again in another process.
fn each_tensor(model: &mut Model, visitor: &mut impl TensorVisitor) -> Result<(), TrainError> {
    let mut walk = Walk { visitor, number: 0 };
    for (i, block) in model.backbone.blocks.iter_mut().enumerate() {
        let name = |part: &str| format!("backbone.blocks.{i}.{part}");
        walk.param(name("weight"), &mut block.weight)?;
        walk.offset(name, &mut block.norm, &mut block.bias)?;
        walk.param(name("slope"), &mut block.slope)?;
        walk.statistics(name, &mut block.norm)?;
    }
    let feature = &mut model.backbone.feature;
    let name = |part: &str| format!("backbone.feature.{part}");
    walk.param(name("weight"), &mut feature.weight)?;
    walk.offset(name, &mut feature.norm, &mut feature.bias)?;
    walk.statistics(name, &mut feature.norm)?;
    walk.param("head.weight".into(), &mut model.head.weight)
}

struct Walk<'a, V> {
    visitor: &'a mut V,
    number: u64,
}

impl<V: TensorVisitor> Walk<'_, V> {
    fn param<const D: usize>(
        &mut self,
        name: String,
        param: &mut Param<Tensor<D>>,
    ) -> Result<(), TrainError> {
        let tensor = self.visitor.visit(name, param.val().without_autodiff())?;
        let device = param.val().device();
        *param = Param::from_tensor(Tensor::from_data(tensor.into_data(), &device));
        self.number += 1;
        param.id = ParamId::from(self.number);
        Ok(())
    }

    /// What follows a layer's weights: the normalisation's affine map, or the bias.
    fn offset(
        &mut self,
        name: impl Fn(&str) -> String,
        norm: &mut Option<BatchNorm>,
        bias: &mut Option<Param<Tensor<1>>>,
    ) -> Result<(), TrainError> {
        if let Some(norm) = norm {
            self.param(name("gamma"), &mut norm.gamma)?;
            self.param(name("beta"), &mut norm.beta)?;
        }
        if let Some(bias) = bias {
            self.param(name("bias"), bias)?;
        }
        Ok(())
    }

    fn statistics(
        &mut self,
        name: impl Fn(&str) -> String,
        norm: &mut Option<BatchNorm>,
    ) -> Result<(), TrainError> {
        if let Some(norm) = norm {
            self.running(name("mean"), &mut norm.mean)?;
            self.running(name("var"), &mut norm.var)?;
        }
        Ok(())
    }

    fn running(
        &mut self,
        name: String,
        state: &mut RunningState<Tensor<1>>,
    ) -> Result<(), TrainError> {
        let old = state.value_sync();
        let device = old.device();
        let tensor = self.visitor.visit(name, old.without_autodiff())?;
        *state = RunningState::new(Tensor::from_data(tensor.into_data(), &device));
        Ok(())
    }
}

struct Collect(TensorFile);

impl TensorVisitor for Collect {
    fn visit<const D: usize>(
        &mut self,
        name: String,
        tensor: Tensor<D>,
    ) -> Result<Tensor<D>, TrainError> {
        self.0.add(&name, &tensor.to_data());
        Ok(tensor)
    }
}

struct Shapes(Vec<(String, Vec<usize>)>);

impl TensorVisitor for Shapes {
    fn visit<const D: usize>(
        &mut self,
        name: String,
        tensor: Tensor<D>,
    ) -> Result<Tensor<D>, TrainError> {
        self.0.push((name, tensor.dims().to_vec()));
        Ok(tensor)
    }
}

/// Only numbers the parameters.
struct Keep;

impl TensorVisitor for Keep {
    fn visit<const D: usize>(
        &mut self,
        _: String,
        tensor: Tensor<D>,
    ) -> Result<Tensor<D>, TrainError> {
        Ok(tensor)
    }
}

struct Restore<'a> {
    file: &'a TensorFile,
    path: &'a Path,
    device: &'a Device,
}

impl TensorVisitor for Restore<'_> {
    fn visit<const D: usize>(
        &mut self,
        name: String,
        tensor: Tensor<D>,
    ) -> Result<Tensor<D>, TrainError> {
        let data =
            self.file
                .tensor(&name, &tensor.dims())
                .map_err(|message| TrainError::Model {
                    path: self.path.to_owned(),
                    message,
                })?;
        Ok(Tensor::from_data(data, &self.device.clone().inner()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsoftmax::Loss;
    use lsoftmax_data::Preprocessing;
    use lsoftmax_networks::{NetworkSpec, NormLayer, Stage};

    /// Name and number of dimensions of each tensor, in order.
    struct Names(Vec<(String, usize)>);

    impl TensorVisitor for Names {
        fn visit<const D: usize>(
            &mut self,
            name: String,
            tensor: Tensor<D>,
        ) -> Result<Tensor<D>, TrainError> {
            self.0.push((name, D));
            Ok(tensor)
        }
    }

    fn tensors(normalisation: NormLayer) -> Vec<(String, usize)> {
        let network = NetworkSpec {
            name: "own".into(),
            stages: vec![Stage {
                channels: 4,
                convs: 1,
                units: usize::from(normalisation == NormLayer::None),
                kernel: 3,
                stride: 1,
                pool: true,
            }],
            feature: 3,
            normalisation,
        };
        let classes = vec!["a".into(), "b".into()];
        let loss = Loss::LSoftmax { m: 2 };
        let annealing = Annealing::none();
        let preprocessing = Preprocessing {
            mean: vec![0.0],
            scale: 1.0,
        };
        let info = ModelInfo::new(network, [1, 6, 6], classes, preprocessing, loss, annealing);
        let mut model = Model::new(&info, 0, &Device::flex()).unwrap();
        let mut names = Names(Vec::new());
        each_tensor(&mut model, &mut names).unwrap();
        names.0
    }

    #[test]
    fn names_and_order_of_the_tensors_are_those_of_all_files() {
        let names = |normalisation| -> Vec<String> {
            let tensors = tensors(normalisation).into_iter();
            tensors.map(|(name, _)| name).collect()
        };
        let expected = [
            "backbone.blocks.0.weight",
            "backbone.blocks.0.gamma",
            "backbone.blocks.0.beta",
            "backbone.blocks.0.slope",
            "backbone.blocks.0.mean",
            "backbone.blocks.0.var",
            "backbone.feature.weight",
            "backbone.feature.gamma",
            "backbone.feature.beta",
            "backbone.feature.mean",
            "backbone.feature.var",
            "head.weight",
        ];
        assert_eq!(names(NormLayer::Batch), expected);
        let expected = [
            "backbone.blocks.0.weight",
            "backbone.blocks.0.bias",
            "backbone.blocks.0.slope",
            "backbone.blocks.1.weight",
            "backbone.blocks.1.slope",
            "backbone.blocks.2.weight",
            "backbone.blocks.2.slope",
            "backbone.feature.weight",
            "backbone.feature.bias",
            "head.weight",
        ];
        assert_eq!(names(NormLayer::None), expected);
    }

    /// The optimiser decays what is called so.
    #[test]
    fn only_matrices_and_kernels_are_called_weight() {
        for normalisation in [NormLayer::Batch, NormLayer::None] {
            for (name, dimensions) in tensors(normalisation) {
                assert_eq!(name.ends_with(".weight"), dimensions > 1, "{name}");
            }
        }
    }
}
