//! The loss of a training: a margin loss, a metric loss, or both.

use crate::error::RecordError;
use crate::settings::Settings;
use lsoftmax_spec::Loss;
use lsoftmax_spec::margin::LossParameters;
use lsoftmax_spec::metric::{MetricLoss, MetricParameters};
use serde::{Deserialize, Serialize};

/// A metric loss beside a margin loss, or in its place.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricTerm {
    /// The loss.
    pub loss: MetricLoss,
    /// The factor of the loss.
    pub weight: f64,
    /// Whether there is no margin loss beside it. The class weights are then not trained; for
    /// evaluations each becomes the mean direction of its class.
    pub alone: bool,
}

/// Reads `loss` and the settings of its parameters: `softmax`, `softmax+contrastive`, `triplet`.
pub(crate) fn resolve(settings: &Settings) -> Result<(Loss, Option<MetricTerm>), RecordError> {
    let (name, metric) = match settings.loss_names() {
        (alone, None) if MetricLoss::stands_alone(alone) => (None, Some(alone)),
        ("center", _) => {
            let expected =
                "beside another, as softmax+center: alone it draws all features together";
            return Err(RecordError::setting("loss", expected, "\"center\""));
        }
        (name, metric) => (Some(name), metric),
    };
    let loss = match name {
        None => Loss::Softmax,
        Some(name) => Loss::from_parameters(name, &parameters(settings))?,
    };
    loss.margin()?;
    let Some(metric) = metric else {
        refuse_metric_settings(settings, loss)?;
        return Ok((loss, None));
    };
    let parameters = MetricParameters {
        margin: settings.pair_margin,
        selection: settings.pair_selection.as_deref(),
        seed: settings.seed.unwrap_or(0),
    };
    let metric = MetricLoss::from_parameters(metric, &parameters)?;
    let weight = settings.pair_weight.unwrap_or(metric.default_weight());
    if !(weight > 0.0 && weight <= 1e6) {
        let expected = "above 0 and at most 1e6";
        return Err(RecordError::setting("pair-weight", expected, weight));
    }
    metric.check()?;
    let term = MetricTerm {
        loss: metric,
        weight,
        alone: name.is_none(),
    };
    Ok((loss, Some(term)))
}

fn parameters(settings: &Settings) -> LossParameters {
    LossParameters {
        margin: settings.margin,
        scale: settings.scale,
        margins: settings.margins.clone(),
    }
}

/// Checks that nothing is set that only metric losses use.
fn refuse_metric_settings(settings: &Settings, loss: Loss) -> Result<(), RecordError> {
    let given = [
        ("pair-weight", settings.pair_weight.is_some()),
        ("pair-margin", settings.pair_margin.is_some()),
        ("pair-selection", settings.pair_selection.is_some()),
    ];
    match given.into_iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((name, _)) => Err(RecordError::setting(
            name,
            "left out, or given to a loss such as softmax+contrastive or triplet",
            format!("it with {loss}"),
        )),
    }
}

/// Writes the settings that [`resolve`] reads.
pub(crate) fn write(loss: Loss, pairs: Option<&MetricTerm>, settings: &mut Settings) {
    settings.loss = Some(name(loss, pairs));
    let LossParameters {
        margin,
        scale,
        margins,
    } = loss.parameters();
    settings.margin = margin;
    settings.scale = scale;
    settings.margins = margins;
    if let Some(pairs) = pairs {
        settings.pair_weight = Some(pairs.weight);
        settings.pair_selection = pairs.loss.selection().map(str::to_owned);
        settings.pair_margin = pairs.loss.margin();
    }
}

/// The name in files and on the command line: `softmax+contrastive`.
pub(crate) fn name(loss: Loss, pairs: Option<&MetricTerm>) -> String {
    match pairs {
        None => loss.name().to_owned(),
        Some(pairs) if pairs.alone => pairs.loss.name().to_owned(),
        Some(pairs) => format!("{}+{}", loss.name(), pairs.loss.name()),
    }
}

/// The name for people: `softmax + contrastive`.
pub(crate) fn label(loss: Loss, pairs: Option<&MetricTerm>) -> String {
    match pairs {
        None => loss.to_string(),
        Some(pairs) if pairs.alone => pairs.loss.to_string(),
        Some(pairs) => format!("{loss} + {}", pairs.loss),
    }
}
