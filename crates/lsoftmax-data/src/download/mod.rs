//! Downloads published data sets and verifies their checksums.

mod archive;
mod published;

pub use published::{DOWNLOADS, Download, Published};

use crate::error::DataError;
use crate::file::open_file;
use sha2::{Digest as _, Sha256};
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use ureq::Agent;

/// Options of a download.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// An address to use instead of the published ones.
    pub mirror: Option<String>,
    /// Time limit for a response or for a chunk of a file. A slow connection is resumed where it
    /// stopped; a connection without data for this time is given up.
    pub timeout: Duration,
}

impl Default for Fetch {
    fn default() -> Self {
        Self {
            mirror: None,
            timeout: Duration::from_mins(1),
        }
    }
}

/// Consecutive attempts at one address that may make almost no progress.
const ATTEMPTS: usize = 3;
/// An attempt must transfer this fraction (1/n) of the file, so that retries end.
const MIN_PROGRESS_PARTS: u64 = 100;
/// Minimum number of bytes that a connection must deliver within the time limit for a chunk.
const MIN_WINDOW_BYTES: u64 = 1 << 14;

/// A data set on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The folder of the data set.
    pub folder: PathBuf,
    /// Whether the files are known to match what was published. A folder that already existed may
    /// have another source, and no checksums to compare with.
    pub verified: bool,
}

impl Download {
    /// The data set with this name.
    ///
    /// # Errors
    /// The name is unknown.
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

    /// Total size in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Downloads missing files to `root` and verifies existing ones.
    ///
    /// Files appear whole or not at all. The part downloaded before an interruption is kept and
    /// resumed. Proxies are read from the environment (`HTTPS_PROXY` and related variables).
    /// `progress` is called with the file and the number of bytes so far.
    ///
    /// # Errors
    /// No address delivers the file: the error gives the reason for each address, and where to put
    /// the file by hand. Or an existing file does not match the published one.
    pub fn get(
        &self,
        root: &Path,
        fetch: &Fetch,
        progress: &mut dyn FnMut(&Published, u64),
    ) -> Result<Fetched, DataError> {
        let folder = root.join(self.folder);
        let mut verified = true;
        let place = if self.archive { root } else { &folder };
        fs::create_dir_all(place).map_err(|e| DataError::file("make", place, e))?;
        for file in self.files {
            if self.archive {
                if folder.is_dir() {
                    verified = archive::verify(&folder)?;
                    continue;
                }
                let archive = self.file(file, place, fetch, progress)?;
                archive::unpack(&archive, &folder)?;
                fs::remove_file(&archive).map_err(|e| DataError::file("remove", archive, e))?;
            } else {
                self.file(file, place, fetch, progress)?;
            }
        }
        Ok(Fetched { folder, verified })
    }

    /// Downloads one file, unless it already exists with the right content.
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
                    format!("{found}; remove the file to download it again"),
                )),
            };
        }
        let part = place.join(format!(".{}.part", file.name));
        let own: Vec<&str> = fetch.mirror.iter().map(String::as_str).collect();
        let mirrors = if own.is_empty() { self.mirrors } else { &own };
        let agent: Agent = Agent::config_builder()
            .timeout_connect(Some(fetch.timeout))
            .timeout_recv_response(Some(fetch.timeout))
            .timeout_per_read(Some(fetch.timeout))
            .http_status_as_error(false)
            .user_agent(concat!("lsoftmax/", env!("CARGO_PKG_VERSION")))
            .build()
            .into();
        let mut reasons = Vec::new();
        for mirror in mirrors {
            let slash = if mirror.ends_with('/') { "" } else { "/" };
            let address = format!("{mirror}{slash}{}", file.name);
            let request = Request {
                agent: &agent,
                address: &address,
                file,
                part: &part,
                timeout: fetch.timeout,
            };
            match from_address(&request, progress) {
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

/// The reason why a file was not downloaded.
enum Failed {
    /// A local failure: no other address will help.
    Here(DataError),
    /// A failure of the address.
    There(String),
}

/// A file at an address, and the local file for its partial content.
struct Request<'a> {
    agent: &'a Agent,
    address: &'a str,
    file: &'a Published,
    part: &'a Path,
    timeout: Duration,
}

impl Request<'_> {
    /// Number of bytes already downloaded.
    fn length(&self) -> Result<u64, Failed> {
        match fs::symlink_metadata(self.part) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            Err(error) => Err(self.here(error)),
            Ok(found) if found.is_file() => Ok(found.len()),
            // Writing would follow a link or device.
            Ok(_) => Err(self.here(std::io::Error::other("it is not a file; remove it"))),
        }
    }

    fn here(&self, source: std::io::Error) -> Failed {
        Failed::Here(DataError::file("write", self.part, source))
    }
}

fn from_address(
    request: &Request<'_>,
    progress: &mut dyn FnMut(&Published, u64),
) -> Result<(), Failed> {
    let (file, part) = (request.file, request.part);
    let least = (file.bytes / MIN_PROGRESS_PARTS).max(1);
    let mut farthest = request.length()?;
    let mut idle = 0;
    let mut started_over = false;
    let mut reason = String::new();
    while idle < ATTEMPTS {
        let before = request.length()?;
        if before < file.bytes {
            match attempt(request, progress) {
                Ok(()) => {}
                Err(Failed::There(why)) => reason = why,
                Err(here) => return Err(here),
            }
        }
        let after = request.length()?;
        if after >= file.bytes {
            let digest = sha256(part).map_err(Failed::Here)?;
            if digest == file.sha256 {
                return Ok(());
            }
            fs::remove_file(part).map_err(|error| request.here(error))?;
            // The part from an earlier download may have been wrong: start over once.
            if before > 0 && !started_over {
                started_over = true;
                (idle, farthest) = (0, 0);
                continue;
            }
            return Err(Failed::There(format!(
                "{} bytes with SHA-256 {digest}, expected {} with {}",
                after, file.bytes, file.sha256
            )));
        }
        // A server that restarts each time may only repeat what was already here.
        if after >= farthest + least {
            (idle, farthest) = (0, after);
        } else {
            idle += 1;
        }
        if reason.is_empty() {
            reason = format!("the download ended after {after} of {} bytes", file.bytes);
        }
    }
    Err(Failed::There(reason))
}

/// Makes one request, starting where the part ends. Received bytes are kept even if the request
/// fails.
fn attempt(request: &Request<'_>, progress: &mut dyn FnMut(&Published, u64)) -> Result<(), Failed> {
    let file = request.file;
    let here = |error| request.here(error);
    let there = |reason: &dyn std::fmt::Display| Failed::There(reason.to_string());
    let have = request.length()?;
    let mut get = request.agent.get(request.address);
    if have > 0 {
        get = get.header("Range", format!("bytes={have}-"));
    }
    let response = get.call().map_err(|error| there(&error))?;
    let status = response.status().as_u16();
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, libc::O_NOFOLLOW);
    match status {
        206 if have > 0 => options.append(true),
        // The server sends the whole file, or rejects the range.
        200 | 416 => options.write(true).create(true).truncate(true),
        _ => return Err(there(&format!("the server answered {}", response.status()))),
    };
    let mut out = options.open(request.part).map_err(here)?;
    let mut done = if status == 206 { have } else { 0 };
    if status == 416 {
        return Err(there(&"the server does not resume downloads"));
    }
    // At most one byte too many, regardless of the server's headers.
    let mut body = response
        .into_body()
        .into_reader()
        .take(file.bytes + 1 - done);
    let mut buffer = vec![0; 1 << 16];
    let (mut window, mut until) = (0, Instant::now() + request.timeout);
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
        window += count as u64;
        if Instant::now() >= until {
            if window < MIN_WINDOW_BYTES && done < file.bytes {
                out.sync_all().map_err(here)?;
                let timeout = request.timeout;
                return Err(there(&format!("only {window} bytes in {timeout:?}")));
            }
            (window, until) = (0, Instant::now() + request.timeout);
        }
    }
    out.sync_all().map_err(here)
}

/// The SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// The file cannot be read.
pub fn sha256(path: &Path) -> Result<String, DataError> {
    let mut hash = Sha256::new();
    std::io::copy(&mut open_file(path)?, &mut hash)
        .map_err(|source| DataError::file("read", path, source))?;
    Ok(format!("{:x}", hash.finalize()))
}

#[cfg(test)]
mod tests;
