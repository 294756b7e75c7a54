use crate::error::DataError;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// Maximum time without data from a pipe.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Polling interval.
const PAUSE: Duration = Duration::from_millis(5);

/// Reads a pipe opened in non-blocking mode, at most `limit` bytes and one more.
pub(super) fn read_pipe(mut pipe: File, limit: u64, path: &Path) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    let mut piece = [0; 1 << 12];
    let mut last = Instant::now();
    while bytes.len() as u64 <= limit {
        match pipe.read(&mut piece) {
            Ok(0) if bytes.is_empty() => {
                return Err(DataError::format(path, "text", "a pipe without a writer"));
            }
            Ok(0) => break,
            Ok(count) => {
                bytes.extend_from_slice(&piece[..count]);
                last = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if last.elapsed() > TIMEOUT {
                    let found = format!("a pipe without data for {TIMEOUT:?}");
                    return Err(DataError::format(path, "text", found));
                }
                std::thread::sleep(PAUSE);
            }
            Err(source) => return Err(DataError::file("read", path, source)),
        }
    }
    Ok(bytes)
}
