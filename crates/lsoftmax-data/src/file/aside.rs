//! Temporary names of files and folders that are being written.
//!
//! The writer holds a lock on its file, which the system releases when the process ends. A file
//! with such a name and no lock was therefore left by a killed process.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::path::Path;
use tempfile::{NamedTempFile, TempDir};

const PREFIX: &str = ".lsoftmax-";
const SUFFIX: &str = ".part";
/// Number of random letters and digits between prefix and suffix.
const LETTERS: usize = 12;

fn builder() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX).rand_bytes(LETTERS);
    builder
}

/// Creates a locked file in a folder, with the permissions of any new file.
pub(super) fn new_file(folder: &Path) -> std::io::Result<NamedTempFile> {
    let mut builder = builder();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // Reduced by the umask.
        builder.permissions(fs::Permissions::from_mode(0o666));
    }
    loop {
        let file = builder.tempfile_in(folder)?;
        if lock(file.as_file()) && is_linked(file.as_file()) {
            return Ok(file);
        }
        // Another process removed the file before it was locked.
    }
}

/// Creates a folder in a folder, and its lock.
pub(super) fn new_folder(folder: &Path) -> std::io::Result<(TempDir, Option<File>)> {
    loop {
        let new = builder().tempdir_in(folder)?;
        // Not every system can open folders.
        let Ok(file) = File::open(new.path()) else {
            return Ok((new, None));
        };
        if lock(&file) && new.path().exists() {
            return Ok((new, Some(file)));
        }
    }
}

/// Takes the lock; `false` if another process holds it. Without lock support on the file system, no
/// process cleans up either.
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

/// Removes partial files that killed processes of this program left in a folder: only with this
/// program's names, and only if no process holds their lock. Files that cannot be removed stay and
/// do no harm.
pub fn remove_stale(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !name.to_str().is_some_and(is_ours) {
            continue;
        }
        let path = entry.path();
        // The type of the entry itself, not of a link's target.
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
