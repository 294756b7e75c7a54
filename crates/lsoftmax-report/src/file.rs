//! Reports in and out of files.

use crate::error::ReportError;
use crate::model::Report;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

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

/// Writes a page or a picture: aside first, then renamed, so that there is never half a file.
///
/// # Errors
/// The file cannot be written.
pub fn write(path: &Path, text: &str) -> Result<(), ReportError> {
    let failed = |source| ReportError::Write {
        path: path.to_owned(),
        source,
    };
    let Some(name) = path.file_name() else {
        return Err(failed(std::io::Error::other("this is no name of a file")));
    };
    let mut aside_name = std::ffi::OsString::from(".");
    aside_name.push(name);
    aside_name.push(format!(".{}.part", std::process::id()));
    let aside = path.with_file_name(aside_name);
    let written = File::create(&aside)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        })
        .and_then(|()| fs::rename(&aside, path));
    written.map_err(|source| {
        fs::remove_file(&aside).ok();
        failed(source)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_whole_or_not_there() {
        let folder = std::env::temp_dir().join(format!("lsoftmax-report-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("report.html");
        write(&path, "one").unwrap();
        write(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        let error = write(&folder.join("absent/report.html"), "x").unwrap_err();
        assert!(error.to_string().contains("absent"), "{error}");
        assert!(write(Path::new("/"), "x").is_err());
        fs::remove_dir_all(&folder).unwrap();
    }
}
