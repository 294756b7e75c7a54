//! A way out of long work.

use crate::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};

/// Nobody stops it.
pub(crate) static NEVER: AtomicBool = AtomicBool::new(false);

/// Whether somebody asked the work to stop.
pub(crate) fn is_set(stop: &AtomicBool) -> bool {
    stop.load(Ordering::Relaxed)
}

/// # Errors
/// [`Error::Stopped`], if somebody asked the work to stop.
pub(crate) fn check(stop: &AtomicBool) -> Result<()> {
    if is_set(stop) {
        return Err(Error::Stopped);
    }
    Ok(())
}
