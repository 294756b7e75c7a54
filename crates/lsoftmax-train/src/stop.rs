//! Early stop of an evaluation.

use crate::error::TrainError;

/// A check, called between batches, of whether to stop.
#[derive(Clone, Copy)]
pub(crate) struct Stop<'a>(&'a dyn Fn() -> bool);

impl<'a> Stop<'a> {
    /// Never stops.
    pub(crate) const NEVER: Stop<'static> = Stop(&|| false);

    /// Stops once the function returns true.
    pub(crate) fn when(stops: &'a dyn Fn() -> bool) -> Self {
        Self(stops)
    }

    /// # Errors
    /// [`TrainError::Stopped`] if the evaluation should stop.
    pub(crate) fn check(self) -> Result<(), TrainError> {
        if (self.0)() {
            return Err(TrainError::Stopped);
        }
        Ok(())
    }
}
