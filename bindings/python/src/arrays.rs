//! Arrays of numpy as slices, without copies, or an error that says what was expected.

use lsoftmax_metrics::Matrix;
use numpy::{
    Element, PyArrayDescrMethods as _, PyReadonlyArray1, PyReadonlyArray2, PyUntypedArray,
    PyUntypedArrayMethods as _,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// Any error as a `ValueError` with its message.
pub(crate) fn value_error(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}

/// A matrix `[row, column]` in C order.
pub(crate) struct Rows<'py, T: Element> {
    array: PyReadonlyArray2<'py, T>,
    name: &'static str,
}

impl<'py, T: Element> Rows<'py, T> {
    pub(crate) fn new(array: &Bound<'py, PyAny>, name: &'static str) -> PyResult<Self> {
        let array = array
            .extract()
            .map_err(|_| wrong::<T>(array, name, "2-dimensional"))?;
        Ok(Self { array, name })
    }

    pub(crate) fn shape(&self) -> [usize; 2] {
        let shape = self.array.shape();
        [shape[0], shape[1]]
    }

    pub(crate) fn values(&self) -> PyResult<&[T]> {
        // `as_slice` also takes arrays in Fortran order.
        if !self.array.is_c_contiguous() {
            return Err(not_in_order(self.name));
        }
        self.array.as_slice().map_err(|_| not_in_order(self.name))
    }
}

impl Rows<'_, f32> {
    pub(crate) fn matrix(&self) -> PyResult<Matrix<'_>> {
        let [rows, columns] = self.shape();
        Matrix::new(self.values()?, rows, columns).map_err(value_error)
    }
}

/// A 1-dimensional array in C order.
pub(crate) struct List<'py, T: Element> {
    array: PyReadonlyArray1<'py, T>,
    name: &'static str,
}

impl<'py, T: Element> List<'py, T> {
    pub(crate) fn new(array: &Bound<'py, PyAny>, name: &'static str) -> PyResult<Self> {
        let array = array
            .extract()
            .map_err(|_| wrong::<T>(array, name, "1-dimensional"))?;
        Ok(Self { array, name })
    }

    pub(crate) fn values(&self) -> PyResult<&[T]> {
        self.array.as_slice().map_err(|_| not_in_order(self.name))
    }
}

/// Labels or numbers of folds: whole numbers that are not negative.
pub(crate) fn labels(array: &Bound<'_, PyAny>, name: &'static str) -> PyResult<Vec<usize>> {
    let list = List::<i64>::new(array, name)?;
    let values = list.values()?.iter().enumerate();
    let label = |(row, &label): (usize, &i64)| {
        usize::try_from(label).map_err(|_| {
            PyValueError::new_err(format!(
                "{name}: at least 0 expected, row {row} has {label}"
            ))
        })
    };
    values.map(label).collect()
}

fn not_in_order(name: &str) -> PyErr {
    PyValueError::new_err(format!(
        "{name} must be in C order without gaps: pass numpy.ascontiguousarray({name})"
    ))
}

fn wrong<T: Element>(found: &Bound<'_, PyAny>, name: &str, dimensions: &str) -> PyErr {
    let dtype = numpy::dtype::<T>(found.py());
    let Ok(array) = found.cast::<PyUntypedArray>() else {
        let kind = found.get_type().name().map(|name| name.to_string());
        let kind = kind.unwrap_or_else(|_| "another object".into());
        return PyTypeError::new_err(format!(
            "{name} must be a numpy array of {dtype}, found {kind}"
        ));
    };
    let expected = format!("a {dimensions} numpy array of {dtype}");
    if array.dtype().is_equiv_to(&dtype) {
        let shape = array.shape();
        return PyValueError::new_err(format!(
            "{name} must be {expected}, found the shape {shape:?}"
        ));
    }
    PyTypeError::new_err(format!(
        "{name} must be {expected}, found {}",
        array.dtype()
    ))
}
