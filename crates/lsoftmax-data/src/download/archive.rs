//! Archives that become folders, and the sums of what was in them.

use super::sha256;
use crate::error::DataError;
use crate::file::{atomic_folder, atomic_write, open_file, read_text};
use std::fs;
use std::io::Read as _;
use std::path::Path;

/// What an archive may grow to.
const MOST_UNPACKED: u64 = 1 << 30;
/// The sums of a folder's files, as `sha256sum -c` reads them.
const SUMS: &str = "SHA256SUMS";
/// Most bytes of them.
const LARGEST_SUMS: u64 = 1 << 16;

/// Unpacks an archive whose files all lie in one folder, which appears whole, with their sums.
pub(super) fn unpack(archive: &Path, folder: &Path) -> Result<(), DataError> {
    let failed = |source| DataError::file("unpack", archive, source);
    let name = folder.file_name().unwrap_or_default();
    atomic_folder(folder, |aside| {
        let unpacked = flate2::read::GzDecoder::new(open_file(archive)?).take(MOST_UNPACKED);
        tar::Archive::new(unpacked).unpack(aside).map_err(failed)?;
        let content = aside.join(name);
        let mut sums = Vec::new();
        for entry in fs::read_dir(&content).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if let Ok(name) = entry.file_name().into_string()
                && entry.path().is_file()
            {
                sums.push(format!("{}  {name}\n", sha256(&entry.path())?));
            }
        }
        sums.sort();
        atomic_write(&content.join(SUMS), sums.concat().as_bytes())?;
        Ok(content)
    })
}

/// Compares the files of a folder with their sums; whether it has any.
pub(super) fn verify(folder: &Path) -> Result<bool, DataError> {
    let sums = folder.join(SUMS);
    if !sums.exists() {
        return Ok(false);
    }
    let text = read_text(&sums, LARGEST_SUMS)?;
    for line in text.lines() {
        let pair = line.split_once("  ");
        let Some((sum, name)) = pair.filter(|(_, name)| !name.contains(['/', '\\'])) else {
            let expected = "lines of a SHA-256, two spaces and the name of a file";
            return Err(DataError::format(sums, expected, format!("{line:?}")));
        };
        let path = folder.join(name);
        let found = sha256(&path)?;
        if found != sum {
            return Err(DataError::format(
                path,
                format!("SHA-256 {sum}"),
                format!("{found}; remove {} to fetch it anew", folder.display()),
            ));
        }
    }
    Ok(!text.is_empty())
}
