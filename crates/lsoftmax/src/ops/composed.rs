//! The loss and its gradient on any backend.
//!
//! Classes are walked in blocks, as in `lsoftmax-kernels`, which has the formulas; names here are as
//! there. A block is a matrix product and one pass over its logits, [`MarginBackend::sums`]; going
//! back it is the product again, one pass, [`MarginBackend::matrix`], and two products. Where one
//! block is enough its logits are kept in between.
//!
//! What a margin is asked about is read back to the host, `O(batch)` numbers, in one read a step; the
//! answers go to the device as columns. All arithmetic is f32 at least.

use super::{MarginBackend, OwnClass, TargetRule, cast, precision, statistics};
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata as _};
use burn::tensor::{
    Element as _, FloatDType, IndexingUpdateOp, Scalar, Shape, Slice, TensorData, read_sync,
};
use lsoftmax_kernels::head::{
    Normalisation, Outcome, Pair, Sample, SumExp, TINY, TargetLogits as _, confidences, mean,
};
use std::ops::Range;

/// Logits of a block: 32 MiB of f32.
pub(super) const BLOCK: usize = 1 << 23;

/// Rows with their largest entry divided out: squares of huge and tiny values leave f32.
struct Even<B: Backend> {
    /// Rows whose largest entry is 1, or rows of zeros.
    rows: FloatTensor<B>,
    /// What gives the true rows again, `[rows, 1]`.
    largest: FloatTensor<B>,
}

impl<B: Backend> Even<B> {
    fn new(rows: FloatTensor<B>) -> Self {
        let largest = B::float_max_abs_dim(rows.clone(), 1);
        let largest = B::float_clamp_min(largest, Scalar::from(f32::MIN_POSITIVE));
        Self {
            rows: B::float_div(rows, largest.clone()),
            largest,
        }
    }
}

/// What stands in the products for features or class weights.
struct Side<B: Backend> {
    /// Unit vectors, or the rows as they came.
    rows: FloatTensor<B>,
    /// The inverse norms if the rows are normalised, `[rows, 1]`.
    inverse_norms: Option<FloatTensor<B>>,
}

impl<B: Backend> Side<B> {
    fn as_they_came(rows: FloatTensor<B>) -> Self {
        Self {
            rows,
            inverse_norms: None,
        }
    }

    fn normalised(even: &Even<B>) -> Self {
        let even_norms = B::float_sqrt(row_dot::<B>(&even.rows, &even.rows));
        let norms = B::float_mul(even_norms.clone(), even.largest.clone());
        let bool_dtype = burn::backend::get_device_settings::<B>(&norms.device()).bool_dtype;
        let is_zero = B::float_lower_elem(norms, TINY.into(), bool_dtype);
        let even_inverse = B::float_recip(even_norms);
        let even_inverse = B::float_mask_fill(even_inverse, is_zero.clone(), 0.0.into());
        let inverse = B::float_div(even_inverse.clone(), even.largest.clone());
        Self {
            rows: B::float_mul(even.rows.clone(), even_inverse),
            inverse_norms: Some(B::float_mask_fill(inverse, is_zero, 0.0.into())),
        }
    }

    /// Makes the gradient by what stands in the products one by the rows as they came.
    fn finish(&self, gradient: FloatTensor<B>) -> FloatTensor<B> {
        let Some(inverse_norms) = &self.inverse_norms else {
            return gradient;
        };
        let radial = row_dot::<B>(&gradient, &self.rows);
        let radial = B::float_mul(self.rows.clone(), radial);
        B::float_mul(B::float_sub(gradient, radial), inverse_norms.clone())
    }
}

/// A batch on its device.
struct Head<'a, B: MarginBackend> {
    rule: &'a TargetRule,
    normalisation: Normalisation,
    precision: FloatDType,
    features: Even<B>,
    feature_side: Side<B>,
    /// The features as they stand in the logits: unit vectors times the scale, or as they came.
    scaled: FloatTensor<B>,
    /// `[class, feature]`, in the precision they came in.
    weights: FloatTensor<B>,
    /// `[batch]`.
    labels: IntTensor<B>,
    /// The weight of each sample's own class.
    own: Even<B>,
    /// Classes of a block, the last of which may be shorter.
    blocks: Vec<Range<usize>>,
}

/// A block of class weights, and the logits it gives.
struct Block<B: Backend> {
    weights: Side<B>,
    /// `[batch, class of the block]`.
    logits: FloatTensor<B>,
    own: OwnClass<B>,
}

/// What the margin made of the batch.
struct Resolved<B: Backend> {
    loss: FloatTensor<B>,
    targets: FloatTensor<B>,
    /// Over all logits of a row, the target's among them.
    sums: Vec<SumExp>,
    samples: Vec<Sample>,
    /// Of each feature and its own class weight.
    largest: Vec<[f64; 2]>,
    kept: Option<Block<B>>,
}

/// Loss and statistics.
pub(super) fn forward<B: MarginBackend>(
    features: FloatTensor<B>,
    weights: FloatTensor<B>,
    rule: &TargetRule,
    block: usize,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let head = Head::<B>::new(features, weights, rule, block);
    let resolved = head.forward(false);
    (resolved.loss, resolved.targets)
}

/// Loss, statistics, and the gradients by features and class weights.
pub(super) fn with_gradient<B: MarginBackend>(
    features: FloatTensor<B>,
    weights: FloatTensor<B>,
    rule: &TargetRule,
    block: usize,
) -> (
    FloatTensor<B>,
    FloatTensor<B>,
    FloatTensor<B>,
    FloatTensor<B>,
) {
    let head = Head::<B>::new(features, weights, rule, block);
    let mut resolved = head.forward(true);
    let kept = resolved.kept.take();
    let [d_features, d_weights] = head.gradient(&resolved, kept);
    (resolved.loss, resolved.targets, d_features, d_weights)
}

impl<'a, B: MarginBackend> Head<'a, B> {
    /// `block`: logits of a block.
    fn new(
        features: FloatTensor<B>,
        weights: FloatTensor<B>,
        rule: &'a TargetRule,
        block: usize,
    ) -> Self {
        let precision = precision(features.dtype(), weights.dtype());
        let batch = rule.labels.len();
        let normalisation = rule.normalisation();
        let rows = cast::<B>(features, precision);
        let features = Even::new(rows.clone());
        let (feature_side, scaled) = match normalisation.feature_scale {
            None => (Side::as_they_came(rows.clone()), rows),
            Some(scale) => {
                let side = Side::<B>::normalised(&features);
                let scaled = B::float_mul_scalar(side.rows.clone(), scale.into());
                (side, scaled)
            }
        };
        let labels: Vec<i32> = rule.labels.iter().map(|&label| label as i32).collect();
        let labels = B::int_from_data(TensorData::new(labels, [batch]), &scaled.device());
        let own = B::float_select(weights.clone(), 0, labels.clone());
        let classes = (block / batch).max(1);
        let starts = (0..rule.classes).step_by(classes);
        Self {
            rule,
            normalisation,
            precision,
            features,
            feature_side,
            scaled,
            weights,
            labels,
            own: Even::new(cast::<B>(own, precision)),
            blocks: starts
                .map(|start| start..(start + classes).min(rule.classes))
                .collect(),
        }
    }

    fn batch(&self) -> usize {
        self.rule.labels.len()
    }

    fn block(&self, classes: &Range<usize>) -> Block<B> {
        let rows = if self.blocks.len() == 1 {
            self.weights.clone()
        } else {
            B::float_slice(self.weights.clone(), &[rows_of(classes), Slice::full()])
        };
        let rows = cast::<B>(rows, self.precision);
        let weights = if self.normalisation.weights {
            Side::<B>::normalised(&Even::new(rows))
        } else {
            Side::<B>::as_they_came(rows)
        };
        let transposed = B::float_swap_dims(weights.rows.clone(), 0, 1);
        Block {
            logits: B::float_matmul(self.scaled.clone(), transposed),
            weights,
            own: self.own_class(classes),
        }
    }

    /// Where in a block the own class of each sample stands.
    fn own_class(&self, classes: &Range<usize>) -> OwnClass<B> {
        let place = |&label: &u32| {
            let label = label as usize;
            let inside = classes.contains(&label);
            let column = if inside { label - classes.start } else { 0 };
            (column as i32, f64::from(u8::from(inside)))
        };
        let (columns, inside): (Vec<i32>, Vec<f64>) = self.rule.labels.iter().map(place).unzip();
        let columns = TensorData::new(columns, [self.batch(), 1]);
        OwnClass {
            column: B::int_from_data(columns, &self.scaled.device()),
            inside: self.column(inside),
        }
    }

    fn forward(&self, keep: bool) -> Resolved<B> {
        let batch = self.batch();
        let mut columns = vec![
            row_dot::<B>(&self.features.rows, &self.own.rows),
            row_dot::<B>(&self.features.rows, &self.features.rows),
            row_dot::<B>(&self.own.rows, &self.own.rows),
            self.features.largest.clone(),
            self.own.largest.clone(),
        ];
        let of_pairs = columns.len();
        let mut kept = None;
        for classes in &self.blocks {
            let block = self.block(classes);
            let OwnClass { column, inside } = &block.own;
            columns.push(B::sums(
                block.logits.clone(),
                column.clone(),
                inside.clone(),
            ));
            if keep && self.blocks.len() == 1 {
                kept = Some(block);
            }
        }
        let table = host::<B>(B::float_cat(columns, 1));
        let width = of_pairs + 2 * self.blocks.len();

        let mut pairs = Vec::with_capacity(batch);
        let mut largest = Vec::with_capacity(batch);
        let mut others = Vec::with_capacity(batch);
        for row in table.chunks_exact(width) {
            let (of_pair, of_blocks) = row.split_at(of_pairs);
            let &[inner, xx, ww, x, w] = of_pair else {
                unreachable!("as many as were put there")
            };
            pairs.push(Pair::new(
                inner * x * w,
                xx.sqrt() * x,
                ww.sqrt() * w,
                self.normalisation,
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
        let confidence = mean(&confidences);
        let samples: Vec<Sample> = (pairs.iter())
            .map(|pair| {
                let margin = |target| self.rule.target_logit(target, confidence);
                let mut sample = Sample::new(pair, &margin);
                // As it would stand among the other logits.
                if self.precision == FloatDType::F32 {
                    sample.logit = f64::from(sample.logit as f32);
                }
                sample
            })
            .collect();
        let sums: Vec<SumExp> = (others.into_iter().zip(&samples))
            .map(|(others, sample)| others.with(sample.logit))
            .collect();
        let losses = sums.iter().zip(&samples);
        let total: f64 = losses
            .map(|(sum, sample)| -sum.log_softmax(sample.logit))
            .sum();
        let outcome = Outcome {
            loss: total / batch as f64,
            confidences,
            samples,
        };
        let device = self.scaled.device();
        let loss = TensorData::new(vec![outcome.loss], [1]).convert_dtype(self.precision.into());
        let targets = TensorData::new(statistics(&outcome), [batch, 4]);
        Resolved {
            loss: B::float_from_data(loss, &device),
            targets: B::float_from_data(targets, &device),
            sums,
            samples: outcome.samples,
            largest,
            kept,
        }
    }

    /// The gradients by features and class weights.
    fn gradient(&self, found: &Resolved<B>, mut kept: Option<Block<B>>) -> [FloatTensor<B>; 2] {
        let size = self.batch() as f64;
        let d_target: Vec<f64> = (found.sums.iter().zip(&found.samples))
            .map(|(sum, sample)| sum.log_softmax(sample.logit).exp_m1() / size)
            .collect();
        let of_rows = |value: &dyn Fn(usize, &Sample) -> f64| {
            let values = found.samples.iter().zip(&d_target).enumerate();
            self.column(values.map(|(i, (sample, d))| d * value(i, sample)))
        };
        let max = self.column(found.sums.iter().map(|sum| sum.max));
        // The rows here are unit vectors where the kernel has them as they came.
        let scale = self.normalisation.feature_scale;
        let share = scale.unwrap_or(1.0) / size;
        let factor = self.column(found.sums.iter().map(|sum| share / sum.sum));
        let entry = of_rows(&|_, sample| {
            let target = sample.target;
            let of_feature = scale.map_or(1.0, |_| target.feature_norm);
            let of_weight = if self.normalisation.weights {
                target.weight_norm
            } else {
                1.0
            };
            sample.entry * of_feature * of_weight
        });
        let row = B::float_cat(vec![max, factor, entry], 1);

        let mut d_features = None;
        let mut d_weights = None;
        for classes in &self.blocks {
            let block = kept.take().unwrap_or_else(|| self.block(classes));
            let OwnClass { column, inside } = block.own;
            let matrix = B::matrix(block.logits, column, inside, row.clone());
            let part = B::float_matmul(matrix.clone(), block.weights.rows.clone());
            d_features = Some(match d_features.take() {
                None => part,
                Some(sum) => B::float_add(sum, part),
            });
            let transposed = B::float_swap_dims(matrix, 0, 1);
            let part = B::float_matmul(transposed, self.feature_side.rows.clone());
            let part = block.weights.finish(part);
            d_weights = Some(if self.blocks.len() == 1 {
                part
            } else {
                let all = d_weights.take().unwrap_or_else(|| {
                    let device = part.device();
                    B::float_empty(self.weights.shape(), &device, self.precision)
                });
                B::float_slice_assign(all, &[rows_of(classes), Slice::full()], part)
            });
        }
        let d_features = d_features.expect("at least one class");
        let d_weights = d_weights.expect("at least one class");

        // Times the largest entry on the host: the factor of the rows as they came may not fit f32.
        let along = of_rows(&|i, sample| sample.along_feature * found.largest[i][0]);
        let along = B::float_mul(self.features.rows.clone(), along);
        let d_features = B::float_add(self.feature_side.finish(d_features), along);

        let along = of_rows(&|i, sample| sample.along_weight * found.largest[i][1]);
        let along = B::float_mul(self.own.rows.clone(), along);
        let labels = self.labels.clone();
        let d_weights = B::float_select_assign(d_weights, 0, labels, along, IndexingUpdateOp::Add);
        [d_features, d_weights]
    }

    /// A host column, `[batch, 1]`.
    fn column(&self, values: impl IntoIterator<Item = f64>) -> FloatTensor<B> {
        let values: Vec<f64> = values.into_iter().collect();
        let shape = [values.len(), 1];
        let data = TensorData::new(values, shape).convert_dtype(self.precision.into());
        B::float_from_data(data, &self.scaled.device())
    }
}

fn rows_of(classes: &Range<usize>) -> Slice {
    Slice::from(classes.clone())
}

fn row_dot<B: Backend>(a: &FloatTensor<B>, b: &FloatTensor<B>) -> FloatTensor<B> {
    B::float_sum_dim(B::float_mul(a.clone(), b.clone()), 1)
}

fn host<B: Backend>(tensor: FloatTensor<B>) -> Vec<f64> {
    let data = read_sync(B::float_into_data(tensor)).expect("the device answers");
    data.convert_dtype(f64::dtype())
        .try_into_vec()
        .expect("converted to f64")
}

/// Stands for the target logit while the others are summed: far below any logit, and the logit can
/// be taken from it without leaving f32.
pub(super) const NOTHING: f64 = f32::MIN as f64 / 2.0;

/// [`NOTHING`] in place of the logits of the samples' own classes.
fn without_own<B: Backend>(logits: FloatTensor<B>, own: &OwnClass<B>) -> FloatTensor<B> {
    let plain = B::float_gather(1, logits.clone(), own.column.clone());
    let change = B::float_add_scalar(B::float_neg(plain), NOTHING.into());
    let change = B::float_mul(change, own.inside.clone());
    B::float_scatter(1, logits, own.column.clone(), change, IndexingUpdateOp::Add)
}

/// [`MarginBackend::sums`] of Burn's operations.
pub(super) fn sums<B: Backend>(logits: FloatTensor<B>, own: &OwnClass<B>) -> FloatTensor<B> {
    let logits = without_own::<B>(logits, own);
    let max = B::float_max_dim(logits.clone(), 1);
    let sum = B::float_exp(B::float_sub(logits, max.clone()));
    B::float_cat(vec![max, B::float_sum_dim(sum, 1)], 1)
}

/// [`MarginBackend::matrix`] of Burn's operations.
pub(super) fn matrix<B: Backend>(
    logits: FloatTensor<B>,
    own: &OwnClass<B>,
    row: &FloatTensor<B>,
) -> FloatTensor<B> {
    let batch = row.shape()[0];
    let [max, factor, entry] = [0, 1, 2].map(|at| {
        let column = Slice::from(at..at + 1);
        let column = B::float_slice(row.clone(), &[Slice::full(), column]);
        B::float_reshape(column, Shape::new([batch, 1]))
    });
    // The exponential of `NOTHING` is 0.
    let logits = without_own::<B>(logits, own);
    let matrix = B::float_mul(B::float_exp(B::float_sub(logits, max)), factor);
    let entry = B::float_mul(entry, own.inside.clone());
    B::float_scatter(1, matrix, own.column.clone(), entry, IndexingUpdateOp::Add)
}
