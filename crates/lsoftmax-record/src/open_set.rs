//! The figures of a model on classes that it was not trained on.

use crate::error::RecordError;
use crate::number;
use lsoftmax_data::Dataset;
use lsoftmax_metrics::{KFold, OperatingPoint, RetrievalReport, Roc, TarAtFar, TpirAtFpir};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The FARs at which a TAR is told.
pub const FARS: [f64; 4] = [1e-1, 1e-2, 1e-3, 1e-4];
/// Points of a curve for drawing.
const POINTS: usize = 400;
/// Bins of the scores from -1 to 1.
const BINS: usize = 100;

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
    #[serde(deserialize_with = "number::lenient")]
    pub accuracy_percent: f64,
    /// The standard error of that mean.
    #[serde(deserialize_with = "number::lenient")]
    pub standard_error_percent: f64,
    /// The cosine at which most of all pairs are judged right.
    pub threshold: f32,
    /// Equal error rate.
    #[serde(deserialize_with = "number::lenient")]
    pub eer_percent: f64,
    /// Area under the ROC.
    #[serde(deserialize_with = "number::lenient")]
    pub auc: f64,
    /// The smallest FAR that can be measured with this number of different pairs.
    #[serde(deserialize_with = "number::lenient")]
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
    pub fn new(roc: &Roc, k_fold: Option<&KFold>) -> Result<Self, lsoftmax_metrics::Error> {
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
    /// `far` is above 1, or below the smallest FAR that can be measured with these pairs.
    pub fn at_far(&self, far: f64) -> Result<OperatingPoint, RecordError> {
        let floor = 1.0 / self.different_pairs.max(1) as f64;
        if !(floor..=1.0).contains(&far) {
            let expected = format!(
                "from {floor:.1e} to 1: the model's threshold comes from {} different pairs",
                self.different_pairs
            );
            return Err(RecordError::setting("far", expected, far));
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
    /// The share of the images whose nearest other image is of their class, in per cent.
    pub fn recall_at_1_percent(&self) -> Option<f64> {
        let recall = self.retrieval.recall_at.iter().find(|(k, _)| *k == 1)?;
        Some(100.0 * recall.1)
    }

    /// Whether a data set has the images that the mistakes and the neighbourhoods are of.
    pub fn shows(&self, data: &Dataset) -> bool {
        self.digest(data).is_some_and(|found| found == self.shown)
    }

    /// SHA-256 of the images shown; none if one of them is missing.
    pub fn digest(&self, data: &Dataset) -> Option<String> {
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

/// Identification with one image a class in the gallery.
///
/// Of the classes with two images or more, every second one is enrolled with its first image. Its
/// other images are the mated probes; all images of the other classes are strangers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IdentificationRates {
    /// Classes in the gallery, each with one image.
    pub enrolled: usize,
    /// Probes of enrolled classes.
    pub mated_probes: usize,
    /// Probes of others.
    pub non_mated_probes: usize,
    /// (rank, share of the mated probes whose class has this rank or a better one).
    pub cmc: Vec<(usize, f64)>,
    /// The share of the mated probes that are ranked first and reported, at FPIRs.
    pub tpir_at_fpir: Vec<TpirAtFpir>,
}

impl IdentificationRates {
    /// The share of the mated probes whose class is ranked first, in per cent.
    pub fn rank_1_percent(&self) -> Option<f64> {
        let rank = self.cmc.iter().find(|(rank, _)| *rank == 1)?;
        Some(100.0 * rank.1)
    }

    /// TPIR at a recorded FPIR in per cent; `None` if it was not measurable.
    pub fn tpir_percent(&self, fpir: f64) -> Option<f64> {
        let rate = self.tpir_at_fpir.iter().find(|tpir| tpir.asked == fpir)?;
        rate.measured.map(|point| 100.0 * point.tpir)
    }
}
