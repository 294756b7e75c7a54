use crate::unit::check_embeddings;
use crate::vector::add_scaled;
use crate::{Matrix, Result};

/// Points shifted to mean 0 and scaled by a power of two so that the largest value is about 1.
/// Neither changes which of two points is nearer, and `f32` distances then have full precision and
/// cannot overflow.
pub(super) struct Points {
    values: Vec<f32>,
    pub(super) rows: usize,
    pub(super) columns: usize,
    mean: Vec<f64>,
    scale: f64,
}

impl Points {
    pub(super) fn new(embeddings: Matrix<'_>) -> Result<Self> {
        check_embeddings("embeddings", embeddings)?;
        let (rows, columns) = (embeddings.rows(), embeddings.columns());
        let mut mean = vec![0.0; columns];
        for row in embeddings.iter_rows() {
            add_scaled(&mut mean, row, 1.0);
        }
        for sum in &mut mean {
            *sum /= rows.max(1) as f64;
        }
        let mut points = Self {
            values: Vec::new(),
            rows,
            columns,
            mean,
            scale: 1.0,
        };
        let largest = embeddings
            .iter_rows()
            .flat_map(|row| points.centred(row))
            .fold(0.0, |largest: f64, value| largest.max(value.abs()));
        if largest > 0.0 {
            points.scale = (-largest.log2().floor()).exp2();
        }
        points.values = points.moved(embeddings);
        Ok(points)
    }

    pub(super) fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    fn centred(&self, row: &[f32]) -> impl Iterator<Item = f64> {
        row.iter()
            .zip(&self.mean)
            .map(|(&value, mean)| f64::from(value) - mean)
    }

    /// Transforms other points in the same way.
    pub(super) fn moved(&self, others: Matrix<'_>) -> Vec<f32> {
        let scaled = |row| self.centred(row).map(|value| (value * self.scale) as f32);
        others.iter_rows().flat_map(scaled).collect()
    }

    /// Transforms points back to the original coordinates.
    pub(super) fn back(&self, points: &[f32]) -> Vec<f32> {
        let mean = self.mean.iter().cycle();
        let values = points.iter().zip(mean);
        values
            .map(|(&value, mean)| (f64::from(value) / self.scale + mean) as f32)
            .collect()
    }

    /// Transforms a squared distance back to the scale of the embeddings.
    pub(super) fn squared_back(&self, squared: f64) -> f64 {
        squared / self.scale / self.scale
    }
}
