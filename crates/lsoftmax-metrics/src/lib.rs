//! Evaluation metrics for large-margin training, as pure functions of arrays.
//!
//! These families live here:
//!
//! - **Closed set**: [`ClosedSet`] counts a test set batch by batch into the
//!   [`ConfusionMatrix`], the top-1 error and any top-k errors;
//!   [`top1_error_percent`] and [`topk_error_percent`] do the same for one array.
//! - **Angles**: [`AngleStatistics`] gathers, batch by batch, how far the features lie from
//!   their own class weight, how far the classes lie from one another and the angular Fisher
//!   score; [`IntraAngles`] takes a second pass for the angle of each sample to its class centre.
//! - **Nearest neighbours**: [`nearest`] finds the gallery rows with the largest inner product,
//!   exactly and in fixed memory; [`Search`] does it for a gallery that comes block by block;
//!   [`unit_rows`] makes embeddings of features.
//! - **Retrieval**: [`retrieval_leave_one_out`] and [`retrieval`] give Recall@K, Precision@1,
//!   R-precision, MAP@R and the mean average precision of the full ranking.
//!
//! Arrays come in as a borrowed [`Matrix`], so nothing here depends on a tensor library.
//! Sums run in `f64` in a fixed order: the same input gives the same bits.
//! Angles are in radians and say so in their names.
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
//! ```
//! use lsoftmax_metrics::{Matrix, retrieval_leave_one_out, unit_rows};
//!
//! let features = [2.0, 0.1, /* second row */ 3.0, 0.0, /* third */ 0.2, 5.0];
//! let embeddings = unit_rows(Matrix::new(&features, 3, 2)?)?;
//! let embeddings = Matrix::new(&embeddings, 3, 2)?;
//! let report = retrieval_leave_one_out(embeddings, &[0, 0, 1], &[1])?;
//! assert_eq!(report.recall_at, [(1, 1.0)]);
//! assert_eq!(report.without_reference, 1); // the third row is alone in its class
//! # Ok::<(), lsoftmax_metrics::Error>(())
//! ```

mod angles;
mod centres;
mod closed_set;
mod confusion;
mod error;
mod histogram;
mod matrix;
mod nearest;
mod pairwise;
mod retrieval;
mod summary;
mod vector;

pub use angles::{
    AngleReport, AngleStatistics, IntraAngles, IntraReport, intra_angles, target_angles_rad,
};
pub use centres::{Centre, ClassCentres};
pub use closed_set::{
    ClosedSet, ClosedSetReport, TopKError, argmax, top1_error_percent, topk_error_percent,
};
pub use confusion::ConfusionMatrix;
pub use error::{Error, Result};
pub use histogram::Histogram;
pub use matrix::Matrix;
pub use nearest::{Neighbours, Search, SearchOptions, nearest, unit_rows};
pub use pairwise::{PairwiseAngles, pairwise_angles};
pub use retrieval::{RetrievalReport, retrieval, retrieval_leave_one_out};
pub use summary::{Summary, quantile};
