//! The steps of the head between its matrix products as kernels for graphics processors. This file
//! holds the two passes over a block of logits.
//!
//! All arithmetic is f32, the type of the logits.

// The expansion of `#[cube]` contains casts and copies.
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

/// Maximum number of units that work on one row together.
const UNITS: u32 = 1024;

/// Maximum number of cubes per launch. Further rows are processed in turns. WebGPU allows 65535.
const CUBES: usize = 1 << 14;

/// See [`composed::NOTHING`]. WGSL has no infinity.
const NOTHING: f32 = composed::NOTHING as f32;

/// Largest logit and sum of exponentials of each row, excluding the target class: one cube per row.
///
/// Each unit keeps a running maximum over its share of the row. The shares are merged in the same
/// order every time.
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
                    // NaN logits also end up here and stay NaN.
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

/// `exp(logit - max) * factor`, or the entry at the target class: one cube per row.
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

/// Sums one number per unit, in the same order every time. All units get the sum.
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

/// The number of units for this many values: a power of two, as the tree reductions require.
fn units_for(tensor: &FloatTensor<CubeBackend>, values: usize) -> u32 {
    let most = tensor.client.properties().hardware.max_cube_dim.0;
    let units = (values as u32).next_power_of_two().min(UNITS);
    units.min(1 << most.ilog2())
}

/// The number of cubes, and of units in each, for `[batch, class]`.
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

/// Whether logits and labels have the types that the kernels take.
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
        // The kernels index with 32 bits.
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
