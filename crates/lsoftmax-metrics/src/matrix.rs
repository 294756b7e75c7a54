use crate::{Error, Result};

/// A borrowed row-major matrix. A row is one sample or one class weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Matrix<'a> {
    values: &'a [f32],
    rows: usize,
    columns: usize,
}

impl<'a> Matrix<'a> {
    /// Views `values` as `rows` rows of `columns` values each.
    ///
    /// # Errors
    /// [`Error::MatrixShape`] if the number of values is not `rows * columns`.
    pub fn new(values: &'a [f32], rows: usize, columns: usize) -> Result<Self> {
        if rows.checked_mul(columns) == Some(values.len()) {
            Ok(Self {
                values,
                rows,
                columns,
            })
        } else {
            Err(Error::MatrixShape {
                rows,
                columns,
                found: values.len(),
            })
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// One row; `None` past the last row.
    pub fn row(&self, row: usize) -> Option<&'a [f32]> {
        let start = row.checked_mul(self.columns)?;
        if row < self.rows {
            self.values.get(start..start + self.columns)
        } else {
            None
        }
    }

    /// Whether the matrix holds no values. Without columns, the number of rows may still be too
    /// large to loop over.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// All rows in order.
    pub fn iter_rows(&self) -> impl Iterator<Item = &'a [f32]> + use<'a> {
        let (values, columns) = (self.values, self.columns);
        (0..self.rows).map(move |row| &values[row * columns..(row + 1) * columns])
    }
}

/// Checks that there is one label per row, each below `classes`.
pub(crate) fn check_labels(labels: &[usize], rows: usize, classes: usize) -> Result<()> {
    if labels.len() != rows {
        return Err(Error::RowCount {
            what: "labels",
            expected: rows,
            found: labels.len(),
        });
    }
    match labels.iter().position(|&label| label >= classes) {
        Some(row) => Err(Error::LabelOutOfRange {
            row,
            label: labels[row],
            classes,
        }),
        None => Ok(()),
    }
}

/// Checks the number of columns of `matrix`; `what` is its name in the error.
pub(crate) fn check_columns(what: &'static str, matrix: Matrix<'_>, expected: usize) -> Result<()> {
    if matrix.columns() == expected {
        Ok(())
    } else {
        Err(Error::ColumnCount {
            what,
            expected,
            found: matrix.columns(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_slices_of_the_values() {
        let values = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let matrix = Matrix::new(&values, 2, 3).unwrap();
        assert_eq!((matrix.rows(), matrix.columns()), (2, 3));
        assert_eq!(matrix.row(1), Some(&values[3..]));
        assert_eq!(matrix.row(2), None);
        assert_eq!(
            matrix.iter_rows().collect::<Vec<_>>(),
            vec![&values[..3], &values[3..]]
        );
    }

    #[test]
    fn a_wrong_shape_is_an_error() {
        let error = Matrix::new(&[0.0; 5], 2, 3).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a matrix of 2 rows and 3 columns does not hold 5 values"
        );
        assert!(
            Matrix::new(&[], usize::MAX, 2).is_err(),
            "the product overflows"
        );
    }

    #[test]
    fn matrices_without_rows_or_columns_are_allowed() {
        assert_eq!(Matrix::new(&[], 0, 3).unwrap().iter_rows().count(), 0);
        let narrow = Matrix::new(&[], 2, 0).unwrap();
        assert_eq!(
            narrow.iter_rows().map(<[f32]>::len).collect::<Vec<_>>(),
            vec![0, 0]
        );
        assert_eq!(narrow.row(1), Some(&[][..]));
        assert_eq!(narrow.row(2), None);
    }

    #[test]
    fn labels_are_checked_one_by_one() {
        assert_eq!(check_labels(&[0, 2], 2, 3), Ok(()));
        let error = check_labels(&[0, 3], 2, 3).unwrap_err();
        assert_eq!(
            error.to_string(),
            "row 1 has label 3, but there are 3 classes (labels start at 0)"
        );
        assert!(matches!(
            check_labels(&[0], 2, 3),
            Err(Error::RowCount { .. })
        ));
    }
}
