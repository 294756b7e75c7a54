//! Files for parsers that read files: a folder a thread.

use std::fs;
use std::path::Path;
use tempfile::TempDir;

thread_local! {
    static FOLDER: TempDir = folder();
}

/// A temporary folder, in memory where there is such a place: a disk would be what takes the time.
///
/// # Panics
/// There is no place for one.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        TempDir::new_in(memory)
    } else {
        TempDir::new()
    };
    folder.unwrap_or_else(|error| panic!("no temporary folder: {error}"))
}

/// Writes files and shows where they are.
pub(crate) fn files(files: &[(&str, &[u8])], read: impl FnOnce(&Path)) {
    FOLDER.with(|folder| {
        for (name, bytes) in files {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        read(folder.path());
    });
}

/// The same with one file, whose path is shown.
pub(crate) fn file(name: &str, bytes: &[u8], read: impl FnOnce(&Path)) {
    files(&[(name, bytes)], |folder| read(&folder.join(name)));
}
