//! Tables in Parquet files: columns in, embeddings out.

use crate::error::DataError;
use crate::file::atomic_write_with;
use crate::images::{guarded, regular};
use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::file::writer::SerializedFileWriter;
use parquet::record::Field;
use parquet::schema::types::{ColumnPath, Type};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

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

    /// Adds a value, unless it is of another kind.
    fn push(&mut self, field: &Field) -> Option<()> {
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
        Some(())
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
            if column
                .as_mut()
                .and_then(|column| column.push(cell))
                .is_none()
            {
                let mut found: String = cell.to_string().chars().take(60).collect();
                if matches!(cell, Field::Null) {
                    "an empty cell".clone_into(&mut found);
                }
                return Err((
                    format!("{kind} (lists of one length) in the column {name}"),
                    format!("{found} in row {number}"),
                ));
            }
        }
    }
    Ok(columns)
}

/// Rows of a row group: with 512 numbers a row, 128 MiB.
const GROUP: usize = 1 << 16;

/// Writes embeddings `[row, feature]` with their files and labels as a table with the columns
/// `path`, `label` (strings) and `embedding` (lists of 32-bit numbers). The file appears whole or
/// not at all.
///
/// # Errors
/// Lengths that do not fit, or the file cannot be written.
pub fn write_embeddings_parquet(
    path: &Path,
    embeddings: &[f32],
    feature: usize,
    paths: &[String],
    labels: &[String],
) -> Result<(), DataError> {
    let rows = paths.len();
    if feature == 0 || labels.len() != rows || rows.checked_mul(feature) != Some(embeddings.len()) {
        return Err(DataError::number(
            "the number of values of embeddings",
            format!("that of {rows} paths and as many labels, times {feature} features (not 0)"),
            format!("{} for {} labels", embeddings.len(), labels.len()),
        ));
    }
    atomic_write_with(path, |file| {
        let mut file = BufWriter::new(file);
        write(&mut file, embeddings, feature, paths, labels).map_err(std::io::Error::other)?;
        file.flush()
    })
}

fn write(
    file: &mut (impl Write + Send),
    embeddings: &[f32],
    feature: usize,
    paths: &[String],
    labels: &[String],
) -> Result<(), ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        // Floating-point numbers hardly repeat.
        .set_column_dictionary_enabled(embedding_column(), false)
        .set_column_compression(embedding_column(), Compression::UNCOMPRESSED)
        .build();
    let mut writer = SerializedFileWriter::new(file, schema()?, Arc::new(properties))?;
    let groups = paths.chunks(GROUP).zip(labels.chunks(GROUP));
    for ((paths, labels), embeddings) in groups.zip(embeddings.chunks(GROUP * feature)) {
        let mut group = writer.next_row_group()?;
        for texts in [paths, labels] {
            let texts: Vec<ByteArray> = texts.iter().map(|text| text.as_str().into()).collect();
            column(&mut group, |column| match column {
                ColumnWriter::ByteArrayColumnWriter(column) => {
                    column.write_batch(&texts, None, None)
                }
                _ => Err(ParquetError::General("not a column of strings".into())),
            })?;
        }
        // Every list has elements, and a new one starts where the repetition is 0.
        let definition = vec![1; embeddings.len()];
        let repetition: Vec<i16> = (0..embeddings.len())
            .map(|place| i16::from(place % feature != 0))
            .collect();
        column(&mut group, |column| match column {
            ColumnWriter::FloatColumnWriter(column) => {
                column.write_batch(embeddings, Some(&definition), Some(&repetition))
            }
            _ => Err(ParquetError::General("not a column of numbers".into())),
        })?;
        group.close()?;
    }
    writer.close()?;
    Ok(())
}

/// Writes the next column of a row group.
fn column<W: Write + Send>(
    group: &mut parquet::file::writer::SerializedRowGroupWriter<'_, W>,
    write: impl FnOnce(&mut ColumnWriter<'_>) -> Result<usize, ParquetError>,
) -> Result<(), ParquetError> {
    let mut column = group
        .next_column()?
        .ok_or_else(|| ParquetError::General("too few columns".into()))?;
    write(column.untyped())?;
    column.close()
}

fn embedding_column() -> ColumnPath {
    let path = ["embedding", "list", "element"];
    ColumnPath::new(path.map(str::to_owned).into())
}

fn schema() -> Result<Arc<Type>, ParquetError> {
    let text = |name| {
        Type::primitive_type_builder(name, Physical::BYTE_ARRAY)
            .with_repetition(Repetition::REQUIRED)
            .with_logical_type(Some(LogicalType::String))
            .with_converted_type(ConvertedType::UTF8)
            .build()
            .map(Arc::new)
    };
    let element = Type::primitive_type_builder("element", Physical::FLOAT)
        .with_repetition(Repetition::REQUIRED)
        .build()?;
    let list = Type::group_type_builder("list")
        .with_repetition(Repetition::REPEATED)
        .with_fields(vec![Arc::new(element)])
        .build()?;
    let embedding = Type::group_type_builder("embedding")
        .with_repetition(Repetition::REQUIRED)
        .with_logical_type(Some(LogicalType::List))
        .with_converted_type(ConvertedType::LIST)
        .with_fields(vec![Arc::new(list)])
        .build()?;
    let fields = vec![text("path")?, text("label")?, Arc::new(embedding)];
    let schema = Type::group_type_builder("embeddings")
        .with_fields(fields)
        .build()?;
    Ok(Arc::new(schema))
}
