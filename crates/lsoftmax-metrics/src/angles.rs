use serde::{Deserialize, Serialize};

use crate::centres::ClassSums;
use crate::matrix::{check_columns, check_labels};
use crate::pairwise::pairwise_angles;
use crate::vector::{angle_rad, dot, has_direction, norm};
use crate::{Centre, ClassCentres, Histogram, Matrix, PairwiseAngles, Result, Summary};

/// The angle of each feature to the class weight of its label, in radians.
///
/// `None` if the feature or the weight is zero or not finite, because the angle is then undefined.
///
/// # Shapes
/// - features: `[batch, feature]`
/// - labels: `[batch]`
/// - `class_weights`: `[class, feature]`
///
/// # Errors
/// The shapes do not fit, or a label is out of range.
pub fn target_angles_rad(
    features: Matrix<'_>,
    labels: &[usize],
    class_weights: Matrix<'_>,
) -> Result<Vec<Option<f64>>> {
    check_columns("features", features, class_weights.columns())?;
    check_labels(labels, features.rows(), class_weights.rows())?;
    let weight_norms: Vec<f64> = class_weights.iter_rows().map(norm).collect();
    let rows = features.iter_rows().zip(labels);
    Ok(rows
        .map(|(feature, &label)| {
            let weight = class_weights.row(label)?;
            angle_between_rad(feature, norm(feature), weight, weight_norms[label])
        })
        .collect())
}

fn angle_between_rad(a: &[f32], a_norm: f64, b: &[f32], b_norm: f64) -> Option<f64> {
    // Two divisions: the product of two norms could overflow or vanish.
    (has_direction(a_norm) && has_direction(b_norm)).then(|| angle_rad(dot(a, b) / a_norm / b_norm))
}

/// The angles of a test set, collected batch by batch in one pass.
///
/// Keeps one or two sums per class and one angle per sample in memory, not the features.
///
/// ```
/// use lsoftmax_metrics::{AngleStatistics, Centre, Matrix};
///
/// let class_weights = [1.0, 0.0, 0.0, 1.0];
/// let class_weights = Matrix::new(&class_weights, 2, 2)?;
/// let mut angles = AngleStatistics::new(2, 2, Centre::MeanFeature)
///     .with_class_weights(class_weights)?;
///
/// angles.push(Matrix::new(&[2.0, 2.0], 1, 2)?, &[0])?;
/// angles.push(Matrix::new(&[0.0, 3.0], 1, 2)?, &[1])?;
///
/// let report = angles.finish();
/// let target = report.target_angle_rad.expect("both samples have an angle");
/// assert!((target.maximum.to_degrees() - 45.0).abs() < 1e-9);
/// # Ok::<(), lsoftmax_metrics::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct AngleStatistics<'a> {
    features: usize,
    /// The class weights with their norms.
    class_weights: Option<(Matrix<'a>, Vec<f64>)>,
    target_histogram: Option<Histogram>,
    target_angles: Vec<f64>,
    target_undefined: u64,
    /// Sums of normalised features.
    directions: ClassSums,
    /// Sums of features, if they define the centres.
    raw: Option<ClassSums>,
    counts: Vec<u64>,
    zero: u64,
    non_finite: u64,
    norm_sum: f64,
}

/// The result of [`AngleStatistics`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AngleReport {
    /// Number of samples.
    pub samples: u64,
    /// Samples excluded from every angle because their feature is zero.
    pub zero_features: u64,
    /// Samples excluded entirely because their feature holds a NaN or an infinity.
    pub non_finite_features: u64,
    /// Mean norm of the finite features, including zeros; `None` without any.
    pub mean_feature_norm: Option<f64>,
    /// The angle of each sample to its own class weight, in radians; `None` without weights.
    pub target_angle_rad: Option<Summary>,
    /// Samples with a direction whose class weight has no direction.
    pub target_angle_undefined: u64,
    /// The histogram of the target angles, if requested.
    pub target_angle_histogram_rad: Option<Histogram>,
    /// The angles between the class centres.
    pub centre_angles: PairwiseAngles,
    /// The angles between the class weights; `None` without weights.
    pub class_weight_angles: Option<PairwiseAngles>,
    /// `sum_x (1 - cos(x, m_y)) / sum_class n (1 - cos(m_class, m))`, where `m_class` is the centre
    /// of a class and `m` that of all samples. Lower is better: compact classes far apart. `None`
    /// if the centres do not differ, or if all samples together have no mean direction, for example
    /// when the classes are evenly spaced on a circle. Close to such a balance `m` is mostly noise,
    /// and so is the score.
    pub angular_fisher_score: Option<f64>,
}

impl<'a> AngleStatistics<'a> {
    /// Creates statistics for `classes` classes and features of `features` values.
    pub fn new(classes: usize, features: usize, centre: Centre) -> Self {
        let sums = ClassSums::new(classes, features);
        Self {
            features,
            class_weights: None,
            target_histogram: None,
            target_angles: Vec::new(),
            target_undefined: 0,
            raw: (centre == Centre::MeanFeature).then(|| sums.clone()),
            directions: sums,
            counts: vec![0; classes],
            zero: 0,
            non_finite: 0,
            norm_sum: 0.0,
        }
    }

    /// Also measures each sample's angle to its class weight.
    ///
    /// Set the weights before the first batch: the angles are computed batch by batch.
    ///
    /// # Shapes
    /// - `class_weights`: `[class, feature]`
    ///
    /// # Errors
    /// The shape does not match the classes and features.
    pub fn with_class_weights(mut self, class_weights: Matrix<'a>) -> Result<Self> {
        let expected = self.counts.len();
        if class_weights.rows() != expected {
            let found = class_weights.rows();
            return Err(crate::Error::RowCount {
                what: "class weights",
                expected,
                found,
            });
        }
        check_columns("class weights", class_weights, self.features)?;
        let norms = class_weights.iter_rows().map(norm).collect();
        self.class_weights = Some((class_weights, norms));
        Ok(self)
    }

    /// Also counts the target angles, in radians, in `histogram`.
    #[must_use]
    pub fn with_target_histogram_rad(mut self, histogram: Histogram) -> Self {
        self.target_histogram = Some(histogram);
        self
    }

    /// Adds a batch: features `[batch, feature]`, labels `[batch]`.
    ///
    /// # Errors
    /// The shapes do not fit, or a label is out of range. Nothing of the batch is then counted.
    pub fn push(&mut self, features: Matrix<'_>, labels: &[usize]) -> Result<()> {
        check_columns("features", features, self.features)?;
        check_labels(labels, features.rows(), self.counts.len())?;
        for (feature, &label) in features.iter_rows().zip(labels) {
            self.push_sample(feature, label);
        }
        Ok(())
    }

    fn push_sample(&mut self, feature: &[f32], label: usize) {
        let norm = norm(feature);
        if !norm.is_finite() {
            self.non_finite += 1;
            return;
        }
        self.norm_sum += norm;
        if norm == 0.0 {
            self.zero += 1;
            return;
        }

        self.counts[label] += 1;
        self.directions.add(label, feature, norm.recip(), 1.0);
        if let Some(raw) = &mut self.raw {
            raw.add(label, feature, 1.0, norm);
        }
        let Some((weights, weight_norms)) = &self.class_weights else {
            return;
        };
        let angle = weights
            .row(label)
            .and_then(|weight| angle_between_rad(feature, norm, weight, weight_norms[label]));
        match angle {
            Some(angle) => {
                self.target_angles.push(angle);
                if let Some(histogram) = &mut self.target_histogram {
                    histogram.push(angle);
                }
            }
            None => self.target_undefined += 1,
        }
    }

    /// The class centres of the samples so far, for [`IntraAngles`].
    pub fn centres(&self) -> ClassCentres {
        ClassCentres::new(self.centre_sums())
    }

    fn centre_sums(&self) -> &ClassSums {
        self.raw.as_ref().unwrap_or(&self.directions)
    }

    /// Finishes and returns the report.
    pub fn finish(self) -> AngleReport {
        let centres = self.centres();
        let overall = self.centre_sums().total_direction();
        let finite = self.counts.iter().sum::<u64>() + self.zero;
        AngleReport {
            samples: finite + self.non_finite,
            zero_features: self.zero,
            non_finite_features: self.non_finite,
            mean_feature_norm: (finite > 0).then(|| self.norm_sum / finite as f64),
            angular_fisher_score: centres.fisher_score(
                &self.directions,
                &self.counts,
                overall.as_deref(),
            ),
            centre_angles: centres.pairwise_angles(),
            class_weight_angles: self
                .class_weights
                .map(|(weights, _)| pairwise_angles(weights)),
            target_angle_rad: Summary::new(self.target_angles),
            target_angle_undefined: self.target_undefined,
            target_angle_histogram_rad: self.target_histogram,
        }
    }
}

/// The angle of each sample to the centre of its class. This takes a second pass over the samples,
/// because the centres are known only after the first.
#[derive(Debug, Clone)]
pub struct IntraAngles<'a> {
    centres: &'a ClassCentres,
    angles: Vec<f64>,
    class_sums: Vec<f64>,
    class_counts: Vec<u64>,
    undefined: u64,
}

/// The result of [`IntraAngles`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IntraReport {
    /// The angle of each sample to the centre of its class, in radians; `None` without samples.
    pub angle_rad: Option<Summary>,
    /// The mean of these angles per class; `None` for a class without angles.
    pub class_mean_rad: Vec<Option<f64>>,
    /// Excluded samples: the feature is zero or not finite, or the class has no centre.
    pub undefined: u64,
}

impl<'a> IntraAngles<'a> {
    /// Starts measuring angles to `centres`.
    pub fn new(centres: &'a ClassCentres) -> Self {
        Self {
            centres,
            angles: Vec::new(),
            class_sums: vec![0.0; centres.classes()],
            class_counts: vec![0; centres.classes()],
            undefined: 0,
        }
    }

    /// Adds a batch: features `[batch, feature]`, labels `[batch]`.
    ///
    /// # Errors
    /// The shapes do not fit, or a label is out of range. Nothing of the batch is then counted.
    pub fn push(&mut self, features: Matrix<'_>, labels: &[usize]) -> Result<()> {
        check_columns("features", features, self.centres.features())?;
        check_labels(labels, features.rows(), self.centres.classes())?;
        for (feature, &label) in features.iter_rows().zip(labels) {
            let norm = norm(feature);
            match self.centres.direction(label) {
                Some(centre) if has_direction(norm) => {
                    let angle = angle_rad(dot(feature, centre) / norm);
                    self.angles.push(angle);
                    self.class_sums[label] += angle;
                    self.class_counts[label] += 1;
                }
                _ => self.undefined += 1,
            }
        }
        Ok(())
    }

    /// Finishes and returns the report.
    pub fn finish(self) -> IntraReport {
        let classes = self.class_sums.iter().zip(&self.class_counts);
        IntraReport {
            class_mean_rad: classes
                .map(|(sum, &count)| (count > 0).then(|| sum / count as f64))
                .collect(),
            angle_rad: Summary::new(self.angles),
            undefined: self.undefined,
        }
    }
}

/// Both passes of [`IntraAngles`] over features in memory.
///
/// # Errors
/// The shapes do not fit, or a label is out of range.
pub fn intra_angles(
    features: Matrix<'_>,
    labels: &[usize],
    classes: usize,
    centre: Centre,
) -> Result<IntraReport> {
    let mut first = AngleStatistics::new(classes, features.columns(), centre);
    first.push(features, labels)?;
    let centres = first.centres();
    let mut second = IntraAngles::new(&centres);
    second.push(features, labels)?;
    Ok(second.finish())
}
