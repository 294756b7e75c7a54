use std::path::PathBuf;

/// What can go wrong with a report: only its files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A file could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A JSON text is no report.
    #[error("not the JSON of a report: {0}")]
    Json(#[from] serde_json::Error),
}
