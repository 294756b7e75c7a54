//! Reads the pages of a column within a memory budget. The library's own reader allocates whatever
//! the header of a page specifies.

use super::codec::unpack;
use super::thrift::{DATA, DATA_2, DICTIONARY, PageHeader, Thrift};
use super::{Budget, ExpectedFound, Refused, damaged};
use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result as ParquetResult};

/// Properties of a column that are known before its pages.
#[derive(Clone, Copy)]
pub(super) struct Chunk {
    pub(super) compression: Compression,
    /// Whether values are strings of any length.
    pub(super) strings: bool,
    /// Whether rows are lists, and whether cells can be empty.
    pub(super) levels: [bool; 2],
    /// Whether strings may be delta-encoded against the preceding one: such a page can decode to
    /// far more than its bytes.
    pub(super) shared_prefixes: bool,
}

/// The pages of a column chunk.
pub(super) struct Pages {
    bytes: Vec<u8>,
    at: usize,
    chunk: Chunk,
    dictionary: bool,
    budget: Budget,
}

impl Pages {
    pub(super) fn new(bytes: Vec<u8>, chunk: Chunk, budget: Budget) -> Self {
        Self {
            bytes,
            at: 0,
            chunk,
            dictionary: false,
            budget,
        }
    }

    /// The next data or dictionary page.
    fn page(&mut self) -> Result<Option<Page>, ExpectedFound> {
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            if rest.is_empty() {
                return Ok(None);
            }
            let (header, length) =
                PageHeader::read(rest).ok_or_else(|| damaged("a page without a header"))?;
            let (Ok(packed), Ok(unpacked)) = (
                usize::try_from(header.packed),
                usize::try_from(header.unpacked),
            ) else {
                return Err(damaged("a page with a negative size"));
            };
            let start = self.at + length;
            let end = start
                .checked_add(packed)
                .filter(|&end| end <= self.bytes.len());
            let end = end.ok_or_else(|| damaged("a page that is longer than its column"))?;
            self.at = end;
            if ![DATA, DICTIONARY, DATA_2].contains(&header.kind) {
                // An index page.
                continue;
            }
            if !header.detailed {
                return Err(damaged("a page without the header of its type"));
            }
            self.budget.take(unpacked as u64)?;
            return self.unpacked(header, start..end, unpacked).map(Some);
        }
    }

    fn unpacked(
        &mut self,
        header: PageHeader,
        place: std::ops::Range<usize>,
        size: usize,
    ) -> Result<Page, ExpectedFound> {
        let encoding = self::encoding(header.encoding)?;
        let values = number(header.values)?;
        if self.chunk.levels[0] {
            // Each value has levels, and a row may take any number of them at once.
            self.budget.take(4 * u64::from(values))?;
        }
        let (bytes, levels) = self.content(&header, place, size)?;
        if header.kind == DICTIONARY {
            // The shortest values take 4 bytes.
            if u64::from(values) * 4 > bytes.len() as u64 {
                return Err(damaged("a dictionary with more entries than bytes"));
            }
            if std::mem::replace(&mut self.dictionary, true) {
                return Err(damaged("a column with two dictionaries"));
            }
            return Ok(Page::DictionaryPage {
                buf: bytes.into(),
                num_values: values,
                encoding,
                is_sorted: false,
            });
        }
        let by_dictionary = matches!(
            encoding,
            Encoding::RLE_DICTIONARY | Encoding::PLAIN_DICTIONARY
        );
        if by_dictionary && !self.dictionary {
            return Err(damaged("a page that needs a dictionary before one"));
        }
        if header.kind == DATA {
            let definition = self::encoding(header.definition_encoding)?;
            let repetition = self::encoding(header.repetition_encoding)?;
            let values_start = self.level_bytes(&bytes, [repetition, definition])?;
            self.lengths_fit(encoding, &bytes[values_start..], values)?;
            return Ok(Page::DataPage {
                buf: bytes.into(),
                num_values: values,
                encoding,
                def_level_encoding: definition,
                rep_level_encoding: repetition,
                statistics: None,
            });
        }
        self.lengths_fit(encoding, &bytes[levels..], values)?;
        Ok(Page::DataPageV2 {
            buf: bytes.into(),
            num_values: values,
            encoding,
            num_nulls: number(header.nulls)?,
            num_rows: number(header.rows)?,
            def_levels_byte_len: number(header.definition_bytes)?,
            rep_levels_byte_len: number(header.repetition_bytes)?,
            is_compressed: !header.plain,
            statistics: None,
        })
    }
}

impl Pages {
    /// The uncompressed content of a page, and how many of its bytes are the levels of version 2.
    fn content(
        &self,
        header: &PageHeader,
        place: std::ops::Range<usize>,
        size: usize,
    ) -> Result<(Vec<u8>, usize), ExpectedFound> {
        let packed = &self.bytes[place];
        let levels = if header.kind == DATA_2 {
            number(header.definition_bytes)? as usize + number(header.repetition_bytes)? as usize
        } else {
            0
        };
        if levels > packed.len() || levels > size {
            return Err(damaged("levels that are longer than their page"));
        }
        let mut bytes = packed[..levels].to_vec();
        let compression = if header.plain {
            Compression::UNCOMPRESSED
        } else {
            self.chunk.compression
        };
        // There is no compressed data if all cells are empty.
        if size > levels {
            unpack(compression, &packed[levels..], size - levels, &mut bytes)?;
        }
        Ok((bytes, levels))
    }

    /// The number of bytes of the levels in a version 1 page. Each kind of level is preceded by its
    /// length.
    fn level_bytes(&self, bytes: &[u8], encodings: [Encoding; 2]) -> Result<usize, ExpectedFound> {
        let mut at = 0usize;
        for (there, encoding) in self.chunk.levels.into_iter().zip(encodings) {
            if !there {
                continue;
            }
            if encoding != Encoding::RLE {
                return Err(damaged(format!("levels in the encoding {encoding}")));
            }
            let length = bytes
                .get(at..at + 4)
                .and_then(|length| length.try_into().ok());
            let length = length.map(u32::from_le_bytes);
            at = length
                .and_then(|length| at.checked_add(4 + length as usize))
                .filter(|&at| at <= bytes.len())
                .ok_or_else(|| damaged("levels that are longer than their page"))?;
        }
        Ok(at)
    }

    /// Rejects strings with more lengths than values, because the library reads all lengths at
    /// once.
    fn lengths_fit(
        &self,
        encoding: Encoding,
        bytes: &[u8],
        values: u32,
    ) -> Result<(), ExpectedFound> {
        if !self.chunk.strings {
            return Ok(());
        }
        let too_many = || damaged("more lengths of strings than strings");
        let shared = encoding == Encoding::DELTA_BYTE_ARRAY;
        if shared && !self.chunk.shared_prefixes {
            return Err(damaged("an encoding that its column does not declare"));
        }
        if shared || encoding == Encoding::DELTA_LENGTH_BYTE_ARRAY {
            let end = end_of_numbers(bytes, values).ok_or_else(too_many)?;
            if shared {
                end_of_numbers(&bytes[end..], values).ok_or_else(too_many)?;
            }
        }
        Ok(())
    }
}

/// The end of a run of delta-encoded numbers, if there are at most `most` of them.
fn end_of_numbers(bytes: &[u8], most: u32) -> Option<usize> {
    let mut thrift = Thrift::new(bytes);
    let block = thrift.varint()?;
    let minis = thrift.varint()?;
    let count = thrift.varint()?;
    thrift.zigzag()?;
    if count > u64::from(most) || minis == 0 || !block.is_multiple_of(128) {
        return None;
    }
    if !block.is_multiple_of(minis) || !(block / minis).is_multiple_of(32) {
        return None;
    }
    // The first number is in the header.
    let mut left = count.saturating_sub(1);
    let mut at = thrift.at();
    while left > 0 {
        let mut thrift = Thrift::new(bytes.get(at..)?);
        thrift.zigzag()?;
        at += thrift.at();
        let widths = bytes.get(at..at.checked_add(usize::try_from(minis).ok()?)?)?;
        at += widths.len();
        for &width in widths {
            if left == 0 {
                break;
            }
            if width > 64 {
                return None;
            }
            at += usize::try_from(block / minis)
                .ok()?
                .checked_mul(width.into())?
                / 8;
            left = left.saturating_sub(block / minis);
        }
        if at > bytes.len() {
            return None;
        }
    }
    Some(at)
}

fn number(value: i64) -> Result<u32, ExpectedFound> {
    u32::try_from(value).map_err(|_| damaged("a page with a negative number of values"))
}

fn encoding(number: i64) -> Result<Encoding, ExpectedFound> {
    Ok(match number {
        0 => Encoding::PLAIN,
        2 => Encoding::PLAIN_DICTIONARY,
        3 => Encoding::RLE,
        5 => Encoding::DELTA_BINARY_PACKED,
        6 => Encoding::DELTA_LENGTH_BYTE_ARRAY,
        7 => Encoding::DELTA_BYTE_ARRAY,
        8 => Encoding::RLE_DICTIONARY,
        9 => Encoding::BYTE_STREAM_SPLIT,
        _ => return Err(damaged(format!("the unknown encoding {number}"))),
    })
}

impl PageReader for Pages {
    fn get_next_page(&mut self) -> ParquetResult<Option<Page>> {
        self.page()
            .map_err(|wrong| ParquetError::External(Box::new(Refused(wrong))))
    }

    /// Not used by sequential readers.
    fn peek_next_page(&mut self) -> ParquetResult<Option<PageMetadata>> {
        Err(ParquetError::NYI("looking at the next page".to_owned()))
    }

    fn skip_next_page(&mut self) -> ParquetResult<()> {
        self.get_next_page().map(|_| ())
    }

    /// A row may continue in the next page, because the format does not forbid it.
    fn at_record_boundary(&mut self) -> ParquetResult<bool> {
        Ok(self.at >= self.bytes.len())
    }
}

impl Iterator for Pages {
    type Item = ParquetResult<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}
