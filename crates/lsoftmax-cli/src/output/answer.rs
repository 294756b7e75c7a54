//! The output of `--json`.

use super::printable;
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::Write as _;
use std::path::Path;

/// One JSON object. Paths are text. If a path is not UTF-8, the text is only for display, and its
/// bytes are given as numbers in a field with the same name and `_bytes`.
#[derive(Default)]
pub(crate) struct Answer(Map<String, Value>);

impl Answer {
    /// Creates an object with these fields.
    pub(crate) fn new(fields: Value) -> Self {
        match fields {
            Value::Object(fields) => Self(fields),
            other => Self(Map::from_iter([("answer".to_owned(), other)])),
        }
    }

    /// Adds a path.
    pub(crate) fn path(mut self, name: &str, path: &Path) -> Self {
        if path.to_str().is_none() {
            self.0.insert(format!("{name}_bytes"), bytes(path));
        }
        self.0.insert(name.to_owned(), text(path));
        self
    }

    /// Adds several paths.
    pub(crate) fn paths<P: AsRef<Path>>(mut self, name: &str, paths: &[P]) -> Self {
        let each = || paths.iter().map(AsRef::as_ref);
        if each().any(|path| path.to_str().is_none()) {
            let all = each().map(bytes).collect();
            self.0.insert(format!("{name}_bytes"), all);
        }
        self.0.insert(name.to_owned(), each().map(text).collect());
        self
    }

    /// The object as a part of another answer.
    pub(crate) fn value(self) -> Value {
        Value::Object(self.0)
    }

    /// Prints the object as one line on stdout.
    ///
    /// # Errors
    /// stdout is closed.
    pub(crate) fn print(self) -> anyhow::Result<()> {
        json(&self.0)
    }
}

/// Prints JSON as one line on stdout.
///
/// # Errors
/// stdout is closed.
pub(crate) fn json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string(value)?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", printable::json(&text))?;
    Ok(out.flush()?)
}

fn text(path: &Path) -> Value {
    path.to_string_lossy().into()
}

fn bytes(path: &Path) -> Value {
    path.as_os_str().as_encoded_bytes().into()
}
