//! Scans a folder recursively for images.

use super::kinds::{OtherFiles, is_image, is_passed_over};
use crate::error::DataError;
use crate::names::{nfc, spelled, text};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder and its content. Names are in Unicode normalisation form C.
#[derive(Debug, Default)]
pub(super) struct Folder {
    pub(super) name: String,
    /// The path from the root, with slashes; empty for the root.
    pub(super) relative: String,
    /// The images in it, in byte order of their names.
    pub(super) images: Vec<PathBuf>,
    /// The other files in it.
    pub(super) others: OtherFiles,
    /// Subfolders, sorted by name.
    pub(super) folders: Vec<Folder>,
    /// Whether it contains images anywhere below, including unsupported ones.
    pub(super) has_images: bool,
}

/// The result of a scan.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: Folder,
    /// Number of hidden files and folders and of system files.
    pub(super) passed_over: usize,
    /// Number of folders reached a second time through links, and of pipes, sockets and devices.
    pub(super) skipped: usize,
}

impl Folder {
    /// The subfolders that contain images anywhere below.
    pub(super) fn with_images(&self) -> impl Iterator<Item = &Self> {
        self.folders.iter().filter(|folder| folder.has_images)
    }

    /// The only subfolder with images, if there are no images next to it.
    pub(super) fn only(&self) -> Option<&Self> {
        let mut folders = self.with_images();
        let only = folders.next()?;
        (self.images.is_empty() && folders.next().is_none()).then_some(only)
    }

    /// All folders that directly hold images, at or below this one, in order.
    pub(super) fn leaves(&self) -> Vec<&Self> {
        let own = !self.images.is_empty() || !self.others.images().is_empty();
        let mut leaves = if own { vec![self] } else { Vec::new() };
        leaves.extend(self.folders.iter().flat_map(Self::leaves));
        leaves
    }

    /// The unsupported files at or below this folder.
    pub(super) fn all_others(&self) -> OtherFiles {
        let mut others = self.others.clone();
        for folder in &self.folders {
            others.extend(&folder.all_others());
        }
        others
    }
}

/// The direct content of a folder, sorted by name.
#[derive(Default)]
struct Listing {
    folders: Vec<(String, PathBuf)>,
    /// Links to folders.
    links: Vec<(String, PathBuf)>,
    images: Vec<PathBuf>,
    others: OtherFiles,
    passed_over: usize,
    skipped: usize,
}

fn list_one(dir: &Path) -> Result<Listing, DataError> {
    let unreadable = |source| DataError::file("read", dir, source);
    let mut listing = Listing::default();
    let mut spellings = HashMap::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        let name = entry.file_name();
        if is_passed_over(&name) {
            listing.passed_over += 1;
            continue;
        }
        let named = is_image(&path);
        let kind = entry.file_type().map_err(unreadable)?;
        let target = kind.is_symlink().then(|| fs::metadata(&path));
        let compared = nfc(&text(&name)).into_owned();
        let is_dir = kind.is_dir()
            || target
                .as_ref()
                .is_some_and(|it| it.as_ref().is_ok_and(fs::Metadata::is_dir));
        if is_dir || named {
            one_spelling(dir, &mut spellings, &compared, name)?;
        }
        match target {
            None if kind.is_dir() => listing.folders.push((compared, path)),
            Some(Ok(target)) if target.is_dir() => listing.links.push((compared, path)),
            None if kind.is_file() && named => listing.images.push(path),
            Some(Ok(target)) if target.is_file() && named => listing.images.push(path),
            // A broken link counts as a broken image, so that it is reported.
            Some(Err(_)) if named => listing.images.push(path),
            None if kind.is_file() => listing.others.add(&path),
            Some(Ok(target)) if target.is_file() => listing.others.add(&path),
            _ => listing.skipped += 1,
        }
    }
    listing.folders.sort_unstable();
    listing.links.sort_unstable();
    let bytes = |path: &PathBuf| path.as_os_str().as_encoded_bytes().to_vec();
    listing.images.sort_by_cached_key(bytes);
    Ok(listing)
}

/// Rejects two names in a folder that are equal after normalisation.
fn one_spelling(
    dir: &Path,
    spellings: &mut HashMap<String, OsString>,
    compared: &str,
    name: OsString,
) -> Result<(), DataError> {
    match spellings.insert(compared.to_owned(), name) {
        None => Ok(()),
        Some(other) => {
            let name = &spellings[compared];
            Err(DataError::format(
                dir,
                "each name in one spelling",
                format!(
                    "{compared:?} twice, which are the same name after Unicode normalisation \
                     (NFC): \"{}\" and \"{}\"; rename or merge one of them",
                    spelled(&text(&other)),
                    spelled(&text(name)),
                ),
            ))
        }
    }
}

/// Scans a folder recursively and visits each folder once. Real folders come before linked ones, so
/// that a class keeps its own name if it has one here.
pub(super) fn scan(dir: &Path) -> Result<Tree, DataError> {
    let root = fs::canonicalize(dir).map_err(|source| DataError::file("read", dir, source))?;
    let mut taken = HashSet::new();
    // Indexed by the names from the root.
    let mut found: BTreeMap<Vec<String>, Folder> = BTreeMap::new();
    let (mut passed_over, mut skipped) = (0, 0);
    let mut links = BTreeSet::from([(Vec::new(), dir.to_owned())]);
    while let Some(start) = links.pop_first() {
        let mut open = vec![start];
        while let Some((relative, path)) = open.pop() {
            let real =
                fs::canonicalize(&path).map_err(|source| DataError::file("read", &path, source))?;
            let outside = root.starts_with(&real) && root != real;
            if outside || !taken.insert(real) {
                skipped += 1;
                continue;
            }
            let listing = list_one(&path)?;
            passed_over += listing.passed_over;
            skipped += listing.skipped;
            let below = |(name, path): (String, PathBuf)| {
                let mut below = relative.clone();
                below.push(name);
                (below, path)
            };
            open.extend(listing.folders.into_iter().map(below));
            links.extend(listing.links.into_iter().map(below));
            let folder = Folder {
                name: relative.last().cloned().unwrap_or_default(),
                relative: relative.join("/"),
                images: listing.images,
                others: listing.others,
                ..Folder::default()
            };
            found.insert(relative, folder);
        }
    }
    Ok(Tree {
        root: nested(found),
        passed_over,
        skipped,
    })
}

/// Moves each folder into its parent.
fn nested(mut found: BTreeMap<Vec<String>, Folder>) -> Folder {
    // No folder after the last one in order is below it.
    while let Some((mut relative, mut folder)) = found.pop_last() {
        folder.folders.reverse();
        folder.has_images = !folder.images.is_empty()
            || !folder.others.images().is_empty()
            || folder.folders.iter().any(|folder| folder.has_images);
        if relative.pop().is_none() {
            return folder;
        }
        if let Some(parent) = found.get_mut(&relative) {
            parent.folders.push(folder);
        }
    }
    Folder::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_nested_by_name() {
        let dir = tempfile::tempdir().unwrap();
        for file in [
            "b/2.png",
            "b/1.png",
            "a/c/1.jpg",
            "a/d/x.txt",
            "a c/1.tif",
            "n.csv",
        ] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"").unwrap();
        }
        let tree = scan(dir.path()).unwrap();
        let root = &tree.root;
        let names: Vec<&str> = root.folders.iter().map(|folder| &*folder.name).collect();
        assert_eq!(names, ["a", "a c", "b"]);
        assert!(root.has_images && root.only().is_none());
        assert_eq!(root.folders[0].only().unwrap().relative, "a/c");
        let leaves: Vec<&str> = root
            .leaves()
            .iter()
            .map(|folder| &*folder.relative)
            .collect();
        assert_eq!(leaves, ["a/c", "a c", "b"]);
        assert_eq!(root.all_others().to_string(), "1 .csv, 1 .tif, 1 .txt");
        let images = &root.folders[2].images;
        assert!(images[0].ends_with("b/1.png") && images.len() == 2);
    }
}
