//! Errors of the crates as exceptions with their messages.

use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyValueError};
use pyo3::prelude::*;
use std::error::Error;

/// Any error as a `ValueError` with its message.
pub(crate) fn value_error(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// An error of a crate: an `OSError` of the fitting kind if the system refused something, else a
/// `ValueError`.
pub(crate) fn exception(error: &(dyn Error + 'static)) -> PyErr {
    let message = error.to_string();
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(system) = error.downcast_ref::<std::io::Error>() {
            return match system.raw_os_error() {
                Some(number) => PyOSError::new_err((number, message)),
                None => PyOSError::new_err(message),
            };
        }
        cause = error.source();
    }
    PyValueError::new_err(message)
}

/// An error of a training, which may have been asked to stop.
pub(crate) fn of_training(error: &lsoftmax_train::TrainError, resume: Option<&str>) -> PyErr {
    use lsoftmax_train::TrainError;
    match (error, resume) {
        (TrainError::Interrupted { .. }, Some(run)) => PyKeyboardInterrupt::new_err(format!(
            "{error}; go on with lsoftmax.train(resume={run:?})"
        )),
        (TrainError::Interrupted { .. }, None) => PyKeyboardInterrupt::new_err(error.to_string()),
        _ => exception(error),
    }
}
