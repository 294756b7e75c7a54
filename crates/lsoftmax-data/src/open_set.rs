use crate::dataset::Dataset;
use crate::error::DataError;
use crate::names::nfc;
use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The source of the classes that are never trained on. Written as an integer, or as a path (`./12`
/// for a folder named by a number).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenSet {
    /// This many classes of the data set, drawn by the seed, with all of their images; for an
    /// alphabet this many additional characters with 20 images each.
    Classes(usize),
    /// All images of a folder or list, resized and converted like the training images.
    Folder(PathBuf),
}

/// Handling of open-set classes with names of trained classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameNames {
    /// An error: a class of that name was trained on.
    #[default]
    Refuse,
    /// They are different classes with the same names.
    Different,
}

impl SameNames {
    /// The names accepted by [`FromStr`].
    pub const NAMES: &[&str] = &["refuse", "different"];

    /// The name of this choice.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Different => "different",
        }
    }

    /// The number of classes with images of an open set that have the name of a trained class.
    ///
    /// # Errors
    /// There are such classes, and they are rejected.
    pub fn check(
        self,
        open_set: &Dataset,
        trained: &[String],
        path: &Path,
    ) -> Result<usize, DataError> {
        let trained: HashSet<_> = trained.iter().map(|name| nfc(name)).collect();
        let counts = open_set.class_counts();
        let classes = counts.iter().filter(|&&count| count > 0).count();
        let names = open_set.class_names.iter().zip(&counts);
        let mut same = names.filter(|(name, count)| **count > 0 && trained.contains(&nfc(name)));
        let Some((first, _)) = same.next() else {
            return Ok(0);
        };
        let same = 1 + same.count();
        match self {
            Self::Different => Ok(same),
            Self::Refuse => Err(DataError::format(
                path,
                "classes that are not trained on (where equal names mean different classes: \
                 --open-set-same-names different)",
                format!("{same} of {classes} with names of trained classes, such as {first:?}"),
            )),
        }
    }
}

impl FromStr for SameNames {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let known = [Self::Refuse, Self::Different].into_iter();
        let mut named = known.filter(|known| known.name() == text);
        named.next().ok_or_else(|| {
            let expected = Self::NAMES.join(" or ");
            DataError::out_of_range("open-set-same-names", expected, format!("{text:?}"))
        })
    }
}

impl FromStr for OpenSet {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(classes @ 1..) if number => Ok(Self::Classes(classes)),
            _ if number || text.trim().is_empty() => Err(DataError::out_of_range(
                "open-set",
                "a number of classes from 1, or a folder or list of images",
                format!("{text:?}"),
            )),
            _ => Ok(Self::Folder(text.into())),
        }
    }
}

impl fmt::Display for OpenSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classes(classes) => classes.fmt(f),
            Self::Folder(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_set_is_a_number_or_a_path() {
        for text in ["40", "faces/unseen", "./12", "list.csv", "4 people"] {
            let open_set: OpenSet = text.parse().unwrap();
            assert_eq!(open_set.to_string(), text);
            assert_eq!(matches!(open_set, OpenSet::Classes(40)), text == "40");
        }
        for text in ["", " ", "0", "99999999999999999999999"] {
            let message = text.parse::<OpenSet>().unwrap_err().to_string();
            assert!(message.contains("a number of classes from 1"), "{message}");
        }
    }
}
