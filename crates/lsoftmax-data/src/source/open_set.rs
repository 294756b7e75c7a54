use crate::dataset::Dataset;
use crate::error::DataError;
use crate::names::nfc;
use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where the classes come from that are never trained on. Its text is a whole number, or a path
/// (of a folder that is named by a number: `./12`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenSet {
    /// So many classes of the data set, drawn by the seed, with all their images; of an alphabet
    /// as many characters more, with 20 images each.
    Classes(usize),
    /// All images of a folder or a list, brought to the size and the channels of the training images.
    Folder(PathBuf),
}

/// What becomes of an open set with classes that have the names of trained classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameNames {
    /// It is refused: a class of that name was trained on.
    #[default]
    Refuse,
    /// They are different classes that have the same names.
    Different,
}

impl SameNames {
    /// The names that [`FromStr`] knows.
    pub const NAMES: &[&str] = &["refuse", "different"];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Different => "different",
        }
    }

    /// How many classes with images of an open set have the name of a trained class.
    ///
    /// # Errors
    /// There are some, and they are refused.
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
                format!("{same} of {classes} with names of trained classes, {first:?} for one"),
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
            DataError::number("open-set-same-names", expected, format!("{text:?}"))
        })
    }
}

impl FromStr for OpenSet {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(classes @ 1..) if number => Ok(Self::Classes(classes)),
            _ if number || text.trim().is_empty() => Err(DataError::number(
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
