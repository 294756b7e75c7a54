//! Numbers that must be in a range.

use crate::error::RecordError;
use std::ops::RangeInclusive;

/// A number as the limits of its setting are given.
pub(crate) trait Number: Copy + std::fmt::Display {
    fn as_f64(self) -> f64;
}

impl Number for f64 {
    fn as_f64(self) -> f64 {
        self
    }
}

impl Number for u64 {
    fn as_f64(self) -> f64 {
        self as f64
    }
}

impl Number for usize {
    fn as_f64(self) -> f64 {
        self as f64
    }
}

/// The number, if it is in the range of its setting.
pub(crate) fn in_range<T: Number>(
    name: &'static str,
    found: T,
    range: RangeInclusive<f64>,
) -> Result<T, RecordError> {
    if range.contains(&found.as_f64()) {
        Ok(found)
    } else {
        let expected = format!("from {} to {}", range.start(), range.end());
        Err(RecordError::setting(name, expected, found))
    }
}
