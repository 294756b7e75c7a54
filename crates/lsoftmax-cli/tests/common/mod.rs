//! Running the real program, for the tests of the command.
// Each test file uses only some of these functions.
#![allow(dead_code)]

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

/// Asserts success and returns its JSON output.
pub(crate) fn answer(args: &[&str], output: &Output) -> Value {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    serde_json::from_slice(&output.stdout).expect("one JSON object")
}

/// A folder with a few noisy images per class.
pub(crate) fn faces(dir: &Path, name: &str, classes: &[&str], seed: u32) {
    let mut state = seed;
    for class in classes {
        let folder = dir.join(name).join(class);
        std::fs::create_dir_all(&folder).unwrap();
        for image in 1..=8 {
            let mut bytes = b"P5 16 16 255\n".to_vec();
            bytes.extend((0..256).map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            }));
            std::fs::write(folder.join(format!("{image}.pgm")), bytes).unwrap();
        }
    }
}

/// `faces`, and `run`, a quickly trained model of them.
pub(crate) fn model(dir: &Path) {
    faces(dir, "faces", &["a", "b", "c", "d"], 1);
    let args = [
        "train",
        "--data",
        "images",
        "--data-dir",
        "faces",
        "--image-size",
        "16",
        "--channels",
        "grey",
        "--iterations",
        "4",
        "--batch",
        "4",
        "--feature",
        "4",
        "--quiet",
        "--threads",
        "1",
        "--out",
        "run",
    ];
    let output = lsoftmax(dir, &args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
}

pub(crate) fn wait_for(what: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !what() {
        let waited = start.elapsed();
        assert!(waited < std::time::Duration::from_mins(1), "it never came");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}
