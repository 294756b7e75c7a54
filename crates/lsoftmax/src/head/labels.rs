//! The labels of a batch.

use super::config::{check_length, check_weights};
use super::{MarginHeadConfig, Reduction};
use crate::error::Error;
use crate::ops::Samples;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use lsoftmax_kernels::head::{HeadError, checked_label};
use std::sync::Arc;

/// The labels of a batch, on the device, on the host, or both, with an optional weight for each
/// sample.
///
/// The head needs the labels on the host to check them. Labels that are only on the device are read
/// back, which on a graphics processor means waiting for it.
///
/// ```
/// # use burn::tensor::{Device, Int, Tensor};
/// # use lsoftmax::Labels;
/// let device = Device::flex();
/// let on_device = Tensor::<1, Int>::from_data([3, 1], &device);
/// let labels = Labels::from(on_device.clone());
/// let labels = Labels::from_host(&[3, 1], &device).with_weights(&[1.0, 0.5]);
/// let labels = Labels::from(on_device).with_host(&[3, 1]); // the same numbers: nothing is copied
/// ```
#[derive(Clone, Debug)]
pub struct Labels<'a> {
    on_device: Tensor<1, Int>,
    on_host: Option<&'a [u32]>,
    weights: Option<&'a [f32]>,
}

impl From<Tensor<1, Int>> for Labels<'_> {
    fn from(labels: Tensor<1, Int>) -> Self {
        Self {
            on_device: labels,
            on_host: None,
            weights: None,
        }
    }
}

impl<'a> Labels<'a> {
    /// Creates labels from values on the host.
    pub fn from_host(labels: &'a [u32], device: &Device) -> Self {
        let on_device = tensor(labels.iter().copied(), device);
        Self::from(on_device).with_host(labels)
    }

    /// Adds the same labels on the host.
    #[must_use]
    pub fn with_host(self, labels: &'a [u32]) -> Self {
        let on_host = Some(labels);
        Self { on_host, ..self }
    }

    /// Sets a weight for each sample, `[batch]`, finite and at least 0.
    #[must_use]
    pub fn with_weights(self, weights: &'a [f32]) -> Self {
        let weights = Some(weights);
        Self { weights, ..self }
    }

    /// Number of labels.
    pub(super) fn len(&self) -> usize {
        self.on_device.dims()[0]
    }

    /// Checks the labels and computes the weight of each sample.
    pub(super) fn resolve(self, config: &MarginHeadConfig) -> Result<Resolved, Error> {
        let (count, classes) = (self.len(), config.classes);
        let mut labels = Vec::with_capacity(count);
        let mut ignored = vec![false; count];
        let mut push = |label: i64| {
            let row = labels.len();
            ignored[row] = config.ignore_index == Some(label);
            let class = if ignored[row] {
                0
            } else {
                checked_label(row, label, classes)?
            };
            labels.push(class);
            Ok::<_, HeadError>(())
        };
        match self.on_host {
            Some(on_host) => {
                check_length("labels on the host", on_host.len(), count)?;
                on_host.iter().try_for_each(|&label| push(label.into()))?;
            }
            None => (self.on_device.to_data().iter::<i64>()).try_for_each(push)?,
        }
        let ignores = ignored.contains(&true);
        let on_device = if ignores {
            tensor(labels.iter().copied(), &self.on_device.device())
        } else {
            self.on_device
        };
        let weights = match self.weights {
            Some(weights) => {
                check_weights("sample weights", weights, count)?;
                Some(weights.to_vec())
            }
            None if ignores || config.class_weights.is_some() => Some(vec![1.0; count]),
            None => None,
        };
        let weights = weights.map(|weights| {
            let of_classes = config.class_weights.as_deref();
            let rows = weights.iter().zip(&labels).zip(&ignored);
            rows.map(|((&weight, &label), &ignored)| {
                let of_class = of_classes.map_or(1.0, |of| of[label as usize]);
                if ignored {
                    0.0
                } else {
                    f64::from(weight) * f64::from(of_class)
                }
            })
            .collect()
        });
        Ok(Resolved {
            on_device,
            on_host: labels.into(),
            ignored: ignores.then(|| ignored.into()),
            weights,
        })
    }
}

/// Labels after the checks.
pub(super) struct Resolved {
    pub(super) on_device: Tensor<1, Int>,
    pub(super) on_host: Arc<[u32]>,
    /// Whether each sample is ignored, if any are.
    ignored: Option<Arc<[bool]>>,
    /// The weight of each sample, including that of its class. `None` if all weights are 1.
    weights: Option<Vec<f64>>,
}

impl Resolved {
    /// The factor of each sample's loss in the loss of the batch. `None` stands for the plain mean.
    pub(super) fn factors(&self, reduction: Reduction) -> Option<Vec<f64>> {
        match (reduction, &self.weights) {
            (Reduction::Mean, None) => None,
            (Reduction::Mean, Some(weights)) => {
                let sum: f64 = weights.iter().sum();
                let by = if sum > 0.0 { sum.recip() } else { 0.0 };
                Some(weights.iter().map(|weight| weight * by).collect())
            }
            (Reduction::Sum | Reduction::None, Some(weights)) => Some(weights.clone()),
            (Reduction::Sum | Reduction::None, None) => Some(vec![1.0; self.on_host.len()]),
        }
    }

    /// The per-sample options of the operation.
    pub(super) fn samples(&self, shares: Option<&[f64]>, target_pull: f64) -> Samples {
        let samples = Samples {
            target_pull,
            ignored: self.ignored.clone(),
            ..Samples::default()
        };
        samples.with_class_shares(shares, &self.on_host)
    }
}

fn tensor(labels: impl Iterator<Item = u32>, device: &Device) -> Tensor<1, Int> {
    let data: Vec<i32> = labels.map(|label| label as i32).collect();
    let count = data.len();
    Tensor::from_data(TensorData::new(data, [count]), (device, DType::I32))
}
