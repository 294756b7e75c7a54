//! Conversion of Rust errors to Python exceptions.

use lsoftmax_train::{EXPERIMENT_FILE, TrainError};
use pyo3::exceptions::{PyKeyboardInterrupt, PyOSError, PyValueError};
use pyo3::prelude::*;
use std::error::Error;
use std::path::Path;

/// Converts any error to a `ValueError` with its message.
pub(crate) fn value_error(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// Converts an error to an `OSError` of the matching kind if it was caused by the system, otherwise
/// to a `ValueError`.
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

/// Converts an error of a training, including an interruption. `run` is the folder of the training.
pub(crate) fn of_training(error: &TrainError, run: Option<&Path>) -> PyErr {
    if !matches!(error, TrainError::Interrupted { .. }) {
        return exception(error);
    }
    let has_begun = |run: &&Path| run.join(EXPERIMENT_FILE).is_file();
    PyKeyboardInterrupt::new_err(match run.filter(has_begun) {
        Some(run) => format!(
            "{error}; continue with lsoftmax.train(resume={:?})",
            run.to_string_lossy()
        ),
        None => error.to_string(),
    })
}
