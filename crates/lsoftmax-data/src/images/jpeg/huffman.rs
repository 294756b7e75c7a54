//! Huffman codes of a JPEG (ITU-T T.81, annexes C and F), read bit by bit from the data of a scan.

/// Codes of at most this many bits are looked up at once.
const LOOKUP: u32 = 9;
const LONGEST: u32 = 16;

/// Why the data of a scan cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The data ends, with the file or at a marker.
    Ended,
    /// A code or a coefficient that cannot be.
    Invalid,
}

/// A table of codes.
pub(super) struct Table {
    /// By the next bits: the symbol and the length of its code, 0 if that is longer.
    short: Box<[(u8, u8); 1 << LOOKUP]>,
    symbols: Vec<u8>,
    /// By length: one more than the largest code, shifted to 16 bits, and what is added to a code
    /// to find its symbol.
    ends: [u32; LONGEST as usize + 1],
    offsets: [i32; LONGEST as usize + 1],
}

impl Table {
    /// A table from the number of codes of each length and the symbols in the order of codes.
    /// `None` where there are more codes than bits can tell apart.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table = Self {
            short: Box::new([(0, 0); 1 << LOOKUP]),
            symbols: symbols.to_vec(),
            ends: [0; LONGEST as usize + 1],
            offsets: [0; LONGEST as usize + 1],
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
            table.ends[length as usize] = code << (LONGEST - length);
            code <<= 1;
        }
        (index == symbols.len()).then_some(table)
    }

    fn long(&self, bits: u32) -> Option<(u8, u32)> {
        let length = (LOOKUP + 1..=LONGEST).find(|&length| bits < self.ends[length as usize])?;
        let code = (bits >> (LONGEST - length)) as i32;
        let index = usize::try_from(code + self.offsets[length as usize]).ok()?;
        Some((*self.symbols.get(index)?, length))
    }
}

/// The data of a scan up to the next marker, as bits.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
    buffer: u64,
    /// Bits in the buffer, in its upper end; below them are zeros.
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

    /// Passes over bits.
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

    /// Passes over any number of bits.
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
        // Two shifts, since none may be by 64.
        let value = (self.buffer >> 1 >> (63 - bits)) as u32;
        self.skip(bits)?;
        Ok(value)
    }

    /// The symbol of the next code.
    #[inline]
    pub(super) fn symbol(&mut self, table: &Table) -> Result<u8, Fault> {
        if self.count < LONGEST {
            self.fill();
        }
        let (symbol, length) = table.short[(self.buffer >> (64 - LOOKUP)) as usize];
        let (symbol, length) = if length > 0 {
            (symbol, u32::from(length))
        } else {
            match table.long((self.buffer >> (64 - LONGEST)) as u32) {
                Some(found) => found,
                // What looks like no code may be the end.
                None if self.count < LONGEST => return Err(Fault::Ended),
                None => return Err(Fault::Invalid),
            }
        };
        self.skip(length)?;
        Ok(symbol)
    }

    /// Ends an interval: where the next marker is. `None` if there is more than what fills up the
    /// last byte, and at most `empty` bytes of nothing.
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
