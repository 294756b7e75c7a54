//! The head in f32. Every product uses the register tiles of the convolutions.

use super::panels::{Panels, transpose};
use super::passes;
use super::real::sealed::Kernels;
use super::rows::Rows;
use crate::buffer;
use crate::product::{Ahead, Product};
use crate::scratch::{LINE, Scratch};
use crate::simd::Level;

/// Below this number of classes, transposing their weights is cheaper than packing the features.
const MIN_PACKED_CLASSES: usize = 48;

/// The features as right operands, or `None` for few classes.
pub struct Features(Option<PackedFeatures>);

struct PackedFeatures {
    /// `[feature][sample]`, for the logits.
    by_feature: Panels,
    /// `[sample][feature]`, for the gradient of the class weights.
    by_sample: Panels,
}

impl Kernels for f32 {
    type Packed = Features;

    fn pack(level: Level, features: &Rows<'_, Self>, classes: usize) -> Features {
        if classes < MIN_PACKED_CLASSES {
            return Features(None);
        }
        let (values, columns) = (features.values(), features.columns());
        let work = values.len() * classes;
        Features(Some(PackedFeatures {
            by_feature: Panels::transposed(level, values, columns, work),
            by_sample: Panels::new(level, values, columns, work),
        }))
    }

    fn logits(
        level: Level,
        weights: &Rows<'_, Self>,
        features: &Rows<'_, Self>,
        packed: &Features,
        logits: &mut [Self],
    ) {
        let Some(packed) = &packed.0 else {
            return few_logits(level, weights, features, logits);
        };
        let columns = weights.columns();
        let rows: Vec<usize> = (0..weights.rows()).map(|class| class * columns).collect();
        (packed.by_feature).product(level, (weights.values(), &rows, 1), logits, false);
    }

    fn weight_gradient(
        level: Level,
        block: &[Self],
        features: &Rows<'_, Self>,
        packed: &Features,
        d_weights: &mut [Self],
    ) {
        let (samples, columns) = (features.rows(), features.columns());
        let classes = block.len() / samples;
        let rows: Vec<usize> = (0..classes).map(|class| class * samples).collect();
        if let Some(packed) = &packed.0 {
            return (packed.by_sample).product(level, (block, &rows, 1), d_weights, false);
        }
        let to: Vec<usize> = (0..classes).map(|class| class * columns).collect();
        Product {
            a: block,
            a_rows: &rows,
            outer: 1,
            a_outer: 0,
            inner: samples,
            a_inner: 1,
            b: features.values(),
            b_outer: 0,
            b_row: columns,
            columns,
            accumulate: false,
            prefetch_c: false,
            ahead: [Ahead::NONE; 2],
        }
        .run(level, d_weights, &to);
    }

    fn feature_gradient(
        level: Level,
        block: &[Self],
        weights: &Rows<'_, Self>,
        d_features: &mut [Self],
        accumulate: bool,
    ) {
        let samples = block.len() / weights.rows();
        let rows: Vec<usize> = (0..samples).collect();
        // Parts already run in parallel.
        let weights = Panels::new(level, weights.values(), weights.columns(), 0);
        weights.product(level, (block, &rows, samples), d_features, accumulate);
    }

    fn statistics(level: Level, block: &[Self], max: &mut [Self], sum: &mut [Self]) {
        passes::statistics(level, block, max, sum);
    }

    fn scaled_exp(level: Level, block: &mut [Self], max: &[Self], factor: &[Self]) {
        passes::scaled_exp(level, block, max, factor);
    }

    fn dot(level: Level, a: &[Self], b: &[Self]) -> f64 {
        passes::dot(level, a, b)
    }

    fn inner_products(level: Level, a: &[Self], b: &[Self]) -> [f64; 3] {
        passes::inner_products(level, a, b)
    }

    fn add_scaled(level: Level, row: &mut [Self], factor: f64, direction: &[Self]) {
        passes::add_scaled(level, row, factor, direction);
    }

    fn take(len: usize) -> Vec<Self> {
        buffer::take(len)
    }

    fn give(buffer: Vec<Self>) {
        buffer::give(buffer);
    }
}

/// The logits of few classes, as `features * weights^T`.
fn few_logits(level: Level, weights: &Rows<'_, f32>, features: &Rows<'_, f32>, logits: &mut [f32]) {
    let (classes, samples, columns) = (weights.rows(), features.rows(), features.columns());
    // Rows of whole cache lines, so that no vector of a register tile is partial.
    let width = classes.next_multiple_of(LINE);
    let mut transposed = Scratch::zeros(width * columns);
    transpose(weights.values(), columns, &mut transposed, width);
    let mut by_sample = Scratch::take(width * samples);
    let rows: Vec<usize> = (0..samples).map(|sample| sample * columns).collect();
    let to: Vec<usize> = (0..samples).map(|sample| sample * width).collect();
    Product {
        a: features.values(),
        a_rows: &rows,
        outer: 1,
        a_outer: 0,
        inner: columns,
        a_inner: 1,
        b: &transposed,
        b_outer: 0,
        b_row: width,
        columns: width,
        accumulate: false,
        prefetch_c: false,
        ahead: [Ahead::NONE; 2],
    }
    .run(level, &mut by_sample, &to);
    for (class, row) in logits.chunks_exact_mut(samples).enumerate() {
        for (logit, of_sample) in row.iter_mut().zip(by_sample.chunks_exact(width)) {
            *logit = of_sample[class];
        }
    }
}
