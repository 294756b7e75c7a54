//! The native part of the Python package `lsoftmax`. The Python files around it give names, defaults and
//! documentation; everything here takes and returns numpy arrays and plain values.

mod arrays;
mod head;
mod metrics;

use pyo3::prelude::*;

#[pymodule]
fn _lsoftmax(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<head::Rule>()?;
    metrics::add_to(module)
}
