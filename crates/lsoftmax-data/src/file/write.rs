use super::aside::{new_file, new_folder, remove_stale};
use super::read::kind;
use crate::error::DataError;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Writes a file atomically: to a temporary file, synced and renamed into place. The path always
/// holds the complete old or new content. An existing file is replaced; if several threads or
/// processes write the same path, one of them wins.
///
/// # Errors
/// The path has no file name or names something other than a file, the folder is missing or
/// read-only, or no space is left. The error names the path and the reason, and no partial file
/// remains.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    atomic_write_with(path, |file| file.write_all(bytes))
}

/// [`atomic_write`] for content that is written piece by piece.
///
/// # Errors
/// As for [`atomic_write`], or an error of `write`.
pub fn atomic_write_with(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), DataError> {
    Staged::write_with(path, write)?.publish()
}

/// A complete temporary file that is not yet renamed into place. Use it for files that belong
/// together: write all of them before renaming the first. Dropping it removes the temporary file.
#[derive(Debug)]
pub struct Staged {
    part: NamedTempFile,
    path: PathBuf,
}

impl Staged {
    /// Writes and syncs a temporary file in the folder of `path`.
    ///
    /// # Errors
    /// As for [`atomic_write`].
    pub fn write(path: &Path, bytes: &[u8]) -> Result<Self, DataError> {
        Self::write_with(path, |file| file.write_all(bytes))
    }

    /// The same for content that is written piece by piece.
    fn write_with(
        path: &Path,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<Self, DataError> {
        let error = |source| DataError::file("write", path, source);
        if path.file_name().is_none() {
            return Err(error(ErrorKind::IsADirectory.into()));
        }
        // Renaming would replace a device by a file.
        if let Ok(found) = fs::metadata(path)
            && !found.is_file()
        {
            let reason = format!("it is {}, not a file", kind(found.file_type()));
            return Err(error(io::Error::other(reason)));
        }
        let folder = folder_of(path);
        remove_stale(folder);
        let mut part = new_file(folder).map_err(error)?;
        write(part.as_file_mut())
            .and_then(|()| part.as_file().sync_all())
            .map_err(error)?;
        Ok(Self {
            part,
            path: path.to_owned(),
        })
    }

    /// Where the content lies until it is published.
    pub fn aside(&self) -> &Path {
        self.part.path()
    }

    /// Renames the file into place.
    ///
    /// # Errors
    /// The path is occupied; the temporary file is removed.
    pub fn publish(self) -> Result<(), DataError> {
        let Self { part, path } = self;
        part.persist(&path)
            .map_err(|failed| DataError::file("write", &path, failed.error))?;
        sync(folder_of(&path));
        Ok(())
    }
}

/// Creates a folder atomically: fills a temporary folder, and renames it.
///
/// `fill` receives the temporary folder and returns the folder within it to rename.
///
/// # Errors
/// An error of `fill`, the path already exists, or the parent cannot be written.
pub fn atomic_folder<E: From<DataError>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<PathBuf, E>,
) -> Result<(), E> {
    let error = |source| DataError::file("make", path, source);
    let parent = folder_of(path);
    remove_stale(parent);
    let (aside, _lock) = new_folder(parent).map_err(error)?;
    let filled = fill(aside.path())?;
    fs::rename(filled, path).map_err(error)?;
    sync(parent);
    Ok(())
}

/// The parent folder of a path.
fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Syncs a folder so that a new name survives a power failure. Not every file system supports this;
/// the content is complete in any case.
fn sync(folder: &Path) {
    if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all()).ok();
    }
}
