//! Running average of a model's weights over the training steps.

use crate::model::Model;
use crate::network::Network;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

/// The average of each trained parameter, indexed by its number.
#[derive(Debug, Default)]
pub(crate) struct Average(GradientsParams);

impl Average {
    /// Starts the average at the current weights.
    pub(crate) fn of<N: Network>(model: &Model<N>) -> Self {
        let mut average = Self::default();
        average.add(model, 1.0);
        average
    }

    /// Adds the weights of a step, which make up the fraction `share` of the new average.
    pub(crate) fn add<N: Network>(&mut self, model: &Model<N>, share: f64) {
        let average = &mut self.0;
        model.visit(&mut Add { average, share });
    }

    /// Returns a copy of the model with the averaged weights. Its running statistics are copies
    /// too.
    pub(crate) fn model<N: Network>(&self, model: &Model<N>) -> Model<N> {
        // A clone would share the running statistics.
        let copy = Module::valid(model).train();
        copy.map(&mut Replace(&self.0))
    }
}

struct Add<'a> {
    average: &'a mut GradientsParams,
    share: f64,
}

impl ModuleVisitor for Add<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let weights = param.val();
        // Running statistics and frozen parameters are not trained.
        if !weights.is_require_grad() {
            return;
        }
        let weights = weights.without_autodiff();
        let average = match self.average.remove::<D>(param.id) {
            Some(old) if self.share < 1.0 => {
                old.mul_scalar(1.0 - self.share) + weights.mul_scalar(self.share)
            }
            _ => weights,
        };
        self.average.register(param.id, average);
    }
}

struct Replace<'a>(&'a GradientsParams);

impl ModuleMapper for Replace<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(average) = self.0.get::<D>(param.id) else {
            return param;
        };
        let (id, old, mapper) = param.consume();
        let average = if old.device().is_autodiff() {
            Tensor::from_inner(average).set_require_grad(old.is_require_grad())
        } else {
            average
        };
        Param::from_mapped_value(id, average, mapper)
    }
}
