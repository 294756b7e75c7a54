//! The averaged weights, prepared for an evaluation.

use super::Training;
use crate::error::TrainError;
use crate::generator::seeded;
use crate::model::Model;
use crate::network::Network;
use crate::stop::Stop;
use burn::module::Module as _;
use lsoftmax_data::LoadPlan;
use lsoftmax_record::NetworkKind;
use lsoftmax_spec::random::Rng;

/// Number of training images for the normalisation statistics of averaged weights.
const STATISTICS_IMAGES: usize = 10_000;
/// Random stream for the draws of custom networks meanwhile.
const STREAM: u64 = 0x7374_6174;

impl<N: Network> Training<'_, N> {
    /// The model to evaluate and save: the average, if there is one.
    pub(super) fn evaluated(&self) -> &Model<N> {
        (self.averaged.as_ref()).unwrap_or_else(|| self.learner().model())
    }

    /// The current average of the weights, with normalisation statistics computed on training
    /// images: those of the first steps, with the same augmentation. The result depends only on the
    /// average and the experiment.
    pub(super) fn average(&mut self, stop: Stop) -> Result<Option<Model<N>>, TrainError> {
        let Some(model) = self.learner().averaged() else {
            return Ok(None);
        };
        // Nothing is differentiated here, and Burn keeps all that a gradient would need until a backward pass.
        let mut model = model.no_grad();
        if !model.has_statistics()? {
            return Ok(Some(model));
        }
        let experiment = self.experiment;
        let images = self.train.len().min(STATISTICS_IMAGES);
        let plan = LoadPlan {
            steps: 0..images.div_ceil(experiment.batch) as u64,
            ..self.plan()
        };
        for (batch, count) in self.batches(plan)?.zip(1_u32..) {
            stop.check()?;
            let batch = batch?;
            model.backbone = (model.backbone).with_statistics_momentum(1.0 / f64::from(count));
            let forward = || {
                model
                    .backbone
                    .forward_in(batch.images, experiment.precision)
            };
            match self.info.network {
                NetworkKind::Row(_) => forward(),
                NetworkKind::Own(_) => {
                    let seed = Rng::at(experiment.seed, &[STREAM, batch.step]).next_u64();
                    seeded(&self.device, seed, forward)
                }
            };
        }
        Ok(Some(model))
    }
}
