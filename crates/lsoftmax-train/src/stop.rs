//! A way out of an evaluation.

use crate::error::TrainError;

/// Asked between batches whether to stop.
#[derive(Clone, Copy)]
pub(crate) struct Stop<'a>(&'a dyn Fn() -> bool);

impl<'a> Stop<'a> {
    /// Nobody stops it.
    pub(crate) const NEVER: Stop<'static> = Stop(&|| false);

    /// It stops once this is true.
    pub(crate) fn when(stops: &'a dyn Fn() -> bool) -> Self {
        Self(stops)
    }

    /// # Errors
    /// [`TrainError::Stopped`], if it is to stop.
    pub(crate) fn check(self) -> Result<(), TrainError> {
        if (self.0)() {
            return Err(TrainError::Stopped);
        }
        Ok(())
    }
}
