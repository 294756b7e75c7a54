//! Simple double-precision implementations to test against.

use crate::{ConvShape, PoolShape};

/// Reproducible values in [-1, 1).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn value(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) as f64 / (1u64 << 53) as f64).mul_add(2.0, -1.0)
    }

    /// Values that single precision represents exactly.
    pub(crate) fn values(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| f64::from(self.value() as f32)).collect()
    }
}

pub(crate) fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|&value| value as f32).collect()
}

/// Visits every product of the convolution: indices into y, x and the weights.
fn each(shape: &ConvShape, mut visit: impl FnMut(usize, usize, usize)) {
    let (oh, ow) = (shape.out_height(), shape.out_width());
    for n in 0..shape.batch {
        for oy in 0..oh {
            for ox in 0..ow {
                for ky in 0..shape.kernel {
                    for kx in 0..shape.kernel {
                        let (y, x) = (oy * shape.stride + ky, ox * shape.stride + kx);
                        if y < shape.padding || x < shape.padding {
                            continue;
                        }
                        let (y, x) = (y - shape.padding, x - shape.padding);
                        if y >= shape.height || x >= shape.width {
                            continue;
                        }
                        for o in 0..shape.out_channels {
                            for i in 0..shape.in_channels {
                                visit(
                                    ((n * oh + oy) * ow + ox) * shape.out_channels + o,
                                    ((n * shape.height + y) * shape.width + x) * shape.in_channels
                                        + i,
                                    ((o * shape.in_channels + i) * shape.kernel + ky)
                                        * shape.kernel
                                        + kx,
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

pub(crate) fn conv(shape: &ConvShape, x: &[f64], w: &[f64]) -> Vec<f64> {
    let mut y = vec![0.0; shape.output_len()];
    each(shape, |at_y, at_x, at_w| y[at_y] += x[at_x] * w[at_w]);
    y
}

pub(crate) fn conv_dx(shape: &ConvShape, dy: &[f64], w: &[f64]) -> Vec<f64> {
    let mut dx = vec![0.0; shape.input_len()];
    each(shape, |at_y, at_x, at_w| dx[at_x] += dy[at_y] * w[at_w]);
    dx
}

pub(crate) fn conv_dw(shape: &ConvShape, x: &[f64], dy: &[f64]) -> Vec<f64> {
    let mut dw = vec![0.0; shape.weight_len()];
    each(shape, |at_y, at_x, at_w| dw[at_w] += dy[at_y] * x[at_x]);
    dw
}

/// `(y, mean, var)` of batch normalisation and `PReLU`.
pub(crate) fn norm(
    x: &[f64],
    gamma: &[f64],
    beta: &[f64],
    slope: &[f64],
    eps: f64,
) -> (Vec<f64>, Vec<f64>, Vec<f64>) {
    let channels = gamma.len();
    let rows = (x.len() / channels) as f64;
    let (mut mean, mut var) = (vec![0.0; channels], vec![0.0; channels]);
    x.iter()
        .enumerate()
        .for_each(|(at, x)| mean[at % channels] += x / rows);
    x.iter()
        .enumerate()
        .for_each(|(at, x)| var[at % channels] += (x - mean[at % channels]).powi(2) / rows);
    let y = x.iter().enumerate().map(|(at, x)| {
        let c = at % channels;
        let n = (x - mean[c]) / (var[c] + eps).sqrt() * gamma[c] + beta[c];
        if n > 0.0 { n } else { slope[c] * n }
    });
    (y.collect(), mean, var)
}

pub(crate) fn pool(shape: &PoolShape, x: &[f32]) -> (Vec<f32>, Vec<u8>) {
    let (mut y, mut argmax) = (Vec::new(), Vec::new());
    for n in 0..shape.batch {
        for oy in 0..shape.out_height() {
            for ox in 0..shape.out_width() {
                for c in 0..shape.channels {
                    let mut best: Option<(f32, u8)> = None;
                    for index in 0..shape.kernel * shape.kernel {
                        let y =
                            (oy * shape.stride + index / shape.kernel).wrapping_sub(shape.padding);
                        let x_at =
                            (ox * shape.stride + index % shape.kernel).wrapping_sub(shape.padding);
                        if y >= shape.height || x_at >= shape.width {
                            continue;
                        }
                        let value =
                            x[((n * shape.height + y) * shape.width + x_at) * shape.channels + c];
                        if best.is_none_or(|(best, _)| value > best || value.is_nan()) {
                            best = Some((value, index as u8));
                        }
                    }
                    let (value, index) = best.expect("every window sees a pixel");
                    y.push(value);
                    argmax.push(index);
                }
            }
        }
    }
    (y, argmax)
}

/// The largest difference divided by the root mean square of the reference.
pub(crate) fn error(found: &[f32], wanted: &[f64]) -> f64 {
    assert_eq!(found.len(), wanted.len());
    let scale = (wanted.iter().map(|v| v * v).sum::<f64>() / wanted.len() as f64).sqrt();
    let worst = found
        .iter()
        .zip(wanted)
        .map(|(&a, &b)| (f64::from(a) - b).abs());
    worst.fold(0.0, |worst, value| {
        if value.is_nan() {
            f64::NAN
        } else {
            worst.max(value)
        }
    }) / scale.max(1e-30)
}
