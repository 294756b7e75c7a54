//! Experiment settings from Python.

use crate::errors::{exception, value_error};
use lsoftmax_record::{Settings, read_settings};
use pyo3::prelude::*;
use serde_json::{Map, Value};
use std::path::Path;

/// Reads settings from a JSON object with the keys of an experiment file.
pub(crate) fn read(json: &str) -> PyResult<Settings> {
    let given: Map<String, Value> = serde_json::from_str(json).map_err(value_error)?;
    let mut settings = Settings::default();
    for (key, value) in given {
        let one = Value::from_iter([(key.clone(), value)]);
        let one: Settings =
            serde_json::from_value(one).map_err(|error| value_error(format!("{key}: {error}")))?;
        settings = settings.or(one);
    }
    Ok(settings)
}

/// The settings of an experiment file, if one is given.
pub(crate) fn of_file(config: Option<&Path>) -> PyResult<Settings> {
    let settings = config.map(read_settings).transpose();
    Ok(settings
        .map_err(|error| exception(&error))?
        .unwrap_or_default())
}

/// The keys of experiment files.
#[pyfunction]
pub(crate) fn setting_keys() -> Vec<&'static str> {
    Settings::KEYS.to_vec()
}
