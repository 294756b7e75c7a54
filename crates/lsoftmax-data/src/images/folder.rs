//! Derives classes from a folder of folders.

use super::kinds::{ENDINGS, OtherFiles};
use super::list::Reading;
use super::parts::{Role, is_generic, roles};
use super::tree::{Folder, Tree, scan};
use super::{ClassFolders, ImageEntry, ImageList, Part};
use crate::error::DataError;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

const LAYOUT: &str = "a folder of images for each class, such as NAME/1.jpg";
const LIST: &str = "use a list (.csv with the columns path, label, split)";

/// Maximum number of names in a message.
const MAX_NAMED: usize = 5;

/// A class: its name and the folders of its images.
type Class<'a> = (String, Vec<&'a Folder>);

/// Lists the images of a folder with their classes.
pub(super) fn list(dir: &Path, how: ClassFolders) -> Result<ImageList, DataError> {
    read(dir, &scan(dir)?, how, true)
}

/// Lists the images of a folder when classes are secondary: all of a flat folder, or those of its
/// subfolders with their relative paths as classes.
pub(super) fn list_any(dir: &Path) -> Result<ImageList, DataError> {
    let tree = scan(dir)?;
    let flat = tree.root.with_images().next().is_none();
    if flat && !tree.root.images.is_empty() {
        let mut list = ImageList::from_files(&tree.root.images)?;
        dir.clone_into(&mut list.source);
        list.reading = tree.reading();
        return Ok(list);
    }
    read(dir, &tree, ClassFolders::Auto, true)
        .or_else(|_| read(dir, &tree, ClassFolders::Each, false))
}

/// Converts a scanned tree to parts and classes. Unless `strict`, there are no parts, and a class
/// without readable images is left out.
fn read(dir: &Path, tree: &Tree, how: ClassFolders, strict: bool) -> Result<ImageList, DataError> {
    if tree.root.leaves().iter().all(|leaf| leaf.images.is_empty()) {
        return Err(none(dir, &tree.root.all_others()));
    }
    let base = base(&tree.root, how);
    let parts = if strict { parts(dir, base, how)? } else { None };
    let parts = parts.unwrap_or_else(|| vec![(None, base)]);
    let mut reading = tree.reading();
    let mut found = Vec::new();
    for (part, folder) in parts {
        let folder = within(folder, part);
        if !folder.relative.is_empty() {
            reading.folders.push((folder.relative.clone(), part));
        }
        let mut classes = classes(dir, folder, how)?;
        if strict {
            unusable(dir, &classes)?;
        }
        classes.retain(|(_, folders)| folders.iter().any(|folder| !folder.images.is_empty()));
        classes.sort_by(|a, b| a.0.cmp(&b.0));
        found.push((part, classes));
    }
    let names = found.iter().flat_map(|(_, classes)| classes);
    let names: BTreeSet<String> = names.map(|(name, _)| name.clone()).collect();
    let class_names: Vec<String> = names.into_iter().collect();
    reading.warnings.extend(alike(&class_names));
    let mut entries = Vec::new();
    for (part, classes) in found {
        for (name, folders) in classes {
            let label = class_names.binary_search(&name).unwrap_or_default() as u32;
            let images = folders.into_iter().flat_map(|folder| &folder.images);
            entries.extend(images.map(|path| ImageEntry {
                path: path.clone(),
                label,
                part,
            }));
        }
    }
    Ok(ImageList {
        source: dir.to_owned(),
        class_names,
        entries,
        reading,
    })
}

/// The error for a folder without images.
fn none(dir: &Path, others: &OtherFiles) -> DataError {
    let found = if others.is_empty() {
        String::new()
    } else {
        format!("; it has {others}")
    };
    DataError::Missing {
        path: dir.to_owned(),
        missing: format!("images (.{})", ENDINGS.join(", .")),
        hint: format!("it should have {LAYOUT}{found}"),
    }
}

/// The folder that contains the parts or classes: the given one, or a single wrapper within it.
fn base(root: &Folder, how: ClassFolders) -> &Folder {
    let mut chain = vec![root];
    let mut last = root;
    while let Some(only) = last.only() {
        chain.push(only);
        last = only;
    }
    if last.images.is_empty() && last.with_images().nth(1).is_some() {
        let folders: Vec<&Folder> = last.with_images().collect();
        let has_parts = roles(&folders).iter().any(Option::is_some);
        // An explicit choice of class folders refers to the given folder itself.
        return if has_parts || how == ClassFolders::Auto {
            last
        } else {
            root
        };
    }
    // One class: it is named after the highest folder with a meaningful name.
    let wrappers = chain.iter().skip(1).take(chain.len().saturating_sub(2));
    let wrappers = wrappers.take_while(|folder| is_generic(&folder.name));
    wrappers.last().copied().unwrap_or(root)
}

/// A part, or its only subfolder if that has a generic name (`seg_train/seg_train`).
fn within(folder: &Folder, part: Option<Part>) -> &Folder {
    let mut folder = folder;
    if part.is_none() {
        return folder;
    }
    while let Some(only) = folder.only() {
        let deeper = only.images.is_empty() && only.with_images().next().is_some();
        if !deeper || !is_generic(&only.name) {
            break;
        }
        folder = only;
    }
    folder
}

/// Folder names for a message.
fn names<'a>(folders: impl IntoIterator<Item = &'a Folder>) -> String {
    let names: Vec<&str> = folders.into_iter().map(|folder| &*folder.name).collect();
    first_names(&names)
}

/// The first few names.
pub(super) fn first_names(names: &[&str]) -> String {
    let first = names.iter().take(MAX_NAMED).copied().collect::<Vec<_>>();
    let first = first.join(", ");
    match names.len().saturating_sub(MAX_NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

type Parts<'a> = Vec<(Option<Part>, &'a Folder)>;

/// The folders that are parts by name, if there are some and no other folders.
fn parts<'a>(
    dir: &Path,
    base: &'a Folder,
    how: ClassFolders,
) -> Result<Option<Parts<'a>>, DataError> {
    let folders: Vec<&Folder> = base.with_images().collect();
    let roles = roles(&folders);
    let named = folders.iter().zip(&roles);
    let named: Vec<(Role, &Folder)> = named.filter_map(|(f, role)| Some(((*role)?, *f))).collect();
    let others = folders
        .iter()
        .zip(&roles)
        .filter(|(_, role)| role.is_none());
    let others = names(others.map(|(folder, _)| *folder));
    if named.is_empty() || folders.len() == 1 {
        return Ok(None);
    }
    let has = |role: Role| named.iter().filter(|(own, _)| *own == role).count();
    let complete = has(Role::Train) > 0 && has(Role::Test) + has(Role::Validation) > 0;
    let flat = named.iter().filter(|(_, folder)| !folder.images.is_empty());
    let flat = names(flat.map(|(_, folder)| *folder));
    if how != ClassFolders::Auto && (!complete || !flat.is_empty()) {
        return Ok(None);
    }
    if let Some((expected, found)) = problem_of_parts(&named, complete, &others, &flat) {
        return Err(DataError::format(dir, expected, found));
    }
    let tested = has(Role::Test) > 0;
    let parts = named.into_iter().map(|(role, folder)| {
        let part = match role {
            Role::Train => Part::Train,
            Role::Validation if tested => Part::HeldOut,
            Role::Validation | Role::Test => Part::Test,
        };
        (Some(part), folder)
    });
    let mut parts: Parts = parts.collect();
    parts.sort_by_key(|&(part, _)| part);
    Ok(Some(parts))
}

/// What was expected of the folders that are parts by name, and what was found, if they are not the parts
/// of one data set. `others` names the other folders with images, `flat` the parts with images directly
/// in them.
fn problem_of_parts(
    named: &[(Role, &Folder)],
    complete: bool,
    others: &str,
    flat: &str,
) -> Option<(&'static str, String)> {
    let own = names(named.iter().map(|(_, folder)| *folder));
    if !complete && others.is_empty() {
        return Some((
            "a part to train on and one to test on",
            format!("{own} only; {LIST}"),
        ));
    }
    if !complete {
        return Some((
            "parts such as train and test, or one folder per class",
            format!(
                "{own} next to {others}; --class-folders top makes each of them a class, or {LIST}"
            ),
        ));
    }
    if !others.is_empty() {
        return Some((
            "train and test as the only folders with images",
            format!("{others} next to the parts {own}; move it elsewhere, or {LIST}"),
        ));
    }
    if !flat.is_empty() {
        return Some((
            "a folder of images for each class in each of the parts",
            format!(
                "images directly in {flat}; if these are classes, use --class-folders top, or {LIST}"
            ),
        ));
    }
    let roles = [Role::Train, Role::Validation, Role::Test];
    roles.into_iter().find_map(|role| {
        let same = named.iter().filter(|(own, _)| *own == role);
        let same: Vec<&Folder> = same.map(|(_, folder)| *folder).collect();
        let is_twice = same.len() > 1;
        is_twice.then(|| {
            let twice = names(same);
            (
                "one folder for each part",
                format!("{twice} for the same part; {LIST}"),
            )
        })
    })
}

/// The classes of a folder, in the order of their folders.
fn classes<'a>(
    dir: &Path,
    root: &'a Folder,
    how: ClassFolders,
) -> Result<Vec<Class<'a>>, DataError> {
    let place = match &*root.relative {
        "" => dir.to_owned(),
        relative => dir.join(relative),
    };
    if let Some(image) = root.images.first() {
        let name = image.file_name().unwrap_or_default().to_string_lossy();
        let found = format!(
            "{} images directly in it, such as {name}",
            root.images.len()
        );
        return Err(DataError::format(place, LAYOUT, found));
    }
    let relative = |folder: &Folder| match root.relative.len() {
        0 => folder.relative.clone(),
        length => folder.relative[length + 1..].to_owned(),
    };
    if how == ClassFolders::Each {
        return Ok(root
            .leaves()
            .into_iter()
            .map(|leaf| (relative(leaf), vec![leaf]))
            .collect());
    }
    // Indexed by the name of the folder that holds the images.
    let mut holders: BTreeMap<&str, &Folder> = BTreeMap::new();
    let mut classes = Vec::new();
    for top in root.with_images() {
        let leaves = top.leaves();
        let usable = leaves.iter().filter(|leaf| !leaf.images.is_empty());
        let usable: Vec<&Folder> = usable.copied().collect();
        if how == ClassFolders::Auto {
            let twice = match usable[..] {
                [leaf] => holders.insert(&leaf.name, leaf).map(|other| [other, leaf]),
                [first, second, ..] => Some([first, second]),
                [] => None,
            };
            if let Some([first, second]) = twice {
                let is_part = roles(&[first, second]).iter().any(Option::is_some);
                return Err(DataError::format(
                    place,
                    "a folder of images for each class, with no folders of images in it",
                    two_levels(&relative(first), &relative(second), is_part),
                ));
            }
        }
        classes.push((
            top.name.clone(),
            if usable.is_empty() { leaves } else { usable },
        ));
    }
    Ok(classes)
}

/// What was found where two folders of images may be of one class or of two.
fn two_levels(first: &str, second: &str, is_part: bool) -> String {
    if is_part {
        return format!(
            "parts in classes, {first} and {second}: put the classes into the parts, or {LIST}"
        );
    }
    let top = first.split('/').next().unwrap_or_default();
    format!(
        "images in {first} and in {second}: --class-folders top makes one class of all that lies in a \
         folder ({top}), --class-folders each makes each folder of images a class ({second}), or \
         {LIST}"
    )
}

/// Rejects a class that has only images with unsupported formats or extensions.
fn unusable(dir: &Path, classes: &[Class]) -> Result<(), DataError> {
    for (name, folders) in classes {
        if folders.iter().all(|folder| folder.images.is_empty()) {
            let mut others = OtherFiles::default();
            for folder in folders {
                others.extend(&folder.others);
            }
            return Err(DataError::format(
                dir,
                format!(
                    "images of the class {name:?} that are read (.{})",
                    ENDINGS.join(", .")
                ),
                format!("{others} in {}", folders[0].relative),
            ));
        }
    }
    Ok(())
}

impl Tree {
    /// Ignored files and possible problems: folders without images, and unsupported images.
    fn reading(&self) -> Reading {
        let mut reading = Reading {
            passed_over: self.passed_over,
            skipped: self.skipped,
            others: self.root.all_others(),
            ..Reading::default()
        };
        let mut empty = Vec::new();
        without_images(&self.root, &mut empty);
        for folder in empty.iter().take(MAX_NAMED) {
            reading.warnings.push(format!(
                "no images in {} ({}): it is not a class",
                folder.relative,
                folder.all_others()
            ));
        }
        if empty.len() > MAX_NAMED {
            let more = empty.len() - MAX_NAMED;
            reading
                .warnings
                .push(format!("no images in {more} more folders"));
        }
        let unread = reading.others.images();
        if !unread.is_empty() {
            let leaves = self.root.leaves().into_iter();
            let leaves = leaves.filter(|leaf| !leaf.others.images().is_empty());
            let places: Vec<&str> = leaves.map(|leaf| &*leaf.relative).collect();
            let places = first_names(&places);
            let places = if places.is_empty() {
                String::new()
            } else {
                format!(" (in {places})")
            };
            reading.warnings.push(format!(
                "images not read because of their format or file extension: {unread}{places}"
            ));
        }
        reading
    }
}

/// Folders without images next to folders with images: they may have been meant as classes.
fn without_images<'a>(folder: &'a Folder, found: &mut Vec<&'a Folder>) {
    if !folder.images.is_empty() {
        return;
    }
    for folder in &folder.folders {
        if folder.has_images {
            without_images(folder, found);
        } else {
            found.push(folder);
        }
    }
}

/// Warnings about classes whose names differ only in case, blanks, `-` and `_`.
pub(super) fn alike(class_names: &[String]) -> Vec<String> {
    let mut seen: HashMap<String, &str> = HashMap::new();
    let mut warnings = Vec::new();
    for name in class_names {
        if let Some(other) = seen.insert(plain(name), name) {
            warnings.push(format!(
                "the classes {other:?} and {name:?} differ only in case, blanks, - or _"
            ));
        }
    }
    let more = warnings.len().saturating_sub(MAX_NAMED);
    if more > 0 {
        warnings.truncate(MAX_NAMED);
        warnings.push(format!("{more} more pairs of classes have similar names"));
    }
    warnings
}

/// A name in lower case, with one blank for each blank, `-` or `_`.
pub(super) fn plain(name: &str) -> String {
    let lower = name.to_lowercase();
    let words = lower.split(|char: char| char.is_whitespace() || char == '-' || char == '_');
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}
