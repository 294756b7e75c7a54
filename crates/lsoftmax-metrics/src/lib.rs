//! Evaluation metrics for large-margin training, as pure functions of arrays.
//!
//! - **Closed set**: [`ClosedSet`] counts a test set batch by batch into the [`ConfusionMatrix`], the
//!   top-1 error and any top-k errors; [`top1_error_percent`] computes the top-1 error of one array.
//! - **Angles**: [`AngleStatistics`] measures, batch by batch, the angles between features and
//!   their class weights, the angles between classes, and the angular Fisher score. [`IntraAngles`]
//!   measures the angle of each sample to its class centre in a second pass.
//! - **Verification**: [`Roc`] computes AUC, EER, TAR at a FAR and the best threshold from scored
//!   pairs. [`k_fold`] is the protocol of LFW, and [`VerificationPairs`] samples pairs from labels.
//! - **Identification**: [`identify`] ranks the identities of a gallery for each probe. The result
//!   gives the CMC (closed set) and TPIR at an FPIR (open set).
//! - **Clustering**: [`k_means`], and [`normalized_mutual_information`] and
//!   [`adjusted_mutual_information`] with the labels.
//! - **Nearest neighbours**: [`nearest`] finds the gallery rows with the largest inner product,
//!   exactly and in fixed memory. [`Search`] does the same for a gallery that arrives block by
//!   block, and [`unit_rows`] normalises features to embeddings.
//! - **Retrieval**: [`retrieval_leave_one_out`] and [`retrieval`] compute Recall@K, Precision@1,
//!   R-precision, MAP@R and the mean average precision of the full ranking.
//!
//! Arrays are passed as a borrowed [`Matrix`], so the crate depends on no tensor library. Sums run
//! in a fixed order: the same input gives the same bits on any number of threads. Sums are in
//! `f64`, except where every row is compared with every other ([`identify`], [`k_means`]), which
//! use `f32`. Angles are in radians; their names end in `_rad`.
//!
//! ```
//! use lsoftmax_metrics::{ClosedSet, Matrix};
//!
//! let logits = [2.0, 1.0, 0.0, /* second row */ 0.5, 0.1, 0.9];
//! let logits = Matrix::new(&logits, 2, 3)?;
//!
//! let mut closed_set = ClosedSet::new(3, &[2])?;
//! closed_set.push(logits, &[0, 1])?;
//! assert_eq!(closed_set.top1_error_percent(), Some(50.0));
//! # Ok::<(), lsoftmax_metrics::Error>(())
//! ```
//!
//! A threshold on the score of a pair separates same pairs from different pairs:
//!
//! ```
//! use lsoftmax_metrics::{Matrix, Roc, cosine_scores};
//!
//! let left = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0];
//! let right = [0.9, 0.1, 1.0, 0.2, 0.8, 1.0];
//! let scores = cosine_scores(Matrix::new(&left, 3, 2)?, Matrix::new(&right, 3, 2)?)?;
//!
//! let roc = Roc::new(&scores, &[true, false, true])?;
//! assert_eq!((roc.auc(), roc.eer().rate), (1.0, 0.0));
//! assert_eq!(roc.best_threshold().accuracy, 1.0);
//!
//! // One different pair cannot measure a FAR of 1e-3.
//! assert_eq!(roc.tar_at_far(1e-3)?.measured, None);
//! # Ok::<(), lsoftmax_metrics::Error>(())
//! ```
//!
//! Search for each embedding among all others:
//!
//! ```
//! use lsoftmax_metrics::{Matrix, retrieval_leave_one_out, unit_rows};
//!
//! let features = [2.0, 0.1, /* second row */ 3.0, 0.0, /* third */ 0.2, 5.0];
//! let embeddings = unit_rows(Matrix::new(&features, 3, 2)?)?;
//! let embeddings = Matrix::new(&embeddings, 3, 2)?;
//! let report = retrieval_leave_one_out(embeddings, &[0, 0, 1], &[1])?;
//! assert_eq!(report.recall_at, [(1, 1.0)]);
//! assert_eq!(report.without_reference, 1); // the third row is the only one of its class
//! # Ok::<(), lsoftmax_metrics::Error>(())
//! ```

mod angles;
mod centres;
mod closed_set;
#[cfg(test)]
mod closed_set_tests;
mod clustering;
mod confusion;
mod error;
mod histogram;
mod identification;
mod matrix;
mod nearest;
mod pairs;
mod pairwise;
mod retrieval;
mod stop;
mod summary;
mod unit;
mod vector;
mod verification;

pub use angles::{
    AngleReport, AngleStatistics, IntraAngles, IntraReport, intra_angles, target_angles_rad,
};
pub use centres::{Centre, ClassCentres};
pub use closed_set::{ClosedSet, ClosedSetReport, TopKError, argmax, top1_error_percent};
pub use clustering::{
    KMeans, adjusted_mutual_information, k_means, k_means_from, k_means_until,
    normalized_mutual_information,
};
pub use confusion::ConfusionMatrix;
pub use error::{Error, Result};
pub use histogram::Histogram;
pub use identification::{
    Identification, MatedProbe, NonMatedProbe, OpenSetPoint, TpirAtFpir, identify, identify_until,
};
pub use matrix::Matrix;
pub use nearest::{Neighbours, Search, SearchOptions, nearest, unit_rows};
pub use pairs::VerificationPairs;
pub use pairwise::PairwiseAngles;
pub use retrieval::{
    RetrievalReport, retrieval, retrieval_leave_one_out, retrieval_leave_one_out_until,
    retrieval_until,
};
pub use summary::Summary;
pub use verification::{
    BestThreshold, EqualErrorRate, Fold, KFold, OperatingPoint, Roc, TarAtFar, cosine_scores,
    k_fold, k_fold_embeddings, k_fold_embeddings_until, k_fold_until, probit,
};
