//! tract, a runtime in pure Rust.

use anyhow::{Context as _, bail};
use lsoftmax_data::npy::Values;
use std::path::Path;
use tract_onnx::prelude::{Framework as _, Tensor, TractResult, onnx, tvec};

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
        Values::Int(values) => {
            let bytes: Vec<u8> = values.iter().map(|&value| value as u8).collect();
            Tensor::from_shape(shape, &bytes)
        }
    }
}

/// Name and values of each output: the rows of all images, and then that of the first alone.
fn run(model: &Path, images: &Tensor) -> TractResult<Vec<(String, Vec<f32>)>> {
    let model = onnx().model_for_path(model)?.into_optimized()?;
    let outlets = model.output_outlets()?.iter();
    let names = outlets.map(|&outlet| model.outlet_label(outlet).unwrap_or_default().to_owned());
    let names: Vec<String> = names.collect();
    let model = model.into_runnable()?;
    let first = images.slice(0, 0, 1)?;
    let together = model.run(tvec![images.clone().into()])?;
    let alone = model.run(tvec![first.into()])?;
    let values = |tensor: &Tensor| -> TractResult<Vec<f32>> {
        Ok(tensor
            .to_plain_array_view::<f32>()?
            .iter()
            .copied()
            .collect())
    };
    let both = together.iter().zip(&alone);
    let both = both.map(|(many, one)| Ok([values(many)?, values(one)?].concat()));
    let both: Vec<Vec<f32>> = both.collect::<TractResult<_>>()?;
    Ok(names.into_iter().zip(both).collect())
}
