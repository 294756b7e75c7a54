use crate::error::DataError;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a pipe may bring nothing.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long to wait before the next look.
const PAUSE: Duration = Duration::from_millis(5);

/// Reads a pipe that was opened without waiting, `limit` bytes and one more at most.
pub(super) fn read_pipe(mut pipe: File, limit: u64, path: &Path) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    let mut piece = [0; 1 << 12];
    let mut last = Instant::now();
    while bytes.len() as u64 <= limit {
        match pipe.read(&mut piece) {
            Ok(0) if bytes.is_empty() => {
                return Err(DataError::format(
                    path,
                    "text",
                    "a pipe that nobody writes to",
                ));
            }
            Ok(0) => break,
            Ok(count) => {
                bytes.extend_from_slice(&piece[..count]);
                last = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if last.elapsed() > PATIENCE {
                    let found = format!("a pipe that brings nothing for {PATIENCE:?}");
                    return Err(DataError::format(path, "text", found));
                }
                std::thread::sleep(PAUSE);
            }
            Err(source) => return Err(DataError::file("read", path, source)),
        }
    }
    Ok(bytes)
}
