//! Finds identical images in several parts or classes.

use crate::dataset::Dataset;
use crate::digest::Digest;
use crate::error::DataError;
use crate::splits::Split;
use rayon::prelude::*;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::path::Path;

/// Images of several parts of a data set, indexed by content. Two images are identical if their
/// files are, or if their decoded pixels are.
struct ContentIndex<'a> {
    parts: Vec<&'a Dataset>,
    by_file: HashMap<Digest, Place>,
    by_pixels: HashMap<u64, Place>,
}

/// Part, and index within the part.
type Place = (usize, usize);

impl<'a> ContentIndex<'a> {
    fn new() -> Self {
        Self {
            parts: Vec::new(),
            by_file: HashMap::new(),
            by_pixels: HashMap::new(),
        }
    }

    /// The first image that is identical to this one.
    fn twin(&self, data: &Dataset, index: usize, hash: u64) -> Option<Place> {
        let digest = data.origin(index).map(|origin| origin.digest);
        let by_file = digest.and_then(|digest| self.by_file.get(&digest));
        let by_pixels = self.by_pixels.get(&hash);
        let by_pixels =
            by_pixels.filter(|place| self.parts[place.0].image(place.1) == data.image(index));
        by_file.or(by_pixels).copied()
    }

    /// Adds a part and calls `on_duplicate` for each of its images that is identical to an earlier
    /// one.
    fn add(&mut self, data: &'a Dataset, mut on_duplicate: impl FnMut(Place, usize)) {
        let hashes = hashes(data);
        let part = self.parts.len();
        self.parts.push(data);
        for (index, hash) in hashes.into_iter().enumerate() {
            if let Some(place) = self.twin(data, index, hash) {
                on_duplicate(place, index);
            }
            self.by_pixels.entry(hash).or_insert((part, index));
            if let Some(origin) = data.origin(index) {
                self.by_file.entry(origin.digest).or_insert((part, index));
            }
        }
    }
}

fn hashes(data: &Dataset) -> Vec<u64> {
    let hash = |index| {
        let mut hash = DefaultHasher::new();
        hash.write(data.image(index));
        hash.finish()
    };
    (0..data.len()).into_par_iter().map(hash).collect()
}

/// An image in a message: its path and class.
fn name(data: &Dataset, index: usize) -> String {
    let class = &data.class_names[data.label(index) as usize];
    match data.origin(index) {
        Some(origin) => format!("{} (class {class})", origin.path),
        None => format!("image {index} (class {class})"),
    }
}

/// Rejects an open set that contains files used for training or testing.
pub(crate) fn refuse_trained(split: &Split, path: &Path) -> Result<(), DataError> {
    let Some(open_set) = &split.open_set else {
        return Ok(());
    };
    let mut files = HashMap::new();
    let parts = [
        Some(&split.train),
        Some(&split.test),
        split.held_out.as_ref(),
    ];
    for part in parts.into_iter().flatten() {
        for (index, origin) in (0..part.len()).filter_map(|i| Some((i, part.origin(i)?))) {
            files.entry(origin.digest).or_insert((part, index));
        }
    }
    let twins = (0..open_set.len()).filter_map(|index| {
        let (part, twin) = files.get(&open_set.origin(index)?.digest)?;
        Some((name(open_set, index), name(part, *twin)))
    });
    let twins: Vec<(String, String)> = twins.collect();
    match twins.first() {
        None => Ok(()),
        Some((unseen, trained)) => Err(DataError::format(
            path,
            "an open set without images of trained classes (remove them)",
            format!(
                "{} of {} images that are, first {unseen}, identical to {trained}",
                twins.len(),
                open_set.len()
            ),
        )),
    }
}

/// Number of images, and the first with its duplicate.
#[derive(Default)]
struct Count {
    images: usize,
    first: Option<[String; 2]>,
}

impl Count {
    fn add(&mut self, names: impl FnOnce() -> [String; 2]) {
        self.images += 1;
        self.first.get_or_insert_with(names);
    }

    fn sentence(&self, text: impl FnOnce(usize, &str) -> String) -> Option<String> {
        let [one, other] = self.first.as_ref()?;
        Some(text(self.images, &format!("{one} and {other}")))
    }
}

fn more(count: usize) -> String {
    match count {
        1 => String::new(),
        _ => format!(", and {} more", count - 1),
    }
}

/// Warnings about identical images in the parts of a split, one sentence each.
pub(crate) fn warnings(split: &Split) -> Vec<String> {
    if !split.train.has_origins() && !split.test.has_origins() {
        return Vec::new();
    }
    let (train, test) = (&split.train, &split.test);
    let (mut tested, mut labels, mut unseen) =
        (Count::default(), Count::default(), Count::default());
    let mut chosen = Count::default();
    let mut index_by_content = ContentIndex::new();
    let mut parts = vec![train, test];
    parts.extend(&split.held_out);
    for (number, &part) in parts.iter().enumerate() {
        index_by_content.add(part, |(twin_part, twin), index| {
            let names = || [name(parts[twin_part], twin), name(part, index)];
            match (twin_part, number) {
                (0, 1) => tested.add(names),
                (0 | 1, 2) => chosen.add(names),
                _ => {}
            }
            if parts[twin_part].label(twin) != part.label(index) {
                labels.add(names);
            }
        });
    }
    if let Some(open_set) = &split.open_set {
        index_by_content.add(open_set, |(twin_part, twin), index| {
            let part = parts.get(twin_part).copied();
            let names = || [name(part.unwrap_or(open_set), twin), name(open_set, index)];
            if part.is_some() {
                unseen.add(names);
            } else if open_set.label(twin) != open_set.label(index) {
                labels.add(names);
            }
        });
    }
    let tested = tested.sentence(|count, first| {
        format!(
            "{count} of {} test images are identical to training images: {first}{}; the test error \
             on them says nothing about new images",
            test.len(),
            more(count)
        )
    });
    let chosen = chosen.sentence(|count, first| {
        format!(
            "identical images held out and in other parts: {first}{}; they do not help to choose \
             a model",
            more(count)
        )
    });
    let labels = labels.sentence(|count, first| {
        format!("identical images in two classes: {first}{}", more(count))
    });
    let unseen = unseen.sentence(|count, first| {
        format!(
            "identical images in the open set and in trained classes: {first}{}; its results \
             include trained images",
            more(count)
        )
    });
    [tested, chosen, labels, unseen]
        .into_iter()
        .flatten()
        .collect()
}
