//! Reading with a limit, and writing all or nothing.

use crate::error::DataError;
use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::path::Path;

/// Writes a file aside, syncs it, and renames it into place: at any instant the path holds
/// the old content or the new, never a part.
///
/// # Errors
/// The folder is missing or read-only, no space is left. Nothing stays behind.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let error = |source| DataError::file("write", path, source);
    let name = path
        .file_name()
        .ok_or_else(|| error(std::io::ErrorKind::IsADirectory.into()))?;
    let mut aside = std::ffi::OsString::from(".");
    aside.push(name);
    aside.push(format!(".{}.part", std::process::id()));
    let aside = path.with_file_name(aside);
    let written = File::create(&aside)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&aside, path));
    written.map_err(|source| {
        fs::remove_file(&aside).ok();
        error(source)
    })
}

/// Reads `limit` bytes and no more; one more than `limit` says that there is too much.
///
/// Memory grows as data comes, whatever a header promised.
pub(crate) fn read_at_most(
    reader: impl Read,
    limit: u64,
    path: &Path,
) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    reader
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| DataError::file("read", path, source))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replaces_whole_files_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.bin");
        atomic_write(&path, b"one").unwrap();
        atomic_write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let nowhere = dir.path().join("missing/a.bin");
        let message = atomic_write(&nowhere, b"x").unwrap_err().to_string();
        assert!(
            message.starts_with("cannot write ") && message.contains("missing"),
            "{message}"
        );
    }

    #[test]
    fn a_failed_write_keeps_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        // A folder in the way: the rename fails after the part was written.
        let path = dir.path().join("taken");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), b"x").unwrap();
        atomic_write(&path, b"y").unwrap_err();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(fs::read(path.join("inside")).unwrap(), b"x");
    }
}
