//! The real program, for the tests of the command.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

pub(crate) fn lsoftmax(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lsoftmax"))
        .current_dir(dir)
        .args(args)
        .env_remove("LSOFTMAX_DATA")
        .output()
        .expect("the program starts")
}

/// What it answered with `--json`, after it succeeded.
pub(crate) fn answer(args: &[&str], output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}
