//! The subset of Thrift's compact protocol that Parquet uses. No number in it is trusted. It reads
//! page headers, and checks the footer before the library reads it: the library allocates whatever
//! a header specifies, and follows a schema to any depth.

/// Maximum nesting of structs, lists and maps.
const MAX_DEPTH: u32 = 24;
/// Maximum nesting of column groups.
const MAX_SCHEMA_DEPTH: usize = 24;

const TRUE: u8 = 1;
const FALSE: u8 = 2;
const I32: u8 = 5;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// A position in a byte slice. All methods return `None` for invalid bytes.
pub(super) struct Thrift<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Thrift<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Number of bytes read so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn pass(&mut self, bytes: usize) -> Option<()> {
        self.at = self.at.checked_add(bytes)?;
        (self.at <= self.bytes.len()).then_some(())
    }

    /// An unsigned number with 7 bits per byte, at most 10 bytes.
    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    /// A signed number.
    pub(super) fn zigzag(&mut self) -> Option<i64> {
        let value = self.varint()?;
        Some((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// The element type and length of a list; each element takes at least one byte.
    fn list(&mut self) -> Option<(u8, usize)> {
        let head = self.byte()?;
        let count = match head >> 4 {
            15 => usize::try_from(self.varint()?).ok()?,
            few => usize::from(few),
        };
        (count <= self.bytes.len() - self.at).then_some((head & 15, count))
    }

    /// Calls `field` with the number and type of each field of a struct. Fields for which it
    /// returns `false` are skipped.
    fn fields(
        &mut self,
        depth: u32,
        mut field: impl FnMut(&mut Self, i16, u8) -> Option<bool>,
    ) -> Option<()> {
        let mut id = 0i16;
        loop {
            let head = self.byte()?;
            let kind = head & 15;
            if kind == 0 {
                return Some(());
            }
            id = match head >> 4 {
                0 => i16::try_from(self.zigzag()?).ok()?,
                step => id.checked_add(i16::from(step))?,
            };
            if !field(self, id, kind)? {
                self.skip(kind, depth)?;
            }
        }
    }

    fn skip(&mut self, kind: u8, depth: u32) -> Option<()> {
        let depth = depth + 1;
        if depth > MAX_DEPTH {
            return None;
        }
        match kind {
            TRUE | FALSE => Some(()),
            3 => self.pass(1),
            4..=6 => self.varint().map(|_| ()),
            7 => self.pass(8),
            8 => {
                let length = usize::try_from(self.varint()?).ok()?;
                self.pass(length)
            }
            // A list or a set.
            9 | 10 => {
                let (kind, count) = self.list()?;
                (0..count).try_for_each(|_| self.element(kind, depth))
            }
            11 => {
                let count = usize::try_from(self.varint()?).ok()?;
                if count == 0 {
                    return Some(());
                }
                let kinds = self.byte()?;
                (0..count).try_for_each(|_| {
                    self.element(kinds >> 4, depth)?;
                    self.element(kinds & 15, depth)
                })
            }
            STRUCT => self.fields(depth, |_, _, _| Some(false)),
            13 => self.pass(16),
            _ => None,
        }
    }

    /// Skips an element of a list, in which a boolean takes its own byte.
    fn element(&mut self, kind: u8, depth: u32) -> Option<()> {
        match kind {
            TRUE | FALSE => self.pass(1),
            _ => self.skip(kind, depth),
        }
    }
}

/// Whether a footer is complete, and its schema not too deep for a recursive reader.
pub(super) fn footer_is_sound(bytes: &[u8]) -> bool {
    let mut sound = true;
    let read = Thrift::new(bytes).fields(0, |thrift, id, kind| {
        if (id, kind) != (2, LIST) {
            return Some(false);
        }
        let (kind, count) = thrift.list()?;
        if kind != STRUCT {
            return None;
        }
        // For each open group, the number of fields still to come.
        let mut open: Vec<i64> = Vec::new();
        for _ in 0..count {
            let mut children = 0;
            thrift.fields(1, |thrift, id, kind| {
                if (id, kind) != (5, I32) {
                    return Some(false);
                }
                children = thrift.zigzag()?;
                Some(true)
            })?;
            while open.last() == Some(&0) {
                open.pop();
            }
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            if children > 0 {
                open.push(children);
                sound &= open.len() <= MAX_SCHEMA_DEPTH;
            }
        }
        Some(true)
    });
    read.is_some() && sound
}

/// The fields of a page header that are needed to read the page.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PageHeader {
    pub(super) kind: i64,
    pub(super) unpacked: i64,
    pub(super) packed: i64,
    pub(super) values: i64,
    pub(super) encoding: i64,
    /// Version 1 data pages only.
    pub(super) definition_encoding: i64,
    pub(super) repetition_encoding: i64,
    /// Version 2 data pages only.
    pub(super) nulls: i64,
    pub(super) rows: i64,
    pub(super) definition_bytes: i64,
    pub(super) repetition_bytes: i64,
    pub(super) plain: bool,
    /// Whether the header has the part for its type.
    pub(super) detailed: bool,
}

pub(super) const DATA: i64 = 0;
pub(super) const DICTIONARY: i64 = 2;
pub(super) const DATA_2: i64 = 3;

impl PageHeader {
    /// Reads a header, and returns it with its length in bytes.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut thrift = Thrift::new(bytes);
        let mut header = Self::default();
        let mut details = None;
        thrift.fields(0, |thrift, id, kind| {
            let place = match (id, kind) {
                (1, I32) => &mut header.kind,
                (2, I32) => &mut header.unpacked,
                (3, I32) => &mut header.packed,
                (5, STRUCT) => {
                    details = Some(DATA);
                    return header.details(thrift, DATA);
                }
                (7, STRUCT) => {
                    details = Some(DICTIONARY);
                    return header.details(thrift, DICTIONARY);
                }
                (8, STRUCT) => {
                    details = Some(DATA_2);
                    return header.details(thrift, DATA_2);
                }
                _ => return Some(false),
            };
            *place = thrift.zigzag()?;
            Some(true)
        })?;
        header.detailed = details == Some(header.kind);
        Some((header, thrift.at()))
    }

    fn details(&mut self, thrift: &mut Thrift<'_>, of: i64) -> Option<bool> {
        thrift.fields(1, |thrift, id, kind| {
            let place = match (of, id, kind) {
                (_, 1, I32) => &mut self.values,
                (DATA | DICTIONARY, 2, I32) | (DATA_2, 4, I32) => &mut self.encoding,
                (DATA, 3, I32) => &mut self.definition_encoding,
                (DATA, 4, I32) => &mut self.repetition_encoding,
                (DATA_2, 2, I32) => &mut self.nulls,
                (DATA_2, 3, I32) => &mut self.rows,
                (DATA_2, 5, I32) => &mut self.definition_bytes,
                (DATA_2, 6, I32) => &mut self.repetition_bytes,
                (DATA_2, 7, TRUE | FALSE) => {
                    self.plain = kind == FALSE;
                    return Some(true);
                }
                _ => return Some(false),
            };
            *place = thrift.zigzag()?;
            Some(true)
        })?;
        Some(true)
    }
}
