//! Tables in Parquet files: columns in, embeddings out.

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

/// What was expected, and what was found.
type Wrong = (String, String);

fn damaged(found: impl Into<String>) -> Wrong {
    ("an undamaged Parquet file".to_owned(), found.into())
}

/// Goes through the library, which knows only its own errors, and comes out as it went in.
#[derive(Debug)]
struct Refused(Wrong);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}, found {}", self.0.0, self.0.1)
    }
}

impl std::error::Error for Refused {}

/// A table takes at most so many times the bytes of its file, and at least these: a few bytes of a
/// damaged file can stand for any number of rows.
const LARGEST_EXPANSION: u64 = 1024;
const ALWAYS_ALLOWED: u64 = 1 << 26;

/// How many bytes of pages and values a file may still take.
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

    fn take(&self, bytes: u64) -> Result<(), Wrong> {
        let allowed = self
            .length
            .saturating_mul(LARGEST_EXPANSION)
            .max(ALWAYS_ALLOWED);
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
