//! Describes a folder or list of images, and what a training would reject.

use super::SourceOptions;
use super::cache::Content;
use super::source::{divide, from, left_out, summary};
use super::{Decoded, ImageList, OtherFiles, Part, decode, tree};
use crate::dataset::Dataset;
use crate::digest::Digest;
use crate::duplicates::refuse_trained;
use crate::error::DataError;
use rayon::prelude::*;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// The result of [`check`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImageCheck {
    /// The folder or the list.
    pub source: PathBuf,
    /// The parts and classes that a training would use, in one line; `None` if it would reject the
    /// data.
    pub summary: Option<String>,
    /// The images by part and class, including broken ones; sorted by class name.
    pub classes: Vec<ClassImages>,
    /// The sizes of images, the most frequent first.
    pub sizes: Vec<SizeImages>,
    /// Images without colour.
    pub grey: usize,
    /// Images with colour.
    pub colour: usize,
    /// Images that cannot be decoded.
    pub broken: Vec<BrokenImage>,
    /// Files with equal content: first those with several labels, then those in several parts.
    pub duplicates: Vec<Duplicates>,
    /// Number of hidden files and folders and of system files.
    pub passed_over: usize,
    /// Number of folders reached a second time through links, and of pipes, sockets and devices.
    pub skipped: usize,
    /// Files without an image extension.
    pub others: OtherFiles,
    /// The last three counts in a sentence.
    pub left_aside: Option<String>,
    /// Possible problems, one sentence each.
    pub warnings: Vec<String>,
    /// Reasons for which a training would reject the data, one sentence each.
    pub errors: Vec<String>,
}

/// The images of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassImages {
    /// Name of the class.
    pub name: String,
    /// Number of images.
    pub images: usize,
    /// Number of images in each part, if the data defines parts: train, test, open-set, held-out.
    pub parts: BTreeMap<String, usize>,
}

/// The images of one size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SizeImages {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Number of images.
    pub images: usize,
}

/// An image that cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BrokenImage {
    /// Its path relative to the folder, or to that of the list.
    pub path: String,
    /// The reason.
    pub reason: String,
}

/// Severity of equal files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DuplicateKind {
    /// In several classes.
    AcrossLabels,
    /// In several parts: test images are trained on.
    AcrossParts,
    /// In one class and one part.
    WithinClass,
}

/// Files with equal content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Duplicates {
    /// The severity.
    pub kind: DuplicateKind,
    /// Paths of the files, relative to the folder or to that of the list.
    pub paths: Vec<String>,
    /// Their classes.
    pub classes: Vec<String>,
}

/// Whether a folder contains images anywhere below it, including images of unsupported formats.
///
/// # Errors
/// A folder below it cannot be read.
pub fn holds_images(dir: &Path) -> Result<bool, DataError> {
    Ok(tree::scan(dir)?.root.has_images)
}

/// Reads all images of a folder or list, and reports its content and what a training with these
/// options would reject. Writes nothing.
pub fn check(path: &Path, options: &SourceOptions) -> ImageCheck {
    let mut report = ImageCheck {
        source: path.to_owned(),
        ..ImageCheck::default()
    };
    if let Err(error) = inspect(path, options, &mut report) {
        report.errors.push(error.to_string());
    }
    report
}

/// A decoded image.
struct Seen {
    size: [usize; 2],
    grey: bool,
    digest: Digest,
}

fn inspect(path: &Path, options: &SourceOptions, report: &mut ImageCheck) -> Result<(), DataError> {
    // The content of a rejected folder is still reported.
    let (mut list, refused) = match ImageList::from_path_as(path, options.class_folders) {
        Ok(list) => (list, None),
        Err(error) => match path.is_dir().then(|| ImageList::from_anything(path)) {
            Some(Ok(list)) => (list, Some(error)),
            _ => return Err(error),
        },
    };
    let mut remarks = Vec::new();
    if let Some(file) = &options.exclude {
        list = left_out(list, file, &mut remarks)?;
    }
    report.passed_over = list.reading.passed_over;
    report.skipped = list.reading.skipped;
    report.others = list.reading.others.clone();
    report.left_aside = list.reading.left_aside();
    report.warnings.clone_from(&list.reading.warnings);
    report.classes = classes(&list);
    let name = |entry: usize| list.path_within(&list.entries[entry].path);
    let seen: Vec<Result<Seen, String>> = list
        .entries
        .par_iter()
        .map(|e| decode_and_hash(&e.path))
        .collect();
    let mut skipped = Vec::new();
    let mut sizes: HashMap<[usize; 2], usize> = HashMap::new();
    for (entry, seen) in seen.iter().enumerate() {
        match seen {
            Ok(seen) => {
                *sizes.entry(seen.size).or_default() += 1;
                report.grey += usize::from(seen.grey);
                report.colour += usize::from(!seen.grey);
            }
            Err(reason) => {
                skipped.push((entry as u32, reason.clone()));
                report.broken.push(BrokenImage {
                    path: name(entry),
                    reason: reason.clone(),
                });
            }
        }
    }
    let size = |([height, width], images): ([usize; 2], usize)| SizeImages {
        height,
        width,
        images,
    };
    report.sizes = sizes.into_iter().map(size).collect();
    report
        .sizes
        .sort_by_key(|size| (usize::MAX - size.images, size.height, size.width));
    report.duplicates = duplicates(&list, &seen, name);
    if let Some(error) = refused {
        return Err(error);
    }
    let content = Content {
        channels: 1,
        images: Vec::new(),
        skipped,
    };
    list.check_broken(&content, options.images.broken)?;
    let split = divide(path, &list, stand_in(&list, &seen)?, options)?;
    refuse_trained(&split, path)?;
    report.warnings.clone_from(&split.warnings);
    report.summary = Some(summary(&split, &from(&list)));
    Ok(())
}

fn decode_and_hash(path: &Path) -> Result<Seen, String> {
    let image =
        decode::read(path).and_then(|bytes| Ok((decode::image(&bytes)?, Digest::of(&bytes))));
    let (image, digest) =
        image.map_err(|(expected, found)| format!("expected {expected}, found {found}"))?;
    Ok(Seen {
        size: [image.height(), image.width()],
        grey: image.is_grey(),
        digest,
    })
}

fn classes(list: &ImageList) -> Vec<ClassImages> {
    let class = |name: &String| ClassImages {
        name: name.clone(),
        images: 0,
        parts: BTreeMap::new(),
    };
    let mut classes: Vec<ClassImages> = list.class_names.iter().map(class).collect();
    for entry in &list.entries {
        let class = &mut classes[entry.label as usize];
        class.images += 1;
        if let Some(part) = entry.part {
            *class.parts.entry(part.to_string()).or_default() += 1;
        }
    }
    classes
}

/// Files with equal content, most severe first.
fn duplicates(
    list: &ImageList,
    seen: &[Result<Seen, String>],
    name: impl Fn(usize) -> String,
) -> Vec<Duplicates> {
    let mut groups: HashMap<Digest, Vec<usize>> = HashMap::new();
    for (entry, seen) in seen.iter().enumerate() {
        if let Ok(seen) = seen {
            groups.entry(seen.digest).or_default().push(entry);
        }
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().filter(|it| it.len() > 1).collect();
    groups.sort_unstable();
    let of = |group: Vec<usize>| {
        let mut labels: Vec<u32> = group.iter().map(|&it| list.entries[it].label).collect();
        let mut parts: Vec<Option<Part>> = group.iter().map(|&it| list.entries[it].part).collect();
        labels.sort_unstable();
        labels.dedup();
        parts.sort_unstable();
        parts.dedup();
        let kind = match (labels.len(), parts.len()) {
            (1, 1) => DuplicateKind::WithinClass,
            (1, _) => DuplicateKind::AcrossParts,
            _ => DuplicateKind::AcrossLabels,
        };
        let class = |&label: &u32| list.class_names[label as usize].clone();
        Duplicates {
            kind,
            paths: group.into_iter().map(&name).collect(),
            classes: labels.iter().map(class).collect(),
        }
    };
    let mut duplicates: Vec<Duplicates> = groups.into_iter().map(of).collect();
    duplicates.sort_by_key(|group| group.kind);
    duplicates
}

/// The readable images, each with a single black pixel.
fn stand_in(list: &ImageList, seen: &[Result<Seen, String>]) -> Result<Decoded, DataError> {
    let read = seen.iter().enumerate();
    let read = read.filter_map(|(entry, seen)| Some((entry, seen.as_ref().ok()?.digest)));
    let read: Vec<(usize, Digest)> = read.collect();
    let entry = |entry: usize| &list.entries[entry];
    let labels = read.iter().map(|&(at, _)| entry(at).label).collect();
    let black = vec![0; read.len()];
    let data = Dataset::new(black, labels, [1, 1, 1], list.class_names.clone())?;
    let origins = read.iter();
    let origins = origins.map(|&(at, digest)| (list.path_within(&entry(at).path), digest));
    Ok(Decoded {
        dataset: data.with_origins(origins)?,
        paths: Vec::new(),
        entries: read.iter().map(|&(entry, _)| entry).collect(),
        skipped: Vec::new(),
        remarks: Vec::new(),
        warnings: list.reading.warnings.clone(),
    })
}
