//! Decoders that panic on damaged input.

use crate::error::ExpectedFound;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs a decoder and converts a panic to an error.
pub(crate) fn guarded<T>(
    decode: impl FnOnce() -> Result<T, ExpectedFound>,
) -> Result<T, ExpectedFound> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or_else(|_| {
        Err((
            "content that can be decoded".to_owned(),
            "content that makes the decoder panic".to_owned(),
        ))
    })
}
