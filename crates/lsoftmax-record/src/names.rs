//! Settings that are one of a few names, read and written by serde.

use crate::error::RecordError;
use serde::de::value::{BorrowedStrDeserializer, Error as NoName};
use serde::{Deserialize, Serialize};

/// The names of `lsoftmax_data::images::Channels`.
pub(crate) const CHANNELS: &[&str] = &["grey", "colour", "auto"];
/// The names of `lsoftmax_data::images::Fit`.
pub(crate) const FITS: &[&str] = &["crop", "stretch", "pad"];
/// The names of `lsoftmax_data::images::Broken`.
pub(crate) const BROKEN: &[&str] = &["skip", "refuse"];
/// The names of `lsoftmax_data::images::ClassFolders`.
pub(crate) const CLASS_FOLDERS: &[&str] = &["auto", "top", "each"];

/// The value of this name, or the default.
///
/// # Errors
/// A name that is not among those known.
pub(crate) fn parse<'a, T: Deserialize<'a> + Default>(
    setting: &'static str,
    text: Option<&'a str>,
    known: &[&'static str],
) -> Result<T, RecordError> {
    let Some(text) = text else {
        return Ok(T::default());
    };
    T::deserialize(BorrowedStrDeserializer::<NoName>::new(text))
        .map_err(|_| RecordError::unknown_name(setting, known, text))
}

/// The name of a value.
pub(crate) fn name(value: impl Serialize) -> Option<String> {
    let value = toml::Value::try_from(value).ok()?;
    value.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsoftmax_data::images::{Broken, Channels, ClassFolders, Fit};

    fn are_names<T: for<'a> Deserialize<'a> + Serialize + Default>(known: &[&'static str]) {
        for text in known {
            let value: T = parse("it", Some(text), known).unwrap();
            assert_eq!(name(value).as_deref(), Some(*text));
        }
        assert!(parse::<T>("it", Some("nonsense"), known).is_err());
    }

    #[test]
    fn the_lists_are_those_of_the_types() {
        are_names::<Channels>(CHANNELS);
        are_names::<Fit>(FITS);
        are_names::<Broken>(BROKEN);
        are_names::<ClassFolders>(CLASS_FOLDERS);
    }
}
