use super::aside::{new_file, new_folder, remove_stale};
use super::read::kind;
use crate::error::DataError;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Writes a file aside, syncs it, and renames it into place: at any instant the path holds the old
/// content or the new, never a part. A file that the path names already is replaced; several threads
/// or processes may write the same path, and one of them wins.
///
/// # Errors
/// The path is no file name or names something other than a file, the folder is missing or
/// read-only, no space is left. The error names the path and the reason, and nothing stays behind.
pub fn atomic_write(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    atomic_write_with(path, |file| file.write_all(bytes))
}

/// The same for content that is made as it is written.
///
/// # Errors
/// As for [`atomic_write`], or as `write` has them.
pub fn atomic_write_with(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), DataError> {
    Staged::write_with(path, write)?.publish()
}

/// A file that is written aside and not yet in its place: for files that belong together, all of
/// which are written before the first is renamed. Dropped without, it is removed.
#[derive(Debug)]
pub struct Staged {
    part: NamedTempFile,
    path: PathBuf,
}

impl Staged {
    /// Writes a file beside its place and syncs it.
    ///
    /// # Errors
    /// As for [`atomic_write`].
    pub fn write(path: &Path, bytes: &[u8]) -> Result<Self, DataError> {
        Self::write_with(path, |file| file.write_all(bytes))
    }

    /// The same for content that is made as it is written.
    fn write_with(
        path: &Path,
        write: impl FnOnce(&mut File) -> io::Result<()>,
    ) -> Result<Self, DataError> {
        let error = |source| DataError::file("write", path, source);
        if path.file_name().is_none() {
            return Err(error(ErrorKind::IsADirectory.into()));
        }
        // Renaming would put a file in the place of a device.
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

    /// Renames it into its place.
    ///
    /// # Errors
    /// Something is in the way; the file aside is removed.
    pub fn publish(self) -> Result<(), DataError> {
        let Self { part, path } = self;
        part.persist(&path)
            .map_err(|failed| DataError::file("write", &path, failed.error))?;
        sync(folder_of(&path));
        Ok(())
    }
}

/// Makes a folder with its content: aside, and then renamed, so that it is never there without.
///
/// `fill` gets the folder aside, and says which folder of it gets the name.
///
/// # Errors
/// As `fill` has them, or something of the name is there already, or the parent cannot be written.
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

/// The folder that a name stands in.
fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// So that a new name outlives a power cut. Not every file system lets a folder be synced; what
/// has the name is whole either way.
fn sync(folder: &Path) {
    if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all()).ok();
    }
}
