//! Reports as JSON.

use crate::error::ReportError;
use crate::model::Report;

impl Report {
    /// Reads a report from JSON; what is missing is empty, and `null` is a number that was
    /// not finite.
    ///
    /// # Errors
    /// The text is not JSON, or not that of a report.
    pub fn from_json(text: &str) -> Result<Self, ReportError> {
        Ok(serde_json::from_str(text)?)
    }

    /// Writes it as JSON.
    ///
    /// # Errors
    /// None is known.
    pub fn to_json(&self) -> Result<String, ReportError> {
        Ok(serde_json::to_string(self)?)
    }
}
