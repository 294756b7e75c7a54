//! Digests that identify the content of files.

use crate::error::DataError;
use crate::file::open_file;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::io;
use std::path::Path;
use std::str::FromStr;

/// The SHA-256 digest of some content, such as the bytes of an image file. It is displayed as 64
/// hexadecimal digits, like the output of `sha256sum`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The digest of a file, read in chunks.
    ///
    /// # Errors
    /// The file does not exist, cannot be read, or is not a regular file.
    pub fn of_file(path: &Path) -> Result<Self, DataError> {
        let mut file = open_file(path)?;
        let mut hash = Sha256::new();
        io::copy(&mut file, &mut hash).map_err(|source| DataError::file("read", path, source))?;
        Ok(Self(hash.finalize().into()))
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = DataError;

    fn from_str(text: &str) -> Result<Self, DataError> {
        let wrong =
            || DataError::out_of_range("sha256", "64 hexadecimal digits", format!("{text:?}"));
        let digits = text.as_bytes().as_chunks::<2>();
        let mut bytes = [0; 32];
        if digits.0.len() != bytes.len() || !digits.1.is_empty() {
            return Err(wrong());
        }
        let value = |digit: u8| char::from(digit).to_digit(16).ok_or_else(wrong);
        for (byte, &[high, low]) in bytes.iter_mut().zip(digits.0) {
            *byte = (16 * value(high)? + value(low)?) as u8;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_matches_sha256sum() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").to_string(), empty);
        assert_eq!(
            empty.to_uppercase().parse::<Digest>().unwrap(),
            Digest::of(b"")
        );
        for wrong in ["", "e3", &empty[1..], &format!("{empty}0"), &"g".repeat(64)] {
            assert!(wrong.parse::<Digest>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_file_has_the_digest_of_its_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let bytes = vec![7; 100_000];
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(Digest::of_file(&path).unwrap(), Digest::of(&bytes));
        assert!(Digest::of_file(dir.path()).is_err());
        assert!(Digest::of_file(&dir.path().join("none")).is_err());
    }
}
