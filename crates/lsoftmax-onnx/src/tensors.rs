//! The tensors of a model file by name.

use crate::error::OnnxError;
use lsoftmax_spec::network::BATCH_NORM_EPSILON;
use std::collections::BTreeMap;

/// Tensors of f32 by their names in the model file: shape, and values with the last dimension fastest.
///
/// Of these the export reads `backbone.*` and `head.weight`; others may be there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tensors(BTreeMap<String, (Vec<usize>, Vec<f32>)>);

impl FromIterator<(String, Vec<usize>, Vec<f32>)> for Tensors {
    fn from_iter<I: IntoIterator<Item = (String, Vec<usize>, Vec<f32>)>>(tensors: I) -> Self {
        let tensors = tensors.into_iter();
        Self(
            tensors
                .map(|(name, shape, values)| (name, (shape, values)))
                .collect(),
        )
    }
}

impl Tensors {
    /// The values of a tensor of this shape.
    pub(crate) fn get(&self, name: &str, shape: &[usize]) -> Result<&[f32], OnnxError> {
        let Some((found, values)) = self.0.get(name) else {
            return Err(OnnxError::Missing {
                name: name.to_owned(),
                shape: shape.to_vec(),
            });
        };
        let count = shape
            .iter()
            .try_fold(1_usize, |n, &size| n.checked_mul(size));
        if found != shape || count != Some(values.len()) {
            return Err(OnnxError::Shape {
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: found.clone(),
            });
        }
        Ok(values)
    }

    /// The batch normalisation of a layer with `out` outputs, as a factor and an offset for each.
    pub(crate) fn affine(&self, layer: &str, out: usize) -> Result<Affine, OnnxError> {
        let part = |part: &str| self.get(&format!("{layer}.{part}"), &[out]);
        let (gamma, beta, mean, var) = (part("gamma")?, part("beta")?, part("mean")?, part("var")?);
        let factors: Vec<f64> = (gamma.iter().zip(var))
            .map(|(&gamma, &var)| f64::from(gamma) / (f64::from(var) + BATCH_NORM_EPSILON).sqrt())
            .collect();
        let offsets = (beta.iter().zip(mean).zip(&factors))
            .map(|((&beta, &mean), factor)| (f64::from(beta) - f64::from(mean) * factor) as f32)
            .collect();
        Ok(Affine { factors, offsets })
    }
}

/// What a normalisation is in evaluation: `factor * x + offset` for each output.
pub(crate) struct Affine {
    pub(crate) factors: Vec<f64>,
    pub(crate) offsets: Vec<f32>,
}

/// Rows brought to length 1; one of length 0 stays so.
pub(crate) fn unit_rows(rows: &[f32], size: usize) -> Vec<f32> {
    let unit = |row: &[f32]| -> Vec<f32> {
        let squares = row.iter().map(|&value| f64::from(value) * f64::from(value));
        let norm = squares.sum::<f64>().sqrt();
        let inverse = if norm > 0.0 { 1.0 / norm } else { 0.0 };
        row.iter()
            .map(|&value| (f64::from(value) * inverse) as f32)
            .collect()
    };
    rows.chunks_exact(size).flat_map(unit).collect()
}
