//! Data sets from where they are published, checked against what was published.

mod published;

pub use published::{DOWNLOADS, Download, Published};

use crate::error::DataError;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use ureq::Agent;

/// How files are fetched.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// An address in place of the published ones.
    pub mirror: Option<String>,
    /// How long an answer, or a piece of a file, may take. A slow connection is gone on with from
    /// where it was; only one that brings nothing in this time is given up.
    pub patience: Duration,
}

impl Default for Fetch {
    fn default() -> Self {
        Self {
            mirror: None,
            patience: Duration::from_mins(1),
        }
    }
}

/// Attempts in a row at one address that may bring nothing.
const ATTEMPTS: usize = 3;
/// What an archive may grow to.
const MOST_UNPACKED: u64 = 1 << 30;

impl Download {
    /// The data set of a name.
    ///
    /// # Errors
    /// There is none.
    pub fn named(name: &str) -> Result<Self, DataError> {
        let known = || DOWNLOADS.iter().map(|download| download.name);
        DOWNLOADS
            .iter()
            .find(|download| download.name == name)
            .copied()
            .ok_or_else(|| DataError::UnknownSource {
                name: name.to_owned(),
                hint: known().find(|known| strsim::jaro_winkler(known, name) > 0.75),
                known: known().collect::<Vec<_>>().join(", "),
            })
    }

    /// Its length in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Fetches what is missing below `root`; returns the folder.
    ///
    /// Files appear whole or not at all. What was fetched before an interruption is kept aside and
    /// gone on with. Proxies are taken from the environment (`HTTPS_PROXY` and its kin).
    /// `progress` is told the file, and how much of it is there.
    ///
    /// # Errors
    /// No address has the file: the error says why for each, and where to put the file by hand.
    pub fn get(
        &self,
        root: &Path,
        fetch: &Fetch,
        progress: &mut dyn FnMut(&Published, u64),
    ) -> Result<PathBuf, DataError> {
        let folder = root.join(self.folder);
        let place = if self.archive { root } else { &folder };
        fs::create_dir_all(place).map_err(|e| DataError::file("make", place, e))?;
        for file in self.files {
            if self.archive {
                if folder.is_dir() {
                    continue;
                }
                let archive = self.file(file, place, fetch, progress)?;
                unpack(&archive, &folder)?;
                fs::remove_file(&archive).map_err(|e| DataError::file("remove", archive, e))?;
            } else {
                self.file(file, place, fetch, progress)?;
            }
        }
        Ok(folder)
    }

    /// One file, if it is not there and right already.
    fn file(
        &self,
        file: &Published,
        place: &Path,
        fetch: &Fetch,
        progress: &mut dyn FnMut(&Published, u64),
    ) -> Result<PathBuf, DataError> {
        let path = place.join(file.name);
        if path.exists() {
            return match sha256(&path)? {
                found if found == file.sha256 => Ok(path),
                found => Err(DataError::format(
                    path,
                    format!("SHA-256 {}", file.sha256),
                    format!("{found}; remove the file to fetch it anew"),
                )),
            };
        }
        let part = place.join(format!(".{}.part", file.name));
        let own: Vec<&str> = fetch.mirror.iter().map(String::as_str).collect();
        let mirrors = if own.is_empty() { self.mirrors } else { &own };
        let agent: Agent = Agent::config_builder()
            .timeout_connect(Some(fetch.patience))
            .timeout_recv_response(Some(fetch.patience))
            .timeout_per_read(Some(fetch.patience))
            .http_status_as_error(false)
            .user_agent(concat!("lsoftmax/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let mut reasons = Vec::new();
        for mirror in mirrors {
            let slash = if mirror.ends_with('/') { "" } else { "/" };
            let address = format!("{mirror}{slash}{}", file.name);
            match from_address(&agent, &address, file, &part, progress) {
                Ok(()) => {
                    fs::rename(&part, &path).map_err(|e| DataError::file("write", &path, e))?;
                    return Ok(path);
                }
                Err(Failed::Here(error)) => return Err(error),
                Err(Failed::There(reason)) => reasons.push(format!("{address}: {reason}")),
            }
        }
        Err(DataError::Download {
            name: file.name.to_owned(),
            reasons: reasons.join("; "),
            folder: std::path::absolute(place).unwrap_or_else(|_| place.to_owned()),
            bytes: file.bytes,
            archive: self.archive,
        })
    }
}

/// Why a file did not come.
enum Failed {
    /// This machine's fault: no other address will help.
    Here(DataError),
    /// The address's fault.
    There(String),
}

fn from_address(
    agent: &Agent,
    address: &str,
    file: &Published,
    part: &Path,
    progress: &mut dyn FnMut(&Published, u64),
) -> Result<(), Failed> {
    let here = |source| Failed::Here(DataError::file("write", part, source));
    let length = || fs::metadata(part).map_or(0, |found| found.len());
    let mut idle = 0;
    let mut reason = String::new();
    while idle < ATTEMPTS {
        let before = length();
        if before < file.bytes {
            match attempt(agent, address, file, part, progress) {
                Ok(()) => {}
                Err(Failed::There(why)) => reason = why,
                Err(here) => return Err(here),
            }
        }
        let after = length();
        if after >= file.bytes {
            let found = sha256(part).map_err(Failed::Here)?;
            if found == file.sha256 {
                return Ok(());
            }
            fs::remove_file(part).map_err(here)?;
            // What was kept from before may have been wrong: once more from the start.
            if before > 0 && idle == 0 {
                idle = ATTEMPTS - 1;
                continue;
            }
            return Err(Failed::There(format!(
                "{} bytes with SHA-256 {found}, expected {} with {}",
                after, file.bytes, file.sha256
            )));
        }
        if after > before {
            idle = 0;
        } else {
            idle += 1;
        }
        if reason.is_empty() {
            reason = format!("it ended after {after} of {} bytes", file.bytes);
        }
    }
    Err(Failed::There(reason))
}

/// One request, from where the part ends; what comes is kept even if the rest does not.
fn attempt(
    agent: &Agent,
    address: &str,
    file: &Published,
    part: &Path,
    progress: &mut dyn FnMut(&Published, u64),
) -> Result<(), Failed> {
    let here = |source| Failed::Here(DataError::file("write", part, source));
    let there = |reason: &dyn std::fmt::Display| Failed::There(reason.to_string());
    let have = fs::metadata(part).map_or(0, |found| found.len());
    let mut request = agent.get(address);
    if have > 0 {
        request = request.header("Range", format!("bytes={have}-"));
    }
    let response = request.call().map_err(|error| there(&error))?;
    let status = response.status().as_u16();
    let mut out = match status {
        206 if have > 0 => OpenOptions::new().append(true).open(part),
        // It sends all of it, or does not like our range.
        200 | 416 => File::create(part),
        _ => return Err(there(&format!("it answers {}", response.status()))),
    }
    .map_err(here)?;
    let mut done = if status == 206 { have } else { 0 };
    if status == 416 {
        return Err(there(&"it refuses to go on in the middle"));
    }
    // Never more than one byte too many, whatever the server says.
    let mut body = response
        .into_body()
        .into_reader()
        .take(file.bytes + 1 - done);
    let mut buffer = vec![0; 1 << 16];
    loop {
        progress(file, done);
        let count = match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => {
                out.sync_all().map_err(here)?;
                return Err(there(&error));
            }
        };
        out.write_all(&buffer[..count]).map_err(here)?;
        done += count as u64;
    }
    out.sync_all().map_err(here)
}

/// The SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// It cannot be read.
pub fn sha256(path: &Path) -> Result<String, DataError> {
    let failed = |source| DataError::file("read", path, source);
    let mut file = File::open(path).map_err(failed)?;
    let mut hash = Sha256::new();
    std::io::copy(&mut file, &mut hash).map_err(failed)?;
    Ok(format!("{:x}", hash.finalize()))
}

/// Unpacks an archive whose files all lie in one folder, which appears whole.
fn unpack(archive: &Path, folder: &Path) -> Result<(), DataError> {
    let root = folder.parent().unwrap_or_else(|| Path::new("."));
    let name = folder.file_name().unwrap_or_default();
    let mut aside = std::ffi::OsString::from(".");
    aside.push(name);
    aside.push(".part");
    let aside = root.join(aside);
    let failed = |source| DataError::file("unpack", archive, source);
    if aside.exists() {
        fs::remove_dir_all(&aside).map_err(failed)?;
    }
    let file = File::open(archive).map_err(failed)?;
    let unpacked = flate2::read::GzDecoder::new(file).take(MOST_UNPACKED);
    let result = tar::Archive::new(unpacked)
        .unpack(&aside)
        .and_then(|()| fs::rename(aside.join(name), folder));
    fs::remove_dir_all(&aside).ok();
    result.map_err(failed)
}

#[cfg(test)]
mod tests;
