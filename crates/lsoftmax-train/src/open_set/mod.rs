//! Evaluation on classes that were not trained on: verification, retrieval, clustering.

mod identification;

use crate::error::TrainError;
use crate::evaluation::embeddings_until;
use crate::model::Model;
use crate::network::Network;
use crate::stop::Stop;
use lsoftmax_data::Dataset;
use lsoftmax_metrics::{
    Matrix, OperatingPoint, Roc, SearchOptions, VerificationPairs, adjusted_mutual_information,
    k_means, nearest, normalized_mutual_information, retrieval_leave_one_out,
};
use lsoftmax_record::{
    Decision, Mistake, ModelInfo, Neighbourhood, OpenSetEvaluation, Verification,
};

/// Folds of the cross-validation, the same number as for LFW. Fewer if there are fewer than 20
/// classes.
const FOLDS: usize = 10;
/// Maximum number of pairs of each kind in a fold.
const PAIRS: usize = 6_000;
/// The K of Recall@K.
const RECALLS: [usize; 4] = [1, 2, 4, 8];
/// Number of ROC points stored with a model.
const DECISION_POINTS: usize = 120;
/// Number of worst mistakes of each kind, and number of probes with their neighbours, to show as
/// pictures.
const MISTAKES: usize = 6;
const PROBES: usize = 6;
const NEIGHBOURS: usize = 7;
/// Maximum number of images to cluster: the cost grows with images times classes.
const CLUSTERED: usize = 50_000;
const CLUSTER_ROUNDS: usize = 30;

/// Pairs of images with their scores.
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

    /// The decision threshold to store with the model, if there is a finite one.
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
        Ok(Verification::new(&self.roc, Some(&k_fold))?)
    }

    fn mistakes(&self) -> Vec<Mistake> {
        let images = |at: usize| [self.pairs.left[at], self.pairs.right[at]];
        worst_mistakes(&self.scores, &self.pairs.same, images)
    }
}

/// The pairs that are misjudged most, equally many of the same class and of different classes.
///
/// # Shapes
/// - scores, same: `[pair]`; images: the two images of each pair
pub fn worst_mistakes(
    scores: &[f32],
    same: &[bool],
    images: impl Fn(usize) -> [u32; 2],
) -> Vec<Mistake> {
    let mut order: Vec<usize> = (0..scores.len().min(same.len())).collect();
    // Equal scores stay in the order of the pairs.
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

/// Number of folds: ten, if there are enough classes. Each fold needs two classes, one of them with
/// two images.
fn folds(labels: &[usize]) -> usize {
    let mut counts = std::collections::BTreeMap::<usize, usize>::new();
    for &label in labels {
        *counts.entry(label).or_default() += 1;
    }
    let pairs = counts.values().filter(|&&count| count > 1).count();
    (counts.len() / 2).min(pairs).clamp(2, FOLDS)
}

/// The labels of a data set, as the metrics take them.
pub(crate) fn labels(data: &Dataset) -> Vec<usize> {
    data.labels().iter().map(|&label| label as usize).collect()
}

/// Checks that an open set is large enough for [`evaluate_open_set`]: two folds without common
/// classes need two classes each, one of them with two images.
///
/// # Errors
/// The set has fewer than four classes, or fewer than two classes with two images or more.
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

/// Evaluates a model on classes that it was not trained on, using the cosines of its embeddings.
/// Also returns the decision threshold that these pairs suggest, if there is one.
///
/// # Errors
/// The images do not have the model's size, or [`check_open_set`] refuses the set.
pub fn evaluate_open_set<N: Network>(
    model: &Model<N>,
    info: &ModelInfo,
    data: &Dataset,
    seed: u64,
) -> Result<(OpenSetEvaluation, Option<Decision>), TrainError> {
    evaluate_open_set_until(model, info, data, seed, Stop::NEVER)
}

/// [`evaluate_open_set`] with a way to stop it.
pub(crate) fn evaluate_open_set_until<N: Network>(
    model: &Model<N>,
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

/// Takes at most `probes` images, evenly spaced, and finds up to `neighbours` of the other images
/// nearest to each.
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
