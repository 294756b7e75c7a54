//! Support for [`burn-train`](burn::train)'s `Learner`: the output of a training step, and a metric
//! for the target angle. The page "In a Burn model" of the guide has a complete example.

use crate::head::HeadOutput;
use burn::tensor::{ExecutionError, Int, Tensor, TensorReadError};
use burn::train::ItemLazy;
use burn::train::metric::state::{FormatOptions, NumericMetricState};
use burn::train::metric::{
    AccuracyInput, Adaptor, LossInput, Metric, MetricAttributes, MetricMetadata, MetricName,
    Numeric, NumericAttributes, NumericEntry, SerializedEntry, TopKAccuracyInput,
};
use std::sync::Arc;

/// The output of a training or validation step of a model with a margin head, for `LossMetric`,
/// `AccuracyMetric`, `TopKAccuracyMetric` and [`TargetAngleMetric`].
#[derive(Clone, Debug)]
pub struct MarginOutput {
    /// The head's output.
    pub output: HeadOutput,
    /// Class labels, `[batch]`.
    pub labels: Tensor<1, Int>,
}

impl MarginOutput {
    /// Creates the output of a batch.
    pub fn new(output: HeadOutput, labels: Tensor<1, Int>) -> Self {
        Self { output, labels }
    }
}

impl ItemLazy for MarginOutput {
    fn sync(self) -> Result<Self, ExecutionError> {
        // As for Burn's own outputs, the metrics read their few numbers later.
        self.output.loss.device().flush()?;
        let HeadOutput {
            loss,
            logits,
            targets,
            lambda,
        } = self.output;
        Ok(Self {
            output: HeadOutput {
                loss: loss.without_autodiff(),
                logits: logits.without_autodiff(),
                targets: targets.without_autodiff(),
                lambda,
            },
            labels: self.labels.without_autodiff(),
        })
    }
}

impl Adaptor<LossInput> for MarginOutput {
    fn adapt(&self) -> LossInput {
        LossInput::new(self.output.loss.clone())
    }
}

impl Adaptor<AccuracyInput> for MarginOutput {
    fn adapt(&self) -> AccuracyInput {
        AccuracyInput::new(self.output.logits.clone(), self.labels.clone())
    }
}

impl Adaptor<TopKAccuracyInput> for MarginOutput {
    fn adapt(&self) -> TopKAccuracyInput {
        TopKAccuracyInput::new(self.output.logits.clone(), self.labels.clone())
    }
}

impl Adaptor<TargetAngleInput> for MarginOutput {
    fn adapt(&self) -> TargetAngleInput {
        TargetAngleInput {
            targets: self.output.targets.clone(),
        }
    }
}

/// The input of [`TargetAngleMetric`].
#[derive(Clone, Debug)]
pub struct TargetAngleInput {
    /// [`HeadOutput::targets`], `[batch, 4]`.
    pub targets: Tensor<2>,
}

/// The mean angle between a feature and the weight of its target class, in degrees. It is the
/// quantity that a margin reduces.
#[derive(Clone)]
pub struct TargetAngleMetric {
    name: MetricName,
    state: NumericMetricState,
}

impl TargetAngleMetric {
    /// Creates the metric.
    pub fn new() -> Self {
        Self {
            name: Arc::new("Target angle".to_owned()),
            state: NumericMetricState::default(),
        }
    }

    fn format(&self) -> FormatOptions {
        FormatOptions::new(self.name()).unit("°").precision(1)
    }
}

impl Default for TargetAngleMetric {
    fn default() -> Self {
        Self::new()
    }
}

impl Metric for TargetAngleMetric {
    type Input = TargetAngleInput;

    fn update(
        &mut self,
        input: &TargetAngleInput,
        _: &MetricMetadata,
    ) -> Result<SerializedEntry, TensorReadError> {
        let [batch, _] = input.targets.dims();
        let cosines = input.targets.clone().slice([0..batch, 0..1]);
        let angles = cosines.clamp(-1.0, 1.0).acos();
        let mean = angles.mean().try_into_scalar::<f64>()?;
        self.state.update(mean.to_degrees(), batch);
        Ok(self.state.compute_update(self.format()))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.state.compute_final(self.format()))
    }

    fn clear(&mut self) {
        self.state.reset();
    }

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes {
            unit: Some("°".to_owned()),
            higher_is_better: false,
        }
        .into()
    }
}

impl Numeric for TargetAngleMetric {
    fn value(&self) -> Option<NumericEntry> {
        Some(self.state.current_value())
    }

    fn running_value(&self) -> Option<NumericEntry> {
        Some(self.state.running_value())
    }

    fn final_value(&self) -> NumericEntry {
        self.state.final_value()
    }
}
