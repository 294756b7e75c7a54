use crate::error::DataError;
use std::fmt;
use std::path::PathBuf;
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
