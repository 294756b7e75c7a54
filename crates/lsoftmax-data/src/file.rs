//! Reading with a limit, and writing all or nothing.

use crate::error::DataError;
use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Writes a file aside, syncs it, and renames it into place: at any instant the path holds
/// the old content or the new, never a part. A file that the path names already is
/// replaced; several threads or processes may write the same path, and one of them wins.
///
/// # Errors
/// The path is no file name, the folder is missing or read-only, no space is left. The
/// error names the path and the reason, and nothing stays behind.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    atomic_write_with(path, |file| file.write_all(bytes))
}

/// The same for content that is made as it is written.
pub(crate) fn atomic_write_with(
    path: &Path,
    write: impl FnOnce(&mut File) -> std::io::Result<()>,
) -> Result<(), DataError> {
    /// Keeps apart the writers of one process.
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let error = |source| DataError::file("write", path, source);
    if path.file_name().is_none() {
        return Err(error(std::io::ErrorKind::IsADirectory.into()));
    }
    let number = WRITES.fetch_add(1, Ordering::Relaxed);
    // Without the name itself, which may be as long as a name can be.
    let aside = path.with_file_name(format!(".{}-{number}.part", std::process::id()));
    let written = File::create(&aside)
        .and_then(|mut file| write(&mut file).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&aside, path));
    written.map_err(|source| {
        fs::remove_file(&aside).ok();
        error(source)
    })?;
    // So that the new name outlives a power cut. Not every file system lets a folder be
    // synced; the file is whole either way.
    #[cfg(unix)]
    if let Some(folder) = aside.parent() {
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        File::open(folder).and_then(|folder| folder.sync_all()).ok();
    }
    Ok(())
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
    fn names_may_be_long_and_writers_many() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("n".repeat(255));
        std::thread::scope(|scope| {
            for byte in 0..8 {
                let path = &path;
                scope.spawn(move || atomic_write(path, &[byte; 1000]).unwrap());
            }
        });
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes, [bytes[0]; 1000]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
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
