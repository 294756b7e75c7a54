//! Verification (1:1): do two images show the same identity?
//!
//! A pair has a score, larger for more similar images, and is accepted if **score >= threshold**
//! throughout this module. The share of accepted different pairs is the false accept rate (FAR);
//! the share of accepted same pairs is the true accept rate (TAR), and `1 - TAR` is the false
//! reject rate (FRR). Rates are shares from 0 to 1; names of percentages end in `_percent`.

mod best_threshold;
mod curve;
mod k_fold;
mod probit;
mod roc;
mod similarity;
mod strict;

pub use best_threshold::BestThreshold;
pub use k_fold::{Fold, KFold, k_fold, k_fold_embeddings, k_fold_embeddings_until, k_fold_until};
pub use probit::probit;
pub use roc::{EqualErrorRate, OperatingPoint, Roc, TarAtFar};
pub use similarity::cosine_scores;

pub(crate) use k_fold::k_fold_rows;
pub(crate) use roc::share;
pub(crate) use similarity::{PairRows, scores_of};
pub(crate) use strict::{accepted, accepts, check_rate, rising, strict_threshold};
