//! The parts of a model's record besides its weights.

use crate::annealing::Annealing;
use crate::margin::Loss;
use burn::module::{
    Content, Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor,
    Param, ParamId,
};
use burn::tensor::{Device, Int, Tensor};

/// A whole number in a record. It stays on the CPU when the module is moved to another device.
#[derive(Clone, Debug)]
struct Entry {
    name: String,
    value: Param<Tensor<1, Int>>,
}

impl Entry {
    fn new(name: &str, value: u64) -> Self {
        let value = Self::tensor(value);
        Self {
            name: name.to_owned(),
            value: Param::initialized(ParamId::new(), value),
        }
    }

    fn tensor(value: u64) -> Tensor<1, Int> {
        Tensor::from_data([value as i64], &Device::flex())
    }

    fn get(&self) -> u64 {
        let data = self.value.val().into_data();
        data.iter::<i64>().next().unwrap_or_default() as u64
    }

    fn set(&mut self, value: u64) {
        self.value = Param::initialized(self.value.id, Self::tensor(value));
    }
}

impl Module for Entry {
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        visitor.enter_module(&self.name, "Entry");
        visitor.visit_int(&self.value);
        visitor.exit_module(&self.name, "Entry");
    }

    fn map<M: ModuleMapper>(mut self, mapper: &mut M) -> Self {
        mapper.enter_module(&self.name, "Entry");
        self.value = mapper.map_int(self.value);
        mapper.exit_module(&self.name, "Entry");
        self
    }

    fn collect_devices(&self, devices: Devices) -> Devices {
        devices
    }

    fn fork(self, _: &Device) -> Self {
        self
    }

    fn to_device(self, _: &Device) -> Self {
        self
    }

    fn train(self) -> Self {
        self
    }

    fn valid(&self) -> Self {
        self.clone()
    }

    fn materialize(self) -> Self {
        self
    }
}

impl ModuleDisplayDefault for Entry {
    fn content(&self, content: Content) -> Option<Content> {
        content.add_formatted(&self.name).optional()
    }
}

impl ModuleDisplay for Entry {}

/// Marks a record with the loss and the schedule of a head, by an entry named after them. Burn
/// refuses a record whose entries have other names than those of the module.
#[derive(Module, Debug)]
pub(crate) struct Identity {
    entry: Entry,
}

impl Identity {
    pub(crate) fn new(loss: Loss, annealing: &Annealing) -> Self {
        // Dots would separate the parts of a path.
        let name = format!("{loss}; {annealing}").replace('.', "_");
        Self {
            entry: Entry::new(&name, 1),
        }
    }
}

/// The number of training steps that a model has taken, as a part of its record.
///
/// λ depends on the training step. If a training loop does not pass the step to the model, as with
/// `burn-train`'s `Learner`, keep this counter in the model, advance it once per optimizer step,
/// and save it with the weights. A resumed training then continues with the right λ.
///
/// ```
/// # use burn::module::Module;
/// # use burn::tensor::{Device, Int, Tensor};
/// # use lsoftmax::{Annealing, MarginHead, MarginHeadConfig, StepCounter};
/// #[derive(Module, Debug)]
/// struct Model {
///     head: MarginHead,
///     steps: StepCounter,
/// }
///
/// # let device = Device::flex();
/// let mut model = Model {
///     head: MarginHeadConfig::new(2, 10, Annealing::auto(18_000)).init(&device)?,
///     steps: StepCounter::new(),
/// };
/// # let (features, labels) = (Tensor::<2>::ones([1, 2], &device), Tensor::<1, Int>::from_data([3], &device));
/// let loss = model.head.loss(features, labels, model.steps.get())?;
/// // After each step of the optimizer:
/// model.steps.advance();
/// assert_eq!(model.steps.get(), 1);
/// # Ok::<(), lsoftmax::Error>(())
/// ```
#[derive(Module, Debug)]
pub struct StepCounter {
    count: Entry,
}

impl StepCounter {
    /// Creates a counter at 0.
    pub fn new() -> Self {
        Self {
            count: Entry::new("steps", 0),
        }
    }

    /// Number of completed steps, which is also the index of the next step, counted from 0.
    pub fn get(&self) -> u64 {
        self.count.get()
    }

    /// Counts a step.
    pub fn advance(&mut self) {
        self.count.set(self.get() + 1);
    }
}

impl Default for StepCounter {
    fn default() -> Self {
        Self::new()
    }
}
