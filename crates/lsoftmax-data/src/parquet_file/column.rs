//! Reads the rows of columns.

use super::{Budget, ExpectedFound, Refused, damaged};
use parquet::basic::{ConvertedType, Repetition, Type as Physical};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::schema::types::ColumnDescriptor;

/// A column without empty cells.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Strings.
    Text(Vec<String>),
    /// Integers of any width.
    Integer(Vec<i64>),
    /// Floating-point numbers of 32 or 64 bits.
    Float(Vec<f64>),
    /// Lists of numbers with equal length.
    FloatLists {
        /// `[row, width]`.
        values: Vec<f32>,
        /// Numbers per row.
        width: usize,
    },
}

impl Column {
    /// The type of the values, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "strings",
            Self::Integer(_) => "integers",
            Self::Float(_) => "floating-point numbers",
            Self::FloatLists { .. } => "lists of numbers",
        }
    }
}

/// Reads the chunks of one column in turn.
pub(super) struct Rows {
    name: String,
    read: usize,
    /// Unsigned integers are stored like signed ones.
    unsigned: bool,
    /// The level of a present value, and that of an empty list.
    present: i16,
    empty: i16,
    lists: bool,
    /// `None` for an unsupported type.
    column: Option<Column>,
    /// Name of the type, for messages.
    called: String,
}

/// Rows read at once.
const BATCH: usize = 1024;

impl Rows {
    pub(super) fn new(name: &str, column: &ColumnDescriptor, nested: bool) -> Self {
        let list = column.max_rep_level() == 1;
        let integers = Column::Integer(Vec::new());
        let kind = match (column.physical_type(), column.converted_type()) {
            (Physical::FLOAT | Physical::DOUBLE, ConvertedType::NONE) if list => {
                Some(Column::FloatLists {
                    values: Vec::new(),
                    width: 0,
                })
            }
            _ if list || nested || column.max_rep_level() > 0 => None,
            (Physical::FLOAT | Physical::DOUBLE, ConvertedType::NONE) => {
                Some(Column::Float(Vec::new()))
            }
            (
                Physical::BYTE_ARRAY,
                ConvertedType::UTF8 | ConvertedType::ENUM | ConvertedType::JSON,
            ) => Some(Column::Text(Vec::new())),
            (
                Physical::INT32 | Physical::INT64,
                ConvertedType::NONE
                | ConvertedType::INT_8
                | ConvertedType::INT_16
                | ConvertedType::INT_32
                | ConvertedType::INT_64
                | ConvertedType::UINT_8
                | ConvertedType::UINT_16
                | ConvertedType::UINT_32
                | ConvertedType::UINT_64,
            ) if column.logical_type_ref().is_none_or(is_integer) => Some(integers),
            _ => None,
        };
        let unsigned = matches!(
            column.converted_type(),
            ConvertedType::UINT_8
                | ConvertedType::UINT_16
                | ConvertedType::UINT_32
                | ConvertedType::UINT_64
        );
        let called = match column.converted_type() {
            _ if list || nested => "another list or structure".to_owned(),
            ConvertedType::NONE => format!("a value of type {}", column.physical_type()),
            converted => format!("a value of type {converted}"),
        };
        let leaf = column.self_type().get_basic_info();
        let optional = leaf.has_repetition() && leaf.repetition() == Repetition::OPTIONAL;
        let present = column.max_def_level();
        Self {
            name: name.to_owned(),
            read: 0,
            unsigned,
            present,
            empty: present - 1 - i16::from(optional),
            lists: list,
            column: kind,
            called,
        }
    }

    /// Number of rows read so far.
    pub(super) fn count(&self) -> usize {
        self.read
    }

    /// The column, if it has rows.
    pub(super) fn finish(self) -> Option<Column> {
        self.column.filter(|_| self.read > 0)
    }

    /// The error for a cell with unexpected content.
    fn refuse(&self, found: &str) -> ExpectedFound {
        let kind = self
            .column
            .as_ref()
            .map_or("strings, numbers or lists of numbers", Column::kind);
        (
            format!("{kind} (lists of one length) in the column {}", self.name),
            format!("{found} in row {}", self.read),
        )
    }

    /// Reads a chunk in small or large batches of rows.
    pub(super) fn read(
        &mut self,
        reader: ColumnReader,
        few: bool,
        budget: &Budget,
    ) -> Result<(), ExpectedFound> {
        let batch = if few { 1 } else { BATCH };
        let unsigned = self.unsigned;
        if self.lists && self.column.is_some() {
            return match reader {
                ColumnReader::FloatColumnReader(reader) => {
                    self.read_lists(reader, batch, |&value| value)
                }
                ColumnReader::DoubleColumnReader(reader) => {
                    self.read_lists(reader, batch, |&value| value as f32)
                }
                _ => Err(self.refuse(&self.called)),
            };
        }
        match reader {
            ColumnReader::ByteArrayColumnReader(reader) => {
                self.read_cells(reader, batch, |column, value: &ByteArray| {
                    let Column::Text(texts) = column else {
                        return Ok(());
                    };
                    budget.take((size_of::<String>() + value.len()) as u64)?;
                    let text = std::str::from_utf8(value.data());
                    texts.push(
                        text.map_err(|_| damaged("text that is not UTF-8"))?
                            .to_owned(),
                    );
                    Ok(())
                })
            }
            ColumnReader::Int32ColumnReader(reader) => {
                self.read_cells(reader, batch, |column, &value: &i32| {
                    let wide = if unsigned {
                        i64::from(value as u32)
                    } else {
                        i64::from(value)
                    };
                    integer(column, wide, budget)
                })
            }
            ColumnReader::Int64ColumnReader(reader) => {
                self.read_cells(reader, batch, |column, &value: &i64| {
                    if unsigned && value < 0 {
                        return Err((
                            format!("integers up to {}", i64::MAX),
                            (value as u64).to_string(),
                        ));
                    }
                    integer(column, value, budget)
                })
            }
            ColumnReader::FloatColumnReader(reader) => {
                self.read_cells(reader, batch, |column, &value: &f32| {
                    float(column, value.into(), budget)
                })
            }
            ColumnReader::DoubleColumnReader(reader) => {
                self.read_cells(reader, batch, |column, &value: &f64| {
                    float(column, value, budget)
                })
            }
            ColumnReader::BoolColumnReader(reader) => self.read_cells(reader, 1, |_, _| Ok(())),
            ColumnReader::Int96ColumnReader(reader) => self.read_cells(reader, 1, |_, _| Ok(())),
            ColumnReader::FixedLenByteArrayColumnReader(_) => Err(self.refuse(&self.called)),
        }
    }

    fn read_cells<T: DataType>(
        &mut self,
        mut reader: ColumnReaderImpl<T>,
        batch: usize,
        mut push: impl FnMut(&mut Column, &T::T) -> Result<(), ExpectedFound>,
    ) -> Result<(), ExpectedFound> {
        let (mut definition, mut repetition, mut values) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            definition.clear();
            repetition.clear();
            values.clear();
            let (records, ..) = reader
                .read_records(
                    batch,
                    Some(&mut definition),
                    Some(&mut repetition),
                    &mut values,
                )
                .map_err(wrong)?;
            if records == 0 {
                return Ok(());
            }
            if self.column.is_none() {
                return Err(self.refuse(&self.called));
            }
            let mut values = values.iter();
            for row in 0..records {
                let there = self.present == 0 || definition.get(row) == Some(&self.present);
                let value = values.next().filter(|_| there);
                let (Some(value), Some(column)) = (value, &mut self.column) else {
                    return Err(self.refuse("an empty cell"));
                };
                push(column, value).map_err(|(expected, found)| {
                    (expected, format!("{found} in row {}", self.read))
                })?;
                self.read += 1;
            }
        }
    }

    fn read_lists<T: DataType>(
        &mut self,
        mut reader: ColumnReaderImpl<T>,
        batch: usize,
        number: impl Fn(&T::T) -> f32,
    ) -> Result<(), ExpectedFound> {
        let (mut definition, mut repetition, mut values) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            definition.clear();
            repetition.clear();
            values.clear();
            let (records, ..) = reader
                .read_records(
                    batch,
                    Some(&mut definition),
                    Some(&mut repetition),
                    &mut values,
                )
                .map_err(wrong)?;
            if records == 0 {
                return Ok(());
            }
            let mut values = values.iter();
            let mut row: Option<usize> = None;
            for (&level, &repeats) in definition.iter().zip(&repetition) {
                if repeats == 0
                    && let Some(length) = row.take()
                {
                    self.end_list(length)?;
                }
                let length = row.get_or_insert(0);
                if level == self.present {
                    let value = values
                        .next()
                        .ok_or_else(|| damaged("a list without its numbers"))?;
                    if let Some(Column::FloatLists { values, .. }) = &mut self.column {
                        values.push(number(value));
                    }
                    *length += 1;
                } else if level != self.empty {
                    return Err(self.refuse("an empty cell"));
                }
            }
            if let Some(length) = row {
                self.end_list(length)?;
            }
        }
    }

    /// Ends a list of this length.
    fn end_list(&mut self, length: usize) -> Result<(), ExpectedFound> {
        if let Some(Column::FloatLists { width, .. }) = &mut self.column {
            if self.read == 0 {
                *width = length;
            } else if *width != length {
                let found = format!("a list of {length} numbers");
                return Err(self.refuse(&found));
            }
        }
        self.read += 1;
        Ok(())
    }
}

fn is_integer(logical: &parquet::basic::LogicalType) -> bool {
    matches!(logical, parquet::basic::LogicalType::Integer { .. })
}

fn integer(column: &mut Column, value: i64, budget: &Budget) -> Result<(), ExpectedFound> {
    if let Column::Integer(integers) = column {
        budget.take(size_of::<i64>() as u64)?;
        integers.push(value);
    }
    Ok(())
}

fn float(column: &mut Column, value: f64, budget: &Budget) -> Result<(), ExpectedFound> {
    if let Column::Float(floats) = column {
        budget.take(size_of::<f64>() as u64)?;
        floats.push(value);
    }
    Ok(())
}

/// Converts a library error, which may wrap one of this crate.
pub(super) fn wrong(error: ParquetError) -> ExpectedFound {
    match error {
        ParquetError::External(inner) => match inner.downcast::<Refused>() {
            Ok(refused) => refused.0,
            Err(other) => damaged(other.to_string()),
        },
        other => damaged(other.to_string()),
    }
}
