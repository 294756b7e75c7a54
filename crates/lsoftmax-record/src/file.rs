//! Files of experiments and networks.

use crate::error::RecordError;
use crate::settings::Settings;
use lsoftmax_data::read_text;
use lsoftmax_spec::{NetworkSpec, names};
use std::path::Path;

/// The largest file of an experiment or a network.
const MAX_TEXT_BYTES: u64 = 1 << 20;

/// Reads an experiment file.
///
/// # Errors
/// The file cannot be read, is not TOML, or has an unknown key.
pub fn read_settings(path: &Path) -> Result<Settings, RecordError> {
    let text = read_text(path, MAX_TEXT_BYTES)?;
    parse_settings(&text, path)
}

/// Reads the text of an experiment file; errors name `path`.
///
/// # Errors
/// The text is not TOML, or has an unknown key.
pub fn parse_settings(text: &str, path: &Path) -> Result<Settings, RecordError> {
    let syntax = |error: toml::de::Error| RecordError::Syntax {
        path: path.to_owned(),
        message: toml_message(&error, text),
    };
    let table: toml::Table = toml::from_str(text).map_err(syntax)?;
    if let Some(key) = table
        .keys()
        .find(|key| !Settings::KEYS.contains(&key.as_str()))
    {
        return Err(RecordError::UnknownKey {
            path: path.to_owned(),
            key: key.clone(),
            nearest: names::nearest(key, Settings::KEYS),
        });
    }
    toml::from_str(text).map_err(syntax)
}

/// A network by its name, or from a TOML file.
pub(crate) fn read_network(name: &str) -> Result<NetworkSpec, RecordError> {
    if !Path::new(name)
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("toml"))
    {
        return Ok(NetworkSpec::named(name)?);
    }
    let text = read_text(name.as_ref(), MAX_TEXT_BYTES)?;
    toml::from_str(&text).map_err(|error| RecordError::Syntax {
        path: name.into(),
        message: toml_message(&error, &text),
    })
}

/// The error of a TOML file and its place, in one line.
fn toml_message(error: &toml::de::Error, text: &str) -> String {
    let message = error.message().replace('\n', ", ");
    let before = error.span().and_then(|span| text.get(..span.start));
    let Some(before) = before else {
        return message;
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    format!("line {line}, column {column}: {message}")
}
