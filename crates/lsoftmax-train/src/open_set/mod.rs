//! A model on classes that it was not trained on: verification, retrieval, clustering.

mod identification;

pub use identification::IdentificationRates;

use crate::error::TrainError;
use crate::evaluation::embeddings_until;
use crate::model::{Model, ModelInfo};
use crate::stop::Stop;
use lsoftmax_data::Dataset;
use lsoftmax_metrics::{
    KFold, Matrix, OperatingPoint, RetrievalReport, Roc, SearchOptions, TarAtFar,
    VerificationPairs, adjusted_mutual_information, k_means, nearest,
    normalized_mutual_information, retrieval_leave_one_out,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Folds of the cross-validation, as LFW has; fewer where there are fewer than 20 classes.
const FOLDS: usize = 10;
/// Pairs of each kind in a fold, at most.
const PAIRS: usize = 6_000;
/// The FARs at which a TAR is told.
pub const FARS: [f64; 4] = [1e-1, 1e-2, 1e-3, 1e-4];
/// The K of Recall@K.
const RECALLS: [usize; 4] = [1, 2, 4, 8];
/// Points of a curve for drawing.
const POINTS: usize = 400;
/// Points of the curve that go with a model.
const DECISION_POINTS: usize = 120;
/// Bins of the scores from -1 to 1.
const BINS: usize = 100;
/// Worst mistakes of each kind, and probes with their neighbours, for pictures.
const MISTAKES: usize = 6;
const PROBES: usize = 6;
const NEIGHBOURS: usize = 7;
/// More images are not clustered: the cost goes with images times classes.
const CLUSTERED: usize = 50_000;
const CLUSTER_ROUNDS: usize = 30;

/// The figures of pairs of images: same class or not?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Pairs of one class.
    pub same_pairs: usize,
    /// Pairs of different classes.
    pub different_pairs: usize,
    /// Folds, which share no class; 0 for pairs that came without.
    pub folds: usize,
    /// Accuracy with the threshold from all other folds, the mean over the folds; NaN without folds.
    pub accuracy_percent: f64,
    /// The standard error of that mean.
    pub standard_error_percent: f64,
    /// The cosine at which most of all pairs are judged right.
    pub threshold: f32,
    /// Equal error rate.
    pub eer_percent: f64,
    /// Area under the ROC.
    pub auc: f64,
    /// The smallest FAR that so many pairs can measure.
    pub smallest_far: f64,
    /// TAR at some FARs, none where it is not measurable.
    pub tar_at_far: Vec<TarAtFar>,
    /// The ROC, for drawing.
    pub points: Vec<OperatingPoint>,
    /// Edges of the bins of the scores.
    pub score_edges: Vec<f64>,
    /// Pairs of one class in each bin.
    pub same_counts: Vec<u64>,
    /// Pairs of different classes in each bin.
    pub different_counts: Vec<u64>,
}

impl Verification {
    /// The figures of scored pairs, and of their folds if they have any.
    ///
    /// # Errors
    /// None are known.
    pub fn new(roc: &Roc, k_fold: Option<&KFold>) -> Result<Self, TrainError> {
        // A cosine of 1 belongs into the last bin.
        let (same, different) = roc.histograms(-1.0, 1.0 + 1e-6, BINS)?;
        Ok(Self {
            same_pairs: roc.same_pairs(),
            different_pairs: roc.different_pairs(),
            folds: k_fold.map_or(0, |k_fold| k_fold.folds.len()),
            accuracy_percent: k_fold.map_or(f64::NAN, |k_fold| k_fold.accuracy_percent),
            standard_error_percent: k_fold.map_or(f64::NAN, |k_fold| k_fold.standard_error_percent),
            threshold: roc.best_threshold().threshold,
            eer_percent: 100.0 * roc.eer().rate,
            auc: roc.auc(),
            smallest_far: roc.smallest_far(),
            tar_at_far: FARS
                .iter()
                .map(|&far| roc.tar_at_far(far))
                .collect::<Result<_, _>>()?,
            points: roc.points(POINTS),
            score_edges: same.edges().to_vec(),
            same_counts: same.counts().to_vec(),
            different_counts: different.counts().to_vec(),
        })
    }

    /// TAR at one of [`FARS`] in per cent, if it was measurable.
    pub fn tar_percent(&self, far: f64) -> Option<f64> {
        let point = self.tar_at_far.iter().find(|tar| tar.asked == far)?;
        point.measured.map(|point| 100.0 * point.tar)
    }
}

// Serde gives a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

fn yes() -> bool {
    true
}

/// When two images count as one class: part of a trained model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// The cosine with the most right answers on the pairs it was chosen on, and its rates there.
    pub best: OperatingPoint,
    /// Pairs of one class it was chosen on.
    pub same_pairs: usize,
    /// Pairs of different classes.
    pub different_pairs: usize,
    /// Whether the classes were none that the model was trained on. If they were, expect more false
    /// accepts on others.
    pub unseen_classes: bool,
    /// Classes among them that have the name of a trained class and are said to be different ones.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub same_names: usize,
    /// The ROC there, from strict to lenient.
    pub points: Vec<OperatingPoint>,
}

impl Decision {
    /// The most lenient threshold known with a FAR no larger than this.
    ///
    /// # Errors
    /// It is no share, or below what can be measured with these pairs.
    pub fn at_far(&self, far: f64) -> Result<OperatingPoint, TrainError> {
        let floor = 1.0 / self.different_pairs.max(1) as f64;
        if !(floor..=1.0).contains(&far) {
            let expected = format!(
                "from {floor:.1e} to 1: the model's threshold comes from {} different pairs",
                self.different_pairs
            );
            return Err(TrainError::setting("far", expected, far));
        }
        let within = self.points.iter().filter(|point| point.far <= far);
        let lenient = within.min_by(|a, b| a.threshold.total_cmp(&b.threshold));
        Ok(lenient.copied().unwrap_or(self.best))
    }
}

/// Two images that were judged wrongly, by their places in the data set.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mistake {
    /// One image.
    pub left: u32,
    /// The other.
    pub right: u32,
    /// Whether they are of one class.
    pub same: bool,
    /// Their cosine.
    pub score: f32,
}

/// An image and the images nearest to it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Neighbourhood {
    /// The image.
    pub probe: u32,
    /// Others and their cosines, nearest first.
    pub nearest: Vec<(u32, f32)>,
}

/// What a model does on classes it was not trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenSetEvaluation {
    /// Images.
    pub images: usize,
    /// Classes that have any.
    pub classes: usize,
    /// How many of them have the name of a trained class and are said to be different ones.
    #[serde(default)]
    pub same_names: usize,
    /// Whether the images are known to be none that the model was trained on; the list of these
    /// images is not always at hand.
    #[serde(default = "yes")]
    pub images_compared: bool,
    /// Pairs: same or not.
    pub verification: Verification,
    /// Each image searched among all others.
    pub retrieval: RetrievalReport,
    /// How well k-means with the true number of classes finds them; none for a large set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nmi: Option<f64>,
    /// The same agreement, less that of chance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ami: Option<f64>,
    /// Known or a stranger, and who; none where a set is too small for both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identification: Option<IdentificationRates>,
    /// The different pairs with the largest cosines, and the same pairs with the smallest.
    pub mistakes: Vec<Mistake>,
    /// A few images and their neighbours.
    pub neighbourhoods: Vec<Neighbourhood>,
    /// SHA-256 of the images of [`mistakes`](Self::mistakes) and
    /// [`neighbourhoods`](Self::neighbourhoods), and of the names of their classes; empty in files of
    /// older versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub shown: String,
}

impl OpenSetEvaluation {
    /// Whether a data set has the images that the mistakes and the neighbourhoods are of.
    pub fn shows(&self, data: &Dataset) -> bool {
        self.digest(data).is_some_and(|found| found == self.shown)
    }

    /// None if an image is not there.
    fn digest(&self, data: &Dataset) -> Option<String> {
        let mistakes = self.mistakes.iter();
        let mistakes = mistakes.flat_map(|mistake| [mistake.left, mistake.right]);
        let near = self.neighbourhoods.iter().flat_map(|near| {
            let nearest = near.nearest.iter().map(|&(image, _)| image);
            std::iter::once(near.probe).chain(nearest)
        });
        let mut hash = Sha256::new();
        for index in mistakes.chain(near) {
            let index = index as usize;
            let label = *data.labels().get(index)? as usize;
            let name = data.class_names.get(label)?;
            hash.update((name.len() as u64).to_le_bytes());
            hash.update(name);
            hash.update(data.image(index));
        }
        Some(format!("{:x}", hash.finalize()))
    }
}

/// Pairs of a set, with their scores.
pub(crate) struct ScoredPairs {
    pairs: VerificationPairs,
    scores: Vec<f32>,
    roc: Roc,
}

impl ScoredPairs {
    /// Draws pairs and scores them by the cosine.
    pub(crate) fn new(
        embeddings: Matrix<'_>,
        labels: &[usize],
        seed: u64,
    ) -> Result<Self, TrainError> {
        let folds = folds(labels);
        let pairs = VerificationPairs::sample(labels, folds, PAIRS, PAIRS, seed)?;
        let scores = pairs.cosine_scores(embeddings)?;
        let roc = Roc::new(&scores, &pairs.same)?;
        Ok(Self { pairs, scores, roc })
    }

    /// The threshold that goes with a model, if there is one: a number that JSON can hold.
    pub(crate) fn decision(&self, unseen_classes: bool) -> Option<Decision> {
        let threshold = self.roc.best_threshold().threshold;
        let points = self.roc.points(DECISION_POINTS);
        let mut thresholds = points.iter().map(|point| point.threshold);
        if !threshold.is_finite() || thresholds.any(|it| !it.is_finite()) {
            return None;
        }
        Some(Decision {
            best: OperatingPoint {
                threshold,
                far: self.roc.far_at(threshold),
                tar: self.roc.tar_at(threshold),
            },
            same_pairs: self.roc.same_pairs(),
            different_pairs: self.roc.different_pairs(),
            unseen_classes,
            same_names: 0,
            points,
        })
    }

    fn verification(&self, embeddings: Matrix<'_>) -> Result<Verification, TrainError> {
        let k_fold = self.pairs.k_fold(embeddings, false)?;
        Verification::new(&self.roc, Some(&k_fold))
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let images = |at: usize| [self.pairs.left[at], self.pairs.right[at]];
        worst_mistakes(&self.scores, &self.pairs.same, images)
    }
}

/// The pairs that are judged most wrongly, as many of different classes as of one.
///
/// # Shapes
/// - scores, same: `[pair]`; images: the two of a pair
pub fn worst_mistakes(
    scores: &[f32],
    same: &[bool],
    images: impl Fn(usize) -> [u32; 2],
) -> Vec<Mistake> {
    let mut order: Vec<usize> = (0..scores.len().min(same.len())).collect();
    // Equal scores in the order of the pairs.
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    let kind = |wanted: bool| move |&at: &usize| same[at] == wanted;
    let alike = order.iter().copied().filter(kind(false)).take(MISTAKES);
    let apart = order.iter().rev().copied();
    let apart = apart.filter(kind(true)).take(MISTAKES);
    let mistake = |at: usize| {
        let [left, right] = images(at);
        Mistake {
            left,
            right,
            same: same[at],
            score: scores[at],
        }
    };
    alike.chain(apart).map(mistake).collect()
}

/// Ten folds where there are classes for as many: each needs two, one of them with two images.
fn folds(labels: &[usize]) -> usize {
    let mut counts = std::collections::BTreeMap::<usize, usize>::new();
    for &label in labels {
        *counts.entry(label).or_default() += 1;
    }
    let pairs = counts.values().filter(|&&count| count > 1).count();
    (counts.len() / 2).min(pairs).clamp(2, FOLDS)
}

/// The labels of a data set as the metrics want them.
pub(crate) fn labels(data: &Dataset) -> Vec<usize> {
    data.labels().iter().map(|&label| label as usize).collect()
}

/// Checks that an open set is large enough for the figures of [`evaluate_open_set`]: two folds that
/// share no class need two classes each, one of which has two images.
///
/// # Errors
/// It has fewer than four classes, or fewer than two with two images or more.
pub fn check_open_set(data: &Dataset) -> Result<(), TrainError> {
    let counts = data.class_counts();
    let with = |images: usize| counts.iter().filter(|&&count| count >= images).count();
    let (classes, with_two_images) = (with(1), with(2));
    if classes >= 4 && with_two_images >= 2 {
        Ok(())
    } else {
        Err(TrainError::OpenSet {
            classes,
            with_two_images,
        })
    }
}

/// Evaluates a model on classes that it was not trained on, by the cosines of its embeddings; also
/// gives the threshold that such pairs suggest, if they do.
///
/// # Errors
/// Images of another size than the model's, or a set that [`check_open_set`] refuses.
pub fn evaluate_open_set(
    model: &Model,
    info: &ModelInfo,
    data: &Dataset,
    seed: u64,
) -> Result<(OpenSetEvaluation, Option<Decision>), TrainError> {
    evaluate_open_set_until(model, info, data, seed, Stop::NEVER)
}

/// [`evaluate_open_set`] that can be stopped.
pub(crate) fn evaluate_open_set_until(
    model: &Model,
    info: &ModelInfo,
    data: &Dataset,
    seed: u64,
    stop: Stop,
) -> Result<(OpenSetEvaluation, Option<Decision>), TrainError> {
    check_open_set(data)?;
    let rows = embeddings_until(model, info, data, stop)?;
    let size = rows.len() / data.len();
    let matrix = Matrix::new(&rows, data.len(), size)?;
    let labels = labels(data);
    let pairs = ScoredPairs::new(matrix, &labels, seed)?;
    let classes = data.class_counts().iter().filter(|&&n| n > 0).count();
    let [nmi, ami] = if data.len() <= CLUSTERED {
        let clusters = k_means(matrix, classes, seed, CLUSTER_ROUNDS)?.clusters;
        [
            Some(normalized_mutual_information(&labels, &clusters)?),
            Some(adjusted_mutual_information(&labels, &clusters)?),
        ]
    } else {
        [None, None]
    };
    let mut evaluation = OpenSetEvaluation {
        images: data.len(),
        classes,
        same_names: 0,
        images_compared: true,
        verification: pairs.verification(matrix)?,
        retrieval: retrieval_leave_one_out(matrix, &labels, &RECALLS)?,
        nmi,
        ami,
        identification: identification::identification(&rows, size, &labels)?,
        mistakes: pairs.mistakes(),
        neighbourhoods: neighbourhoods(&rows, data.len(), size, [PROBES, NEIGHBOURS])?,
        shown: String::new(),
    };
    evaluation.shown = evaluation.digest(data).unwrap_or_default();
    Ok((evaluation, pairs.decision(true)))
}

/// So many images at most, evenly from all, with so many of their nearest others.
pub(crate) fn neighbourhoods(
    rows: &[f32],
    images: usize,
    size: usize,
    [probes, neighbours]: [usize; 2],
) -> Result<Vec<Neighbourhood>, TrainError> {
    let probes = probes.min(images);
    let probes: Vec<u32> = (0..probes).map(|i| (i * images / probes) as u32).collect();
    let queries: Vec<f32> = probes
        .iter()
        .flat_map(|&probe| &rows[probe as usize * size..][..size])
        .copied()
        .collect();
    let queries = Matrix::new(&queries, probes.len(), size)?;
    let gallery = Matrix::new(rows, images, size)?;
    let k = neighbours.min(images.saturating_sub(1)).max(1);
    let options = SearchOptions {
        leave_out: Some(&probes),
        ..SearchOptions::default()
    };
    let found = nearest(queries, gallery, k, options)?;
    Ok(probes
        .iter()
        .enumerate()
        .map(|(row, &probe)| Neighbourhood {
            probe,
            nearest: found.of(row).into_iter().flatten().collect(),
        })
        .collect())
}
