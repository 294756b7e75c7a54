//! The native module of the Python package `lsoftmax`. The Python files provide names, defaults and
//! documentation; the functions here take and return numpy arrays and plain values.

#![allow(
    clippy::needless_pass_by_value,
    reason = "Python hands over what it converted"
)]

mod arrays;
mod errors;
mod head;
mod metrics;
mod model;
mod settings;
mod training;
mod watch;
mod work;

use pyo3::prelude::*;

#[pymodule]
fn _lsoftmax(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<head::Rule>()?;
    module.add_class::<model::Model>()?;
    module.add_function(wrap_pyfunction!(settings::setting_keys, module)?)?;
    training::add_to(module)?;
    metrics::add_to(module)
}
