//! Compares the command on a graphics device with the CPU. Runs on the device named by
//! `LSOFTMAX_GPU_TESTS`.
// Skipped tests print a note.
#![allow(clippy::print_stderr)]

mod common;

use common::{answer, lsoftmax};
use serde_json::Value;
use std::path::Path;

fn json(dir: &Path, args: &[&str]) -> Value {
    let output = lsoftmax(dir, &[args, &["--json", "--quiet"]].concat());
    answer(args, &output)
}

#[test]
fn compare_on_the_device_gives_the_table_of_the_cpu() {
    let Ok(device) = std::env::var("LSOFTMAX_GPU_TESTS") else {
        eprintln!("skipped: LSOFTMAX_GPU_TESTS is not set");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let compare = |device: &str| {
        let out = device.replace(':', "-");
        #[rustfmt::skip]
        let args = [
            "compare", "--device", device, "--out", &out,
            "--train-samples", "400", "--test-samples", "200",
            "--iterations", "30", "--batch", "16", "--evaluations", "1",
            "--network", "compact", "--feature", "16", "--no-pictures",
        ];
        json(dir.path(), &args)
    };
    let (found, expected) = (compare(&device), compare("cpu"));
    let rows = |answer: &Value| answer["rows"].as_array().unwrap().clone();
    assert_eq!(rows(&found).len(), 4);
    for (found, expected) in rows(&found).iter().zip(rows(&expected)) {
        assert_eq!(
            (&found["loss"], &found["m"]),
            (&expected["loss"], &expected["m"])
        );
        let far = |key: &str| {
            let value = |row: &Value| row[key].as_f64().unwrap();
            (value(found) - value(&expected)).abs()
        };
        // Four of 200 images: rounding over thirty steps affects those near the decision boundary.
        let error = far("test_error_percent");
        assert!(error <= 2.0, "{found}\n{expected}");
        let angle = far("mean_target_angle_deg");
        assert!(angle < 1.0, "{found}\n{expected}");
    }
    // A model trained on the device can be read everywhere.
    let run = format!("{}/l-softmax-m4-f16-seed0", device.replace(':', "-"));
    let eval = |device: &str| json(dir.path(), &["eval", &run, "--device", device]);
    let error = |answer: &Value| answer["error_percent"].as_f64().unwrap();
    assert!((error(&eval(&device)) - error(&eval("cpu"))).abs() <= 0.5);
}

fn complaint(status: i32, args: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let output = lsoftmax(dir.path(), args);
    assert_eq!(output.status.code(), Some(status), "{args:?}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_device_that_is_not_there_is_one_line() {
    for name in ["cuda", "metal", "vulkan", "webgpu"] {
        let all = complaint(2, &["train", "--device", &format!("{name}:99")]);
        // Drivers may print messages of their own.
        let ours: Vec<&str> = all
            .lines()
            .filter(|line| line.starts_with("lsoftmax"))
            .collect();
        let &[message] = &ours[..] else {
            panic!("{all}")
        };
        let not_built = message.contains(&format!("--features {name}"));
        assert!(
            not_built || message.contains(&format!("{name}:99")),
            "{message}"
        );
    }
    let message = complaint(2, &["train", "--device", "gpu"]);
    assert!(
        message.contains("cpu, auto, cuda, metal, vulkan"),
        "{message}"
    );
    let message = complaint(2, &["train", "--precision", "f16"]);
    assert!(message.contains("f32 on the CPU"), "{message}");
    let message = complaint(2, &["train", "--precision", "f8"]);
    assert!(message.contains("f32, bf16, f16"), "{message}");
    let message = complaint(2, &["data", "list", "--device", "cpu"]);
    assert!(message.contains("--device"), "{message}");
}
