//! The margin cross-entropy, with the loss and the schedule of a head.

use crate::arrays::{List, Rows};
use crate::errors::value_error;
use crate::settings::read;
use crate::work::detached;
use lsoftmax_kernels::head::{
    Batch, HeadError, Outcome, Real, Samples, Target, TargetLogits as _, TargetRule, checked_label,
    cross_entropy, cross_entropy_with_gradient,
};
use lsoftmax_record::{Experiment, Settings};
use lsoftmax_spec::{Annealing, Loss};
use numpy::{Element, PyArray1, PyArray2, PyArrayMethods as _, PyUntypedArray};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use std::sync::Arc;

/// A loss with its schedule of λ and m.
#[pyclass(frozen, module = "lsoftmax._lsoftmax")]
pub(crate) struct Rule {
    loss: Loss,
    annealing: Annealing,
    classes: usize,
    shares: Option<Vec<f64>>,
}

/// Loss, per-sample losses `[batch]`, cosines, norms and confidences `[batch, 4]`, λ, and, if
/// requested, the gradients with respect to features and weights.
type Found<'py> = (
    f64,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray2<f64>>,
    f64,
    Option<(Bound<'py, PyAny>, Bound<'py, PyAny>)>,
);

#[pymethods]
impl Rule {
    /// `settings` is a JSON object with the keys of an experiment file.
    #[new]
    fn new(settings: &str, classes: usize, class_counts: Option<Vec<usize>>) -> PyResult<Self> {
        let settings = read(settings)?;
        let experiment = Experiment::resolve(settings, Settings::default()).map_err(value_error)?;
        if experiment.pairs.is_some() {
            let message = "loss must be a margin loss, such as l-softmax; losses on distances are \
                           not part of the head";
            return Err(PyValueError::new_err(message));
        }
        if classes == 0 {
            return Err(PyValueError::new_err("classes must be at least 1, found 0"));
        }
        let shares = match class_counts {
            Some(counts) if counts.len() != classes => {
                let found = counts.len();
                let message = format!("class_counts: {classes} values expected, found {found}");
                return Err(PyValueError::new_err(message));
            }
            Some(counts) => experiment.annealing.class_shares(&counts),
            None => None,
        };
        Ok(Self {
            loss: experiment.loss,
            annealing: experiment.annealing,
            classes,
            shares,
        })
    }

    /// The loss and the schedule as JSON.
    fn describe(&self) -> PyResult<(String, String)> {
        let json = |value: serde_json::Result<String>| value.map_err(value_error);
        Ok((
            json(serde_json::to_string(&self.loss))?,
            json(serde_json::to_string(&self.annealing))?,
        ))
    }

    /// The display name of the loss, such as "L-Softmax m = 4".
    fn label(&self) -> String {
        self.loss.to_string()
    }

    /// Whether class weights are scaled to length 1, and the length that features are scaled to, if
    /// any.
    fn normalisation(&self) -> PyResult<(bool, Option<f64>)> {
        let margin = self.loss.margin().map_err(value_error)?;
        let normalisation = margin.normalisation();
        Ok((normalisation.weights, normalisation.feature_scale))
    }

    /// λ of a batch at a step.
    ///
    /// # Shapes
    /// - confidences: `[batch]` f64; labels: `[batch]` i64; ignored: `[batch]` bool or None
    #[pyo3(signature = (confidences, labels, step, ignored=None))]
    fn lambda_of(
        &self,
        confidences: &Bound<'_, PyAny>,
        labels: &Bound<'_, PyAny>,
        step: u64,
        ignored: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<f64> {
        let confidences = List::<f64>::new(confidences, "confidences")?;
        let labels = self.labels(labels)?;
        let samples = Samples {
            ignored: optional(ignored, "ignored", labels.len())?,
            ..Samples::default()
        };
        let rule = self.rule(labels, step, samples)?;
        check_length(
            "confidences",
            confidences.values()?.len(),
            rule.labels.len(),
        )?;
        Ok(rule.lambda(confidences.values()?))
    }

    /// The target logits and their derivatives with respect to cosine, feature norm and weight
    /// norm, `[batch, 4]`.
    ///
    /// # Shapes
    /// - targets: `[batch, 3]` f64: cosine, norm of the feature, norm of the class weight
    /// - labels: `[batch]` i64
    fn target_logits<'py>(
        &self,
        py: Python<'py>,
        targets: &Bound<'py, PyAny>,
        labels: &Bound<'py, PyAny>,
        step: u64,
        lambda: f64,
    ) -> PyResult<Bound<'py, PyArray2<f64>>> {
        let targets = Rows::<f64>::new(targets, "targets")?;
        let labels = self.labels(labels)?;
        check_length("targets", targets.shape()[0], labels.len())?;
        check_length("a row of targets", targets.shape()[1], 3)?;
        let rule = self.rule(labels, step, Samples::default())?;
        let mut found = Vec::new();
        for (row, target) in targets.values()?.chunks_exact(3).enumerate() {
            let target = Target {
                cosine: target[0],
                feature_norm: target[1],
                weight_norm: target[2],
            };
            let logit = rule.target_logit(row, target, lambda);
            found.extend([
                logit.value,
                logit.d_cosine,
                logit.d_feature_norm,
                logit.d_weight_norm,
            ]);
        }
        let rows = rule.labels.len();
        PyArray1::from_vec(py, found).reshape([rows, 4])
    }

    /// The cross-entropy of a batch at a step.
    ///
    /// # Shapes
    /// - features: `[batch, feature]`, weight: `[class, feature]`, both f32 or both f64
    /// - labels: `[batch]` i64; weights: `[batch]` f64 or None; ignored: `[batch]` bool or None
    #[pyo3(signature = (features, weight, labels, step, weights=None, ignored=None, pull=0.0, gradient=true))]
    fn cross_entropy<'py>(
        &self,
        py: Python<'py>,
        features: &Bound<'py, PyAny>,
        weight: &Bound<'py, PyAny>,
        labels: &Bound<'py, PyAny>,
        step: u64,
        weights: Option<&Bound<'py, PyAny>>,
        ignored: Option<&Bound<'py, PyAny>>,
        pull: f64,
        gradient: bool,
    ) -> PyResult<Found<'py>> {
        let labels = self.labels(labels)?;
        let samples = Samples {
            weights: optional(weights, "weights", labels.len())?,
            ignored: optional(ignored, "ignored", labels.len())?,
            target_pull: pull,
            shares: None,
        };
        let rule = self.rule(labels, step, samples)?;
        let double = numpy::dtype::<f64>(py);
        let is_double = features.cast::<PyUntypedArray>().is_ok_and(|array| {
            use numpy::{PyArrayDescrMethods as _, PyUntypedArrayMethods as _};
            array.dtype().is_equiv_to(&double)
        });
        if is_double {
            run::<f64>(py, features, weight, &rule, gradient)
        } else {
            run::<f32>(py, features, weight, &rule, gradient)
        }
    }
}

impl Rule {
    fn labels(&self, labels: &Bound<'_, PyAny>) -> PyResult<Vec<u32>> {
        let list = List::<i64>::new(labels, "labels")?;
        let labels = list.values()?.iter().enumerate();
        let label = |(row, &label): (usize, &i64)| checked_label(row, label, self.classes);
        labels
            .map(label)
            .collect::<Result<_, _>>()
            .map_err(value_error)
    }

    fn rule(&self, labels: Vec<u32>, step: u64, samples: Samples) -> PyResult<TargetRule> {
        let (loss, lambda) = self.annealing.at(step, self.loss);
        Ok(TargetRule {
            margin: loss.margin().map_err(value_error)?.into(),
            lambda,
            samples: samples.with_class_shares(self.shares.as_deref(), &labels),
            labels: labels.into(),
            classes: self.classes,
        })
    }
}

/// An optional array with one value per sample.
fn optional<T: Element + Copy>(
    array: Option<&Bound<'_, PyAny>>,
    name: &'static str,
    batch: usize,
) -> PyResult<Option<Arc<[T]>>> {
    let Some(array) = array else {
        return Ok(None);
    };
    let list = List::<T>::new(array, name)?;
    let values = list.values()?;
    check_length(name, values.len(), batch)?;
    Ok(Some(values.into()))
}

fn check_length(name: &str, found: usize, expected: usize) -> PyResult<()> {
    if found == expected {
        return Ok(());
    }
    Err(PyValueError::new_err(format!(
        "{name}: {expected} values expected, found {found}"
    )))
}

/// The outcome and, if requested, the gradients with respect to features and weights.
type Computed<T> = (Outcome, Option<(Vec<T>, Vec<T>)>);

fn run<'py, T: Real + Element>(
    py: Python<'py>,
    features: &Bound<'py, PyAny>,
    weight: &Bound<'py, PyAny>,
    rule: &TargetRule,
    gradient: bool,
) -> PyResult<Found<'py>> {
    let features = Rows::<T>::new(features, "features")?;
    let weight = Rows::<T>::new(weight, "weight")?;
    let ([rows, size], [classes, columns]) = (features.shape(), weight.shape());
    check_length("weight", classes, rule.classes)?;
    check_length("a row of weight", columns, size)?;
    check_length("labels", rule.labels.len(), rows)?;
    let (x, w) = (features.values()?, weight.values()?);
    let work = || -> Result<Computed<T>, HeadError> {
        let batch = Batch::new(x, w, &rule.labels, classes, size)?;
        if !gradient {
            return Ok((cross_entropy(&batch, rule.normalisation(), rule), None));
        }
        let (mut dx, mut dw) = (T::zeros(x.len()), T::zeros(w.len()));
        let normalisation = rule.normalisation();
        cross_entropy_with_gradient(&batch, normalisation, rule, &mut dx, &mut dw)
            .map(|outcome| (outcome, Some((dx, dw))))
    };
    let (outcome, gradients) = detached(py, work)?.map_err(value_error)?;
    let lambda = rule.lambda(&outcome.confidences);
    let rows_of_targets = outcome.samples.iter().zip(&outcome.confidences);
    let targets: Vec<f64> = rows_of_targets
        .flat_map(|(sample, &confidence)| {
            let pair = sample.target;
            [pair.cosine, pair.feature_norm, pair.weight_norm, confidence]
        })
        .collect();
    let matrix = |values: Vec<T>, shape| -> PyResult<Bound<'py, PyAny>> {
        Ok(PyArray1::from_vec(py, values).reshape(shape)?.into_any())
    };
    let gradients = match gradients {
        None => None,
        Some((dx, dw)) => Some((matrix(dx, [rows, size])?, matrix(dw, [classes, size])?)),
    };
    Ok((
        outcome.loss,
        PyArray1::from_vec(py, outcome.losses),
        PyArray1::from_vec(py, targets).reshape([rows, 4])?,
        lambda,
        gradients,
    ))
}
