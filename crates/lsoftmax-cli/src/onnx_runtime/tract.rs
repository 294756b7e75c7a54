//! tract, a runtime in pure Rust.

use anyhow::{Context as _, bail};
use lsoftmax_data::npy::Values;
use std::path::Path;
use tract_onnx::prelude::*;

/// As for [`Runtime::outputs`](super::Runtime::outputs).
pub(super) fn outputs(
    model: &Path,
    (shape, images): (&[usize], &Values),
    outputs: &[(&str, usize)],
) -> anyhow::Result<Vec<Vec<f32>>> {
    let images = tensor(shape, images)?;
    let found =
        run(model, &images).with_context(|| format!("tract does not run {}", model.display()))?;
    let rows = shape.first().copied().unwrap_or_default() + 1;
    let read = |&(name, size): &(&str, usize)| {
        let values = found.iter().find(|(found, _)| found == name);
        match values {
            Some((_, values)) if values.len() == rows * size => Ok(values.clone()),
            Some((_, values)) => bail!(
                "the output {name} must have {rows} rows of {size} numbers in tract, found {} numbers",
                values.len()
            ),
            None => bail!("the output {name} is missing in tract"),
        }
    };
    outputs.iter().map(read).collect()
}

fn tensor(shape: &[usize], images: &Values) -> TractResult<Tensor> {
    match images {
        Values::F32(values) => Tensor::from_shape(shape, values),
        Values::F64(values) => Tensor::from_shape(shape, values),
        Values::Int(values) => {
            let bytes: Vec<u8> = values.iter().map(|&value| value as u8).collect();
            Tensor::from_shape(shape, &bytes)
        }
    }
}

/// Name and values of each output: the rows of all images, followed by the row of the first image alone.
fn run(model: &Path, images: &Tensor) -> TractResult<Vec<(String, Vec<f32>)>> {
    let together = run_batch(model, images)?;
    let alone = run_batch(model, &images.slice(0, 0, 1)?)?;
    let both = together.into_iter().zip(alone);
    Ok(both
        .map(|((name, many), (_, one))| (name, [many, one].concat()))
        .collect())
}

/// Name and values of each output. The size of the batch is fixed before, since tract cannot infer the shapes of
/// a model with mirrored views from a free one.
fn run_batch(model: &Path, images: &Tensor) -> TractResult<Vec<(String, Vec<f32>)>> {
    let input = InferenceFact::dt_shape(images.datum_type(), images.shape());
    let mut model = onnx().model_for_path(model)?.with_input_fact(0, input)?;
    let outlets = model.output_outlets()?.to_vec();
    let name = |&outlet: &OutletId| model.outlet_label(outlet).unwrap_or_default().to_owned();
    let names: Vec<String> = outlets.iter().map(name).collect();
    for output in 0..outlets.len() {
        model = model.with_output_fact(output, InferenceFact::default())?;
    }
    let found = model
        .into_optimized()?
        .into_runnable()?
        .run(tvec![images.clone().into()])?;
    let values = |tensor: &Tensor| -> TractResult<Vec<f32>> {
        let view = tensor.to_plain_array_view::<f32>()?;
        Ok(view.iter().copied().collect())
    };
    let values: Vec<Vec<f32>> = found
        .iter()
        .map(|it| values(it))
        .collect::<TractResult<_>>()?;
    Ok(names.into_iter().zip(values).collect())
}
