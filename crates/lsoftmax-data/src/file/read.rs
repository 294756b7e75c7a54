use super::pipe::read_pipe;
use crate::error::DataError;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::Read;
use std::path::Path;

/// Opens a regular file for reading. Other kinds are rejected: a pipe may block forever, and a
/// device may be endless.
///
/// # Errors
/// The path does not exist, is a folder, pipe, socket or device, or cannot be opened.
pub fn open_file(path: &Path) -> Result<File, DataError> {
    let unreadable = |source| DataError::file("open", path, source);
    // Check the path first, because opening some devices has side effects.
    regular(path, &std::fs::metadata(path).map_err(unreadable)?)?;
    let file = options().open(path).map_err(unreadable)?;
    // Check the opened file too: the path may have changed meanwhile.
    regular(path, &file.metadata().map_err(unreadable)?)?;
    Ok(file)
}

/// Reads a regular file of at most `limit` bytes.
///
/// # Errors
/// As for [`open_file`], or the file is longer.
pub fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, DataError> {
    let bytes = read_at_most(open_file(path)?, limit, path)?;
    within(path, bytes, limit)
}

/// Reads a text file of at most `limit` bytes and strips a byte order mark.
///
/// The text may also come from a pipe, so that `--config <(...)` works. A pipe without data for
/// three seconds, or without a writer, is rejected.
///
/// # Errors
/// As for [`read_file`], or the text is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String, DataError> {
    let unreadable = |source| DataError::file("open", path, source);
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    let bytes = if is_pipe(metadata.file_type()) {
        let pipe = options().open(path).map_err(unreadable)?;
        within(path, read_pipe(pipe, limit, path)?, limit)?
    } else {
        read_file(path, limit)?
    };
    if matches!(bytes[..], [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..]) {
        let found = "UTF-16: save it as UTF-8";
        return Err(DataError::format(path, "UTF-8 text", found));
    }
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let place = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..place]
            .split(|&byte| byte == b'\n')
            .count();
        DataError::format(path, "UTF-8 text", format!("other bytes in line {line}"))
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

/// Reads at most `limit + 1` bytes; one byte more than `limit` means that the input is too long.
///
/// Memory grows with the data actually read, not with the size in a header.
pub(crate) fn read_at_most(
    reader: impl Read,
    limit: u64,
    path: &Path,
) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    reader
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|source| DataError::file("read", path, source))?;
    Ok(bytes)
}

/// Reads the rest of a regular file after the bytes already read.
///
/// Allocates for the whole length first, so that a file that does not fit into memory is an
/// immediate error.
pub(crate) fn read_rest(
    file: &mut File,
    mut bytes: Vec<u8>,
    path: &Path,
) -> Result<Vec<u8>, DataError> {
    let unreadable = |source| DataError::file("read", path, source);
    let length = file.metadata().map_err(unreadable)?.len();
    let left = usize::try_from(length.saturating_sub(bytes.len() as u64)).unwrap_or(usize::MAX);
    bytes.try_reserve_exact(left).map_err(|_| {
        let reason = format!("its {length} bytes do not fit the memory");
        unreadable(std::io::Error::other(reason))
    })?;
    file.take(left as u64)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(bytes)
}

fn within(path: &Path, bytes: Vec<u8>, limit: u64) -> Result<Vec<u8>, DataError> {
    if bytes.len() as u64 <= limit {
        return Ok(bytes);
    }
    let expected = format!("a file of at most {limit} bytes");
    Err(DataError::format(path, expected, "a longer one"))
}

/// Open options that never block on a pipe.
fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(
        &mut options,
        libc::O_NONBLOCK | libc::O_NOCTTY,
    );
    options
}

fn regular(path: &Path, metadata: &Metadata) -> Result<(), DataError> {
    if metadata.is_file() {
        return Ok(());
    }
    Err(DataError::format(
        path,
        "a file",
        kind(metadata.file_type()),
    ))
}

/// The kind of something that is not a regular file.
pub(super) fn kind(file_type: FileType) -> &'static str {
    if file_type.is_dir() {
        return "a folder";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if file_type.is_fifo() {
            return "a pipe";
        }
        if file_type.is_socket() {
            return "a socket";
        }
        if file_type.is_char_device() || file_type.is_block_device() {
            return "a device";
        }
    }
    "something else"
}

fn is_pipe(file_type: FileType) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::FileTypeExt::is_fifo(&file_type);
    #[cfg(not(unix))]
    false
}
