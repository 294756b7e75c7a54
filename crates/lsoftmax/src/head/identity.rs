//! The loss and the schedule in the record of a head.

use super::MarginHeadConfig;
use burn::module::{
    Devices, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper, ModuleVisitor, Param,
    ParamId,
};
use burn::tensor::{Device, Int, Tensor};

/// A module without weights, whose one entry in a record is named after loss and schedule. Burn
/// refuses a record whose entries have other names than the module's.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    name: String,
    /// Always 1, on the CPU.
    entry: Param<Tensor<1, Int>>,
}

impl Identity {
    pub(super) fn new(config: &MarginHeadConfig) -> Self {
        // Points separate the parts of a path.
        let name = format!("{}; {}", config.loss, config.annealing).replace('.', "_");
        let entry = Tensor::<1, Int>::ones([1], &Device::flex());
        Self {
            name,
            entry: Param::initialized(ParamId::new(), entry),
        }
    }
}

impl Module for Identity {
    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        visitor.enter_module(&self.name, "Identity");
        visitor.visit_int(&self.entry);
        visitor.exit_module(&self.name, "Identity");
    }

    fn map<M: ModuleMapper>(mut self, mapper: &mut M) -> Self {
        mapper.enter_module(&self.name, "Identity");
        self.entry = mapper.map_int(self.entry);
        mapper.exit_module(&self.name, "Identity");
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

impl ModuleDisplayDefault for Identity {
    fn content(&self, content: burn::module::Content) -> Option<burn::module::Content> {
        content.add_formatted(&self.name).optional()
    }
}

impl ModuleDisplay for Identity {}
