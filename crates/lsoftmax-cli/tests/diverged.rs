//! Trainings that diverge: their messages and their files.

mod common;

use common::{faces, lsoftmax};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

const NETWORK: &str = "name = 'nn'\nfeature = 8\nnormalisation = 'none'\n\
    [[stages]]\nchannels = 8\nconvs = 2\npool = true\n\
    [[stages]]\nchannels = 8\nconvs = 2\npool = true\n";

const TRAIN: &[&str] = &[
    "--data",
    "images",
    "--data-dir",
    "faces",
    "--image-size",
    "16",
    "--channels",
    "grey",
    "--iterations",
    "40",
    "--batch",
    "8",
    "--network",
    "nn.toml",
    "--threads",
    "1",
    "--quiet",
];

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("nn.toml"), NETWORK).unwrap();
    faces(dir.path(), "faces", &["a", "b", "c", "d"], 1);
    faces(dir.path(), "others", &["p", "q", "r", "s"], 2);
    dir
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// Checks that all numbers in the files of a run are finite, and that all its models can be used.
fn all_can_be_read(dir: &Path, run: &str) {
    for file in files(&dir.join(run)) {
        let ending = file.extension().unwrap().to_str().unwrap();
        let text = fs::read(&file).unwrap();
        let text = String::from_utf8_lossy(&text);
        match ending {
            "json" | "jsonl" => assert!(!text.contains("null"), "{}: {text}", file.display()),
            "safetensors" => {
                let model = file.to_str().unwrap();
                let output = lsoftmax(dir, &["eval", run, "--model", model, "--json"]);
                let stderr = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "{model}: {stderr}");
                let found: Value = serde_json::from_slice(&output.stdout).unwrap();
                assert!(found["mean_feature_norm"].is_number(), "{model}: {found}");
            }
            _ => {}
        }
    }
}

#[test]
fn a_training_that_diverges_ends_with_one_line_and_leaves_what_can_be_read() {
    let dir = folder();
    let path = dir.path();
    let variants: [&[&str]; 6] = [
        &["--learning-rate", "10"],
        &["--learning-rate", "10", "--held-out", "8"],
        &[
            "--learning-rate",
            "10",
            "--open-set",
            "others",
            "--feature",
            "2",
        ],
        &[
            "--learning-rate",
            "1000",
            "--loss",
            "softmax",
            "--held-out",
            "4",
        ],
        &[
            "--learning-rate",
            "10",
            "--on-divergence",
            "raise-lambda",
            "--recoveries",
            "1",
        ],
        &["--learning-rate", "1000", "--loss", "softmax+center"],
    ];
    for (number, variant) in variants.iter().enumerate() {
        let run = format!("r{number}");
        let args = [&["train", "--out", &run], TRAIN, variant].concat();
        let output = lsoftmax(path, &args);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{variant:?}: {stderr}");
        let last = stderr.trim_end().lines().last().unwrap();
        assert!(last.contains("the training diverged: step "), "{stderr}");
        if number != 4 {
            // Besides the line about the classes that were found.
            let errors = stderr.lines().filter(|line| line.starts_with("lsoftmax: "));
            assert_eq!(errors.count(), 1, "{stderr}");
        }
        assert!(output.stdout.is_empty());
        all_can_be_read(path, &run);
        let page = fs::read_to_string(path.join(&run).join("report.html")).unwrap();
        assert!(page.contains("iverged"), "the page says so");
        let again = lsoftmax(path, &["train", "--resume", &run]);
        assert_eq!(again.status.code(), Some(2));
        let made = lsoftmax(path, &["report", &run]);
        assert!(made.status.success(), "{made:?}");
    }
}

#[test]
fn tables_and_comparisons_survive_a_training_that_diverges_and_say_which() {
    let dir = folder();
    let path = dir.path();
    let args = [
        &[
            "compare",
            "--losses",
            "l-softmax:4@10,softmax@0.001",
            "--no-pictures",
            "--out",
            "c",
        ],
        &TRAIN[..TRAIN.len() - 1],
    ]
    .concat();
    let output = lsoftmax(path, &[&args[..], &["--json"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    assert!(
        stderr.contains("the training diverged") && stderr.contains("c/l-softmax-m4"),
        "{stderr}"
    );
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["rows"][0]["divergence"], "not-finite");
    assert_ne!(answer["rows"][1]["divergence"], "not-finite");

    fs::create_dir(path.join("mine")).unwrap();
    let network = path.join("nn.toml").display().to_string();
    let data = path.join("faces").display().to_string();
    for (row, rate, loss) in [("softmax", 0.001, "softmax"), ("m4", 10.0, "l-softmax")] {
        let text = format!(
            "data = 'images'\ndata-dir = '{data}'\nimage-size = '16'\nchannels = 'grey'\n\
             iterations = 40\nbatch = 8\nnetwork = '{network}'\nlearning-rate = {rate:?}\n\
             loss = '{loss}'\n"
        );
        fs::write(path.join("mine").join(format!("{row}.toml")), text).unwrap();
    }
    let args = ["reproduce", "mine", "--seeds", "0", "--out", "out"];
    let reproduce = || {
        let output = lsoftmax(path, &args);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
        let results = fs::read_to_string(path.join("out/results.md")).unwrap();
        (stderr, results)
    };
    let (stderr, results) = reproduce();
    assert!(
        stderr.contains("the training diverged") && stderr.contains("out/mine/m4-seed0"),
        "{stderr}"
    );
    assert!(
        results.contains("diverged") && !results.contains("NaN"),
        "{results}"
    );
    let outcome = path.join("out/mine/m4-seed0/outcome.json");
    let text = fs::read_to_string(&outcome).unwrap();
    // Older versions wrote null for numbers that are not finite.
    let mut older: Value = serde_json::from_str(&text).unwrap();
    for key in [
        "mean_target_angle_deg",
        "error_percent",
        "mean_feature_norm",
    ] {
        older["evaluation"][key] = Value::Null;
    }
    older["curve"][0]["loss"] = Value::Null;
    older["best"] = Value::Null;
    for text in [older.to_string(), text] {
        fs::write(&outcome, text).unwrap();
        let (stderr, results) = reproduce();
        assert!(stderr.contains("out/mine/m4-seed0"), "{stderr}");
        assert!(
            results.contains("diverged") && !results.contains("NaN"),
            "{results}"
        );
    }
    // A run without figures is named and left out.
    fs::write(&outcome, "{\"curve\": null}").unwrap();
    let (stderr, results) = reproduce();
    assert!(
        stderr.contains("m4-seed0/outcome.json") && stderr.contains("made without it"),
        "{stderr}"
    );
    assert!(results.contains("Softmax"), "{results}");
}
