//! Large-margin softmax for [Burn](https://burn.dev): the margins, the head that trains
//! with them, and the annealing that keeps them alive.

// The tests in tests/ and those in here share their problems.
#[cfg(test)]
extern crate self as lsoftmax;

pub mod annealing;
mod head;
pub mod margin;
pub mod ops;

pub use annealing::{Annealing, AnnealingError, Lambda, Stage};
pub use head::{Error, HeadLoss, MarginHead, MarginHeadConfig, margin_cross_entropy};
pub use margin::{Loss, Margin, MarginError};
