//! The head in f32. Every product uses the register tiles of the convolutions.

use super::maybe_par_map;
use super::passes;
use super::real::sealed::Kernels;
use super::rows::Rows;
use crate::buffer;
use crate::product::{Ahead, Product};
use crate::scratch::Scratch;
use crate::simd::Level;

/// Columns of the packed panels: the widest register tile.
const PANEL: usize = 64;
/// Below this number of classes, transposing their weights is cheaper than packing the features.
const MIN_PACKED_CLASSES: usize = 48;
/// Terms of a sum computed at once in the logits' product: that many rows of a panel stay in the
/// first-level cache.
const DEPTH: usize = 128;

/// `[panel][feature][sample of the panel]`, or `None` for few classes.
pub struct Panels(Option<Scratch>);

impl Kernels for f32 {
    type Packed = Panels;

    fn pack(features: &Rows<'_, Self>, classes: usize) -> Panels {
        if classes < MIN_PACKED_CLASSES {
            return Panels(None);
        }
        let (samples, columns) = (features.rows(), features.columns());
        let mut packed = Scratch::take(samples * columns);
        let panels = packed.chunks_mut(PANEL * columns).enumerate().collect();
        maybe_par_map(samples * columns * classes, panels, |(panel, to)| {
            let width = to.len() / columns;
            transpose(features.values(), [panel * PANEL, width], columns, to);
        });
        Panels(Some(packed))
    }

    fn logits(
        level: Level,
        weights: &Rows<'_, Self>,
        features: &Rows<'_, Self>,
        packed: &Panels,
        logits: &mut [Self],
    ) {
        let (classes, samples, columns) = (weights.rows(), features.rows(), features.columns());
        let Some(packed) = &packed.0 else {
            return few_logits(level, weights, features, logits);
        };
        let rows: Vec<usize> = (0..classes).map(|class| class * columns).collect();
        let to: Vec<usize> = (0..classes).map(|class| class * samples).collect();
        for (panel, b) in packed.chunks(PANEL * columns).enumerate() {
            let width = b.len() / columns;
            for depth in (0..columns).step_by(DEPTH) {
                let product = Product {
                    a: &weights.values()[depth..],
                    a_rows: &rows,
                    outer: 1,
                    a_outer: 0,
                    inner: DEPTH.min(columns - depth),
                    a_inner: 1,
                    b: &b[depth * width..],
                    b_outer: 0,
                    b_row: width,
                    columns: width,
                    accumulate: depth > 0,
                    ahead: [Ahead::NONE; 2],
                };
                product.run(level, &mut logits[panel * PANEL..], &to);
            }
        }
    }

    fn weight_gradient(
        level: Level,
        block: &[Self],
        features: &Rows<'_, Self>,
        _: &Panels,
        d_weights: &mut [Self],
    ) {
        let (samples, columns) = (features.rows(), features.columns());
        let classes = block.len() / samples;
        let rows: Vec<usize> = (0..classes).map(|class| class * samples).collect();
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
            ahead: [Ahead::NONE; 2],
        }
        .run(level, d_weights, &to);
    }

    fn add_feature_gradient(
        level: Level,
        block: &[Self],
        weights: &Rows<'_, Self>,
        d_features: &mut [Self],
    ) {
        let (classes, columns) = (weights.rows(), weights.columns());
        let samples = block.len() / classes;
        let rows: Vec<usize> = (0..samples).collect();
        let to: Vec<usize> = (0..samples).map(|sample| sample * columns).collect();
        Product {
            a: block,
            a_rows: &rows,
            outer: 1,
            a_outer: 0,
            inner: classes,
            a_inner: samples,
            b: weights.values(),
            b_outer: 0,
            b_row: columns,
            columns,
            accumulate: true,
            ahead: [Ahead::NONE; 2],
        }
        .run(level, d_features, &to);
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
    let mut transposed = Scratch::take(classes * columns);
    transpose(weights.values(), [0, classes], columns, &mut transposed);
    let mut by_sample = Scratch::take(classes * samples);
    let rows: Vec<usize> = (0..samples).map(|sample| sample * columns).collect();
    let to: Vec<usize> = (0..samples).map(|sample| sample * classes).collect();
    Product {
        a: features.values(),
        a_rows: &rows,
        outer: 1,
        a_outer: 0,
        inner: columns,
        a_inner: 1,
        b: &transposed,
        b_outer: 0,
        b_row: classes,
        columns: classes,
        accumulate: false,
        ahead: [Ahead::NONE; 2],
    }
    .run(level, &mut by_sample, &to);
    transpose(&by_sample, [0, samples], classes, logits);
}

/// `to[column][row] = from[first + row][column]` for `count` rows of `columns`.
fn transpose(from: &[f32], [first, count]: [usize; 2], columns: usize, to: &mut [f32]) {
    /// Side of the squares copied at once, so that both sides use whole cache lines.
    const SIDE: usize = 16;
    for at in (0..columns).step_by(SIDE) {
        for row in (0..count).step_by(SIDE) {
            for column in at..columns.min(at + SIDE) {
                for row in row..count.min(row + SIDE) {
                    to[column * count + row] = from[(first + row) * columns + column];
                }
            }
        }
    }
}
