//! Origins of the images of a data set.

use crate::digest::Digest;
use crate::names;
use std::path::{Component, Path};
use std::sync::Arc;

/// The origin of an image, and the digest of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// Path of the file relative to the data, with slashes. For a file with many images: that file
    /// and the image's index in it, counted from 0, such as `test_batch.bin/17`.
    pub path: &'a str,
    /// Digest of the file. For one of many images in a file: digest of its pixels
    /// `[channel, height, width]`.
    pub digest: Digest,
}

/// The origins of all images of a data set. Subsets share the table.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    table: Arc<Table>,
    /// The row in the table of each sample.
    rows: Vec<u32>,
}

#[derive(Debug, Default)]
struct Table {
    paths: Texts,
    digests: Vec<Digest>,
}

impl Origins {
    pub(crate) fn new(origins: impl Iterator<Item = (impl AsRef<str>, Digest)>) -> Self {
        let mut table = Table::default();
        for (path, digest) in origins {
            table.paths.push(path.as_ref());
            table.digests.push(digest);
        }
        Self {
            rows: (0..table.digests.len() as u32).collect(),
            table: Arc::new(table),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn get(&self, sample: usize) -> Origin<'_> {
        let row = self.rows[sample] as usize;
        Origin {
            path: self.table.paths.get(row),
            digest: self.table.digests[row],
        }
    }

    fn iter(&self) -> impl Iterator<Item = Origin<'_>> {
        (0..self.len()).map(|sample| self.get(sample))
    }

    /// The origins of some of the samples.
    pub(crate) fn select(&self, samples: &[u32]) -> Self {
        let rows = samples.iter().map(|&sample| self.rows[sample as usize]);
        Self {
            table: Arc::clone(&self.table),
            rows: rows.collect(),
        }
    }

    pub(crate) fn followed_by(&self, other: &Self) -> Self {
        if Arc::ptr_eq(&self.table, &other.table) {
            return Self {
                table: Arc::clone(&self.table),
                rows: [&self.rows[..], &other.rows].concat(),
            };
        }
        let both = self.iter().chain(other.iter());
        Self::new(both.map(|origin| (origin.path, origin.digest)))
    }
}

impl PartialEq for Origins {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Origins {}

/// Many strings in one allocation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts {
    text: String,
    ends: Vec<usize>,
}

impl Texts {
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.ends.push(self.text.len());
    }

    pub(crate) fn get(&self, place: usize) -> &str {
        let start = place.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[place]]
    }
}

/// The path of a file relative to a folder, with slashes; the path itself if it is elsewhere.
pub(crate) fn path_within(path: &Path, folder: &Path) -> String {
    let within = path.strip_prefix(folder).unwrap_or(path);
    let mut text = String::new();
    for part in within.components() {
        if !text.is_empty() && !text.ends_with('/') {
            text.push('/');
        }
        match part {
            Component::RootDir => text.push('/'),
            part => text.push_str(&names::text(part.as_os_str())),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_keep_their_origins() {
        let names = ["a/1", "", "b/ü", "c"];
        let digests = names.map(|name| Digest::of(name.as_bytes()));
        let all = Origins::new(names.into_iter().zip(digests));
        let paths = |origins: &Origins| -> Vec<String> {
            origins.iter().map(|it| it.path.to_owned()).collect()
        };
        assert_eq!(paths(&all), names);
        let some = all.select(&[3, 1]);
        assert_eq!(paths(&some), ["c", ""]);
        assert_eq!(some.get(0).digest, digests[3]);
        let again = some.select(&[1]).followed_by(&all.select(&[2]));
        assert_eq!(paths(&again), ["", "b/ü"]);
        let other = Origins::new([("x", digests[0])].into_iter());
        let both = some.followed_by(&other);
        assert_eq!(paths(&both), ["c", "", "x"]);
        assert_eq!(both.get(0).digest, digests[3]);
        assert_eq!(both.select(&[0, 1]), some);
        assert_ne!(some, other);
    }

    #[test]
    fn paths_count_from_the_folder() {
        let within = |path: &str, folder: &str| path_within(path.as_ref(), folder.as_ref());
        assert_eq!(within("d/a/1.png", "d"), "a/1.png");
        assert_eq!(within("d/./a//1.png", "d/"), "a/1.png");
        assert_eq!(within("a/1.png", ""), "a/1.png");
        assert_eq!(within("d/../e/1.png", "d"), "../e/1.png");
        assert_eq!(within("/x/1.png", "d"), "/x/1.png");
    }
}
