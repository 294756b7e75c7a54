//! A trained model: backbone and head as one module, and their file.

mod tensors;

use crate::error::TrainError;
use crate::generator::seeded;
use crate::network::Network;
use crate::tensor_file::{Header, TensorFile};
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use lsoftmax::{Annealing, MarginHead, MarginHeadConfig};
use lsoftmax_data::atomic_write;
use lsoftmax_networks::{Backbone, class_weights};
use lsoftmax_record::{MODEL_VERSION, ModelInfo, NetworkKind};
use std::ops::RangeInclusive;
use std::path::Path;
use tensors::{CLASS_WEIGHTS, draw, settle, tensors_of};

/// A classifier: a backbone and the class layer.
#[derive(Module, Debug)]
pub struct Model<N: Network = Backbone> {
    /// Maps images to features.
    pub backbone: N,
    /// Maps features to the loss, logits or cosines.
    pub head: MarginHead,
}

/// The name, shape and values of a tensor, with the last dimension contiguous.
pub type NamedTensor = (String, Vec<usize>, Vec<f32>);

/// Supported file versions. Files of version 1 may lack a SHA-256 of their contents.
const VERSIONS: RangeInclusive<u32> = 1..=MODEL_VERSION;
/// Upper bound on the bytes of a file besides its weights: normalisations, slopes, biases, and the
/// optimiser's names for them.
const OTHER_VALUES: u64 = 256 << 20;
/// The metadata key that holds [`ModelInfo`] as JSON.
const METADATA: &str = "lsoftmax";

impl Model {
    /// Creates a model with fresh weights, which depend only on `seed`.
    ///
    /// # Errors
    /// The network does not suit the images, or a parameter of the loss is out of range.
    pub fn new(info: &ModelInfo, seed: u64, device: &Device) -> Result<Self, TrainError> {
        Self::init(info, seed, device)
    }

    /// Reads a model from a file.
    ///
    /// # Errors
    /// The file cannot be read, is damaged, or is not a model of a supported version; the model
    /// needs more memory than [`NetworkSpec::check`](lsoftmax_networks::NetworkSpec::check) allows,
    /// or has a custom network.
    pub fn load(path: &Path, device: &Device) -> Result<(Self, ModelInfo), TrainError> {
        Self::load_network(path, device)
    }
}

/// Reads and checks the model description in the header of a file.
pub(crate) fn read_info(header: &Header, path: &Path) -> Result<ModelInfo, TrainError> {
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
    // Check the metadata before allocating the memory that they ask for.
    let backbone = match &info.network {
        NetworkKind::Row(row) => Some(row.weights(info.image)?),
        NetworkKind::Own(own) => {
            own.check()?;
            None
        }
    };
    let head = info
        .class_names
        .len()
        .saturating_mul(info.network.feature());
    let weights = backbone.unwrap_or(0).saturating_add(head);
    let least = (weights as u64).saturating_mul(size_of::<f32>() as u64);
    // A checkpoint has up to two optimiser values per weight, and possibly the averaged weights and
    // the class centres. Everything else is small.
    let most = least.saturating_mul(5).saturating_add(OTHER_VALUES);
    let most = backbone.map_or(u64::MAX, |_| most);
    if !(least..=most).contains(&header.bytes) {
        return Err(broken(format!(
            "{weights} weights expected, {} bytes found",
            header.bytes
        )));
    }
    Ok(info)
}

impl<N: Network> Model<N> {
    /// [`new`](Model::new) for any network.
    ///
    /// # Errors
    /// The network does not suit the images or is not the one in `info`, the features do not have
    /// the network's size, or a parameter of the loss is out of range.
    /// another size than the network's, or a loss out of range.
    pub fn init(info: &ModelInfo, seed: u64, device: &Device) -> Result<Self, TrainError> {
        settle(Self::unsettled(info, seed, device)?, None)
    }

    fn unsettled(info: &ModelInfo, seed: u64, device: &Device) -> Result<Self, TrainError> {
        let classes = info.class_names.len();
        let feature = info.network.feature();
        let backbone = fresh::<N>(info, seed, device)?;
        // Older files may contain a schedule that their loss never used.
        let annealing = if info.annealing.suits(info.loss) {
            info.annealing.clone()
        } else {
            Annealing::none()
        };
        let mut head = MarginHeadConfig::new(feature, classes, annealing)
            .with_loss(info.loss)
            .init(device)?;
        head.weight = class_weights(seed, classes, feature, device);
        Ok(Self { backbone, head })
    }

    /// [`load`](Model::load) for any network.
    ///
    /// # Errors
    /// The same as for [`load`](Model::load); also if the file holds another network.
    pub fn load_network(path: &Path, device: &Device) -> Result<(Self, ModelInfo), TrainError> {
        let broken = |message: String| TrainError::Model {
            path: path.to_owned(),
            message,
        };
        let check = |header: &Header| read_info(header, path);
        let (file, info) = TensorFile::read(path, broken, check)?;
        Ok((Self::from_file(&file, &info, path, device)?, info))
    }

    /// The model as bytes in the safetensors format. The metadata hold the [`ModelInfo`] and a
    /// SHA-256 over names, shapes, values and metadata.
    ///
    /// # Errors
    /// λ cannot be represented in JSON.
    pub fn to_bytes(&self, info: &ModelInfo) -> Result<Vec<u8>, TrainError> {
        self.to_file(info)?.to_bytes()
    }

    /// Replaces the class weights.
    pub(crate) fn set_class_weights(&mut self, weights: Vec<f32>) {
        let old = &self.head.weight;
        let weights = TensorData::new(weights, old.dims());
        let weights = Tensor::from_data(weights, &old.val().device());
        self.head.weight = old.clone().map(|_| weights);
    }

    /// Whether the model has running statistics.
    pub(crate) fn has_statistics(&self) -> Result<bool, TrainError> {
        let tensors = tensors_of(self)?;
        Ok(!tensors.iter().all(tensors::Named::is_parameter))
    }

    /// Adds the parameters to a file, with a prefix before their names.
    pub(crate) fn add_parameters(
        &self,
        prefix: &str,
        file: &mut TensorFile,
    ) -> Result<(), TrainError> {
        for tensor in tensors_of(self)?.iter().filter(|it| it.is_parameter()) {
            file.add(&format!("{prefix}{}", tensor.name), &tensor.values);
        }
        Ok(())
    }

    /// Name and shape of each parameter, ordered by number.
    pub(crate) fn parameters(&self) -> Result<Vec<(String, Vec<usize>)>, TrainError> {
        let tensors = tensors_of(self)?.into_iter();
        let parameters = tensors.filter(tensors::Named::is_parameter);
        let shape = |it: tensors::Named| (it.name, it.values.shape().to_vec());
        Ok(parameters.map(shape).collect())
    }

    pub(crate) fn to_file(&self, info: &ModelInfo) -> Result<TensorFile, TrainError> {
        if !info.lambda.is_finite() {
            return Err(TrainError::setting("λ", "a finite number", info.lambda));
        }
        let json = serde_json::to_string(info).map_err(|error| TrainError::Model {
            path: "model".into(),
            message: error.to_string(),
        })?;
        let mut file = TensorFile::default();
        for tensor in tensors_of(self)? {
            file.add(&tensor.name, &tensor.values);
        }
        file.metadata.insert(METADATA.to_owned(), json);
        Ok(file)
    }

    /// Writes the model to a file, which is replaced atomically.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self, info: &ModelInfo, path: &Path) -> Result<(), TrainError> {
        Ok(atomic_write(path, &self.to_bytes(info)?)?)
    }

    /// SHA-256 of everything that an embedding depends on: the tensors and the structure of the
    /// backbone, and the preparation of the images. Two models with the same digest give the same
    /// embeddings.
    ///
    /// # Errors
    /// A number cannot be represented in the format.
    pub fn embedding_digest(&self, info: &ModelInfo) -> Result<String, TrainError> {
        let mut file = self.to_file(info)?;
        file.tensors.retain(|name, _| name != CLASS_WEIGHTS);
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

    /// SHA-256 of the contents of the model file, as its metadata record it.
    ///
    /// # Errors
    /// A number cannot be represented in the format.
    pub fn digest(&self, info: &ModelInfo) -> Result<String, TrainError> {
        Ok(self.to_file(info)?.digest())
    }

    /// The tensors of the model file.
    ///
    /// # Errors
    /// A number cannot be represented in the format.
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
        settle(Self::unsettled(info, 0, device)?, Some((file, path)))
    }
}

/// Creates a network with fresh weights, which depend only on `seed`.
fn fresh<N: Network>(info: &ModelInfo, seed: u64, device: &Device) -> Result<N, TrainError> {
    let config = N::config(&info.network)?;
    let NetworkKind::Own(own) = &info.network else {
        return N::init(&config, info.image, seed, device);
    };
    let network = seeded(device, seed, || {
        let network = N::init(&config, info.image, seed, device)?;
        draw(&network);
        Ok::<_, TrainError>(network)
    })?;
    let [channels, height, width] = info.image;
    let blank = Tensor::zeros([1, channels, height, width], &device.clone().inner());
    let found = network.valid().forward(blank).dims();
    if found == [1, own.feature] {
        return Ok(network);
    }
    Err(TrainError::FeatureSize {
        network: own.module.clone(),
        expected: own.feature,
        found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsoftmax::Loss;
    use lsoftmax_data::Preprocessing;
    use lsoftmax_networks::{NetworkSpec, NormLayer, Stage};

    /// Name and number of dimensions of each tensor, in order.
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
        let model = Model::new(&info, 0, &Device::flex()).unwrap();
        let tensors = tensors_of(&model).unwrap().into_iter();
        tensors
            .map(|it| (it.name, it.values.shape().len()))
            .collect()
    }

    /// In the module, the statistics follow the affine parameters of the normalisation, while files
    /// are unordered. Only the parameter numbers must stay the same.
    #[test]
    fn names_of_the_tensors_and_numbers_of_the_parameters_are_those_of_all_files() {
        let names = |normalisation| -> Vec<String> {
            let tensors = tensors(normalisation).into_iter();
            let mut names: Vec<_> = tensors.map(|(name, _)| name).collect();
            let is_statistic =
                |name: &String| matches!(name.rsplit_once('.'), Some((_, "mean" | "var")));
            names.sort_by_key(is_statistic);
            names
        };
        let expected = [
            "backbone.blocks.0.weight",
            "backbone.blocks.0.gamma",
            "backbone.blocks.0.beta",
            "backbone.blocks.0.slope",
            "backbone.feature.weight",
            "backbone.feature.gamma",
            "backbone.feature.beta",
            "head.weight",
            "backbone.blocks.0.mean",
            "backbone.blocks.0.var",
            "backbone.feature.mean",
            "backbone.feature.var",
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

    /// The optimiser applies weight decay to tensors with these names.
    #[test]
    fn only_matrices_and_kernels_are_called_weight() {
        for normalisation in [NormLayer::Batch, NormLayer::None] {
            for (name, dimensions) in tensors(normalisation) {
                assert_eq!(name.ends_with(".weight"), dimensions > 1, "{name}");
            }
        }
    }
}
