//! Parquet files: reads columns, writes embeddings.

mod codec;
mod column;
mod pages;
mod read;
mod thrift;
mod write;

pub use column::Column;
pub use read::read_columns;
pub use write::{is_embeddings, write_embeddings_parquet};

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(test)]
mod tests;

/// The expected and the actual content.
type ExpectedFound = (String, String);

fn damaged(found: impl Into<String>) -> ExpectedFound {
    ("an undamaged Parquet file".to_owned(), found.into())
}

/// Carries an error of this crate through the library's error type.
#[derive(Debug)]
struct Refused(ExpectedFound);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, found {}", self.0.0, self.0.1)
    }
}

impl std::error::Error for Refused {}

/// A table may take this multiple of its file's bytes, and at least the minimum below: a few bytes
/// of a damaged file can stand for any number of rows.
const MAX_EXPANSION: u64 = 1024;
const MIN_BUDGET: u64 = 1 << 26;

/// The number of bytes that pages and values of a file may still take.
#[derive(Clone, Debug)]
struct Budget {
    length: u64,
    taken: Arc<AtomicU64>,
}

impl Budget {
    fn of(length: u64) -> Self {
        Self {
            length,
            taken: Arc::default(),
        }
    }

    fn take(&self, bytes: u64) -> Result<(), ExpectedFound> {
        let allowed = self.length.saturating_mul(MAX_EXPANSION).max(MIN_BUDGET);
        let before = self.taken.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) <= allowed {
            return Ok(());
        }
        Err((
            format!(
                "at most {allowed} bytes of values in a file of {} bytes",
                self.length
            ),
            "more".to_owned(),
        ))
    }
}
