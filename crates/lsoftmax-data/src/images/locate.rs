//! Finds the image files of a list.

use crate::names::{as_on_disk, nfc, text};
use rayon::prelude::*;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::RwLock;

/// The file of a list entry.
pub(super) struct Located {
    /// The path.
    pub(super) path: PathBuf,
    /// Equal for two paths to one file, through links and in either Unicode normal form.
    pub(super) identity: String,
}

/// Finds the files of paths relative to a folder, or returns a message for a missing file.
pub(super) fn all(folder: &Path, paths: &[&str]) -> Vec<Result<Located, String>> {
    let search = Search {
        folder,
        real: RwLock::default(),
    };
    let paths = paths.par_iter();
    paths
        .map(|path| search.find(path).ok_or_else(|| missing(path)))
        .collect()
}

struct Search<'a> {
    folder: &'a Path,
    /// Canonical paths of the folders seen so far.
    real: RwLock<HashMap<PathBuf, PathBuf>>,
}

impl Search<'_> {
    /// The file of a path: as written, with slashes for backslashes, or in another normal form.
    fn find(&self, path: &str) -> Option<Located> {
        let slashes = path.replace('\\', "/");
        let exact = self.locate(Path::new(path));
        let exact = exact.or_else(|| self.locate(Path::new(&slashes)));
        exact.or_else(|| self.locate(Path::new(&as_on_disk(self.folder, &slashes)?)))
    }

    fn locate(&self, path: &Path) -> Option<Located> {
        let path = self.folder.join(path);
        let kind = fs::symlink_metadata(&path).ok()?;
        let real = match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) if kind.is_file() => self.real(parent)?.join(name),
            _ if path.is_file() => path.canonicalize().ok()?,
            _ => return None,
        };
        let identity = nfc(&text(real.as_os_str())).into_owned();
        Some(Located { path, identity })
    }

    /// The canonical path of a folder, resolved once.
    fn real(&self, folder: &Path) -> Option<PathBuf> {
        if let Some(real) = self.real.read().ok()?.get(folder) {
            return Some(real.clone());
        }
        let here = Path::new(".");
        let empty = folder.as_os_str().is_empty();
        let real = fs::canonicalize(if empty { here } else { folder }).ok()?;
        let mut known = self.real.write().ok()?;
        Some(known.entry(folder.to_owned()).or_insert(real).clone())
    }
}

/// The message for a missing file.
fn missing(path: &str) -> String {
    let windows = path.starts_with("\\\\") || path.get(1..3) == Some(":\\");
    let hint = if windows {
        " (a path of Windows; paths count from the folder of the list, such as a/1.png)"
    } else if Path::new(path).is_relative() && Path::new(path).is_file() {
        " (paths count from the folder of the list)"
    } else {
        ""
    };
    format!("no file {path}{hint}")
}
