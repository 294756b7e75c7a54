use super::check_lambda;
use crate::args;
use crate::misuse::Misuse;
use crate::output;
use crate::output_options::OutputOptions;
use crate::outputs::{Inputs, Outputs, own};
use anyhow::{Context as _, bail};
use lsoftmax::margin::{LossParameters, blend};
use lsoftmax::{Loss, Margin};
use lsoftmax_data::Staged;
use lsoftmax_data::npy::{self, Array, Values};
use lsoftmax_kernels::head::{Batch, HeadError, Real, cross_entropy_with_gradient};
use lsoftmax_record::RecordError;
use std::path::{Path, PathBuf};

/// The output files: the logits, the gradients with respect to features and class weights, and the
/// loss.
const FILES: [&str; 4] = [
    "logits.npy",
    "grad_features.npy",
    "grad_weights.npy",
    "loss.npy",
];

pub(super) fn run(args: &args::Loss, output_options: OutputOptions) -> anyhow::Result<()> {
    let parameters = LossParameters {
        margin: args.margin,
        scale: args.scale,
        margins: args.margins.clone(),
    };
    let loss = Loss::from_parameters(&args.loss, &parameters).map_err(RecordError::from)?;
    let margin = loss.margin().map_err(lsoftmax::Error::from)?;
    check_lambda(args.lambda)?;
    if args.lambda != 0.0 && !loss.has_multiplier() {
        bail!(Misuse(format!(
            "--lambda must be left out for {loss}: only l-softmax and a-softmax have λ"
        )));
    }
    let inputs = [&args.features, &args.weights, &args.labels];
    let inputs = inputs
        .iter()
        .fold(Inputs::default(), |inputs, file| inputs.file(Some(file)));
    let files = FILES.map(|name| args.out.join(name));
    Outputs::new(&inputs, args.overwrite.force).folder(&args.out, &FILES, || {
        own::are_arrays_of_loss([&files[0], &files[1], &files[2], &files[3]])
    })?;
    let arrays = Arrays::read(args)?;
    let [batch, classes, size] = [arrays.labels.len(), arrays.classes, arrays.size];
    let outcome = arrays.evaluate(args, &*margin)?;
    for (name, columns, values) in [
        ("logits", classes, &outcome.logits),
        ("grad_features", size, &outcome.d_features),
        ("grad_weights", size, &outcome.d_weights),
        ("loss", 1, &outcome.loss),
    ] {
        if let Some(place) = not_finite(values, columns) {
            bail!(
                "{name} would hold {place}: the numbers of {} and {} are too large for this \
                 precision; scale them, or give them as float64",
                args.features.display(),
                args.weights.display()
            );
        }
    }
    let shapes: [&[usize]; 4] = [&[batch, classes], &[batch, size], &[classes, size], &[]];
    write(&args.out, &files, shapes, &outcome)?;
    let value = outcome.value;
    if output_options.json {
        let answer = output::Answer::new(serde_json::json!({ "loss": value }));
        answer.path("out", &args.out).print()
    } else {
        output::line(&format!("{loss}, λ = {}: loss {value}", args.lambda))?;
        output::line(&format!("written to {}", args.out.display()))
    }
}

/// Matching features and class weights, and the labels.
struct Arrays {
    features: Values,
    weights: Values,
    labels: Vec<u32>,
    classes: usize,
    size: usize,
}

impl Arrays {
    fn read(args: &args::Loss) -> anyhow::Result<Self> {
        let features = npy::read(&args.features)?;
        let weights = npy::read(&args.weights)?;
        let labels = npy::read(&args.labels)?;
        let [batch, size] = matrix(&args.features, &features)?;
        let [classes, columns] = matrix(&args.weights, &weights)?;
        let labels = labels_of(&args.labels, &labels, classes)?;
        if labels.len() != batch {
            bail!(
                "{} has {} labels, but {} has {batch} rows",
                args.labels.display(),
                labels.len(),
                args.features.display()
            );
        }
        if size != columns {
            bail!(
                "{} is [{batch}, {size}] and {} is [{classes}, {columns}]: both need the same feature size",
                args.features.display(),
                args.weights.display(),
            );
        }
        check_finite(&args.features, &features)?;
        check_finite(&args.weights, &weights)?;
        Ok(Self {
            features: features.values,
            weights: weights.values,
            labels,
            classes,
            size,
        })
    }

    /// Computes in the higher precision of the two arrays.
    fn evaluate(self, args: &args::Loss, margin: &dyn Margin) -> anyhow::Result<Outcome<Values>> {
        let (labels, shape) = (&self.labels, [self.classes, self.size]);
        Ok(match (self.features, self.weights) {
            (Values::F32(x), Values::F32(w)) => {
                evaluate::<f32>(&x, &w, labels, shape, margin, args.lambda)?.map(Values::F32)
            }
            (x, w) => {
                let x = widen(&args.features, x)?;
                let w = widen(&args.weights, w)?;
                evaluate::<f64>(&x, &w, labels, shape, margin, args.lambda)?.map(Values::F64)
            }
        })
    }
}

/// Writes the four arrays, so that all of them appear together.
fn write(
    folder: &Path,
    files: &[PathBuf; 4],
    shapes: [&[usize]; 4],
    outcome: &Outcome<Values>,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot make the folder {}", folder.display()))?;
    let arrays = [
        &outcome.logits,
        &outcome.d_features,
        &outcome.d_weights,
        &outcome.loss,
    ];
    let staged = files.iter().zip(shapes).zip(arrays);
    let staged: Vec<Staged> = staged
        .map(|((file, shape), values)| npy::stage(file, shape, values))
        .collect::<Result<_, _>>()?;
    Ok(staged.into_iter().try_for_each(Staged::publish)?)
}

/// The four arrays, and the loss as a number to print.
struct Outcome<A> {
    value: f64,
    loss: A,
    logits: A,
    d_features: A,
    d_weights: A,
}

impl<T> Outcome<Vec<T>> {
    fn map(self, wrap: impl Fn(Vec<T>) -> Values) -> Outcome<Values> {
        Outcome {
            value: self.value,
            loss: wrap(self.loss),
            logits: wrap(self.logits),
            d_features: wrap(self.d_features),
            d_weights: wrap(self.d_weights),
        }
    }
}

fn evaluate<T: Real>(
    x: &[T],
    w: &[T],
    labels: &[u32],
    [classes, size]: [usize; 2],
    margin: &dyn Margin,
    lambda: f64,
) -> Result<Outcome<Vec<T>>, HeadError> {
    let arrays = Batch::new(x, w, labels, classes, size)?;
    let mut d_features = vec![T::ZERO; x.len()];
    let mut d_weights = vec![T::ZERO; w.len()];
    let outcome = cross_entropy_with_gradient(
        &arrays,
        margin.normalisation(),
        &|target| blend(margin, lambda, target),
        &mut d_features,
        &mut d_weights,
    )?;
    Ok(Outcome {
        value: outcome.loss,
        loss: vec![T::from_f64(outcome.loss)],
        logits: arrays.plain_logits(margin.normalisation()),
        d_features,
        d_weights,
    })
}

fn matrix(path: &Path, array: &Array) -> anyhow::Result<[usize; 2]> {
    match array.shape[..] {
        [rows, columns] if rows > 0 && columns > 0 => Ok([rows, columns]),
        _ => bail!(
            "{} must be a matrix with at least one row and column, found shape {:?}",
            path.display(),
            array.shape
        ),
    }
}

/// Checks that all values of a matrix are finite.
fn check_finite(path: &Path, array: &Array) -> anyhow::Result<()> {
    let columns = array.shape.last().copied().unwrap_or(1);
    match not_finite(&array.values, columns) {
        None => Ok(()),
        Some(place) => bail!(
            "{} has {place}: a loss needs finite numbers",
            path.display()
        ),
    }
}

/// The first value that is not finite, and its position.
fn not_finite(values: &Values, columns: usize) -> Option<String> {
    let (at, found) = match values {
        Values::F32(values) => {
            let at = values.iter().position(|value| !value.is_finite())?;
            (at, f64::from(values[at]))
        }
        Values::F64(values) => {
            let at = values.iter().position(|value| !value.is_finite())?;
            (at, values[at])
        }
        Values::Int(_) => return None,
    };
    let (row, column) = (at / columns, at % columns);
    Some(format!(
        "{found} in row {row}, column {column} (counted from 0)"
    ))
}

fn widen(path: &Path, values: Values) -> anyhow::Result<Vec<f64>> {
    match values {
        Values::F32(values) => Ok(values.into_iter().map(f64::from).collect()),
        Values::F64(values) => Ok(values),
        Values::Int(_) => {
            bail!(
                "{} must hold float32 or float64, found integers",
                path.display()
            )
        }
    }
}

fn labels_of(path: &Path, array: &Array, classes: usize) -> anyhow::Result<Vec<u32>> {
    let Values::Int(values) = &array.values else {
        bail!(
            "{} must hold integers, found floating-point numbers",
            path.display()
        );
    };
    if array.shape.len() != 1 {
        bail!(
            "{} must have one dimension, found shape {:?}",
            path.display(),
            array.shape
        );
    }
    values
        .iter()
        .enumerate()
        .map(|(row, &label)| match u32::try_from(label) {
            Ok(class) if (class as usize) < classes => Ok(class),
            _ => Err(HeadError::Label {
                row,
                label,
                classes,
            }
            .into()),
        })
        .collect()
}
