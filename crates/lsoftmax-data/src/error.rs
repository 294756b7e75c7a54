use std::path::PathBuf;

/// An error in external data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A file or folder that cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// The attempted action.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// A file whose content does not match its format.
    #[error("{path}: expected {expected}, found {found}")]
    Format {
        /// The file.
        path: PathBuf,
        /// The expected content.
        expected: String,
        /// The content found.
        found: String,
    },
    /// A missing file of a data set.
    #[error("{path} has no {missing}; {hint}")]
    Missing {
        /// The searched folder.
        path: PathBuf,
        /// The missing file.
        missing: String,
        /// How to fix it.
        hint: String,
    },
    /// A data set needs a folder, but none was given.
    #[error(
        "{name} needs --data-dir, the folder with {files}, or `lsoftmax data get {name}`; --data glyphs needs no files"
    )]
    NoFolder {
        /// The data set.
        name: String,
        /// The required files of the folder.
        files: &'static str,
    },
    /// A file that no address delivered.
    #[error(
        "cannot fetch {name}: {reasons}. By hand: put {name} ({bytes} bytes) into {}{}", folder.display(),
        if *archive { " and run this again" } else { "" }
    )]
    Download {
        /// The file.
        name: String,
        /// Each address with its error.
        reasons: String,
        /// The folder of the file.
        folder: PathBuf,
        /// Length in bytes.
        bytes: u64,
        /// Whether the file must be unpacked.
        archive: bool,
    },
    /// An unknown data set.
    #[error("unknown data set {name:?}{}; known data sets: {known}", hint.map_or_else(String::new, |h| format!(" (did you mean {h}?)")))]
    UnknownSource {
        /// The given name.
        name: String,
        /// The nearest known name.
        hint: Option<&'static str>,
        /// All known names.
        known: String,
    },
    /// A value outside its range.
    #[error("{name} must be {expected}, found {found}")]
    OutOfRange {
        /// Name of the value.
        name: &'static str,
        /// The allowed range.
        expected: String,
        /// The value found.
        found: String,
    },
    /// A label that is not a class.
    #[error("label {label} of sample {row} is out of range: there are {classes} classes")]
    Label {
        /// Index of the sample.
        row: usize,
        /// Its label.
        label: u32,
        /// Number of classes.
        classes: usize,
    },
    /// A class unknown to the other side, such as a model.
    #[error(
        "unknown class {name:?}{}{}",
        if *others == 0 { String::new() } else { format!(" and {others} others") },
        nearest.as_ref().map_or_else(String::new, |near| format!("; did you mean {near:?}?"))
    )]
    UnknownClass {
        /// Name of the class.
        name: String,
        /// Number of further unknown classes.
        others: usize,
        /// The nearest known name, if one is near.
        nearest: Option<String>,
    },
    /// The background thread panicked.
    #[error("the loader stopped: {message}")]
    Loader {
        /// The panic message.
        message: String,
    },
}

impl DataError {
    /// A failed action on a file or folder.
    pub fn file(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::File {
            action,
            path: path.into(),
            source,
        }
    }

    pub(crate) fn format(
        path: impl Into<PathBuf>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Format {
            path: path.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    pub(crate) fn out_of_range(
        name: &'static str,
        expected: impl Into<String>,
        found: impl std::fmt::Display,
    ) -> Self {
        Self::OutOfRange {
            name,
            expected: expected.into(),
            found: found.to_string(),
        }
    }
}

/// The expected and the actual content.
pub(crate) type ExpectedFound = (String, String);
