//! Errors of the crates as exceptions with their messages.

use lsoftmax_train::{EXPERIMENT_FILE, TrainError};
use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyValueError};
use pyo3::prelude::*;
use std::error::Error;
use std::path::Path;

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

/// An error of a training, which may have been asked to stop; `run` is the folder that it trains in.
pub(crate) fn of_training(error: &TrainError, run: Option<&Path>) -> PyErr {
    if !matches!(error, TrainError::Interrupted { .. }) {
        return exception(error);
    }
    let has_begun = |run: &&Path| run.join(EXPERIMENT_FILE).is_file();
    PyKeyboardInterrupt::new_err(match run.filter(has_begun) {
        Some(run) => format!(
            "{error}; go on with lsoftmax.train(resume={:?})",
            run.to_string_lossy()
        ),
        None => error.to_string(),
    })
}
