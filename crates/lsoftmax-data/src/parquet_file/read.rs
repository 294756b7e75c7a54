use super::column::{Rows, wrong};
use super::pages::{Chunk, Pages};
use super::thrift::footer_is_sound;
use super::{Budget, Column, ExpectedFound, damaged};
use crate::error::DataError;
use crate::file::open_file;
use crate::guard::guarded;
use parquet::basic::{Encoding, Type as Physical};
use parquet::column::reader::get_column_reader;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader};
use parquet::schema::types::TypePtr;
use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom};
use std::path::Path;

/// Maximum size of the footer in bytes.
const MAX_FOOTER_BYTES: u64 = 64 << 20;
const MAGIC: &[u8; 4] = b"PAR1";
const ENCRYPTED: &[u8; 4] = b"PARE";

/// Reads the columns with these names, in upper or lower case; `None` for a missing column. Each
/// column has a value in every row.
///
/// # Errors
/// The file cannot be read, is damaged, or uses a compression other than Snappy, gzip, zstd or
/// `LZ4_RAW`; it decompresses to more than 1024 times its bytes (and 64 MiB); a cell is empty or
/// holds something other than strings, numbers or lists of numbers of equal length (the error names
/// the row, counted from 0); or two column names differ only in case.
pub fn read_columns(path: &Path, names: &[&str]) -> Result<Vec<Option<Column>>, DataError> {
    let file = open_file(path)?;
    let wrong = |(expected, found)| DataError::format(path, expected, found);
    guarded(|| Table::open(file).and_then(|mut table| table.columns(names))).map_err(wrong)
}

struct Table {
    file: File,
    length: u64,
    metadata: ParquetMetaData,
    budget: Budget,
}

fn not_parquet(found: &str) -> ExpectedFound {
    ("a Parquet file".to_owned(), found.to_owned())
}

impl Table {
    /// Reads the footer after checking it.
    fn open(mut file: File) -> Result<Self, ExpectedFound> {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let tail = bytes_at(&mut file, length.checked_sub(8), 8)?;
        let (size, magic) = tail.split_at(4);
        if magic == ENCRYPTED {
            return Err(not_parquet("an encrypted one"));
        }
        let size = size.try_into().map_or(0, u32::from_le_bytes).into();
        if magic != MAGIC {
            return Err(not_parquet("no signature at its end"));
        }
        if size > MAX_FOOTER_BYTES {
            return Err(not_parquet("one with a footer of more than 64 MiB"));
        }
        let footer = bytes_at(&mut file, (length - 8).checked_sub(size), size)?;
        if !footer_is_sound(&footer) {
            return Err(damaged("a damaged footer, or a schema nested too deeply"));
        }
        Ok(Self {
            file,
            length,
            metadata: ParquetMetaDataReader::decode_metadata(&footer).map_err(wrong)?,
            budget: Budget::of(length),
        })
    }

    fn columns(&mut self, names: &[&str]) -> Result<Vec<Option<Column>>, ExpectedFound> {
        names.iter().map(|name| self.column(name)).collect()
    }

    fn column(&mut self, name: &str) -> Result<Option<Column>, ExpectedFound> {
        let schema = self.metadata.file_metadata().schema_descr_ptr();
        let Some(root) = position(schema.root_schema().get_fields(), name)? else {
            return Ok(None);
        };
        let leaves = 0..schema.num_columns();
        let leaves: Vec<usize> = leaves
            .filter(|&leaf| schema.get_column_root_idx(leaf) == root)
            .collect();
        let &[leaf, ref others @ ..] = &leaves[..] else {
            return Ok(None);
        };
        let descriptor = schema.column(leaf);
        // A group is read if it is a list.
        let list = descriptor.max_rep_level() == 1 && others.is_empty();
        let nested = !list && (!others.is_empty() || descriptor.path().parts().len() > 1);
        let mut rows = Rows::new(name, &descriptor, nested);
        for number in 0..self.metadata.num_row_groups() {
            let group = self.metadata.row_group(number);
            let expected = group.num_rows();
            if expected == 0 {
                // The columns of an empty group may have no offset.
                continue;
            }
            if group.num_columns() != schema.num_columns() {
                return Err(damaged("a group of rows without all columns"));
            }
            let chunk = group.column(leaf);
            let shared_prefixes = chunk.encodings().any(|e| e == Encoding::DELTA_BYTE_ARRAY);
            let known = Chunk {
                compression: chunk.compression(),
                strings: descriptor.physical_type() == Physical::BYTE_ARRAY,
                levels: [
                    descriptor.max_rep_level() > 0,
                    descriptor.max_def_level() > 0,
                ],
                shared_prefixes,
            };
            let (start, size) = place(chunk)?;
            let bytes = bytes_at(&mut self.file, Some(start), size.min(self.length))?;
            if bytes.len() as u64 != size {
                return Err(damaged("a column beyond the end of the file"));
            }
            let pages = Pages::new(bytes, known, self.budget.clone());
            let reader = get_column_reader(descriptor.clone(), Box::new(pages));
            let before = rows.count();
            rows.read(reader, shared_prefixes, &self.budget)?;
            let read = rows.count() - before;
            if i64::try_from(read) != Ok(expected) {
                return Err((
                    format!("{expected} rows in the column {name}, as in its row group"),
                    read.to_string(),
                ));
            }
        }
        Ok(rows.finish())
    }
}

/// The field with a name, in upper or lower case like the header of a CSV file.
fn position(fields: &[TypePtr], name: &str) -> Result<Option<usize>, ExpectedFound> {
    let same = |field: &TypePtr| field.name().trim().eq_ignore_ascii_case(name);
    let mut found = fields.iter().enumerate().filter(|(_, field)| same(field));
    match (found.next(), found.next()) {
        (Some((_, first)), Some((_, second))) => Err((
            format!("one column {name}"),
            format!("{:?} and {:?}", first.name(), second.name()),
        )),
        (first, _) => Ok(first.map(|(number, _)| number)),
    }
}

/// Start and length of the pages of a column.
fn place(chunk: &ColumnChunkMetaData) -> Result<(u64, u64), ExpectedFound> {
    let data = chunk.data_page_offset();
    // Some writers store a 0 there.
    let start = match chunk.dictionary_page_offset() {
        Some(dictionary) if dictionary > 0 => dictionary.min(data),
        _ => data,
    };
    let place = (u64::try_from(start), u64::try_from(chunk.compressed_size()));
    let (Ok(start), Ok(size)) = place else {
        return Err(damaged("a column before the start of the file"));
    };
    Ok((start, size))
}

/// Reads up to `size` bytes at an offset.
fn bytes_at(file: &mut File, start: Option<u64>, size: u64) -> Result<Vec<u8>, ExpectedFound> {
    let start = start.ok_or_else(|| not_parquet("too few bytes"))?;
    let unreadable = |error: std::io::Error| not_parquet(&error.to_string());
    file.seek(SeekFrom::Start(start)).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(size)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(bytes)
}
