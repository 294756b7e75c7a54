//! Folders and lists of images as training and test data.

use super::SourceOptions;
use super::folder::{first_names, plain};
use super::{Channels, Decoded, ImageList, ImageOptions, Part};
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::identities::IdentityList;
use crate::splits::Split;
use std::fmt::Write as _;
use std::path::Path;

/// Loads the parts of a folder or list, as defined by it or else drawn, with a description of their
/// source.
pub(crate) fn load(path: &Path, options: &SourceOptions) -> Result<(Split, String), DataError> {
    let mut list = ImageList::from_path_as(path, options.class_folders)?;
    let mut remarks = Vec::new();
    if let Some(file) = &options.exclude {
        list = left_out(list, file, &mut remarks)?;
    }
    let decoded = list.decode(&options.images)?;
    let mut split = divide(path, &list, decoded, options)?;
    split.remarks.splice(0..0, remarks);
    Ok((split, from(&list)))
}

/// Divides a decoded list into its parts.
pub(crate) fn divide(
    path: &Path,
    list: &ImageList,
    decoded: Decoded,
    options: &SourceOptions,
) -> Result<Split, DataError> {
    let parts: Vec<Option<Part>> = decoded
        .entries
        .iter()
        .map(|&entry| list.entries[entry].part)
        .collect();
    let all = decoded.dataset;
    let [train, test, open_set, held_out] = [Part::Train, Part::Test, Part::OpenSet, Part::HeldOut]
        .map(|wanted| part(&all, &parts, wanted));
    if let Some(open_set) = &open_set {
        check_open_set(path, open_set, train.as_ref(), options)?;
    }
    let mut split = match train {
        // The source defines no parts.
        None if parts.iter().all(Option::is_none) => {
            at_least_two_classes(path, &all)?;
            let (train, test) = all.split_share(options.test_share, options.seed)?;
            Split::new(train, test)
        }
        None => {
            return Err(DataError::format(
                path,
                "images of the split train",
                "only others",
            ));
        }
        Some(train) => {
            let trained = has_images(&train);
            for part in [&test, &held_out].into_iter().flatten() {
                all_seen(path, part, &trained)?;
            }
            at_least_two_classes(path, &train)?;
            let train = train.classes(&trained).unwrap_or(train);
            let (train, test) = match test.and_then(|test| test.classes(&trained)) {
                Some(test) => (train, test),
                None => train.split_share(options.test_share, options.seed)?,
            };
            let mut split = Split::new(train, test);
            split.held_out = held_out.and_then(|held_out| held_out.classes(&trained));
            split
        }
    };
    split.open_set = open_set.and_then(|open_set| open_set.classes(&has_images(&open_set)));
    split.remarks = decoded.remarks;
    split.remarks.extend(list.reading.left_aside());
    split.warnings = decoded.warnings;
    let untested = split
        .test
        .class_counts()
        .iter()
        .filter(|&&count| count == 0)
        .count();
    if untested > 0 {
        split.remarks.push(format!(
            "{untested} of {} classes have no test images",
            split.test.num_classes()
        ));
    }
    Ok(split)
}

/// Checks that the classes of a list's open set are not in its other parts, and that there is no
/// other open set.
fn check_open_set(
    path: &Path,
    open_set: &Dataset,
    train: Option<&Dataset>,
    options: &SourceOptions,
) -> Result<(), DataError> {
    if options.open_set.is_some() {
        return Err(DataError::format(
            path,
            "no images of the split open-set when --open-set is given",
            format!("{} of them", open_set.len()),
        ));
    }
    let trained = train.map(has_images).unwrap_or_default();
    let both: Vec<bool> = trained
        .iter()
        .zip(has_images(open_set))
        .map(|(&trained, there)| trained && there)
        .collect();
    match names(open_set, &both).next() {
        Some(name) => Err(DataError::format(
            path,
            "other classes in the split open-set than in train",
            format!("{name:?} in both"),
        )),
        None => Ok(()),
    }
}

/// Decodes all images of a folder or list as the open set.
pub(crate) fn add_open_set(
    split: &mut Split,
    path: &Path,
    options: &SourceOptions,
) -> Result<(), DataError> {
    if split.open_set.is_some() {
        return Err(DataError::format(
            path,
            "no images of the split open-set in the list to train on",
            "some",
        ));
    }
    let list = ImageList::from_path_as(path, options.class_folders)?;
    let train = &split.train;
    let allowed = options.open_set_same_names;
    let options = ImageOptions {
        size: [train.height, train.width],
        channels: match train.channels {
            1 => Channels::Grey,
            _ => Channels::Colour,
        },
        ..options.images.clone()
    };
    let decoded = list.decode(&options)?;
    let same_names = allowed.check(&decoded.dataset, &train.class_names, path)?;
    split.open_set = Some(decoded.dataset);
    split.same_names = same_names;
    split.remarks.extend(decoded.remarks);
    split.warnings.extend(decoded.warnings);
    Ok(())
}

/// Describes the source of the parts; empty if the folder itself contains the classes.
pub(super) fn from(list: &ImageList) -> String {
    let folders = &list.reading.folders;
    let folder = |(relative, part): &(String, Option<Part>)| match part {
        Some(part) => format!("{relative}/ ({part})"),
        None => format!("{relative}/"),
    };
    let folders: Vec<String> = folders.iter().map(folder).collect();
    if !folders.is_empty() {
        format!(" from {}", folders.join(", "))
    } else if list.entries.iter().any(|entry| entry.part.is_some()) {
        " by the column split".to_owned()
    } else {
        " (drawn)".to_owned()
    }
}

/// The parts and classes in one line.
pub(crate) fn summary(split: &Split, from: &str) -> String {
    let mut text = format!(
        "images: {} train / {} test",
        split.train.len(),
        split.test.len()
    );
    if let Some(held_out) = &split.held_out {
        write!(text, " / {} held out", held_out.len()).ok();
    }
    let names = &split.train.class_names;
    write!(text, "{from}, {}", classes(names)).ok();
    if let Some(open_set) = &split.open_set {
        let names = classes(&open_set.class_names);
        write!(text, "; open set: {} of {names}", open_set.len()).ok();
    }
    text
}

/// `3 classes: ant, bee, cat`, or the first few of them.
fn classes(names: &[String]) -> String {
    let unit = if names.len() == 1 { "class" } else { "classes" };
    let first: Vec<&str> = names.iter().map(String::as_str).collect();
    format!("{} {unit}: {}", names.len(), first_names(&first))
}

/// The list without the classes named in a file.
pub(super) fn left_out(
    list: ImageList,
    file: &Path,
    remarks: &mut Vec<String>,
) -> Result<ImageList, DataError> {
    let before = list.class_names.len();
    let (list, unknown) = list.without(&IdentityList::read(file)?);
    if list.class_names.is_empty() {
        return Err(DataError::format(
            file,
            "a list without some of the classes",
            format!("all {before} in it"),
        ));
    }
    remarks.push(format!(
        "{} of {before} classes left out by {}",
        before - list.class_names.len(),
        file.display()
    ));
    if let Some(first) = unknown.first() {
        remarks.push(format!(
            "{} names in {} are not classes, such as {first:?}; spell them like the folders",
            unknown.len(),
            file.display()
        ));
    }
    Ok(list)
}

/// The images of a part, with all classes.
fn part(all: &Dataset, parts: &[Option<Part>], part: Part) -> Option<Dataset> {
    parts
        .contains(&Some(part))
        .then(|| all.select(|index| parts[index] == Some(part)))
}

fn has_images(data: &Dataset) -> Vec<bool> {
    data.class_counts().iter().map(|&count| count > 0).collect()
}

fn names<'a>(data: &'a Dataset, wanted: &'a [bool]) -> impl Iterator<Item = &'a String> {
    let names = data.class_names.iter().zip(wanted);
    names.filter(|&(_, &wanted)| wanted).map(|(name, _)| name)
}

fn at_least_two_classes(path: &Path, data: &Dataset) -> Result<(), DataError> {
    let there = has_images(data);
    let names: Vec<&String> = names(data, &there).collect();
    match names[..] {
        [name] => Err(DataError::format(
            path,
            "images of at least two classes to train on",
            format!("one, {name:?}"),
        )),
        _ => Ok(()),
    }
}

/// Rejects test images of classes that are not trained on.
fn all_seen(path: &Path, test: &Dataset, trained: &[bool]) -> Result<(), DataError> {
    let tested = has_images(test);
    let unseen: Vec<bool> = tested.iter().zip(trained).map(|(&a, &b)| a && !b).collect();
    let mut names = names(test, &unseen);
    let Some(name) = names.next() else {
        return Ok(());
    };
    let alike = test
        .class_names
        .iter()
        .zip(trained)
        .find(|&(other, &trained)| trained && plain(other) == plain(name));
    let alike = alike.map_or_else(String::new, |(other, _)| {
        format!("; {other:?} has some: give them the same name")
    });
    Err(DataError::format(
        path,
        "test images of trained classes (give others with --open-set, or with \
         the split open-set of a list)",
        format!(
            "{name:?} and {} more without training images{alike}",
            names.count()
        ),
    ))
}
