//! Names aside, under which files and folders are made before they get their own.
//!
//! Whoever makes one holds a lock on it, which the system takes away when the process ends. So what
//! has our name and is not locked was left by a process that was killed.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;
use tempfile::{NamedTempFile, TempDir};

const PREFIX: &str = ".lsoftmax-";
const SUFFIX: &str = ".part";
/// Random letters and digits between the two.
const LETTERS: usize = 12;

fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX).rand_bytes(LETTERS);
    builder
}

/// A new file in a folder, locked, with the permissions that any new file would have.
pub(super) fn new_file(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = builder();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // Less the umask.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    loop {
        let file = builder.tempfile_in(folder)?;
        if lock(file.as_file()) && is_linked(file.as_file()) {
            return Ok(file);
        }
        // Somebody cleaned up between the making and the locking.
    }
}

/// A new folder in a folder, and its lock.
pub(super) fn new_folder(folder: &Path) -> std::io::Result<(TempDir, Option<File>)> {
    loop {
        let new = builder().tempdir_in(folder)?;
        // Not every system opens folders.
        let Ok(file) = File::open(new.path()) else {
            return Ok((new, None));
        };
        if lock(&file) && new.path().exists() {
            return Ok((new, Some(file)));
        }
    }
}

/// Whether nobody else holds the lock. A file system without locks has nobody who cleans up, either.
fn lock(file: &File) -> bool {
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

fn is_linked(file: &File) -> bool {
    #[cfg(unix)]
    return file
        .metadata()
        .is_ok_and(|found| std::os::unix::fs::MetadataExt::nlink(&found) > 0);
    #[cfg(not(unix))]
    {
        let _ = file;
        true
    }
}

/// Removes from a folder what killed processes of this program left half-written: by its name, and
/// only if no process has it locked. What cannot be removed stays; it is in nobody's way.
pub fn remove_stale(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !name.to_str().is_some_and(is_ours) {
            continue;
        }
        let path = entry.path();
        // Of the name itself, not of what a link points to.
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_file() {
            if let Ok(file) = OpenOptions::new().read(true).write(true).open(&path)
                && file.try_lock().is_ok()
            {
                fs::remove_file(&path).ok();
            }
        } else if kind.is_dir()
            && let Ok(file) = File::open(&path)
            && file.try_lock().is_ok()
        {
            fs::remove_dir_all(&path).ok();
        }
    }
}

fn is_ours(name: &str) -> bool {
    name.strip_prefix(PREFIX)
        .and_then(|name| name.strip_suffix(SUFFIX))
        .is_some_and(|middle| {
            middle.len() == LETTERS && middle.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}
