//! The steps of the head between its matrix products as kernels for graphics processors: here the two
//! passes over a block of logits.
//!
//! All arithmetic is f32, which is what the logits come in.

// The expansion of `#[cube]` has casts and copies of its own.
#![allow(clippy::pedantic)]

mod apply;
mod pairs;

use super::composed::{HeadPasses, Margined, Pairs};
use super::{MarginBackend, TargetRule, composed};
use crate::margin::Curve;
use burn::backend::TensorMetadata as _;
use burn::backend::ops::FloatTensorOps as _;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{DType, FloatDType};
use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

/// Units that work on one row together, at most.
const UNITS: u32 = 1024;

/// Cubes in flight at most; more rows than these take turns. WebGPU allows 65535.
const CUBES: usize = 1 << 14;

/// See [`composed::NOTHING`]. There is no infinity in WGSL.
const NOTHING: f32 = composed::NOTHING as f32;

/// Largest logit and sum of exponentials of each row, without the own class: one cube a row.
///
/// Each unit goes through its share of the row with a running maximum; the shares come together in
/// the same order every time.
#[cube(launch)]
fn sums_kernel(
    logits: &Tensor<f32>,
    labels: &Tensor<i32>,
    start: i32,
    table: &mut Tensor<f32>,
    place: usize,
    #[comptime] units: u32,
) {
    let unit = UNIT_POS_X as usize;
    let width = comptime!(units as usize);
    let mut maxima = Shared::<[f32]>::new_slice(width);
    let mut totals = Shared::<[f32]>::new_slice(width);
    let (batch, classes) = (logits.shape(0), logits.shape(1));
    let mut row = CUBE_POS_X as usize;
    while row < batch {
        let own = labels[row * labels.stride(0)] - start;
        let mut max = NOTHING.runtime();
        let mut total = 0.0f32.runtime();
        let mut class = unit;
        while class < classes {
            if class as i32 != own {
                let logit = logits[row * logits.stride(0) + class * logits.stride(1)];
                if logit > max {
                    total = total * (max - logit).exp() + 1.0f32;
                    max = logit;
                } else {
                    // A logit that is no number gets here too, and stays.
                    total += (logit - max).exp();
                }
            }
            class += width;
        }
        maxima[unit] = max;
        totals[unit] = total;
        sync_cube();
        let mut half = (width / 2).runtime();
        while half > 0 {
            if unit < half {
                let (left, right) = (maxima[unit], maxima[unit + half]);
                let both = if right > left { right } else { left };
                totals[unit] =
                    totals[unit] * (left - both).exp() + totals[unit + half] * (right - both).exp();
                maxima[unit] = both;
            }
            sync_cube();
            half /= 2;
        }
        if unit == 0 {
            let (at, next) = (row * table.stride(0), table.stride(1));
            table[at + place * next] = maxima[0];
            table[at + (place + 1) * next] = totals[0];
        }
        sync_cube();
        row += CUBE_COUNT_X as usize;
    }
}

/// `exp(logit - max) * factor`, or the entry at the own class: one cube a row.
#[cube(launch)]
fn matrix_kernel(
    logits: &Tensor<f32>,
    labels: &Tensor<i32>,
    start: i32,
    of_row: &Tensor<f32>,
    matrix: &mut Tensor<f32>,
    #[comptime] units: u32,
) {
    let width = comptime!(units as usize);
    let (batch, classes) = (logits.shape(0), logits.shape(1));
    let mut row = CUBE_POS_X as usize;
    while row < batch {
        let own = labels[row * labels.stride(0)] - start;
        let (start, next) = (row * of_row.stride(0), of_row.stride(1));
        let max = of_row[start];
        let factor = of_row[start + next];
        let entry = of_row[start + 2 * next];
        let mut class = UNIT_POS_X as usize;
        while class < classes {
            let at = row * matrix.stride(0) + class * matrix.stride(1);
            if class as i32 == own {
                matrix[at] = entry;
            } else {
                let logit = logits[row * logits.stride(0) + class * logits.stride(1)];
                matrix[at] = (logit - max).exp() * factor;
            }
            class += width;
        }
        row += CUBE_COUNT_X as usize;
    }
}

/// Adds up a number of each unit, in the same order every time; all units get the sum.
#[cube]
fn total(value: f32, shared: &mut Shared<[f32]>, #[comptime] units: u32) -> f32 {
    let unit = UNIT_POS_X as usize;
    sync_cube();
    shared[unit] = value;
    sync_cube();
    let mut half = comptime!(units as usize / 2).runtime();
    while half > 0 {
        if unit < half {
            shared[unit] += shared[unit + half];
        }
        sync_cube();
        half /= 2;
    }
    shared[0]
}

/// A power of two of units, which the trees of sums need, for so many values.
fn units_for(tensor: &FloatTensor<CubeBackend>, values: usize) -> u32 {
    let most = tensor.client.properties().hardware.max_cube_dim.0;
    let units = (values as u32).next_power_of_two().min(UNITS);
    units.min(1 << most.ilog2())
}

/// How many cubes of how many units go through `[batch, class]`.
fn grid(logits: &FloatTensor<CubeBackend>) -> (CubeCount, u32) {
    let [batch, classes] = logits.shape().dims();
    let units = units_for(logits, classes);
    (CubeCount::Static(batch.min(CUBES) as u32, 1, 1), units)
}

impl MarginBackend for CubeBackend {
    fn margin_cross_entropy(
        features: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        labels: IntTensor<Self>,
        rule: TargetRule,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::forward::<Self>(features, weights, labels, &rule, composed::BLOCK)
    }

    fn margin_cross_entropies(
        features: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        labels: IntTensor<Self>,
        rule: TargetRule,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::each::<Self>(features, weights, labels, &rule, composed::BLOCK)
    }

    fn margin_cross_entropy_with_gradient(
        features: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        labels: IntTensor<Self>,
        rule: TargetRule,
    ) -> (
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
        FloatTensor<Self>,
    ) {
        composed::with_gradient::<Self>(features, weights, labels, &rule, composed::BLOCK)
    }
}

/// Whether the kernels take logits and labels of these types.
fn are_f32(logits: &FloatTensor<CubeBackend>, labels: &IntTensor<CubeBackend>) -> bool {
    logits.dtype() == DType::F32 && labels.dtype() == DType::I32
}

impl HeadPasses for CubeBackend {
    fn pairs(
        features: &FloatTensor<Self>,
        weights: &FloatTensor<Self>,
        labels: &IntTensor<Self>,
        columns: usize,
    ) -> Pairs<Self> {
        // Kernels count in 32 bits.
        let is_small = u32::try_from(weights.shape().num_elements()).is_ok();
        if !are_f32(features, labels) || weights.dtype() != DType::F32 || !is_small {
            return composed::pairs::<Self>(features, weights, labels, columns);
        }
        pairs::launch(features, weights, labels, columns)
    }

    fn sums(
        logits: FloatTensor<Self>,
        labels: &IntTensor<Self>,
        start: usize,
        table: FloatTensor<Self>,
        column: usize,
    ) -> FloatTensor<Self> {
        if !are_f32(&logits, labels) {
            return composed::sums::<Self>(logits, labels, start, table, column);
        }
        let (count, units) = grid(&logits);
        sums_kernel::launch(
            &logits.client.clone(),
            count,
            CubeDim::new_1d(units),
            logits.into_tensor_arg(),
            labels.clone().into_tensor_arg(),
            start as i32,
            table.clone().into_tensor_arg(),
            column,
            units,
        );
        table
    }

    fn matrix(
        logits: FloatTensor<Self>,
        labels: &IntTensor<Self>,
        start: usize,
        row: &FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        if !are_f32(&logits, labels) {
            return composed::matrix::<Self>(logits, labels, start, row);
        }
        let (count, units) = grid(&logits);
        let matrix = Self::float_empty(logits.shape(), &logits.device, FloatDType::F32);
        matrix_kernel::launch(
            &logits.client.clone(),
            count,
            CubeDim::new_1d(units),
            logits.into_tensor_arg(),
            labels.clone().into_tensor_arg(),
            start as i32,
            row.clone().into_tensor_arg(),
            matrix.clone().into_tensor_arg(),
            units,
        );
        matrix
    }

    fn apply(table: &FloatTensor<Self>, curve: Curve, rule: &TargetRule) -> Option<Margined<Self>> {
        (table.dtype() == DType::F32).then(|| apply::launch(table, curve, rule))
    }
}
