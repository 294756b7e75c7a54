//! What can be wrong with a call.

/// A shape or a slice that a kernel cannot work with. Nothing has been written when it is returned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KernelError {
    /// A size of a shape is outside of its range.
    #[error("{what} is {found}, but it must be {expected}")]
    Size {
        /// Which size.
        what: &'static str,
        /// The value that was given.
        found: usize,
        /// The range that is allowed.
        expected: &'static str,
    },
    /// The window does not fit into the padded image.
    #[error("a window of {kernel} does not fit into {size} pixels with {padding} of padding")]
    Window {
        /// The window's side.
        kernel: usize,
        /// The image's side.
        size: usize,
        /// The padding on each side.
        padding: usize,
    },
    /// The number of elements exceeds the address space.
    #[error("{what} has more elements than memory can address")]
    Overflow {
        /// Which array.
        what: &'static str,
    },
    /// A slice has another length than the shape asks for.
    #[error("`{what}` has {found} values, but the shape needs {expected}")]
    Length {
        /// The argument's name.
        what: &'static str,
        /// The length that the shape asks for.
        expected: usize,
        /// The length that was given.
        found: usize,
    },
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
