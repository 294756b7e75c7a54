//! Folder layouts of face data sets: LFW and CASIA-WebFace both have one folder per person.

use crate::error::DataError;
use crate::file::read_text;
use crate::names::nfc;
use crate::table::MAX_FILE_BYTES;
use std::collections::BTreeSet;
use std::path::Path;

/// The path of an LFW image of a person, counted from 1: `Name/Name_0001.jpg`, relative to the
/// folder `lfw`.
pub fn lfw_image(name: &str, index: u32) -> String {
    format!("{name}/{name}_{index:04}.jpg")
}

/// Names of people or other classes, such as those to exclude from training because the test set
/// contains them.
///
/// A text file with one name per line. A name is that of the class, which is its image folder or
/// the relative path of that folder (`Latin/character01`). CASIA-WebFace numbers its folders
/// (`0000045`) and has a separate list of names. Empty lines and repeated names are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityList {
    names: BTreeSet<String>,
}

impl IdentityList {
    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, is not UTF-8, or is larger than 1 GiB; or a line cannot be the name
    /// of a folder (the error gives its number).
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let text = read_text(path, MAX_FILE_BYTES)?;
        let mut names = BTreeSet::new();
        for (line, name) in (1..).zip(text.lines().map(str::trim)) {
            if name.is_empty() {
                continue;
            }
            if !name.split('/').all(is_folder_name) {
                let expected = format!("the name of a class's folder in line {line}");
                return Err(DataError::format(path, expected, format!("{name:?}")));
            }
            names.insert(nfc(name).into_owned());
        }
        Ok(Self { names })
    }

    /// Whether a name is in the list. Case matters; Unicode normalisation does not ([`nfc`]).
    pub fn contains(&self, name: &str) -> bool {
        self.names.contains(&*nfc(name))
    }

    /// Number of names.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no names.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// All names in byte order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// The names that are not classes. Many of them suggest that the list is spelled differently
    /// from the data set and excludes too little.
    pub fn unknown<'a>(&'a self, class_names: &[String]) -> Vec<&'a str> {
        let known: BTreeSet<_> = class_names.iter().map(|name| nfc(name)).collect();
        self.iter().filter(|&name| !known.contains(name)).collect()
    }
}

/// Whether this can be the name of a folder within another.
pub(crate) fn is_folder_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && !name.contains(['/', '\\', '\0'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_lfw_have_four_digits() {
        assert_eq!(
            lfw_image("George_W_Bush", 10),
            "George_W_Bush/George_W_Bush_0010.jpg"
        );
        assert_eq!(lfw_image("A", 12345), "A/A_12345.jpg");
    }

    #[test]
    fn lists_are_read_and_compared_with_classes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exclude.txt");
        std::fs::write(&path, "0000045\r\n\r\n  0000102 \n0000045\nJosé\n").unwrap();
        let list = IdentityList::read(&path).unwrap();
        assert_eq!(
            list.iter().collect::<Vec<_>>(),
            ["0000045", "0000102", "José"]
        );
        assert!(list.contains("0000102") && !list.contains("josé"));
        assert!(list.contains("Jose\u{301}"));
        assert!(!list.is_empty() && list.len() == 3);
        let classes = ["0000045".to_owned(), "0000099".to_owned()];
        assert_eq!(list.unknown(&classes), ["0000102", "José"]);
        std::fs::write(&path, "").unwrap();
        assert!(IdentityList::read(&path).unwrap().is_empty());
    }

    #[test]
    fn invalid_names_are_rejected() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("exclude.txt");
        for bad in ["a/../b", "..", "a\\b", "/a"] {
            std::fs::write(&path, format!("good\n{bad}\n")).unwrap();
            let message = IdentityList::read(&path).unwrap_err().to_string();
            assert!(message.contains("in line 2") && message.contains(&format!("{bad:?}")));
        }
    }
}
