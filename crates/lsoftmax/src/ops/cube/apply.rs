//! The margin of a batch as one kernel: the computation of `Head::ask` in f32.
//!
//! With A and B as in [`Curve`], `g` the curve blended with the cosine `c` by λ, `o` the sum of
//! exponentials of the other logits and `t` that of the target logit, both relative to the largest
//! logit:
//!
//! ```text
//! loss     = max - F + ln(o + t)
//! d_target = -o / (o + t) / batch
//! dx       = d_target (A g' w / |x||w| + B (g - c g') x / |x|^2)
//! ```
//!
//! In this form, a rounding error in `o` does not become an error of one minus a probability, and
//! no product of two norms is formed only to be divided out again by the gradient.

// The expansion of `#[cube]` contains casts and copies.
#![allow(clippy::pedantic)]
// Kernels support neither method, and the comparisons are meant to let NaN pass.
#![allow(
    clippy::manual_is_multiple_of,
    clippy::manual_clamp,
    clippy::neg_cmp_op_on_partial_ord
)]

use super::{NOTHING, total, units_for};
use crate::annealing::Signal;
use crate::margin::{Continuation, Curve};
use crate::ops::TargetRule;
use crate::ops::composed::Margined;
use crate::ops::table::PAIR;
use burn::backend::TensorMetadata as _;
use burn::backend::ops::FloatTensorOps as _;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{DType, FloatDType, Shape, TensorData};
use burn_cubecl::CubeBackend;
use cubecl::prelude::*;
use lsoftmax_kernels::head::TINY;
use std::f64::consts::PI;

/// Maximum number of units that work on the batch together.
const UNITS: usize = 256;
/// Below this sin² θ the inverse sine falls to 0, as on the host, whose cosines are more precise.
const FLAT: f32 = 1e-6;
/// Up to this x, three terms of the series of `ln(1 + x)` are exact.
const SMALL: f32 = 1e-3;

/// The properties of a rule for which the kernel is specialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Form {
    /// The multiplier of ψ, or 0 for an additive angular margin.
    multiplier: u32,
    /// Whether the additive angular margin is continued beyond π in the way of ψ.
    folds: bool,
    /// Whether features are scaled to a fixed length.
    scaled: bool,
    /// Whether class weights are scaled to length 1.
    unit_weights: bool,
    /// Whether λ depends on a gate, that is, on the whole batch.
    gated: bool,
    /// The signal of the gate.
    signal: u32,
}

/// The upper half of an f32: products of two such halves are exact.
const UPPER: u32 = 0xffff_f000;

/// A sample before its margin is applied, with the sums of its other logits.
#[derive(CubeType, Clone, Copy)]
struct Sample {
    cosine: f32,
    /// Rounding error of the cosine, which matters where the curve is steep.
    rest: f32,
    feature_norm: f32,
    weight_norm: f32,
    /// The norms of the vectors divided by their largest entries.
    feature_even: f32,
    weight_even: f32,
    /// A and B.
    of_feature: f32,
    of_weight: f32,
    /// Whether the angle is defined, that is, neither vector has length zero.
    angle: bool,
    /// `exp(max) * sum`.
    max: f32,
    sum: f32,
}

/// The curve at a cosine.
#[derive(CubeType, Clone, Copy)]
struct Point {
    value: f32,
    slope: f32,
}

/// The rounding error of `product`: `a b - product`.
#[cube]
fn rounding(a: f32, b: f32, product: f32) -> f32 {
    let a_upper = f32::from_bits(a.to_bits() & UPPER);
    let b_upper = f32::from_bits(b.to_bits() & UPPER);
    let (a_lower, b_lower) = (a - a_upper, b - b_upper);
    ((a_upper * b_upper - product) + (a_upper * b_lower + a_lower * b_upper)) + a_lower * b_lower
}

#[cube]
fn read(table: &Tensor<f32>, row: usize, scale: f32, #[comptime] form: Form) -> Sample {
    let (at, next) = (row * table.stride(0), table.stride(1));
    let inner = table[at];
    let (feature_square, weight_square) = (table[at + next], table[at + 2 * next]);
    let feature_even = feature_square.sqrt();
    let weight_even = weight_square.sqrt();
    let feature_norm = feature_even * table[at + 3 * next];
    let weight_norm = weight_even * table[at + 4 * next];
    let mut of_feature = feature_norm;
    let mut has_feature = feature_norm != 0.0f32;
    if comptime!(form.scaled) {
        of_feature = scale;
        has_feature = !(feature_norm < comptime!(TINY as f32));
    }
    let mut of_weight = weight_norm;
    let mut has_weight = weight_norm != 0.0f32;
    if comptime!(form.unit_weights) {
        of_weight = 1.0f32;
        has_weight = !(weight_norm < comptime!(TINY as f32));
    }
    let angle = has_feature && has_weight;
    let mut cosine = 0.0f32.runtime();
    let mut rest = 0.0f32.runtime();
    if angle {
        let squares = feature_square * weight_square;
        let norms = squares.sqrt();
        let of_squares = rounding(feature_square, weight_square, squares);
        let of_norms = (of_squares - rounding(norms, norms, squares)) / (2.0f32 * norms);
        cosine = inner / norms;
        rest = -(rounding(cosine, norms, inner) + cosine * of_norms) / norms;
        // Comparisons let NaN pass.
        if cosine + rest > 1.0f32 {
            cosine = 1.0f32;
            rest = 0.0f32;
        }
        if cosine + rest < -1.0f32 {
            cosine = -1.0f32;
            rest = 0.0f32;
        }
    }
    let mut max = NOTHING.runtime();
    let mut sum = 0.0f32.runtime();
    let mut column = comptime!(PAIR).runtime();
    while column < table.shape(1) {
        let (other, part) = (table[at + column * next], table[at + (column + 1) * next]);
        let both = if other > max { other } else { max };
        sum = sum * (max - both).exp() + part * (other - both).exp();
        max = both;
        column += 2;
    }
    Sample {
        cosine,
        rest,
        feature_norm,
        weight_norm,
        feature_even,
        weight_even,
        of_feature,
        of_weight,
        angle,
        max,
        sum,
    }
}

/// Computes the target logit from the value of the curve. A vector of length zero gives 0.
#[cube]
fn logit(sample: &Sample, value: f32) -> f32 {
    let mut logit = 0.0f32.runtime();
    if sample.angle {
        logit = sample.of_feature * sample.of_weight * value;
    }
    logit
}

#[cube]
fn psi(c: f32, rest: f32, #[comptime] m: u32) -> Point {
    let mut k = 0u32.runtime();
    #[unroll]
    for i in 1..m {
        if c < comptime!(threshold(i, m)) {
            k += 1;
        }
    }
    let mut t = 1.0f32.runtime();
    let mut t_next = c;
    let mut u_previous = 0.0f32.runtime();
    let mut u = 1.0f32.runtime();
    // Derivatives of the two.
    let mut v_previous = 0.0f32.runtime();
    let mut v = 0.0f32.runtime();
    #[unroll]
    for step in 1..m + 1 {
        if comptime!(step < m) {
            let next = 2.0f32 * u + 2.0f32 * c * v - v_previous;
            v_previous = v;
            v = next;
            let next = 2.0f32 * c * u - u_previous;
            u_previous = u;
            u = next;
        }
        let next = 2.0f32 * c * t_next - t;
        t = t_next;
        t_next = next;
    }
    let sign = if k % 2 == 0 { 1.0f32 } else { -1.0f32 };
    let sign_m = sign * comptime!(m as f32);
    Point {
        value: sign * t - 2.0f32 * k as f32 + sign_m * u * rest,
        slope: sign_m * (u + v * rest),
    }
}

/// cos(iπ/m).
fn threshold(i: u32, m: u32) -> f32 {
    if 2 * i == m {
        0.0
    } else {
        (f64::from(i) * PI / f64::from(m)).cos() as f32
    }
}

#[cube]
fn turned(
    c: f32,
    rest: f32,
    sine: f32,
    cosine: f32,
    shift: f32,
    drop: f32,
    #[comptime] folds: bool,
) -> Point {
    // Rounding may make the square negative.
    let mut square = (1.0f32 - c) * (1.0f32 + c) - 2.0f32 * c * rest;
    if square < 0.0f32 {
        square = 0.0f32;
    }
    let root = square.sqrt();
    let mut inverse = root / FLAT;
    if square >= FLAT {
        inverse = 1.0f32 / root;
    }
    let mut value = c * cosine - root * sine;
    let mut slope = cosine + c * sine * inverse;
    if c < -cosine {
        if comptime!(folds) {
            value = -value - 2.0f32;
            slope = -slope;
        } else {
            value = c - drop;
            slope = 1.0f32;
        }
    }
    Point {
        value: value - shift,
        slope,
    }
}

/// [`Signal::of_sample`], selected by the number of the signal.
#[cube]
fn of_sample(confidence: f32, #[comptime] signal: u32) -> f32 {
    let mut found = confidence;
    if comptime!(signal == Signal::Information as u32) {
        if confidence < comptime!(Signal::MIN_PROBABILITY as f32) {
            found = comptime!(Signal::MIN_PROBABILITY as f32);
        }
        found = found.ln();
    }
    found
}

/// One cube goes through the batch twice: first for the confidences, then with the λ that follows
/// from them. Long, because one launch for both passes is cheaper than two.
#[cube(launch)]
fn apply_kernel(
    table: &Tensor<f32>,
    // Weights of the rows in the signal of the gate, if there is one.
    weights: &Tensor<f32>,
    loss: &mut Tensor<f32>,
    targets: &mut Tensor<f32>,
    of_row: &mut Tensor<f32>,
    along: &mut Tensor<f32>,
    // 1 / (1 + λ).
    share: f32,
    // The gate: its signal at chance level and at certainty, the point where it begins to open, and
    // the distance from there to where it is fully open.
    guess: f32,
    certain: f32,
    from: f32,
    way: f32,
    scale: f32,
    // Sine of the additive angular margin.
    sine: f32,
    cosine: f32,
    shift: f32,
    drop: f32,
    #[comptime] form: Form,
    #[comptime] units: u32,
) {
    let width = comptime!(units as usize);
    let mut shared = Shared::<[f32]>::new_slice(width);
    let batch = table.shape(0);
    let size = batch as f32;

    let mut sum = 0.0f32.runtime();
    let mut row = UNIT_POS_X as usize;
    while row < batch {
        let sample = read(table, row, scale, form);
        let plain = logit(&sample, sample.cosine);
        let max = if plain > sample.max {
            plain
        } else {
            sample.max
        };
        let own = (plain - max).exp();
        let confidence = own / (sample.sum * (sample.max - max).exp() + own);
        if comptime!(form.gated) {
            sum += weights[row] * of_sample(confidence, form.signal);
        }
        let (at, next) = (row * targets.stride(0), targets.stride(1));
        targets[at] = sample.cosine;
        targets[at + next] = sample.feature_norm;
        targets[at + 2 * next] = sample.weight_norm;
        targets[at + 3 * next] = confidence;
        row += width;
    }
    let mut share = share;
    if comptime!(form.gated) {
        let mut above = 1.0f32.runtime();
        if guess < certain {
            above = (total(sum, &mut shared, units) - guess) / (certain - guess);
        }
        let mut gate = (above - from) / way;
        if gate > 1.0f32 {
            gate = 1.0f32;
        }
        if gate < 0.0f32 {
            gate = 0.0f32;
        }
        share *= gate;
    }

    sum = 0.0f32;
    row = UNIT_POS_X as usize;
    while row < batch {
        let sample = read(table, row, scale, form);
        let c = sample.cosine;
        let point = if comptime!(form.multiplier == 0) {
            turned(c, sample.rest, sine, cosine, shift, drop, form.folds)
        } else {
            psi(c, sample.rest, form.multiplier)
        };
        let mut value = c + (point.value - c) * share;
        let mut slope = 1.0f32 + (point.slope - 1.0f32) * share;
        if !sample.angle {
            value = 0.0f32;
            slope = 1.0f32;
        }
        let target = logit(&sample, value);
        let max = if target > sample.max {
            target
        } else {
            sample.max
        };
        let own = (target - max).exp();
        let others = sample.sum * (sample.max - max).exp();
        let all = others + own;
        if own == 1.0f32 && others < SMALL {
            sum += others - others * others / 2.0f32 + others * others * others / 3.0f32;
        } else {
            sum += max - target + all.ln();
        }
        let d_target = -others / all / size;

        // The rows of the products are unit vectors if both lengths are fixed.
        let mut factor = 1.0f32.runtime();
        let mut entry = slope;
        if comptime!(form.scaled) {
            factor = scale;
            entry *= scale;
            if sample.feature_norm < comptime!(TINY as f32) {
                entry = 0.0f32;
            }
        }
        if comptime!(form.unit_weights) && sample.weight_norm < comptime!(TINY as f32) {
            entry = 0.0f32;
        }
        let (at, next) = (row * of_row.stride(0), of_row.stride(1));
        of_row[at] = max;
        of_row[at + next] = factor / size / all;
        of_row[at + 2 * next] = d_target * entry;

        let rest = d_target * (value - c * slope);
        let mut of_feature = 0.0f32.runtime();
        let mut of_weight = 0.0f32.runtime();
        if sample.angle {
            if comptime!(!form.scaled) {
                of_feature = rest * sample.of_weight / sample.feature_even;
            }
            if comptime!(!form.unit_weights) {
                of_weight = rest * sample.of_feature / sample.weight_even;
            }
        }
        let (at, next) = (row * along.stride(0), along.stride(1));
        along[at] = of_feature;
        along[at + next] = of_weight;
        row += width;
    }
    let sum = total(sum, &mut shared, units) / size;
    if UNIT_POS_X == 0 {
        loss[0] = sum;
    }
}

pub(super) fn launch(
    table: &FloatTensor<CubeBackend>,
    curve: Curve,
    rule: &TargetRule,
) -> Margined<CubeBackend> {
    let batch = table.shape()[0];
    let units = units_for(table, batch.min(UNITS));
    let (multiplier, angle, shift, continuation) = match curve {
        Curve::Psi { m } => (m, 0.0, 0.0, Continuation::Fold),
        Curve::AngularMargin {
            angle,
            shift,
            continuation,
        } => (0, angle, shift, continuation),
    };
    let drop = match continuation {
        Continuation::Fold => 0.0,
        Continuation::Cosine { drop } => drop,
    };
    let normalisation = rule.normalisation();
    let gate = rule.lambda.gate_of_batch();
    let form = Form {
        multiplier,
        folds: continuation == Continuation::Fold,
        scaled: normalisation.feature_scale.is_some(),
        unit_weights: normalisation.weights,
        gated: gate.is_some(),
        signal: gate.map_or(0, |gate| gate.signal as u32),
    };
    let [from, way] = gate.map_or([0.0, 1.0], |gate| [gate.from, gate.to - gate.from]);
    let weights = match gate {
        Some(gate) => {
            let weights = gate.signal.weights(&rule.labels);
            let data = TensorData::new(weights, [batch]).convert_dtype(DType::F32);
            CubeBackend::float_from_data(data, &table.device)
        }
        None => table.clone(),
    };
    let [guess, certain] = gate.map_or([0.0, 1.0], |gate| gate.signal.range(rule.classes));
    let lambda = match gate {
        Some(_) => rule.lambda.least(),
        None => rule.lambda.of_batch(&[], &[], rule.classes),
    };
    let lambda = if lambda >= 0.0 { lambda } else { f64::NAN };
    let empty = |shape: &[usize]| {
        CubeBackend::float_empty(Shape::from(shape.to_vec()), &table.device, FloatDType::F32)
    };
    let found: Margined<CubeBackend> = Margined {
        loss: empty(&[1]),
        targets: empty(&[batch, 4]),
        row: empty(&[batch, 3]),
        along: empty(&[batch, 2]),
    };
    apply_kernel::launch(
        &table.client,
        CubeCount::Static(1, 1, 1),
        CubeDim::new_1d(units),
        table.clone().into_tensor_arg(),
        weights.into_tensor_arg(),
        found.loss.clone().into_tensor_arg(),
        found.targets.clone().into_tensor_arg(),
        found.row.clone().into_tensor_arg(),
        found.along.clone().into_tensor_arg(),
        (1.0 / (1.0 + lambda)) as f32,
        guess as f32,
        certain as f32,
        from as f32,
        way as f32,
        normalisation.feature_scale.unwrap_or(1.0) as f32,
        angle.sin() as f32,
        angle.cos() as f32,
        shift as f32,
        drop as f32,
        form,
        units,
    );
    found
}
