//! Image lists from file names.

use super::kinds::is_image;
use super::list::Reading;
use super::{ImageEntry, ImageList, folder};
use crate::error::DataError;
use crate::names::{nfc, text};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

impl ImageList {
    /// Creates a list of single files. The class of each is the name of its folder.
    ///
    /// # Errors
    /// There are no files.
    pub fn from_files(files: &[PathBuf]) -> Result<Self, DataError> {
        let Some(first) = files.first() else {
            return Err(DataError::out_of_range(
                "the number of images",
                "at least 1",
                0,
            ));
        };
        let name = |file: &PathBuf| {
            // A bare file name is in the current folder.
            let whole = file.canonicalize().unwrap_or_else(|_| file.clone());
            let folder = whole.parent().and_then(Path::file_name).unwrap_or_default();
            nfc(&text(folder)).into_owned()
        };
        let names: Vec<String> = files.iter().map(name).collect();
        let mut classes: BTreeMap<&str, u32> = names.iter().map(|name| (&**name, 0)).collect();
        for (label, place) in classes.values_mut().enumerate() {
            *place = label as u32;
        }
        let entries = files
            .iter()
            .zip(&names)
            .map(|(path, name)| ImageEntry {
                path: path.clone(),
                label: classes[&**name],
                part: None,
            })
            .collect();
        Ok(Self {
            source: first.clone(),
            class_names: classes.into_keys().map(str::to_owned).collect(),
            entries,
            reading: Reading::default(),
        })
    }

    /// Lists the images of any path: a single file, a folder of images without classes, or anything
    /// that [`from_path`](Self::from_path) accepts. If the subfolders are ambiguous, each folder
    /// with images is a class.
    ///
    /// # Errors
    /// As [`from_path`](Self::from_path); or images next to folders of images.
    pub fn from_anything(path: &Path) -> Result<Self, DataError> {
        if path.is_dir() {
            folder::list_any(path)
        } else if is_image(path) {
            Self::from_files(&[path.to_owned()])
        } else {
            Self::from_path(path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_a_flat_folder_and_a_folder_of_classes_are_all_images() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, b"P5\n1 1\n255\n\0").unwrap();
        };
        for name in ["a/2.pgm", "a/1.pgm", "b c/1.pgm"] {
            make(name);
        }
        let flat = ImageList::from_anything(&dir.path().join("a")).unwrap();
        assert_eq!(flat.class_names, ["a"]);
        assert!(flat.entries[0].path.ends_with("1.pgm") && flat.entries.len() == 2);
        let one = ImageList::from_anything(&dir.path().join("b c/1.pgm")).unwrap();
        assert_eq!((one.entries.len(), &*one.class_names[0]), (1, "b c"));
        let classes = ImageList::from_anything(dir.path()).unwrap();
        assert_eq!(classes.class_names, ["a", "b c"]);
        assert!(
            ImageList::from_anything(&dir.path().join("none.png")).is_ok(),
            "reported when read"
        );
        assert!(ImageList::from_anything(&dir.path().join("none")).is_err());
        assert!(ImageList::from_files(&[]).is_err());
    }
}
