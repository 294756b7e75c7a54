//! Access to numpy arrays as slices, without copies. Errors state what was expected.

use crate::errors::value_error;
use lsoftmax_metrics::Matrix;
use numpy::ndarray::{Dimension, Ix1, Ix2, Ix4};
use numpy::{
    Element, PyArrayDescrMethods as _, PyReadonlyArray, PyUntypedArray, PyUntypedArrayMethods as _,
};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;

/// An array in C order.
pub(crate) struct Array<'py, T: Element, D: Dimension> {
    array: PyReadonlyArray<'py, T, D>,
    name: &'static str,
}

/// A matrix `[row, column]`.
pub(crate) type Rows<'py, T> = Array<'py, T, Ix2>;
/// A 1-dimensional array.
pub(crate) type List<'py, T> = Array<'py, T, Ix1>;

impl<'py, T: Element, D: Dimension> Array<'py, T, D> {
    pub(crate) fn new(array: &Bound<'py, PyAny>, name: &'static str) -> PyResult<Self> {
        let dimensions = D::NDIM.unwrap_or_default();
        let array = array
            .extract()
            .map_err(|_| wrong::<T>(array, name, dimensions))?;
        Ok(Self { array, name })
    }

    pub(crate) fn values(&self) -> PyResult<&[T]> {
        let name = self.name;
        let not_in_order = || {
            PyValueError::new_err(format!(
                "{name} must be in C order without gaps: pass numpy.ascontiguousarray({name})"
            ))
        };
        // `as_slice` also takes arrays in Fortran order.
        if !self.array.is_c_contiguous() {
            return Err(not_in_order());
        }
        self.array.as_slice().map_err(|_| not_in_order())
    }
}

impl<T: Element> Rows<'_, T> {
    pub(crate) fn shape(&self) -> [usize; 2] {
        let shape = self.array.shape();
        [shape[0], shape[1]]
    }
}

impl<T: Element> Array<'_, T, Ix4> {
    pub(crate) fn shape4(&self) -> [usize; 4] {
        let shape = self.array.shape();
        [shape[0], shape[1], shape[2], shape[3]]
    }
}

impl Rows<'_, f32> {
    pub(crate) fn matrix(&self) -> PyResult<Matrix<'_>> {
        let [rows, columns] = self.shape();
        Matrix::new(self.values()?, rows, columns).map_err(value_error)
    }
}

/// Labels or fold numbers: integers that are not negative.
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

fn wrong<T: Element>(found: &Bound<'_, PyAny>, name: &str, dimensions: usize) -> PyErr {
    let dtype = numpy::dtype::<T>(found.py());
    let Ok(array) = found.cast::<PyUntypedArray>() else {
        let kind = found.get_type().name().map(|name| name.to_string());
        let kind = kind.unwrap_or_else(|_| "another object".into());
        return PyTypeError::new_err(format!(
            "{name} must be a numpy array of {dtype}, found {kind}"
        ));
    };
    let expected = format!("a {dimensions}-dimensional numpy array of {dtype}");
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
