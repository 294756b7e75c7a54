//! The gradient of bias and `PReLU`.

use rayon::prelude::*;

/// Approximate number of values per task. It determines the order of the sums, so it must not
/// depend on the number of threads.
const TASK: usize = 1 << 15;

/// The gradients of `y = v` for `v > 0`, else `slope * v`, with `v = z + bias`, on rows of
/// channels.
///
/// Reads `dy`, the gradient with respect to `y`, and overwrites `z` with its gradient. Returns the
/// gradients with respect to `bias` and `slope`.
///
/// # Shapes
/// - bias, slope and their gradients: `[channel]`, at least one
/// - dy, z: `[row, channel]`
pub(super) fn prelu_gradient(
    bias: &[f32],
    slope: &[f32],
    dy: &[f32],
    z: &mut [f32],
) -> (Vec<f32>, Vec<f32>) {
    let channels = bias.len();
    let task = TASK.div_ceil(channels) * channels;
    let parts: Vec<_> = z
        .par_chunks_mut(task)
        .zip(dy.par_chunks(task))
        .map(|(z, dy)| part(bias, slope, dy, z))
        .collect();
    let mut sums = vec![[0.0f64; 2]; channels];
    for part in parts {
        for (sum, (d_bias, d_slope)) in sums.iter_mut().zip(part.0.into_iter().zip(part.1)) {
            sum[0] += f64::from(d_bias);
            sum[1] += f64::from(d_slope);
        }
    }
    sums.into_iter()
        .map(|[d_bias, d_slope]| (d_bias as f32, d_slope as f32))
        .unzip()
}

/// [`prelu_gradient`] on the rows of one task.
fn part(bias: &[f32], slope: &[f32], dy: &[f32], z: &mut [f32]) -> (Vec<f32>, Vec<f32>) {
    let channels = bias.len();
    let (mut d_bias, mut d_slope) = (vec![0.0f32; channels], vec![0.0f32; channels]);
    for (z, dy) in z.chunks_exact_mut(channels).zip(dy.chunks_exact(channels)) {
        let parameters = bias.iter().zip(slope);
        let sums = d_bias.iter_mut().zip(&mut d_slope);
        for (((z, dy), (bias, slope)), (d_bias, d_slope)) in
            z.iter_mut().zip(dy).zip(parameters).zip(sums)
        {
            let v = *z + bias;
            let is_positive = v > 0.0;
            let dz = if is_positive { *dy } else { slope * dy };
            *d_slope += if is_positive { 0.0 } else { v * dy };
            *d_bias += dz;
            *z = dz;
        }
    }
    (d_bias, d_slope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsoftmax_spec::random::Rng;

    fn normal(len: usize, place: u64) -> Vec<f64> {
        let mut rng = Rng::at(0, &[place]);
        (0..len).map(|_| rng.normal()).collect()
    }

    /// The loss whose gradient with respect to `y` is `dy`.
    fn loss([bias, slope, z, dy]: &[Vec<f64>; 4]) -> f64 {
        let parameters = bias.iter().zip(slope).cycle();
        let terms = z.iter().zip(dy).zip(parameters).map(|((z, dy), (b, s))| {
            let v = z + b;
            dy * if v > 0.0 { v } else { s * v }
        });
        terms.sum()
    }

    #[test]
    fn the_gradients_are_central_differences() {
        let (rows, channels) = (7, 5);
        let mut all = [channels, channels, rows * channels, rows * channels]
            .into_iter()
            .zip(1..)
            .map(|(len, place)| normal(len, place));
        let mut all = [(); 4].map(|()| all.next().unwrap());
        let [bias, slope, mut dz, dy] = all
            .each_ref()
            .map(|values| values.iter().map(|&v| v as f32).collect::<Vec<_>>());
        let (d_bias, d_slope) = prelu_gradient(&bias, &slope, &dy, &mut dz);
        let step = 1e-6;
        for (which, found) in [d_bias, d_slope, dz].into_iter().enumerate() {
            for (at, found) in found.into_iter().enumerate() {
                let value = all[which][at];
                all[which][at] = value + step;
                let above = loss(&all);
                all[which][at] = value - step;
                let difference = (above - loss(&all)) / (2.0 * step);
                all[which][at] = value;
                assert!(
                    (f64::from(found) - difference).abs() < 1e-5,
                    "{found} {difference}"
                );
            }
        }
    }

    #[test]
    fn many_rows_are_summed_alike_on_any_number_of_threads() {
        let channels = 24;
        let len = channels * (3 * TASK / channels + 5);
        let single = |place| {
            normal(len, place)
                .iter()
                .map(|&v| v as f32)
                .collect::<Vec<_>>()
        };
        let (z, dy) = (single(1), single(2));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let mut dz = z.clone();
            let (d_bias, d_slope) = pool.unwrap().install(|| {
                prelu_gradient(&vec![0.1; channels], &vec![0.25; channels], &dy, &mut dz)
            });
            (d_bias, d_slope, dz)
        };
        let (d_bias, d_slope, dz) = run(1);
        assert!((d_bias.clone(), d_slope, dz.clone()) == run(3));
        for (channel, &d_bias) in d_bias.iter().enumerate() {
            let column = dz.iter().skip(channel).step_by(channels);
            let sum: f64 = column.map(|&v| f64::from(v)).sum();
            assert!((f64::from(d_bias) - sum).abs() < 1e-2);
        }
    }
}
