use lsoftmax_data::DataError;
use lsoftmax_spec::metric::MetricError;
use lsoftmax_spec::names::UnknownName;
use lsoftmax_spec::{AnnealingError, MarginError, SpecError};
use std::path::PathBuf;

/// An experiment that is not valid, or a file of one that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Text that is not TOML or JSON of the expected form.
    #[error("{path}: {message}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        message: String,
    },
    /// A key that no experiment has.
    #[error("{path}: there is no setting {key:?}{}", nearest.map_or_else(String::new, |n| format!("; did you mean {n:?}?")))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The most similar key that exists.
        nearest: Option<&'static str>,
    },
    /// A setting outside its range.
    #[error("{name} must be {expected}, found {found}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// Its range.
        expected: String,
        /// Its value.
        found: String,
    },
    /// An unknown name.
    #[error(transparent)]
    Name(#[from] UnknownName),
    /// A metric loss that is not valid.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// A network that is not valid.
    #[error(transparent)]
    Network(#[from] SpecError),
    /// A network that only another program can build.
    #[error(
        "the network {0:?} is a module of the program that trained it, and can only be built there \
         (`Model::load_network` of lsoftmax-train)"
    )]
    OwnNetwork(String),
    /// A loss that is not valid.
    #[error(transparent)]
    Margin(#[from] MarginError),
    /// A schedule of λ that is not valid.
    #[error(transparent)]
    Annealing(#[from] AnnealingError),
    /// A setting of the data, or a file that cannot be read.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl RecordError {
    /// A setting outside its range.
    pub fn setting(
        name: &'static str,
        expected: impl Into<String>,
        found: impl std::fmt::Display,
    ) -> Self {
        Self::Setting {
            name,
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    /// A name that is not one of those known.
    pub fn unknown_name(setting: &'static str, known: &[&'static str], found: &str) -> Self {
        UnknownName::new(setting, known, found).into()
    }
}
