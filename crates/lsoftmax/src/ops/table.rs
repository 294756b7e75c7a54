//! The margin on the host: computes the scalars of each sample from the device's table.

use super::TargetRule;
use burn::tensor::FloatDType;
use lsoftmax_kernels::head::{Outcome, Pair, Sample, SumExp, TargetLogits, confidences};

/// Number of columns before the sums of exponentials. For the rows divided by their largest entry:
/// feature times class weight, feature squared and class weight squared; then the largest entries
/// of both.
pub(super) const PAIR: usize = 5;

/// A batch after its margin is applied.
pub(super) struct Margins {
    /// Loss, confidences and samples.
    pub(super) outcome: Outcome,
    /// The sums of exponentials of each row, over all its logits.
    pub(super) sums: Vec<SumExp>,
    /// The largest entries of each feature and its target class weight.
    pub(super) largest: Vec<[f64; 2]>,
}

impl Margins {
    /// Applies the margin to each row of a table. A row has [`PAIR`] columns, followed by the
    /// largest logit and the sum of the exponentials of each block of classes, excluding the target
    /// class.
    pub(super) fn new(rule: &TargetRule, table: &[f64], precision: FloatDType) -> Self {
        let normalisation = rule.normalisation();
        let batch = rule.labels.len();
        let mut pairs = Vec::with_capacity(batch);
        let mut largest = Vec::with_capacity(batch);
        let mut others = Vec::with_capacity(batch);
        for row in table.chunks_exact(table.len() / batch) {
            let (of_pair, of_blocks) = row.split_at(PAIR);
            let &[inner, xx, ww, x, w] = of_pair else {
                unreachable!("as many as were put there")
            };
            pairs.push(Pair::new(
                inner * x * w,
                xx.sqrt() * x,
                ww.sqrt() * w,
                normalisation,
            ));
            largest.push([x, w]);
            let sums = of_blocks.chunks_exact(2).map(|sum| SumExp {
                max: sum[0],
                sum: sum[1],
            });
            let all = sums.reduce(SumExp::and);
            others.push(all.expect("at least one class"));
        }

        let confidences = confidences(&others, &pairs);
        let lambda = rule.lambda(&confidences);
        let samples: Vec<Sample> = (pairs.iter().enumerate())
            .map(|(row, pair)| {
                let margin = |target| rule.target_logit(row, target, lambda);
                let mut sample = Sample::new(pair, &margin);
                // Rounded as it would be among the other logits.
                if precision == FloatDType::F32 {
                    sample.logit = f64::from(sample.logit as f32);
                }
                sample
            })
            .collect();
        // Over all logits of a row, including the target logit.
        let sums: Vec<SumExp> = (others.into_iter().zip(&samples))
            .map(|(others, sample)| others.with(sample.logit))
            .collect();
        let rule: &dyn TargetLogits = rule;
        let losses: Vec<f64> = (sums.iter().zip(&samples))
            .map(|(sum, sample)| rule.loss(sum, sample))
            .collect();
        let outcome = Outcome {
            loss: rule.reduce(&losses),
            losses,
            confidences,
            samples,
        };
        Self {
            outcome,
            sums,
            largest,
        }
    }
}

/// The factor that converts the derivative with respect to the true inner product to that with
/// respect to the vectors in the logits.
pub(super) fn entry(rule: &TargetRule, sample: &Sample) -> f64 {
    let normalisation = rule.normalisation();
    let target = sample.target;
    let of_feature = (normalisation.feature_scale).map_or(1.0, |_| target.feature_norm);
    let of_weight = if normalisation.weights {
        target.weight_norm
    } else {
        1.0
    };
    sample.entry * of_feature * of_weight
}
