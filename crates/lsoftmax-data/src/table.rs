//! CSV tables with a header.

use crate::error::DataError;
use std::borrow::Borrow;
use std::path::Path;

/// Far larger than any image list: ten million rows of 100 bytes.
pub(crate) const MAX_FILE_BYTES: u64 = 1 << 30;

/// A CSV table with a header and rows of as many fields. Fields are trimmed, empty lines are
/// skipped, and the case of the header does not matter.
pub(crate) struct Table<'a> {
    path: &'a Path,
    text: &'a str,
    header: Vec<String>,
    reader: csv::Reader<&'a [u8]>,
}

/// A row of a table.
pub(crate) struct Row<'a> {
    path: &'a Path,
    line: usize,
    fields: csv::StringRecord,
}

impl<'a> Table<'a> {
    pub(crate) fn parse(path: &'a Path, text: &'a str) -> Result<Self, DataError> {
        // Trailing empty lines, including blank ones.
        let text = text.trim_end();
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let header = reader
            .headers()
            .map_err(|error| wrong(path, text, &error))?;
        let header: Vec<_> = header.iter().map(str::to_lowercase).collect();
        Ok(Self {
            path,
            text,
            header,
            reader,
        })
    }

    /// The index of the column with one of these names, if there is one.
    pub(crate) fn find(&self, names: &[impl Borrow<str>]) -> Result<Option<usize>, DataError> {
        let named = |place: &usize| {
            names
                .iter()
                .any(|name| name.borrow() == self.header[*place])
        };
        let mut places = (0..self.header.len()).filter(named);
        let place = places.next();
        if places.next().is_some() {
            let expected = format!("one column {} in the header", names.join(" or "));
            return Err(DataError::format(self.path, expected, "more than one"));
        }
        Ok(place)
    }

    /// The index of the column with one of these names.
    pub(crate) fn column(&self, names: &[impl Borrow<str>]) -> Result<usize, DataError> {
        self.find(names)?.ok_or_else(|| {
            let expected = format!("a column {} in the header", names.join(" or "));
            DataError::format(self.path, expected, self.found())
        })
    }

    /// The header, for a message about a missing column.
    pub(crate) fn found(&self) -> String {
        let header = self.header.join(",");
        let other = match &self.header[..] {
            [one] if one.contains(';') => {
                "; its columns are separated by semicolons: save it with commas"
            }
            [one] if one.contains('\t') => {
                "; its columns are separated by tabs: save it with commas"
            }
            _ => "",
        };
        format!("{header:?}{other}")
    }

    /// The rows after the header.
    pub(crate) fn rows(mut self) -> impl Iterator<Item = Result<Row<'a>, DataError>> {
        let (path, text) = (self.path, self.text);
        let mut lines = Lines::new(text);
        std::iter::from_fn(move || {
            let mut fields = csv::StringRecord::new();
            match self.reader.read_record(&mut fields) {
                Ok(false) => None,
                Ok(true) => {
                    let line = lines.of(fields.position());
                    Some(Ok(Row { path, line, fields }))
                }
                Err(error) => Some(Err(wrong(path, text, &error))),
            }
        })
    }
}

impl Row<'_> {
    /// The field in a column found by the table.
    pub(crate) fn get(&self, column: usize) -> &str {
        self.fields.get(column).unwrap_or_default()
    }

    /// The line of the row, counted from 1.
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    /// A path relative to a folder, with slashes.
    pub(crate) fn relative_path(&self, column: usize, name: &str) -> Result<String, DataError> {
        let text = self.get(column);
        relative_path(text)
            .ok_or_else(|| self.wrong(name, "a path relative to the folder of images", text))
    }

    /// The error for an invalid field.
    pub(crate) fn wrong(&self, name: &str, expected: &str, found: &str) -> DataError {
        let line = self.line;
        let expected = format!("{expected} in line {line}, column {name}");
        DataError::format(self.path, expected, format!("{found:?}"))
    }
}

/// `a/b` for `a/b`, `./a/b` and `a\b`; `None` for a path that is empty, absolute or leads upwards.
fn relative_path(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split(['/', '\\']).collect();
    let absolute = parts[0].is_empty() || parts[0].ends_with(':');
    let parts: Vec<&str> = parts.into_iter().filter(|&part| part != ".").collect();
    let plain = |part: &&str| !part.is_empty() && *part != ".." && !part.contains('\0');
    (!absolute && !parts.is_empty() && parts.iter().all(plain)).then(|| parts.join("/"))
}

/// Counts lines while advancing through a text.
struct Lines<'a> {
    text: &'a [u8],
    /// The line terminator: some programs write `\r` alone.
    end: u8,
    at: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text: text.as_bytes(),
            end: if text.contains('\n') { b'\n' } else { b'\r' },
            at: 0,
            line: 1,
        }
    }

    /// The line, counted from 1, of the first character of a record, which must be after the
    /// preceding ones. The reader's own position is the end of the preceding record, before its
    /// `\n` and before empty lines.
    fn of(&mut self, position: Option<&csv::Position>) -> usize {
        let end = position.map_or(0, |position| position.byte() as usize);
        let after = self.text.get(end..).unwrap_or_default();
        let start = end
            + after
                .iter()
                .take_while(|byte| b"\r\n".contains(byte))
                .count();
        let passed = self.text.get(self.at..start).unwrap_or_default();
        self.line += passed.split(|&byte| byte == self.end).count() - 1;
        self.at = self.at.max(start);
        self.line
    }
}

fn wrong(path: &Path, text: &str, error: &csv::Error) -> DataError {
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => {
            let line = Lines::new(text).of(pos.as_ref());
            let expected = format!("{expected_len} comma-separated fields in line {line}");
            DataError::format(path, expected, len.to_string())
        }
        _ => DataError::format(path, "a CSV table", error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_their_folder() {
        for (text, expected) in [
            ("a/b.jpg", "a/b.jpg"),
            ("./a/b.jpg", "a/b.jpg"),
            ("a\\b.jpg", "a/b.jpg"),
            ("b c.jpg", "b c.jpg"),
        ] {
            assert_eq!(relative_path(text).as_deref(), Some(expected));
        }
        for text in [
            "",
            ".",
            "/a",
            "\\a",
            "C:\\a",
            "a//b",
            "a/",
            "../a",
            "a/../../b",
            "a\0b",
        ] {
            assert_eq!(relative_path(text), None, "{text:?}");
        }
    }
}
