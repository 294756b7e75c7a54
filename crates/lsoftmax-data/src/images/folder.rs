//! The images of a folder of folders.

use super::{ImageEntry, ImageList, Part};
use crate::error::DataError;
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Endings of the names of images, in lower case.
pub(crate) const ENDINGS: [&str; 9] = [
    "jpg", "jpeg", "png", "webp", "bmp", "pgm", "ppm", "pbm", "pnm",
];
const LAYOUT: &str = "a folder of images for each class, such as NAME/1.jpg";

/// Whether a file is an image by its name.
pub(crate) fn is_image(file: &Path) -> bool {
    let ending = file.extension().unwrap_or_default().to_string_lossy();
    ENDINGS.contains(&&*ending.to_lowercase())
}

/// What lies directly in a folder, each in the order of its name.
#[derive(Default)]
struct Listing {
    folders: Vec<(String, PathBuf)>,
    /// Links to folders.
    links: Vec<(String, PathBuf)>,
    images: Vec<PathBuf>,
    ignored: usize,
}

fn list_one(dir: &Path) -> Result<Listing, DataError> {
    let unreadable = |source| DataError::file("read", dir, source);
    let mut listing = Listing::default();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            listing.ignored += 1;
            continue;
        }
        let named = is_image(&path);
        let kind = entry.file_type().map_err(unreadable)?;
        let target = kind.is_symlink().then(|| fs::metadata(&path));
        let name = name.to_string_lossy().into_owned();
        match target {
            None if kind.is_dir() => listing.folders.push((name, path)),
            Some(Ok(target)) if target.is_dir() => listing.links.push((name, path)),
            None if kind.is_file() && named => listing.images.push(path),
            Some(Ok(target)) if target.is_file() && named => listing.images.push(path),
            // A link that leads nowhere is a broken image, which will be named.
            Some(Err(_)) if named => listing.images.push(path),
            _ => listing.ignored += 1,
        }
    }
    listing.folders.sort_unstable();
    listing.links.sort_unstable();
    let bytes = |path: &PathBuf| path.as_os_str().as_encoded_bytes().to_vec();
    listing.images.sort_by_cached_key(bytes);
    Ok(listing)
}

/// A class: its name, and its images in the order of theirs.
type Class = (String, Vec<PathBuf>);

/// A walk through folders that takes each of them once.
struct Walk {
    /// The folder that everything is searched in, without links.
    root: PathBuf,
    /// The folders taken so far, without links.
    taken: HashSet<PathBuf>,
    ignored: usize,
}

impl Walk {
    /// The classes below `dir`, by name. Real folders come before those behind links, so that a
    /// class has its own name if it has one here.
    fn classes(&mut self, dir: &Path) -> Result<Vec<Class>, DataError> {
        let mut classes = Vec::new();
        let mut links = BTreeSet::from([(String::new(), dir.to_owned())]);
        while let Some(start) = links.pop_first() {
            let mut folders = vec![start];
            while let Some((name, folder)) = folders.pop() {
                let real = fs::canonicalize(&folder)
                    .map_err(|source| DataError::file("read", &folder, source))?;
                let outside = self.root.starts_with(&real) && self.root != real;
                if outside || !self.taken.insert(real) {
                    self.ignored += 1;
                    continue;
                }
                let listing = list_one(&folder)?;
                self.ignored += listing.ignored;
                let below = |(own, path): (String, PathBuf)| {
                    let name = if name.is_empty() {
                        own
                    } else {
                        format!("{name}/{own}")
                    };
                    (name, path)
                };
                folders.extend(listing.folders.into_iter().map(below));
                links.extend(listing.links.into_iter().map(below));
                match listing.images.first() {
                    Some(image) if name.is_empty() => {
                        return Err(DataError::format(
                            dir,
                            LAYOUT,
                            format!(
                                "{} images directly in it, such as {}",
                                listing.images.len(),
                                image.file_name().unwrap_or_default().to_string_lossy()
                            ),
                        ));
                    }
                    Some(_) => classes.push((name, listing.images)),
                    None => {}
                }
            }
        }
        if classes.is_empty() {
            return Err(DataError::Missing {
                path: dir.to_owned(),
                missing: format!("images (.{})", ENDINGS.join(", .")),
                hint: format!("it should have {LAYOUT}"),
            });
        }
        classes.sort_unstable();
        Ok(classes)
    }
}

pub(crate) fn list(dir: &Path) -> Result<ImageList, DataError> {
    let root = fs::canonicalize(dir).map_err(|source| DataError::file("read", dir, source))?;
    let mut walk = Walk {
        root,
        taken: HashSet::new(),
        ignored: 0,
    };
    let mut list = ImageList {
        source: dir.to_owned(),
        class_names: Vec::new(),
        entries: Vec::new(),
        ignored: 0,
    };
    match parts(dir)? {
        None => {
            let classes = walk.classes(dir)?;
            list.class_names = classes.iter().map(|(name, _)| name.clone()).collect();
            for (label, (_, images)) in (0..).zip(classes) {
                list.extend(images, label, None);
            }
        }
        Some(parts) => {
            let parts = parts.map(|(part, path)| Ok((part, walk.classes(&path)?)));
            let parts = parts.into_iter().collect::<Result<Vec<_>, DataError>>()?;
            let names = parts.iter().flat_map(|(_, classes)| classes);
            let names: BTreeSet<&String> = names.map(|(name, _)| name).collect();
            list.class_names = names.into_iter().cloned().collect();
            for (part, classes) in parts {
                for (name, images) in classes {
                    let label = list.class_names.binary_search(&name).unwrap_or_default();
                    list.extend(images, label as u32, Some(part));
                }
            }
        }
    }
    list.ignored = walk.ignored;
    Ok(list)
}

impl ImageList {
    fn extend(&mut self, images: Vec<PathBuf>, label: u32, part: Option<Part>) {
        self.entries.extend(
            images
                .into_iter()
                .map(|path| ImageEntry { path, label, part }),
        );
    }
}

/// The folders `train` and `test`, if there are no others.
fn parts(dir: &Path) -> Result<Option<[(Part, PathBuf); 2]>, DataError> {
    let listing = list_one(dir)?;
    let mut folders = [listing.folders, listing.links].concat();
    folders.sort_unstable();
    let names: Vec<String> = folders
        .iter()
        .map(|(name, _)| name.to_lowercase())
        .collect();
    let others = ["test", "val", "valid", "validation", "dev"];
    let is_layout = names.len() > 1
        && names.iter().any(|name| name == "train")
        && names
            .iter()
            .all(|name| name == "train" || others.contains(&&**name));
    if !is_layout {
        return Ok(None);
    }
    match (&names[..], &folders[..]) {
        ([test, _], [(_, test_path), (_, train_path)]) if test == "test" => Ok(Some([
            (Part::Train, train_path.clone()),
            (Part::Test, test_path.clone()),
        ])),
        _ => Err(DataError::format(
            dir,
            "train and test as the only folders, or one folder a class",
            format!(
                "{}; name the part to test on test, and put others elsewhere",
                names.join(", ")
            ),
        )),
    }
}
