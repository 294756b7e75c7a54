use std::path::PathBuf;

/// What can be wrong with data from outside.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// A file or folder that cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file with other content than its format asks for.
    #[error("{path}: expected {expected}, found {found}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What should be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Files of a data set that are not where they should be.
    #[error("{path} has no {missing}; {hint}")]
    Missing {
        /// The folder searched.
        path: PathBuf,
        /// The file.
        missing: String,
        /// What to do about it.
        hint: String,
    },
    /// A data set that needs a folder, without one.
    #[error(
        "{name} needs --data-dir, the folder with {files}, or `lsoftmax data get {name}`; --data glyphs needs no files"
    )]
    NoFolder {
        /// The data set.
        name: String,
        /// What has to be in the folder.
        files: &'static str,
    },
    /// A file that no address had.
    #[error(
        "cannot fetch {name}: {reasons}. By hand: put {name} ({bytes} bytes) into {}{}", folder.display(),
        if *archive { " and run this again" } else { "" }
    )]
    Download {
        /// The file.
        name: String,
        /// Each address, and why it did not do.
        reasons: String,
        /// Where the file belongs.
        folder: PathBuf,
        /// Its length.
        bytes: u64,
        /// Whether it has to be unpacked.
        archive: bool,
    },
    /// A name that stands for no data set.
    #[error("there is no data set {name:?}{}; known are {known}", hint.map_or_else(String::new, |h| format!(" (did you mean {h}?)")))]
    UnknownSource {
        /// The name.
        name: String,
        /// The nearest one that exists.
        hint: Option<&'static str>,
        /// All that exist.
        known: String,
    },
    /// A number outside its range.
    #[error("{name} must be {expected}, found {found}")]
    Number {
        /// What it is.
        name: &'static str,
        /// Its range.
        expected: String,
        /// What was found.
        found: String,
    },
    /// A label that names no class.
    #[error("label {label} of sample {row} is out of range: there are {classes} classes")]
    Label {
        /// The sample.
        row: usize,
        /// Its label.
        label: u32,
        /// The number of classes.
        classes: usize,
    },
    /// A class that others do not know.
    #[error(
        "there is no class {name:?} among the known ones{}{}",
        if *others == 0 { String::new() } else { format!(", nor are {others} other classes") },
        nearest.as_ref().map_or_else(String::new, |near| format!("; did you mean {near:?}?"))
    )]
    UnknownClass {
        /// Its name.
        name: String,
        /// How many other classes are not known.
        others: usize,
        /// The known name that is nearest, if one is near.
        nearest: Option<String>,
    },
    /// The thread in the background panicked.
    #[error("the loader stopped: {message}")]
    Loader {
        /// What the panic said.
        message: String,
    },
}

impl DataError {
    /// An action on a file or a folder that failed.
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

    pub(crate) fn number(
        name: &'static str,
        expected: impl Into<String>,
        found: impl std::fmt::Display,
    ) -> Self {
        Self::Number {
            name,
            expected: expected.into(),
            found: found.to_string(),
        }
    }
}
