//! A model on classes that it was not trained on: verification, retrieval, clustering.

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

/// Folds of the cross-validation, as LFW has; fewer where there are fewer than 20 classes.
const FOLDS: usize = 10;
/// Pairs of each kind in a fold, at most.
const PAIRS: usize = 6_000;
/// The K of Recall@K.
const RECALLS: [usize; 4] = [1, 2, 4, 8];
/// Points of the curve that go with a model.
const DECISION_POINTS: usize = 120;
/// Worst mistakes of each kind, and probes with their neighbours, for pictures.
const MISTAKES: usize = 6;
const PROBES: usize = 6;
const NEIGHBOURS: usize = 7;
/// More images are not clustered: the cost goes with images times classes.
const CLUSTERED: usize = 50_000;
const CLUSTER_ROUNDS: usize = 30;

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
        Ok(Verification::new(&self.roc, Some(&k_fold))?)
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
pub fn evaluate_open_set<N: Network>(
    model: &Model<N>,
    info: &ModelInfo,
    data: &Dataset,
    seed: u64,
) -> Result<(OpenSetEvaluation, Option<Decision>), TrainError> {
    evaluate_open_set_until(model, info, data, seed, Stop::NEVER)
}

/// [`evaluate_open_set`] that can be stopped.
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
