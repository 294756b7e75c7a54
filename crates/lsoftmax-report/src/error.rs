/// What can go wrong with a report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// A JSON text is no report.
    #[error("not the JSON of a report: {0}")]
    Json(#[from] serde_json::Error),
}
