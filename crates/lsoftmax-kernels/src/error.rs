//! Errors of the kernels.

/// A shape or slice that a kernel rejects. The kernel has written nothing when it returns this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A size is out of range.
    #[error("{what} is {found}, but it must be {expected}")]
    Size {
        /// Name of the size.
        what: &'static str,
        /// The given value.
        found: usize,
        /// The allowed range.
        expected: &'static str,
    },
    /// The window does not fit into the padded image.
    #[error("a window of {kernel} does not fit into {size} pixels with {padding} of padding")]
    Window {
        /// Side of the window.
        kernel: usize,
        /// Side of the image.
        size: usize,
        /// Padding on each side.
        padding: usize,
    },
    /// The number of elements exceeds the address space.
    #[error("{what} has more elements than memory can address")]
    Overflow {
        /// Name of the array.
        what: &'static str,
    },
    /// A slice does not have the length that the shape requires.
    #[error("`{what}` has {found} values, but the shape needs {expected}")]
    Length {
        /// Name of the argument.
        what: &'static str,
        /// The required length.
        expected: usize,
        /// The given length.
        found: usize,
    },
}

/// Checks that every size, given with its name, is at least 1.
pub(crate) fn check_positive(sizes: &[(&'static str, usize)]) -> Result<(), KernelError> {
    match sizes.iter().find(|(_, size)| *size == 0) {
        None => Ok(()),
        Some(&(what, found)) => Err(KernelError::Size {
            what,
            found,
            expected: "at least 1",
        }),
    }
}

/// Checks the length of the argument `what`.
pub(crate) fn check_len(
    what: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), KernelError> {
    if found == expected {
        Ok(())
    } else {
        Err(KernelError::Length {
            what,
            expected,
            found,
        })
    }
}
