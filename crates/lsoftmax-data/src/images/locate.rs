//! Where the images of a list are.

use crate::names::{as_on_disk, nfc, text};
use rayon::prelude::*;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::RwLock;

/// An image of a list.
pub(super) struct Located {
    /// The file.
    pub(super) path: PathBuf,
    /// What two paths to one file share, through links and in either spelling of Unicode.
    pub(super) identity: String,
}

/// Finds the files that paths mean, counted from a folder; or what to say of one that is not there.
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
    /// The folders met so far, and without links.
    real: RwLock<HashMap<PathBuf, PathBuf>>,
}

impl Search<'_> {
    /// The file of a path as it stands, with slashes for backslashes, or in another normal form.
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

    /// A folder without links, asked for once.
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

/// What to say of a path without a file.
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
