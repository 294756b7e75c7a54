//! Changes of inputs: of any bytes, of numbers in text, and of what formats keep a sum or a length
//! of, which is put right again so that a parser gets past it.

/// Values at which arithmetic goes wrong.
const EDGES: [u64; 12] = [
    0,
    1,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    0x7FFF_FFFF_FFFF_FFFF,
    u64::MAX,
];

/// Words that mean something in text.
const WORDS: [&str; 14] = [
    "-1",
    "0",
    "1e999",
    "nan",
    "inf",
    "18446744073709551616",
    "9999999999",
    "\"",
    ",",
    "\n",
    "[",
    "{",
    "\u{0}",
    "ü",
];

/// Makes inputs from seeds; the same ones for the same seed.
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// One that begins at a number.
    pub fn new(seed: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// An input made from one of these.
    pub fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let Some(seed) = seeds.get(self.below(seeds.len())) else {
            return Vec::new();
        };
        let mut bytes = seed.clone();
        let header = self.below(2) == 0;
        if header && let Some(changed) = self.tensor_header(&bytes) {
            return changed;
        }
        for _ in 0..=self.below(4) {
            self.change(&mut bytes, seeds);
        }
        if self.below(4) != 0 {
            png_sums(&mut bytes);
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let place = self.below(bytes.len() + 1);
        match self.below(10) {
            0 | 1 => {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 1 << (self.next() % 8);
                }
            }
            2 => {
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = self.next() as u8;
                }
            }
            3 => {
                let edge = EDGES[self.below(EDGES.len())];
                let edge = if self.below(2) == 0 {
                    edge.to_le_bytes()
                } else {
                    edge.to_be_bytes()
                };
                let width = [1, 2, 4, 8][self.below(4)];
                let part = if self.below(2) == 0 {
                    &edge[..width]
                } else {
                    &edge[8 - width..]
                };
                for (byte, &new) in bytes[place..].iter_mut().zip(part) {
                    *byte = new;
                }
            }
            4 => {
                let end = (place + 1 + self.below(16)).min(bytes.len());
                bytes.drain(place.min(end)..end);
            }
            5 => {
                let end = (place + 1 + self.below(64)).min(bytes.len());
                let part = bytes[place.min(end)..end].to_vec();
                let other = self.below(bytes.len() + 1);
                bytes.splice(other..other, part);
            }
            6 => bytes.truncate(place),
            7 => self.number(bytes),
            8 => {
                let word = WORDS[self.below(WORDS.len())];
                bytes.splice(place..place, word.bytes());
            }
            _ => {
                let other = &seeds[self.below(seeds.len())];
                let from = self.below(other.len() + 1);
                bytes.truncate(place);
                bytes.extend_from_slice(&other[from..]);
            }
        }
        bytes.truncate(1 << 20);
    }

    /// Another number in the place of one in text.
    fn number(&mut self, bytes: &mut Vec<u8>) {
        let from = self.below(bytes.len() + 1);
        let Some(start) = bytes[from..].iter().position(u8::is_ascii_digit) else {
            return;
        };
        let start = from + start;
        let digits = bytes[start..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let new = match self.below(3) {
            0 => EDGES[self.below(EDGES.len())].to_string(),
            1 => (self.next() % 100).to_string(),
            _ => format!("{}", self.next() >> (self.next() % 64)),
        };
        bytes.splice(start..start + digits, new.bytes());
    }

    /// A change of the text at the start of a safetensors file, with its length put right.
    fn tensor_header(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (length, rest) = bytes.split_first_chunk::<8>()?;
        let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
        let (header, values) = rest.split_at_checked(length)?;
        if !header.starts_with(b"{") {
            return None;
        }
        let mut header = header.to_vec();
        for _ in 0..=self.below(3) {
            match self.below(4) {
                0 => self.change(&mut header, &[b"{}".to_vec()]),
                _ => self.number(&mut header),
            }
        }
        while !header.len().is_multiple_of(8) {
            header.push(b' ');
        }
        let length = (header.len() as u64).to_le_bytes();
        Some([&length[..], &header, values].concat())
    }
}

/// Puts the sums of a PNG's chunks right.
fn png_sums(bytes: &mut [u8]) {
    if !bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return;
    }
    let mut at = 8;
    while let Some(&length) = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()) {
        let end = at + 8 + u32::from_be_bytes(length) as usize;
        let Some(content) = bytes.get(at + 4..end) else {
            return;
        };
        let mut sum = flate2::Crc::new();
        sum.update(content);
        let sum = sum.sum().to_be_bytes();
        let Some(place) = bytes.get_mut(end..end + 4) else {
            return;
        };
        place.copy_from_slice(&sum);
        at = end + 4;
    }
}
