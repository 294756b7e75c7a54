//! Bounded reads of external files; atomic writes of files and folders.

mod aside;
mod pipe;
mod read;
mod write;

pub use aside::remove_stale;
pub use read::{open_file, read_file, read_text};
pub use write::{Staged, atomic_folder, atomic_write, atomic_write_with};

pub(crate) use read::{read_at_most, read_rest};

#[cfg(test)]
mod tests;
