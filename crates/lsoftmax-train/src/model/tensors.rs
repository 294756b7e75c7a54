//! Access to the tensors of a model by name, to write them to a file or read them from one.

use super::Model;
use crate::error::TrainError;
use crate::network::Network;
use crate::tensor_file::TensorFile;
use burn::module::{ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{Bool, Int, Tensor, TensorData};
use std::path::Path;

/// Name of the class weights in a model file.
pub(super) const CLASS_WEIGHTS: &str = "head.weight";

/// A named tensor of a model.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) values: TensorData,
}

impl Named {
    /// Whether the tensor is a parameter, as opposed to a running statistic.
    pub(super) fn is_parameter(&self) -> bool {
        is_parameter(&self.name)
    }
}

fn is_parameter(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or_default();
    !matches!(last, "mean" | "var" | "running_mean" | "running_var")
}

/// All tensors of a model, in the order of the module.
pub(super) fn tensors_of<N: Network>(model: &Model<N>) -> Result<Vec<Named>, TrainError> {
    let mut reader = Reader {
        place: Place::of::<N>(),
        found: Vec::new(),
    };
    // `valid` brings the running statistics up to date.
    model.backbone.valid().visit(&mut reader);
    reader.place.finish()?;
    let mut found = reader.found;
    found.push(Named {
        name: CLASS_WEIGHTS.into(),
        values: values(model.head.weight.val()),
    });
    Ok(found)
}

/// Numbers the parameters in the order of the module, so that another process can match the
/// optimiser state to them. If a file is given, its values replace those of the model.
pub(super) fn settle<N: Network>(
    mut model: Model<N>,
    file: Option<(&TensorFile, &Path)>,
) -> Result<Model<N>, TrainError> {
    let mut writer = Writer {
        place: Place::of::<N>(),
        number: 0,
        file,
    };
    model.backbone = model.backbone.map(&mut writer);
    model.head.weight = writer.put(CLASS_WEIGHTS, model.head.weight);
    writer.place.finish()?;
    Ok(model)
}

/// Initialises the parameters now. Burn would do so on first use.
pub(super) fn draw(network: &impl Network) {
    struct Draw;

    impl ModuleVisitor for Draw {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            param.base();
        }
    }

    network.visit(&mut Draw);
}

fn values<const D: usize>(tensor: Tensor<D>) -> TensorData {
    tensor.without_autodiff().into_data().convert::<f32>()
}

/// The current position in a walk through a module, and the first error met.
struct Place {
    path: Vec<String>,
    file_name: fn(&str) -> String,
    error: Option<TrainError>,
}

impl Place {
    fn of<N: Network>() -> Self {
        Self {
            path: vec!["backbone".into()],
            file_name: N::tensor_name,
            error: None,
        }
    }

    fn enter(&mut self, name: &str) {
        self.path.push(name.to_owned());
    }

    fn exit(&mut self) {
        self.path.pop();
    }

    fn name(&self) -> String {
        (self.file_name)(&self.path.join("."))
    }

    fn fail(&mut self, error: TrainError) {
        self.error.get_or_insert(error);
    }

    fn refuse(&mut self, numbers: &str) {
        let name = self.name();
        let message = format!("{name} is a parameter of {numbers}, and model files only hold f32");
        self.fail(TrainError::Model {
            path: "the network".into(),
            message,
        });
    }

    fn finish(self) -> Result<(), TrainError> {
        self.error.map_or(Ok(()), Err)
    }
}

struct Reader {
    place: Place,
    found: Vec<Named>,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.place.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.place.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.found.push(Named {
            name: self.place.name(),
            values: values(param.base()),
        });
    }

    fn visit_int<const D: usize>(&mut self, _param: &Param<Tensor<D, Int>>) {
        self.place.refuse("integers");
    }

    fn visit_bool<const D: usize>(&mut self, _param: &Param<Tensor<D, Bool>>) {
        self.place.refuse("booleans");
    }
}

struct Writer<'a> {
    place: Place,
    number: u64,
    file: Option<(&'a TensorFile, &'a Path)>,
}

impl Writer<'_> {
    fn put<const D: usize>(&mut self, name: &str, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (mut id, mut tensor, mapper) = param.consume();
        if is_parameter(name) {
            self.number += 1;
            id = ParamId::from(self.number);
        }
        if let Some((file, path)) = self.file {
            match file.tensor(name, &tensor.dims()) {
                Ok(values) => {
                    let is_trained = tensor.is_require_grad();
                    let restored = Tensor::from_data(values, &tensor.device());
                    tensor = restored.set_require_grad(is_trained);
                }
                Err(message) => self.place.fail(TrainError::Model {
                    path: path.to_owned(),
                    message,
                }),
            }
        }
        Param::from_mapped_value(id, tensor, mapper)
    }
}

impl ModuleMapper for Writer<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.place.enter(name);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.place.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        self.put(&self.place.name(), param)
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        self.place.refuse("integers");
        param
    }

    fn map_bool<const D: usize>(
        &mut self,
        param: Param<Tensor<D, Bool>>,
    ) -> Param<Tensor<D, Bool>> {
        self.place.refuse("booleans");
        param
    }
}
