//! Access to ONNX Runtime through a Python installation.

use anyhow::{Context as _, bail};
use lsoftmax_data::npy::{self, Values};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

const SCRIPT: &str = include_str!("onnx_runtime.py");
/// Exit status of the script if a module is missing.
const NO_MODULE: i32 = 3;
/// Time limit for the runtime, long enough for an import from a cold disk or a batch of a large
/// network.
const LONGEST: Duration = Duration::from_mins(5);
/// Maximum number of bytes of its output to read.
const MOST_TEXT: u64 = 1 << 16;
/// The environment variable that selects a Python.
pub(crate) const PYTHON: &str = "LSOFTMAX_PYTHON";

/// A Python with ONNX Runtime.
pub(crate) struct OnnxRuntime {
    python: OsString,
    version: String,
    /// The temporary folder with the script.
    folder: tempfile::TempDir,
}

impl OnnxRuntime {
    /// Looks for ONNX Runtime in the given Python, otherwise in that of the environment variable,
    /// otherwise in `python3`. The inner error is the reason why it was not found.
    ///
    /// # Errors
    /// No temporary folder can be created.
    pub(super) fn find(python: Option<&Path>) -> anyhow::Result<Result<Self, String>> {
        let python = python.map(|path| path.as_os_str().to_owned());
        let python = python.or_else(|| std::env::var_os(PYTHON).filter(|name| !name.is_empty()));
        let python = python.unwrap_or_else(|| "python3".into());
        let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
        std::fs::write(folder.path().join(FILE), SCRIPT)
            .with_context(|| format!("cannot write to {}", folder.path().display()))?;
        let name = python.to_string_lossy().into_owned();
        let (status, out, err) = match run(&python, folder.path(), &[], LONGEST) {
            Ok(printed) => printed,
            Err(error) => return Ok(Err(format!("{name}: {error}"))),
        };
        let version = out.trim();
        if status.code() == Some(NO_MODULE) {
            let reason = last_line(&err);
            return Ok(Err(format!("{name} has none ({reason})")));
        }
        let is_version = |text: &str| {
            let starts = text.starts_with(|c: char| c.is_ascii_digit());
            starts && text.len() < 40 && text.lines().count() == 1
        };
        if !status.success() || !is_version(version) {
            let reason = last_line(if status.success() { version } else { &err });
            return Ok(Err(format!(
                "{name} must print the version of ONNX Runtime, found {reason:?} ({status})"
            )));
        }
        Ok(Ok(Self {
            version: version.to_owned(),
            python,
            folder,
        }))
    }

    /// Name and version.
    pub(super) fn name(&self) -> String {
        format!("ONNX Runtime {}", self.version)
    }

    /// As for [`Runtime::outputs`](super::Runtime::outputs).
    pub(super) fn outputs(
        &self,
        model: &Path,
        (shape, images): (&[usize], &Values),
        outputs: &[(&str, usize)],
    ) -> anyhow::Result<Vec<Vec<f32>>> {
        let folder = self.folder.path();
        npy::write(&folder.join("images.npy"), shape, images)?;
        let args = [model.as_os_str(), folder.as_os_str()];
        let (status, _, err) = run(&self.python, folder, &args, LONGEST)
            .with_context(|| format!("cannot run ONNX Runtime {}", self.version))?;
        if !status.success() {
            bail!(
                "ONNX Runtime {} does not run the file ({status}): {}",
                self.version,
                last_line(&err)
            );
        }
        let rows = shape.first().copied().unwrap_or_default() + 1;
        let read = |&(name, size): &(&str, usize)| {
            let array = npy::read(&folder.join(format!("{name}.npy")))?;
            match array.values {
                Values::F32(values) if array.shape == [rows, size] => Ok(values),
                _ => bail!(
                    "the output {name} must be float32 {:?} in ONNX Runtime {}, found {:?}",
                    [rows, size],
                    self.version,
                    array.shape
                ),
            }
        };
        outputs.iter().map(read).collect()
    }
}

/// The file name of the script.
const FILE: &str = "onnx_runtime.py";

/// Runs the script and waits for it. Returns status, stdout and stderr.
fn run(
    python: &OsStr,
    folder: &Path,
    args: &[&OsStr],
    longest: Duration,
) -> std::io::Result<(ExitStatus, String, String)> {
    // Files instead of pipes, which would have to be read while the script runs.
    let (mut out, mut err) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut child = Command::new(python)
        .arg(folder.join(FILE))
        .args(args)
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(err.try_clone()?)
        .spawn()?;
    let start = Instant::now();
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if start.elapsed() < longest => std::thread::sleep(Duration::from_millis(10)),
            None => {
                child.kill().ok();
                child.wait()?;
                let reason = format!("it was stopped after {} s", longest.as_secs());
                return Err(std::io::Error::other(reason));
            }
        }
    };
    Ok((status, text(&mut out)?, text(&mut err)?))
}

fn text(file: &mut File) -> std::io::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(MOST_TEXT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The line that describes an error: the last one in Python.
fn last_line(text: &str) -> &str {
    let mut lines = text.lines().map(str::trim);
    lines.rfind(|line| !line.is_empty()).unwrap_or("nothing")
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    /// A program to use instead of Python.
    fn program(folder: &Path, text: &str) -> OsString {
        let path = folder.join("python");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&path, executable).unwrap();
        path.into_os_string()
    }

    #[test]
    fn a_program_that_never_ends_is_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let python = program(dir.path(), "exec sleep 600");
        let start = Instant::now();
        let error = run(&python, dir.path(), &[], Duration::from_millis(300)).unwrap_err();
        assert!(error.to_string().contains("stopped after"), "{error}");
        assert!(start.elapsed() < Duration::from_mins(1));
    }

    #[test]
    fn what_a_program_prints_cannot_fill_the_memory_or_block_it() {
        let dir = tempfile::tempdir().unwrap();
        let python = program(dir.path(), "head -c 3000000 /dev/zero | tr '\\0' x; exit 7");
        let (status, out, _) = run(&python, dir.path(), &[], Duration::from_mins(1)).unwrap();
        assert_eq!((status.code(), out.len()), (Some(7), 1 << 16));
    }

    #[test]
    fn where_there_is_no_runtime_the_reason_is_told() {
        let dir = tempfile::tempdir().unwrap();
        for (text, expected) in [
            (
                "echo 'Traceback' >&2; echo 'No module named x' >&2; exit 3",
                "has none (No module",
            ),
            ("exit 0", "found \"nothing\""),
            ("echo hello", "found \"hello\""),
            ("echo oh >&2; exit 1", "found \"oh\""),
        ] {
            let python = program(dir.path(), text);
            let found = OnnxRuntime::find(Some(Path::new(&python))).unwrap();
            let reason = found.err().unwrap();
            assert!(reason.contains(expected), "{reason}");
        }
        let found = OnnxRuntime::find(Some(Path::new("/nowhere/python"))).unwrap();
        assert!(
            found
                .err()
                .unwrap()
                .starts_with("/nowhere/python: No such file")
        );
    }
}
