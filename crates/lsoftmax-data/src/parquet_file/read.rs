use crate::error::DataError;
use crate::images::{guarded, regular};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;
use parquet::schema::types::Type;
use std::path::Path;

/// A table takes at most so many times the bytes of its file, and at least these: a few bytes of a
/// damaged file can stand for any number of rows.
const LARGEST_EXPANSION: u64 = 1024;
const ALWAYS_ALLOWED: u64 = 1 << 26;

/// A column without empty cells.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Strings.
    Text(Vec<String>),
    /// Integers of any width.
    Integer(Vec<i64>),
    /// Numbers of 32 or 64 bits.
    Float(Vec<f64>),
    /// Lists of numbers that all have one length.
    FloatLists {
        /// `[row, width]`.
        values: Vec<f32>,
        /// Numbers a row.
        width: usize,
    },
}

impl Column {
    /// What it holds, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "strings",
            Self::Integer(_) => "integers",
            Self::Float(_) => "floating-point numbers",
            Self::FloatLists { .. } => "lists of numbers",
        }
    }

    /// A column that begins with this value.
    fn starting(field: &Field) -> Option<Self> {
        Some(match field {
            Field::Str(_) => Self::Text(Vec::new()),
            Field::Float(_) | Field::Double(_) => Self::Float(Vec::new()),
            Field::ListInternal(list) => Self::FloatLists {
                values: Vec::new(),
                width: list.len(),
            },
            other => {
                integer(other)?;
                Self::Integer(Vec::new())
            }
        })
    }

    /// Adds a value, unless it is of another kind, and says how many bytes it takes.
    fn push(&mut self, field: &Field) -> Option<u64> {
        let bytes = match field {
            Field::Str(text) => size_of::<String>() + text.len(),
            Field::ListInternal(list) => size_of::<f32>() * list.len().max(1),
            _ => size_of::<f64>(),
        };
        match (self, field) {
            (Self::Text(texts), Field::Str(text)) => texts.push(text.clone()),
            (Self::Float(numbers), field) => numbers.push(float(field)?),
            (Self::FloatLists { values, width }, Field::ListInternal(list)) => {
                if list.len() != *width {
                    return None;
                }
                for element in list.elements() {
                    values.push(float(element)? as f32);
                }
            }
            (Self::Integer(numbers), field) => numbers.push(integer(field)?),
            _ => return None,
        }
        Some(bytes as u64)
    }
}

fn float(field: &Field) -> Option<f64> {
    match *field {
        Field::Float(number) => Some(number.into()),
        Field::Double(number) => Some(number),
        _ => None,
    }
}

fn integer(field: &Field) -> Option<i64> {
    match *field {
        Field::Byte(number) => Some(number.into()),
        Field::Short(number) => Some(number.into()),
        Field::Int(number) => Some(number.into()),
        Field::Long(number) => Some(number),
        Field::UByte(number) => Some(number.into()),
        Field::UShort(number) => Some(number.into()),
        Field::UInt(number) => Some(number.into()),
        Field::ULong(number) => i64::try_from(number).ok(),
        _ => None,
    }
}

/// Reads the columns of these names, as far as they are there; each has a value in every row.
///
/// # Errors
/// The file cannot be read, is damaged, or is compressed with something else than Snappy; a cell
/// is empty or holds something else than strings, numbers or lists of numbers of one length. The
/// row is named, counted from 0.
pub fn read_columns(path: &Path, names: &[&str]) -> Result<Vec<Option<Column>>, DataError> {
    let file = regular(path)?;
    let wrong = |(expected, found)| DataError::format(path, expected, found);
    guarded(|| read(file, names)).map_err(wrong)
}

fn read(file: std::fs::File, names: &[&str]) -> Result<Vec<Option<Column>>, (String, String)> {
    let damaged = |error: ParquetError| {
        (
            "a Parquet file, without compression or with Snappy".to_owned(),
            error.to_string(),
        )
    };
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let allowed = length.saturating_mul(LARGEST_EXPANSION).max(ALWAYS_ALLOWED);
    let mut taken = 0;
    let reader = SerializedFileReader::new(file).map_err(damaged)?;
    let metadata = reader.metadata();
    let schema = metadata.file_metadata().schema();
    let mut fields: Vec<_> = schema
        .get_fields()
        .iter()
        .filter(|field| names.contains(&field.name()))
        .cloned()
        .collect();
    let mut columns: Vec<Option<Column>> = names.iter().map(|_| None).collect();
    if fields.is_empty() {
        return Ok(columns);
    }
    // Once each, whatever the schema says.
    fields.dedup_by(|a, b| a.name() == b.name());
    let there: Vec<Option<usize>> = names
        .iter()
        .map(|name| fields.iter().position(|field| field.name() == *name))
        .collect();
    let projection = Type::group_type_builder(schema.name())
        .with_fields(fields)
        .build()
        .map_err(damaged)?;
    let rows = reader.get_row_iter(Some(projection)).map_err(damaged)?;
    for (number, row) in rows.enumerate() {
        let row = row.map_err(damaged)?;
        let cells: Vec<&Field> = row.get_column_iter().map(|(_, field)| field).collect();
        for ((column, name), there) in columns.iter_mut().zip(names).zip(&there) {
            let Some(cell) = there.and_then(|place| cells.get(place).copied()) else {
                continue;
            };
            if column.is_none() {
                *column = Column::starting(cell);
            }
            let kind = column
                .as_ref()
                .map_or("strings, numbers or lists of numbers", Column::kind);
            let Some(bytes) = column.as_mut().and_then(|column| column.push(cell)) else {
                let mut found: String = cell.to_string().chars().take(60).collect();
                if matches!(cell, Field::Null) {
                    "an empty cell".clone_into(&mut found);
                }
                return Err((
                    format!("{kind} (lists of one length) in the column {name}"),
                    format!("{found} in row {number}"),
                ));
            };
            taken += bytes;
            if taken > allowed {
                return Err((
                    format!("at most {allowed} bytes of values in a file of {length}"),
                    format!("more from row {number} on"),
                ));
            }
        }
    }
    Ok(columns)
}
