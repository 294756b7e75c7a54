//! Experiments and results of margin-loss trainings as plain data.
//!
//! - [`Settings`] are the keys of an experiment file, which are also the flags of the command. [`Experiment::resolve`] decides every part that was left out.
//! - [`Progress`] is a point of the training curve, and [`Outcome`] has all figures of a finished
//!   training: [`Evaluation`] on the test set, [`OpenSetEvaluation`] on classes never trained on.
//! - [`ModelInfo`] is the metadata of a model file.
//!
//! Nothing here computes on tensors. Front ends (tables, pages, bindings) read these types.
//!
//! ```
//! use lsoftmax_record::{Experiment, Settings};
//!
//! let settings = Settings { iterations: Some(600), ..Settings::default() };
//! let experiment = Experiment::resolve(settings, Settings::default())?;
//! assert_eq!(experiment.rates.milestones, [400, 500]);
//! # Ok::<(), lsoftmax_record::RecordError>(())
//! ```

mod comparison;
mod divergence;
mod error;
mod evaluation;
mod experiment;
mod file;
mod image_choice;
mod model_info;
mod names;
mod network;
pub mod number;
mod objective;
mod open_set;
mod optimiser;
mod outcome;
mod progress;
mod range;
mod schedule;
mod settings;

/// The name of a run's page in its folder.
pub const REPORT_FILE: &str = "report.html";

pub use comparison::{Comparison, ComparisonParts};
pub use divergence::{Divergence, OnDivergence};
pub use error::RecordError;
pub use evaluation::Evaluation;
pub use experiment::Experiment;
pub use file::{parse_settings, read_settings};
pub use image_choice::{ImageChoice, ImageRules};
pub use lsoftmax_spec::metric::MetricLoss;
pub use model_info::{MODEL_VERSION, ModelInfo};
pub use network::{NetworkKind, OwnNetwork};
pub use objective::MetricTerm;
pub use open_set::{
    Decision, FARS, IdentificationRates, Mistake, Neighbourhood, OpenSetEvaluation, Verification,
};
pub use outcome::{Best, DataSummary, Outcome};
pub use progress::{Frame, Progress};
pub use settings::{Declaration, NetworkChoice, Published, Settings, parse_stage};
