use crate::error::DataError;
use crate::file::atomic_write_with;
use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::column::writer::ColumnWriter;
use parquet::data_type::ByteArray;
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::{ColumnPath, Type};
use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;

/// Rows per row group: 128 MiB with 512 numbers per row.
const GROUP: usize = 1 << 16;

/// The metadata key that identifies a table of this program.
const MARK: &str = "lsoftmax.table";

/// Whether a file ends like a table of [`write_embeddings_parquet`]. Does not parse the file.
pub fn is_embeddings(file: &Path) -> bool {
    let end = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(file)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(END)))?;
        let mut end = Vec::new();
        file.take(END).read_to_end(&mut end)?;
        Ok(end)
    };
    if !file.is_file() {
        return false;
    }
    let end = end().unwrap_or_default();
    let has_mark = end.windows(MARK.len()).any(|part| part == MARK.as_bytes());
    end.ends_with(b"PAR1") && has_mark
}

/// The mark is within this many bytes of the end of the file.
const END: u64 = 4096;

/// Writes embeddings `[row, feature]` with their files and labels as a table with the columns
/// `path`, `label` (strings) and `embedding` (lists of 32-bit floats). The file is written
/// atomically.
///
/// # Errors
/// The lengths do not match, or the file cannot be written.
pub fn write_embeddings_parquet(
    path: &Path,
    embeddings: &[f32],
    feature: usize,
    paths: &[String],
    labels: &[String],
) -> Result<(), DataError> {
    let rows = paths.len();
    if feature == 0 || labels.len() != rows || rows.checked_mul(feature) != Some(embeddings.len()) {
        return Err(DataError::out_of_range(
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
    let mark = KeyValue::new(MARK.to_owned(), "embeddings".to_owned());
    let properties = WriterProperties::builder()
        .set_key_value_metadata(Some(vec![mark]))
        .set_compression(Compression::SNAPPY)
        // Floating-point numbers rarely repeat.
        .set_column_dictionary_enabled(embedding_column(), false)
        .set_column_compression(embedding_column(), Compression::UNCOMPRESSED)
        .build();
    let mut writer = SerializedFileWriter::new(file, schema()?, Arc::new(properties))?;
    let groups = paths.chunks(GROUP).zip(labels.chunks(GROUP));
    for ((paths, labels), embeddings) in
        groups.zip(embeddings.chunks(GROUP.saturating_mul(feature)))
    {
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
        // Every list has elements, and a repetition level of 0 starts a new one.
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
    group: &mut SerializedRowGroupWriter<'_, W>,
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
