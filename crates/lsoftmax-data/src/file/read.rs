use super::pipe::read_pipe;
use crate::error::DataError;
use std::fs::{File, FileType, Metadata, OpenOptions};
use std::io::Read;
use std::path::Path;

/// Opens a file for reading. Whatever is no regular file is refused: a pipe may wait for ever, and
/// a device may have no end.
///
/// # Errors
/// The path names nothing, a folder, a pipe, a socket or a device, or cannot be opened.
pub fn open_file(path: &Path) -> Result<File, DataError> {
    let unreadable = |source| DataError::file("open", path, source);
    // First by name: opening some devices does something.
    regular(path, &std::fs::metadata(path).map_err(unreadable)?)?;
    let file = options().open(path).map_err(unreadable)?;
    // Then what was opened: the name may stand for something else by now.
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

/// Reads a text file of at most `limit` bytes, without a byte order mark.
///
/// Text may also come from a pipe that another program writes to, so that `--config <(...)` works.
/// A pipe that brings nothing for three seconds, or that nobody writes to, is refused.
///
/// # Errors
/// As for [`read_file`], or the text is not UTF-8.
pub fn read_text(path: &Path, limit: u64) -> Result<String, DataError> {
    let unreadable = |source| DataError::file("open", path, source);
    let found = std::fs::metadata(path).map_err(unreadable)?;
    let bytes = if is_pipe(found.file_type()) {
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

/// Reads `limit` bytes and no more; one more than `limit` says that there is too much.
///
/// Memory grows as data comes, whatever a header promised.
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

/// Reads the rest of a regular file, behind the bytes that were read of it already.
///
/// Its length is asked for first, so that a file that does not fit the memory is an error at once.
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

/// Reading that never waits for the other end of a pipe.
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

fn regular(path: &Path, found: &Metadata) -> Result<(), DataError> {
    if found.is_file() {
        return Ok(());
    }
    Err(DataError::format(path, "a file", kind(found.file_type())))
}

/// What something that is no regular file is called.
pub(super) fn kind(found: FileType) -> &'static str {
    if found.is_dir() {
        return "a folder";
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if found.is_fifo() {
            return "a pipe";
        }
        if found.is_socket() {
            return "a socket";
        }
        if found.is_char_device() || found.is_block_device() {
            return "a device";
        }
    }
    "something else"
}

fn is_pipe(found: FileType) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::FileTypeExt::is_fifo(&found);
    #[cfg(not(unix))]
    false
}
