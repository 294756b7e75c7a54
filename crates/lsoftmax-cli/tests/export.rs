//! `export`: its files, its errors, and its check. `scripts/onnx-check` runs the real ONNX Runtime;
//! here shell scripts take its place.
#![cfg(unix)]

mod common;

use common::{answer, lsoftmax, model};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A program to use instead of Python.
fn program(dir: &Path, name: &str, text: &str) {
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Asserts that the command fails with this status and one line that contains `why`, and leaves no
/// files.
fn refused(dir: &Path, args: &[&str], status: i32, why: &str) {
    let names = || -> Vec<_> {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let output = lsoftmax(dir, args);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {text}");
    assert!(text.contains(why), "{args:?}: {text}");
    assert!(output.stdout.is_empty(), "{args:?}");
    assert_eq!(names(), before, "{args:?}");
}

#[test]
fn what_cannot_be_exported_is_refused_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    model(path);
    fs::create_dir(path.join("empty")).unwrap();
    let out = ["-o", "x.onnx", "--no-check"];
    let refused = |args: &[&str], status, why: &str| {
        refused(path, &[&["export"], args].concat(), status, why);
    };
    let with = |run| [&[run], &out[..]].concat();
    refused(
        &with("empty"),
        1,
        "the run empty has no model: model.safetensors expected, not found",
    );
    refused(&with("nowhere"), 1, "nowhere");
    refused(
        &with("run/experiment.toml"),
        1,
        "is not a model of lsoftmax",
    );
    refused(&with("run/outcome.json"), 1, "is not a model of lsoftmax");
    refused(
        &["run", "-o", "no/x.onnx"],
        1,
        "cannot write to the folder no",
    );
    refused(
        &["run", "-o", "run/model.safetensors"],
        2,
        "is one of the inputs",
    );
    refused(
        &["run", "-o", "run/model.safetensors", "--force"],
        2,
        "is one of the inputs",
    );
    refused(&["run", "-o", "empty"], 2, "is not a regular file");
    let odd = ["run", "-o", "x.onnx", "--layout", "hwcn"];
    refused(&odd, 2, "invalid value 'hwcn' for '--layout <ORDER>'");
    refused(
        &["run", "-o", "x.onnx", "--check", "--no-check"],
        2,
        "cannot be used with",
    );
    refused(&["run"], 2, "--out");
    // A model that has changed since.
    let bytes = fs::read(path.join("run/model.safetensors")).unwrap();
    fs::write(path.join("cut"), &bytes[..bytes.len() - 9]).unwrap();
    refused(&with("cut"), 1, "is not a model of lsoftmax");
    let mut changed = bytes;
    *changed.last_mut().unwrap() ^= 1;
    fs::write(path.join("changed"), changed).unwrap();
    refused(&with("changed"), 1, "SHA-256");
    fs::write(path.join("other.onnx"), "another's").unwrap();
    let other = ["run", "-o", "other.onnx", "--no-check"];
    refused(&other, 2, "was not made by this command");
    assert_eq!(fs::read(path.join("other.onnx")).unwrap(), b"another's");
}

#[test]
fn what_is_written_is_told_and_may_be_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    model(path);
    let args = ["export", "run", "-o", "x.onnx", "--no-check", "--json"];
    let told = answer(&args, &lsoftmax(path, &args));
    assert_eq!(told["image"]["type"], "uint8");
    assert_eq!(
        told["image"]["shape"],
        serde_json::json!(["batch", 16, 16, 1])
    );
    assert_eq!(
        told["outputs"]["embedding"],
        serde_json::json!(["batch", 4])
    );
    assert_eq!(told["outputs"]["logits"], serde_json::json!(["batch", 4]));
    let first = fs::read(path.join("x.onnx")).unwrap();
    assert_eq!(told["bytes"], first.len());
    assert!(told["check"].is_null() && told["not_checked"] == "--no-check");
    // The file contains the digest of the model.
    let model = fs::read(path.join("run/model.safetensors")).unwrap();
    let length = u64::from_le_bytes(model[..8].try_into().unwrap()) as usize;
    let header: serde_json::Value = serde_json::from_slice(&model[8..8 + length]).unwrap();
    let digest = header["__metadata__"]["sha256"].as_str().unwrap();
    let holds = |text: &str| {
        first
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    };
    assert!(holds(digest) && holds("false_accept_rate") && holds("[\"a\",\"b\",\"c\",\"d\"]"));
    // The command replaces its own file without `--force`.
    let args = [
        "export",
        "run/model.safetensors",
        "-o",
        "x.onnx",
        "--no-check",
    ];
    let output = lsoftmax(path, &args);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("x.onnx (") && text.contains("image uint8 [batch, 16, 16, 1] -> feature")
    );
    assert_eq!(fs::read(path.join("x.onnx")).unwrap(), first);
    let float = [
        "export",
        "run",
        "-o",
        "y.onnx",
        "--layout",
        "nchw",
        "--preprocessed",
        "--no-check",
    ];
    let output = lsoftmax(path, &float);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("image float32 [batch, 1, 16, 16]"), "{text}");
}

#[test]
fn without_a_runtime_the_file_is_written_and_said_not_to_be_checked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    model(path);
    program(
        path,
        "bare",
        "echo \"No module named 'onnxruntime'\" >&2; exit 3",
    );
    let export = ["export", "run", "-o", "x.onnx", "--python", "./bare"];
    let strict = [&export[..], &["--check"]].concat();
    let why = "x.onnx was not written, since --check asks for a check and there is no ONNX Runtime: \
               ./bare has none (No module named 'onnxruntime')";
    refused(path, &strict, 1, why);
    let output = lsoftmax(path, &export);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("not checked with ONNX Runtime: ./bare has none"),
        "{text}"
    );
    assert!(text.contains("pip install onnxruntime"), "{text}");
    assert!(path.join("x.onnx").is_file());
    let args = [
        "export",
        "run",
        "-o",
        "x.onnx",
        "--python",
        "/nowhere/python",
        "--json",
    ];
    let told = answer(&args, &lsoftmax(path, &args));
    assert!(
        told["not_checked"]
            .as_str()
            .unwrap()
            .starts_with("/nowhere/python: No such file")
    );
}

#[test]
fn a_file_that_a_runtime_refuses_or_reads_otherwise_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    model(path);
    let with = |name: &str, run: &str| {
        let text = format!("[ $# -gt 1 ] || {{ echo 1.0; exit 0; }}\n{run}");
        program(path, name, &text);
        let python = format!("./{name}");
        move |status, why: &str| {
            let args = ["export", "run", "-o", "x.onnx", "--python", &python];
            refused(path, &args, status, why);
        }
    };
    with(
        "fails",
        "echo Traceback >&2; echo 'Fail: no such operator' >&2; exit 1",
    )(
        1,
        "ONNX Runtime 1.0 does not run the file (exit status: 1): Fail: no such operator",
    );
    with("silent", "exit 0")(1, "feature.npy");
    // Zero arrays with 33 rows: 32 images and one more were requested.
    let zeros = "for name in feature embedding logits; do
        shape=$(head -c 128 \"$3/images.npy\" | tr -dc ' -~' | sed -n \"s/.*'shape': (\\([0-9]*\\),.*/\\1/p\")
        header=\"{'descr': '<f4', 'fortran_order': False, 'shape': ($((shape + 1)), 4), }\"
        printf '\\223NUMPY\\001\\000\\166\\000%-117s\\n' \"$header\" > \"$3/$name.npy\"
        head -c $(((shape + 1) * 16)) /dev/zero >> \"$3/$name.npy\"
      done";
    with("zeros", zeros)(1, "was not written: in ONNX Runtime 1.0 its output");
}

/// Runs if `LSOFTMAX_PYTHON` names a Python with ONNX Runtime.
#[test]
fn a_file_is_the_model_in_onnx_runtime() {
    let Ok(python) = std::env::var("LSOFTMAX_PYTHON") else {
        eprintln!("skipped: LSOFTMAX_PYTHON names no Python with ONNX Runtime");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    model(path);
    let args = [
        "export", "run", "-o", "x.onnx", "--python", &python, "--check", "--json",
    ];
    for more in [&[][..], &["--layout", "nchw"], &["--preprocessed"]] {
        let args = [&args, more].concat();
        let told = answer(&args, &lsoftmax(path, &args));
        let check = &told["check"];
        assert!(check["random_images"].is_null(), "{told}");
        assert!(
            check["largest_difference"].as_f64().unwrap() < 1e-5,
            "{told}"
        );
        assert_eq!(check["same_answers"], check["images"], "{told}");
    }
    // Without its run, and with missing images.
    fs::rename(path.join("faces"), path.join("moved")).unwrap();
    fs::copy(path.join("run/model.safetensors"), path.join("alone")).unwrap();
    for run in ["run", "alone"] {
        let args = [
            "export", run, "-o", "x.onnx", "--python", &python, "--check", "--json",
        ];
        let told = answer(&args, &lsoftmax(path, &args));
        assert!(told["check"]["random_images"].is_string(), "{told}");
    }
}

#[cfg(feature = "tract")]
#[test]
fn a_file_is_the_model_in_tract() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    model(path);
    for more in [&[][..], &["--layout", "nchw"], &["--preprocessed"]] {
        let args = [
            &["export", "run", "-o", "x.onnx", "--check", "--json"],
            more,
        ]
        .concat();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_lsoftmax"))
            .current_dir(path)
            .args(&args)
            .env("LSOFTMAX_PYTHON", "/nowhere/python")
            .output()
            .unwrap();
        let check = &answer(&args, &output)["check"];
        assert_eq!(check["runtime"], "tract");
        assert!(
            check["largest_difference"].as_f64().unwrap() < 1e-5,
            "{check}"
        );
        assert_eq!(check["same_answers"], check["images"], "{check}");
    }
}
