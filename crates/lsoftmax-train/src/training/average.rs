//! The average of the weights, ready for an evaluation.

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

/// Training images that the statistics of an average are computed over.
const STATISTICS_IMAGES: usize = 10_000;
/// The stream of the random numbers that a program's own network draws meanwhile.
const STREAM: u64 = 0x7374_6174;

impl<N: Network> Training<'_, N> {
    /// The model that is evaluated and saved: the average, if there is one.
    pub(super) fn evaluated(&self) -> &Model<N> {
        (self.averaged.as_ref()).unwrap_or_else(|| self.learner().model())
    }

    /// The average of the weights so far, with the statistics that its normalisations have on training images:
    /// those of the first steps, augmented as they were. So it is a function of the average and the experiment.
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
