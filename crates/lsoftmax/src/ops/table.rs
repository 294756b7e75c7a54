//! The margin on the host: from what a device computed of each sample to the sample's scalars.

use super::TargetRule;
use burn::tensor::FloatDType;
use lsoftmax_kernels::head::{Outcome, Pair, Sample, SumExp, TargetLogits, confidences};

/// Columns of the table before the sums of exponentials: of the rows with their largest entry divided
/// out, feature times class weight, feature and class weight squared; the largest entries of both.
pub(super) const PAIR: usize = 5;

/// A batch after its margin was applied.
pub(super) struct Margins {
    /// Loss, confidences and samples.
    pub(super) outcome: Outcome,
    /// Of each row, over all its logits.
    pub(super) sums: Vec<SumExp>,
    /// Of each feature and its own class weight.
    pub(super) largest: Vec<[f64; 2]>,
}

impl Margins {
    /// Applies the margin to each row of a table: [`PAIR`] columns, then the largest logit and the sum
    /// of the exponentials of each block of classes, without the sample's own.
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
                // As it would stand among the other logits.
                if precision == FloatDType::F32 {
                    sample.logit = f64::from(sample.logit as f32);
                }
                sample
            })
            .collect();
        // Over all logits of a row, the target's among them.
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

/// What turns the derivative by the true inner product into that by the vectors as they stand in the
/// logits.
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
