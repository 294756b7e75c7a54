//! Pairing of each feature with the weight of its target class, as one kernel.

// The expansion of `#[cube]` contains casts and copies.
#![allow(clippy::pedantic)]

use super::{CUBES, total, units_for};
use crate::ops::composed::{Even, Pairs};
use crate::ops::table::PAIR;
use burn::backend::TensorMetadata as _;
use burn::backend::ops::FloatTensorOps as _;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{FloatDType, Shape};
use burn_cubecl::CubeBackend;
use cubecl::prelude::*;

/// The largest entry of a vector of which each unit has seen a share, but at least the smallest
/// normal number. NaN entries are ignored here and stay in the rows.
#[cube]
fn largest_of(value: f32, shared: &mut Shared<[f32]>, #[comptime] units: u32) -> f32 {
    let unit = UNIT_POS_X as usize;
    sync_cube();
    shared[unit] = value;
    sync_cube();
    let mut half = comptime!(units as usize / 2).runtime();
    while half > 0 {
        if unit < half && shared[unit + half] > shared[unit] {
            shared[unit] = shared[unit + half];
        }
        sync_cube();
        half /= 2;
    }
    let mut largest = comptime!(f32::MIN_POSITIVE).runtime();
    if shared[0] > largest {
        largest = shared[0];
    }
    largest
}

/// One cube per sample: writes the first columns of the table, and both vectors divided by their
/// largest entry.
#[cube(launch)]
fn pairs_kernel(
    features: &Tensor<f32>,
    weights: &Tensor<f32>,
    labels: &Tensor<i32>,
    table: &mut Tensor<f32>,
    even_features: &mut Tensor<f32>,
    even_own: &mut Tensor<f32>,
    feature_largest: &mut Tensor<f32>,
    #[comptime] units: u32,
) {
    let unit = UNIT_POS_X as usize;
    let width = comptime!(units as usize);
    let mut shared = Shared::<[f32]>::new_slice(width);
    let (batch, size) = (features.shape(0), features.shape(1));
    let (x_next, w_next) = (features.stride(1), weights.stride(1));
    let mut row = CUBE_POS_X as usize;
    while row < batch {
        let x_at = row * features.stride(0);
        let w_at = labels[row * labels.stride(0)] as usize * weights.stride(0);
        let mut x_most = 0.0f32.runtime();
        let mut w_most = 0.0f32.runtime();
        let mut i = unit;
        while i < size {
            let (x, w) = (features[x_at + i * x_next], weights[w_at + i * w_next]);
            let (x, w) = (x.abs(), w.abs());
            if x > x_most {
                x_most = x;
            }
            if w > w_most {
                w_most = w;
            }
            i += width;
        }
        let x_most = largest_of(x_most, &mut shared, units);
        let w_most = largest_of(w_most, &mut shared, units);
        let mut inner = 0.0f32.runtime();
        let mut xx = 0.0f32.runtime();
        let mut ww = 0.0f32.runtime();
        let mut i = unit;
        while i < size {
            let x = features[x_at + i * x_next] / x_most;
            let w = weights[w_at + i * w_next] / w_most;
            inner += x * w;
            xx += x * x;
            ww += w * w;
            even_features[row * size + i] = x;
            even_own[row * size + i] = w;
            i += width;
        }
        let inner = total(inner, &mut shared, units);
        let xx = total(xx, &mut shared, units);
        let ww = total(ww, &mut shared, units);
        if unit == 0 {
            let at = row * table.stride(0);
            table[at] = inner;
            table[at + 1] = xx;
            table[at + 2] = ww;
            table[at + 3] = x_most;
            table[at + 4] = w_most;
            feature_largest[row] = x_most;
        }
        row += CUBE_COUNT_X as usize;
    }
}

pub(super) fn launch(
    features: &FloatTensor<CubeBackend>,
    weights: &FloatTensor<CubeBackend>,
    labels: &IntTensor<CubeBackend>,
    columns: usize,
) -> Pairs<CubeBackend> {
    debug_assert!(columns >= PAIR);
    let [batch, size] = features.shape().dims();
    let units = units_for(features, size);
    let empty = |shape: [usize; 2]| {
        CubeBackend::float_empty(Shape::new(shape), &features.device, FloatDType::F32)
    };
    let found: Pairs<CubeBackend> = Pairs {
        table: empty([batch, columns]),
        features: Even {
            rows: empty([batch, size]),
            largest: empty([batch, 1]),
        },
        own: empty([batch, size]),
    };
    pairs_kernel::launch(
        &features.client,
        CubeCount::Static(batch.min(CUBES) as u32, 1, 1),
        CubeDim::new_1d(units),
        features.clone().into_tensor_arg(),
        weights.clone().into_tensor_arg(),
        labels.clone().into_tensor_arg(),
        found.table.clone().into_tensor_arg(),
        found.features.rows.clone().into_tensor_arg(),
        found.own.clone().into_tensor_arg(),
        found.features.largest.clone().into_tensor_arg(),
        units,
    );
    found
}
