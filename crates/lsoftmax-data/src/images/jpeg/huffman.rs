//! Huffman codes of a JPEG (ITU-T T.81, annexes C and F), decoded bit by bit from scan data.

/// Codes of at most this many bits are decoded by table lookup.
const LOOKUP: u32 = 9;
const MAX_CODE_BITS: u32 = 16;

/// An error in the data of a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The data ends, at the end of the file or at a marker.
    Ended,
    /// An invalid code or coefficient.
    Invalid,
}

/// A Huffman table.
pub(super) struct Table {
    /// Indexed by the next bits: the symbol and its code length, or 0 for longer codes.
    short: Box<[(u8, u8); 1 << LOOKUP]>,
    symbols: Vec<u8>,
    /// Indexed by code length: one more than the largest code, shifted to 16 bits, and the offset
    /// from a code to its symbol.
    ends: [u32; MAX_CODE_BITS as usize + 1],
    offsets: [i32; MAX_CODE_BITS as usize + 1],
}

impl Table {
    /// Builds a table from the number of codes of each length and the symbols in code order. `None`
    /// if there are too many codes for the bits.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self {
            short: Box::new([(0, 0); 1 << LOOKUP]),
            symbols: symbols.to_vec(),
            ends: [0; MAX_CODE_BITS as usize + 1],
            offsets: [0; MAX_CODE_BITS as usize + 1],
        };
        let (mut code, mut index) = (0u32, 0usize);
        for (length, &count) in (1u32..).zip(counts) {
            table.offsets[length as usize] = index as i32 - code as i32;
            for _ in 0..count {
                if code >= 1 << length {
                    return None;
                }
                if length <= LOOKUP {
                    let first = (code << (LOOKUP - length)) as usize;
                    let entry = (*symbols.get(index)?, length as u8);
                    table.short[first..][..1 << (LOOKUP - length)].fill(entry);
                }
                code += 1;
                index += 1;
            }
            table.ends[length as usize] = code << (MAX_CODE_BITS - length);
            code <<= 1;
        }
        (index == symbols.len()).then_some(table)
    }

    fn long(&self, bits: u32) -> Option<(u8, u32)> {
        let length =
            (LOOKUP + 1..=MAX_CODE_BITS).find(|&length| bits < self.ends[length as usize])?;
        let code = (bits >> (MAX_CODE_BITS - length)) as i32;
        let index = usize::try_from(code + self.offsets[length as usize]).ok()?;
        Some((*self.symbols.get(index)?, length))
    }
}

/// The data of a scan up to the next marker, as bits.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    buffer: u64,
    /// Number of bits in the buffer, at its upper end; zeros below.
    count: u32,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self {
            bytes,
            at,
            buffer: 0,
            count: 0,
        }
    }

    #[inline]
    fn fill(&mut self) {
        if self.count <= 32
            && let Some(&bytes) = self.bytes[self.at..].first_chunk()
            && !bytes.contains(&0xFF)
        {
            let four = u64::from(u32::from_be_bytes(bytes));
            self.buffer |= four << (32 - self.count);
            self.count += 32;
            self.at += 4;
        } else {
            self.fill_slowly();
        }
    }

    fn fill_slowly(&mut self) {
        while self.count <= 56 {
            let step = match self.bytes[self.at..] {
                [0xFF, 0, ..] => 2,
                [0xFF, ..] | [] => return,
                _ => 1,
            };
            self.buffer |= u64::from(self.bytes[self.at]) << (56 - self.count);
            self.count += 8;
            self.at += step;
        }
    }

    /// Skips up to 32 bits.
    #[inline]
    pub(super) fn skip(&mut self, bits: u32) -> Result<(), Fault> {
        if self.count < bits {
            self.fill();
            if self.count < bits {
                return Err(Fault::Ended);
            }
        }
        self.buffer <<= bits;
        self.count -= bits;
        Ok(())
    }

    /// Skips any number of bits.
    pub(super) fn skip_many(&mut self, mut bits: u32) -> Result<(), Fault> {
        while bits > 0 {
            let step = bits.min(32);
            self.skip(step)?;
            bits -= step;
        }
        Ok(())
    }

    /// The next bits, at most 16, as a number.
    pub(super) fn take(&mut self, bits: u32) -> Result<u32, Fault> {
        if self.count < bits {
            self.fill();
        }
        // Two shifts, because a shift by 64 is not allowed.
        let value = (self.buffer >> 1 >> (63 - bits)) as u32;
        self.skip(bits)?;
        Ok(value)
    }

    /// The symbol of the next code.
    #[inline]
    pub(super) fn symbol(&mut self, table: &Table) -> Result<u8, Fault> {
        if self.count < MAX_CODE_BITS {
            self.fill();
        }
        let (symbol, length) = table.short[(self.buffer >> (64 - LOOKUP)) as usize];
        let (symbol, length) = if length > 0 {
            (symbol, u32::from(length))
        } else {
            match table.long((self.buffer >> (64 - MAX_CODE_BITS)) as u32) {
                Some(found) => found,
                // An unknown code may be the end of the data.
                None if self.count < MAX_CODE_BITS => return Err(Fault::Ended),
                None => return Err(Fault::Invalid),
            }
        };
        self.skip(length)?;
        Ok(symbol)
    }

    /// Ends an interval and returns the position of the next marker. `None` if more remains than
    /// the padding of the last byte and at most `empty` empty bytes.
    pub(super) fn end(mut self, empty: usize) -> Option<usize> {
        let filling = self.count % 8;
        let bits = self.take(filling).ok()?;
        if bits != 0 && bits != (1 << filling) - 1 {
            return None;
        }
        let mut left = 0;
        loop {
            self.fill_slowly();
            if self.count == 0 {
                return Some(self.at);
            }
            left += (self.count / 8) as usize;
            if self.buffer != 0 || left > empty {
                return None;
            }
            self.count = 0;
        }
    }
}
