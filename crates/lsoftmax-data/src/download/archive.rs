//! Unpacks archives to folders with checksums of their files.

use super::sha256;
use crate::error::DataError;
use crate::file::{atomic_folder, atomic_write, open_file, read_text};
use std::fs;
use std::io::Read as _;
use std::path::Path;

/// Maximum unpacked size of an archive.
const MAX_UNPACKED_BYTES: u64 = 1 << 30;
/// The checksums of a folder's files, in the format of `sha256sum -c`.
const SUMS: &str = "SHA256SUMS";
/// Maximum size of that file in bytes.
const MAX_SUMS_BYTES: u64 = 1 << 16;

/// Unpacks an archive of a single folder. The folder appears atomically, with checksums of its
/// files.
pub(super) fn unpack(archive: &Path, folder: &Path) -> Result<(), DataError> {
    let failed = |source| DataError::file("unpack", archive, source);
    let name = folder.file_name().unwrap_or_default();
    atomic_folder(folder, |aside| {
        let unpacked = flate2::read::GzDecoder::new(open_file(archive)?).take(MAX_UNPACKED_BYTES);
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

/// Compares the files of a folder with its checksums. Returns whether the folder has any.
pub(super) fn verify(folder: &Path) -> Result<bool, DataError> {
    let sums = folder.join(SUMS);
    if !sums.exists() {
        return Ok(false);
    }
    let text = read_text(&sums, MAX_SUMS_BYTES)?;
    for line in text.lines() {
        let pair = line.split_once("  ");
        let Some((sum, name)) = pair.filter(|(_, name)| !name.contains(['/', '\\'])) else {
            let expected = "lines of a SHA-256, two spaces and the name of a file";
            return Err(DataError::format(sums, expected, format!("{line:?}")));
        };
        let path = folder.join(name);
        let digest = sha256(&path)?;
        if digest != sum {
            return Err(DataError::format(
                path,
                format!("SHA-256 {sum}"),
                format!("{digest}; remove {} to download it again", folder.display()),
            ));
        }
    }
    Ok(!text.is_empty())
}
