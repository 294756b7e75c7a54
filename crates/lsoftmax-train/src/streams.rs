//! The streams of random numbers, so that no two uses share one.

/// First weights of a network.
pub(crate) const INIT: u64 = 0x1;
