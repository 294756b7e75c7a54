//! The real program, in temporary folders.

mod common;

use common::{answer, lsoftmax};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A training that takes about a second.
const SMALL: &[&str] = &[
    "--train-samples",
    "400",
    "--test-samples",
    "100",
    "--iterations",
    "12",
    "--batch",
    "16",
    "--network",
    "compact",
    "--feature",
    "16",
];

/// Runs the program, asserts success, and returns its JSON.
fn json(dir: &Path, args: &[&str]) -> Value {
    let output = lsoftmax(dir, &[args, &["--json", "--quiet"]].concat());
    let answer = answer(args, &output);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr, "", "--quiet is quiet");
    answer
}

/// Runs the program, asserts failure with this status, and returns the one line of its error.
fn complaint(dir: &Path, status: i32, args: &[&str]) -> String {
    let output = lsoftmax(dir, args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "one line: {stderr}");
    assert!(stderr.starts_with("lsoftmax: "), "{stderr}");
    assert!(output.stdout.is_empty());
    stderr
}

fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// The pictures have their own gate only if the schedule is left to the program.
#[test]
fn compare_says_which_schedule_the_pictures_have() {
    let dir = tempfile::tempdir().unwrap();
    for (annealing, begins_earlier) in [("auto", true), ("none", false)] {
        let args = [
            &["compare", "--only-pictures", "--losses", "l-softmax:2"],
            &["--annealing", annealing, "--out", annealing],
            SMALL,
        ]
        .concat();
        let output = lsoftmax(dir.path(), &args);
        let table = String::from_utf8(output.stdout).unwrap();
        let page = fs::read_to_string(dir.path().join(annealing).join("report.html")).unwrap();
        assert!(table.contains("with a 2-D feature"), "{table}");
        assert_eq!(table.contains("begins earlier"), begins_earlier, "{table}");
        assert_eq!(page.contains("by default it begins"), begins_earlier);
    }
}

#[test]
fn compare_answers_with_a_row_a_loss_and_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let args = [
        &["compare", "--out", "c", "--losses", "softmax,l-softmax:3"],
        SMALL,
    ]
    .concat();
    let answer = json(dir.path(), &args);
    let rows = answer["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 2);
    for (row, (loss, m)) in rows.iter().zip([("softmax", 1), ("l-softmax", 3)]) {
        assert_eq!((&row["loss"], &row["m"]), (&loss.into(), &m.into()));
        assert_eq!((&row["seed"], &row["iterations"]), (&0.into(), &12.into()));
        for key in [
            "test_error_percent",
            "mean_target_angle_deg",
            "min_class_angle_deg",
            "mean_feature_norm",
            "seconds",
            "images_per_second",
        ] {
            assert!(row[key].as_f64().unwrap() > 0.0, "{key} in {row}");
        }
        assert!(row["diverged"].is_boolean());
    }
    let page = fs::read_to_string(dir.path().join(answer["report"].as_str().unwrap())).unwrap();
    assert!(page.contains("L-Softmax m = 3") && page.contains("<svg"));
    assert!(page.contains("by default it begins at 0.9"));
    // One seed has no deviation. A margin that came too early may cause a warning.
    assert!(answer["remarks"].as_array().unwrap().len() <= 1, "{answer}");
    let runs = entries(&dir.path().join("c"));
    assert_eq!(
        runs,
        [
            "figures",
            "l-softmax-m3-f16-seed0",
            "picture-l-softmax-m3-f2-seed0",
            "picture-softmax-f2-seed0",
            "report.html",
            "softmax-f16-seed0",
        ]
    );
    let files = entries(&dir.path().join("c/softmax-f16-seed0"));
    assert_eq!(
        files,
        [
            "evaluation.json",
            "experiment.toml",
            "figures",
            "metrics.jsonl",
            "model.safetensors",
            "outcome.json",
            "report.html"
        ]
    );
}

#[test]
fn a_run_repeats_bit_for_bit_from_its_own_file_and_evaluates_to_the_same_figures() {
    let dir = tempfile::tempdir().unwrap();
    let first = json(
        dir.path(),
        &[&["train", "--out", "a", "--loss", "l-softmax"], SMALL].concat(),
    );
    json(
        dir.path(),
        &["train", "--out", "b", "--config", "a/experiment.toml"],
    );
    let model = |run: &str| fs::read(dir.path().join(run).join("model.safetensors")).unwrap();
    assert!(
        model("a") == model("b"),
        "same seed, same threads, same bits"
    );
    let other = [
        &["train", "--out", "c", "--seed", "1", "--loss", "l-softmax"],
        SMALL,
    ]
    .concat();
    json(dir.path(), &other);
    assert!(model("a") != model("c"));
    let found = json(dir.path(), &["eval", "a"]);
    assert_eq!(found["error_percent"], first["row"]["test_error_percent"]);
    assert_eq!(
        found["mean_target_angle_deg"],
        first["row"]["mean_target_angle_deg"]
    );
    let page = fs::read_to_string(dir.path().join("a/report.html")).unwrap();
    assert!(page.contains("L-Softmax m = 4"));
}

#[test]
fn flags_win_over_the_file_and_stretch_it() {
    let dir = tempfile::tempdir().unwrap();
    let settings = "iterations = 100\nmilestones = [50, 80]\nbatch = 8\nloss = 'l-softmax'\n\
        train-samples = 100\ntest-samples = 20\nannealing = 'power-law'\ngamma = 0.1\n\
        stages = [{ step = 0, m = 1 }, { step = 50, m = 2 }]\n";
    fs::write(dir.path().join("e.toml"), settings).unwrap();
    json(
        dir.path(),
        &[
            "train",
            "--config",
            "e.toml",
            "--out",
            "r",
            "--iterations",
            "10",
        ],
    );
    let written = fs::read_to_string(dir.path().join("r/experiment.toml")).unwrap();
    for line in [
        "iterations = 10",
        "milestones = [5, 8]",
        "gamma = 1.0",
        "batch = 8",
        "step = 5",
    ] {
        assert!(written.contains(line), "{line} in\n{written}");
    }
}

#[test]
fn what_was_typed_wrong_is_named_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    fs::write(path.join("typo.toml"), "learning-rat = 0.1\n").unwrap();
    fs::write(path.join("broken.toml"), "iterations = \n").unwrap();
    let misuse = |args: &[&str], expected: &str| {
        let found = complaint(path, 2, &[&["train", "--out", "r"], args].concat());
        assert!(found.contains(expected), "{found}");
    };
    misuse(
        &["--config", "typo.toml"],
        "\"learning-rat\"; did you mean \"learning-rate\"?",
    );
    misuse(&["--loss", "l-sofmax"], "did you mean l-softmax?");
    misuse(&["--data", "glyps"], "did you mean glyphs?");
    misuse(&["--annealing", "outo"], "did you mean auto?");
    misuse(&["--network", "mnits"], "there is no network \"mnits\"");
    misuse(
        &["--margin", "0"],
        "a whole number from 1 to 16 for l-softmax, found 0",
    );
    misuse(
        &["--margin", "17"],
        "a whole number from 1 to 16 for l-softmax, found 17",
    );
    misuse(
        &["--margin", "2.5"],
        "a whole number from 1 to 16 for l-softmax, found 2.5",
    );
    misuse(
        &["--annealing", "constant", "--lambda=-1"],
        "lambda must be at least 0, found -1",
    );
    misuse(
        &["--annealing", "constant", "--lambda", "nan"],
        "lambda must be a finite number, found NaN",
    );
    misuse(
        &["--lambda", "inf"],
        "lambda must be a finite number, found inf",
    );
    misuse(
        &["--learning-rate", "nan"],
        "learning-rate must be a finite",
    );
    fs::write(path.join("nan.toml"), "momentum = nan\n").unwrap();
    misuse(
        &["--config", "nan.toml"],
        "momentum must be a finite number",
    );
    fs::remove_file(path.join("nan.toml")).unwrap();
    misuse(
        &["--loss", "combined", "--annealing", "constant"],
        "annealing must be left out for combined",
    );
    misuse(
        &["--loss", "arc-face", "--lambda", "5"],
        "lambda must be left out",
    );
    misuse(
        &["--lambda", "5"],
        "lambda must be for annealing = constant or",
    );
    misuse(
        &[
            "--data",
            "alphabet:10",
            "--open-set",
            "3",
            "--train-samples",
            "100",
        ],
        "the open set has 3 classes",
    );
    misuse(&["--iterations", "0"], "iterations must be from 1");
    misuse(&["--batch", "1"], "batch must be from 2");
    misuse(&["--train-samples", "0"], "train-samples must be from 1");
    misuse(&["--threads", "0"], "--threads must be from 1");
    misuse(&["--data", "mnist"], "mnist needs --data-dir");
    misuse(&["--stages", "5:2,5:3"], "stages must rise in step");
    for (gate, expected) in [
        (
            r#"{ signal = "information", from = 0.9, to = 0.5 }"#,
            "gate.to must be above gate.from",
        ),
        (
            r#"{ signal = "accuracy", from = 0.9, to = 1.0 }"#,
            "expected `confidence` or `information`",
        ),
        (
            r#"{ signal = "information", from = 0.9, until = 1.0 }"#,
            "unknown field `until`",
        ),
    ] {
        fs::write(path.join("gate.toml"), format!("gate = {gate}\n")).unwrap();
        let output = lsoftmax(path, &["train", "--config", "gate.toml"]);
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(expected), "{message}");
    }
    fs::remove_file(path.join("gate.toml")).unwrap();
    let compare = |args: &[&str]| complaint(path, 2, &[&["compare"], args].concat());
    assert!(compare(&["--loss", "softmax"]).contains("takes losses and seeds"));
    assert!(compare(&["--losses", "l-softmax:x"]).contains("NAME:M"));
    let output = lsoftmax(path, &["train", "--config", "broken.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(entries(path), ["broken.toml", "typo.toml"]);
}

#[test]
fn files_that_are_missing_or_damaged_are_named_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    fs::create_dir(path.join("d")).unwrap();
    let fails = |data: &str, expected: &str| {
        let args = ["train", "--out", "r", "--data", data, "--data-dir", "d"];
        let found = complaint(path, 1, &args);
        assert!(found.contains(expected), "{found}");
    };
    fails("mnist", "d has no train-images-idx3-ubyte");
    fails("cifar10", "d has no data_batch_1.bin");
    let mut lie = 0x0803u32.to_be_bytes().to_vec();
    lie.extend(
        [4_000_000_000u32, 28, 28]
            .iter()
            .flat_map(|dim| dim.to_be_bytes()),
    );
    lie.extend([0; 1000]);
    fs::write(path.join("d/train-images-idx3-ubyte"), &lie).unwrap();
    fails("mnist", "4000000000 x 28 x 28, found 1000");
    fs::write(path.join("d/train-images-idx3-ubyte"), &lie[..9]).unwrap();
    fails("mnist", "the file is truncated");
    fs::write(path.join("d/data_batch_1.bin"), [0; 3000]).unwrap();
    fails("cifar10", "records of 3073 bytes, found 3000");
    assert!(complaint(path, 1, &["train", "--config", "no.toml"]).contains("cannot open no.toml"));
    assert!(complaint(path, 1, &["eval", "nowhere"]).contains("cannot open nowhere"));
    assert_eq!(entries(path), ["d"]);
}

#[test]
fn a_run_folder_is_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("r")).unwrap();
    fs::write(dir.path().join("r/mine"), "x").unwrap();
    let found = complaint(
        dir.path(),
        2,
        &[&["train", "--quiet", "--out", "r"], SMALL].concat(),
    );
    assert!(found.contains("the run folder r exists already"), "{found}");
    assert_eq!(entries(&dir.path().join("r")), ["mine"]);
}

#[test]
fn a_damaged_model_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    json(path, &[&["train", "--out", "r"], SMALL].concat());
    let file = path.join("r/model.safetensors");
    let good = fs::read(&file).unwrap();
    for (bytes, expected) in [
        (
            good[..good.len() / 2].to_vec(),
            "is not a model of lsoftmax",
        ),
        (b"nothing".to_vec(), "is not a model of lsoftmax"),
        (
            [&[0xff; 8], &good[8..]].concat(),
            "is not a model of lsoftmax",
        ),
    ] {
        fs::write(&file, bytes).unwrap();
        assert!(complaint(path, 1, &["eval", "r"]).contains(expected));
    }
    // A header that describes a network far larger than the file.
    let text =
        String::from_utf8_lossy(&good).replacen("\\\"channels\\\":64", "\\\"channels\\\":99", 1);
    assert_ne!(text.len(), 0);
    fs::write(&file, [&good[..8], &text.as_bytes()[8..]].concat()).unwrap();
    complaint(path, 1, &["eval", "r"]);
}

/// A file size limit simulates a full disk: writing fails midway.
#[cfg(unix)]
#[test]
fn a_disk_that_fills_up_is_one_line_and_leaves_no_part() {
    let dir = tempfile::tempdir().unwrap();
    let args: Vec<String> = SMALL.iter().map(|&arg| arg.to_owned()).collect();
    let script = format!(
        "trap '' XFSZ; ulimit -f 40; exec {} train --quiet --out r {}",
        env!("CARGO_BIN_EXE_lsoftmax"),
        args.join(" ")
    );
    let output = Command::new("bash")
        .current_dir(dir.path())
        .args(["-c", &script])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("cannot write r/checkpoints/step-000000001.safetensors"),
        "{stderr}"
    );
    assert!(
        stderr.contains("continue with `lsoftmax train --resume r`"),
        "{stderr}"
    );
    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    assert_eq!(entries(&dir.path().join("r/checkpoints")), [""; 0]);
    // With enough room it continues, from the start.
    json(dir.path(), &["train", "--resume", "r"]);
}

#[test]
fn pictures_of_margins_and_schedules() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let answer = json(
        path,
        &[
            "plot", "margin", "--m", "1,4", "--lambda", "0,5", "--out", "m.svg",
        ],
    );
    assert_eq!(answer["curves"].as_array().unwrap().len(), 3);
    assert!(
        fs::read_to_string(path.join("m.svg"))
            .unwrap()
            .starts_with("<svg")
    );
    json(
        path,
        &[
            "plot",
            "annealing",
            "--out",
            "a.html",
            "--iterations",
            "100",
        ],
    );
    assert!(
        fs::read_to_string(path.join("a.html"))
            .unwrap()
            .contains("<!doctype html>")
    );
    assert!(
        complaint(path, 2, &["plot", "margin", "--m", "17"]).contains("from 1 to 16, found 17")
    );
    assert!(complaint(path, 2, &["plot", "margin", "--lambda=-1"]).contains("at least 0"));
    let answer = json(path, &["plot", "boundary", "--m", "2", "--out", "b.svg"]);
    let [equal, _] = &answer["curves"].as_array().unwrap()[..] else {
        panic!("{answer}")
    };
    // 72 degrees between the class weights: each class keeps a third of them.
    assert!((equal["margin_deg"][0].as_f64().unwrap() - 24.0).abs() < 1e-6);
    assert!(complaint(path, 2, &["plot", "boundary", "--m", "0"]).contains("found 0"));
}

#[test]
fn data_sets_are_listed_fetched_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let listed = json(path, &["data", "list"]);
    let sets = listed["data"].as_array().unwrap();
    let named = |name: &str| sets.iter().find(|set| set["name"] == name).unwrap();
    assert_eq!(named("glyphs")["present"], true);
    assert_eq!(named("cifar10")["present"], false);
    assert_eq!(named("cifar10")["folder"], "data/cifar-10-batches-bin");
    assert_eq!(named("mnist")["download_bytes"], 11_594_722);
    assert!(complaint(path, 2, &["data", "get", "cifar-10"]).contains("did you mean cifar10?"));
    // Port 9 of this machine, where no server listens.
    let args = [
        "data",
        "get",
        "cifar100",
        "--quiet",
        "--mirror",
        "http://127.0.0.1:9",
    ];
    let found = complaint(path, 1, &args);
    assert!(
        found.contains("By hand: put cifar-100-binary.tar.gz (168513733 bytes) into"),
        "{found}"
    );
    assert!(complaint(path, 2, &["data", "check", "."]).contains("has none of"));
    // A small data set in MNIST's format, which is not the published one.
    let idx = |kind: u32, dims: &[u32], count: usize| {
        let head = [&[kind], dims].concat();
        let bytes = head.iter().flat_map(|dim| dim.to_be_bytes());
        bytes
            .chain((0..count).map(|i| (i % 2) as u8))
            .collect::<Vec<u8>>()
    };
    fs::create_dir_all(path.join("data/mnist")).unwrap();
    for (name, images) in [("train", 4), ("t10k", 2)] {
        let file = |kind: &str| path.join(format!("data/mnist/{name}-{kind}-ubyte"));
        fs::write(
            file("images-idx3"),
            idx(0x803, &[images, 2, 2], images as usize * 4),
        )
        .unwrap();
        fs::write(file("labels-idx1"), idx(0x801, &[images], images as usize)).unwrap();
    }
    let checked = json(path, &["data", "check", "data/mnist"]);
    assert_eq!(
        (&checked["train"]["images"], &checked["test"]["images"]),
        (&4.into(), &2.into())
    );
    assert_eq!(json(path, &["data", "list"])["data"][2]["present"], true);
    // It is also found without --data-dir.
    let trained = lsoftmax(path, &["train", "--data", "mnist", "--iterations", "1"]);
    // Identical images leave nothing to learn.
    let stderr = String::from_utf8_lossy(&trained.stderr);
    assert!(
        stderr.contains("the training diverged: step 1: norm collapse"),
        "{stderr}"
    );
    assert_eq!(trained.status.code(), Some(1));
}
