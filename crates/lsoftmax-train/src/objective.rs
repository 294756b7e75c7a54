//! The metric loss of a training, with its state.

use crate::error::TrainError;
use burn::module::Module as _;
use burn::tensor::{Device, Int, Tensor, TensorData};
use lsoftmax::metric::{CenterLoss, CenterLossConfig, ContrastiveLoss, TripletLoss};
use lsoftmax_record::{MetricLoss, MetricTerm};

/// A [`MetricTerm`] with its state.
#[derive(Debug)]
pub(crate) struct Pairs {
    term: MetricTerm,
    loss: MetricLossState,
}

#[derive(Debug)]
enum MetricLossState {
    Contrastive(ContrastiveLoss),
    Triplet(TripletLoss),
    /// `None` only during an update.
    Center(Option<CenterLoss>),
}

impl Pairs {
    pub(crate) fn new(
        term: MetricTerm,
        classes: usize,
        feature: usize,
        device: &Device,
    ) -> Result<Self, TrainError> {
        let loss = match term.loss {
            MetricLoss::Contrastive(config) => MetricLossState::Contrastive(
                ContrastiveLoss::new(config).map_err(lsoftmax::Error::from)?,
            ),
            MetricLoss::Triplet(config) => {
                MetricLossState::Triplet(TripletLoss::new(config).map_err(lsoftmax::Error::from)?)
            }
            MetricLoss::Center { rate } => {
                let config = CenterLossConfig {
                    rate,
                    ..CenterLossConfig::new(classes, feature)
                };
                MetricLossState::Center(Some(config.init(device)?))
            }
        };
        Ok(Self { term, loss })
    }

    /// The total loss of a batch, given the loss of the head.
    pub(crate) fn add_to(
        &self,
        head: Tensor<1>,
        features: Tensor<2>,
        labels: Tensor<1, Int>,
        step: u64,
    ) -> Result<Tensor<1>, TrainError> {
        let own = match &self.loss {
            MetricLossState::Contrastive(loss) => loss.forward(features, labels, step)?.loss,
            MetricLossState::Triplet(loss) => loss.forward(features, labels, step)?.loss,
            MetricLossState::Center(Some(loss)) => loss.forward(features, labels)?,
            MetricLossState::Center(None) => return Ok(head),
        };
        let own = own.mul_scalar(self.term.weight);
        Ok(if self.term.alone { own } else { head + own })
    }

    /// Updates the state after a step: center loss moves its centres.
    pub(crate) fn update(
        &mut self,
        features: Tensor<2>,
        labels: Tensor<1, Int>,
    ) -> Result<(), TrainError> {
        if let MetricLossState::Center(center) = &mut self.loss
            && let Some(loss) = center.take()
        {
            *center = Some(loss.update(features, labels)?);
        }
        Ok(())
    }

    /// Whether the update reads the features after the backward pass.
    pub(crate) fn moves(&self) -> bool {
        matches!(self.loss, MetricLossState::Center(_))
    }

    /// The centres of center loss, `[class, feature]`, which a checkpoint must keep.
    pub(crate) fn centers(&self) -> Option<TensorData> {
        match &self.loss {
            MetricLossState::Center(Some(center)) => Some(center.centers.val().to_data()),
            _ => None,
        }
    }

    /// Continues with these centres.
    pub(crate) fn set_centers(&mut self, centers: TensorData) {
        if let MetricLossState::Center(Some(center)) = &mut self.loss {
            let device = center.centers.val().device();
            let old = center.centers.clone();
            center.centers = old.map(|_| Tensor::from_data(centers, &device)).no_grad();
        }
    }
}
