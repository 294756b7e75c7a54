//! A large-margin softmax model as plain data: the margin of its loss, the schedule of λ, and the
//! layers of its network.
//!
//! This crate is the ground floor of lsoftmax. It has no tensors, threads or files: everything here
//! is a number, a name or a pure function, with serde on top. The crates that compute
//! (`lsoftmax-kernels`, `lsoftmax`, `lsoftmax-networks`) and those that record and report take
//! these types from here.
//!
//! ```
//! use lsoftmax_spec::{Annealing, Loss};
//!
//! let loss = Loss::LSoftmax { m: 4 };
//! let (loss, lambda) = Annealing::auto(18_000).at(0, loss);
//! assert_eq!(loss.multiplier(), 4);
//! assert!(lambda.least() > 0.0); // the margin is not yet there at step 0
//! ```

pub mod annealing;
mod averaging;
pub mod margin;
pub mod metric;
pub mod names;
pub mod network;
mod optimiser;
mod precision;
pub mod random;
mod rate;

pub use annealing::{
    Annealing, AnnealingError, Floor, Gate, Lambda, MarginStage, RunningSignal, Signal, StepLambda,
};
pub use averaging::Averaging;
pub use margin::{Loss, Margin, MarginError};
pub use network::{NetworkSpec, NormLayer, SpecError, Stage};
pub use optimiser::{Method, Optimiser, ParameterGroup};
pub use precision::Precision;
pub use rate::{RateSchedule, RateShape};
