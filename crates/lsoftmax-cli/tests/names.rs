//! Names that a terminal, a shell or UTF-8 cannot take literally.
#![cfg(unix)]

mod common;

use common::{faces, lsoftmax, model};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Escape, the "control sequence introducer" of C1, bell, newline, and a reversal of the writing
/// direction.
const HOSTILE: &str = "x\x1b]0;y\x07\u{9b}31m\n\u{202e}z";

fn is_safe(output: &Output) {
    for text in [&output.stdout, &output.stderr] {
        let text = String::from_utf8(text.clone()).unwrap();
        let hostile = |c: &char| c.is_control() && *c != '\n' || *c == '\u{202e}';
        assert_eq!(text.chars().find(hostile), None, "{text:?}");
    }
}

#[test]
fn nothing_that_a_terminal_obeys_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    faces(path, "faces", &[HOSTILE, "b", "c", "d"], 1);
    let named = path.join("faces/b").join(format!("{HOSTILE}.pgm"));
    fs::copy(path.join("faces/b/1.pgm"), &named).unwrap();
    fs::write(path.join("faces/c").join(format!("{HOSTILE}.pgm")), "P5 16").unwrap();
    let toml = "name = \"n\\u001b[31m\\nn\"\nfeature = 4\n[[stages]]\nchannels = 2\nconvs = 1\npool = true\n";
    fs::write(path.join("nn.toml"), toml).unwrap();
    let run = format!("run {HOSTILE}");
    let train = [
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
        "--network",
        "nn.toml",
        "--out",
        &run,
    ];
    let query = named.to_str().unwrap();
    let array = format!("{HOSTILE}.npy");
    let all: [&[&str]; 10] = [
        &train,
        &["eval", &run],
        &["report", &run],
        &["embed", &run, "faces", "-o", &array],
        &["index", &run, "faces", "-o", "g"],
        &["search", "g", query],
        &["verify", &run, query, query, "--threshold", "0.5"],
        &["data", "list"],
        &["plot", "margin", "--out", HOSTILE],
        &["reproduce"],
    ];
    for args in all {
        for json in [&[][..], &["--json"]] {
            if args[0] == "train" && !json.is_empty() {
                fs::remove_dir_all(path.join(&run)).unwrap();
            }
            let output = lsoftmax(path, &[args, json].concat());
            assert!(output.status.success(), "{args:?}: {output:?}");
            is_safe(&output);
            if !json.is_empty() {
                let text = String::from_utf8(output.stdout).unwrap();
                serde_json::from_str::<serde_json::Value>(&text).unwrap();
            }
        }
    }
    // Mistyped arguments are also shown.
    for args in [
        &["verify", &run, query, query, query][..],
        &["train", "--batch", HOSTILE],
        &[HOSTILE],
    ] {
        let output = lsoftmax(path, args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        is_safe(&output);
    }
    // Errors are one line.
    fs::write(path.join("broken.toml"), "batch = 3\niterations = \n").unwrap();
    fs::write(path.join("key.toml"), "\"b\\u001b[31mx\" = 3\n").unwrap();
    for args in [
        &["eval", "no\x1b[31m\nsuch"][..],
        &["train", "--network", "no\x1b[31m\nsuch"],
        &["train", "--config", "no\x1b[31m\nsuch"],
        &["train", "--config", "broken.toml"],
        &["train", "--config", "key.toml"],
        &["embed", &run, "no\x1b[31m\nsuch", "-o", "e.npy"],
        &["train", "--resume", &run],
        &[
            "embed",
            &run,
            query,
            "--refuse-broken",
            "-o",
            "no\x1b\nsuch/e.npy",
        ],
    ] {
        let output = lsoftmax(path, args);
        is_safe(&output);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(text.trim_end().lines().count(), 1, "{args:?}: {text}");
    }
}

#[test]
fn a_printed_command_can_be_pasted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let runs: [&[u8]; 5] = [
        b"my run",
        b"it's $HOME; &",
        b"-dash",
        "größe\n".as_bytes(),
        b"x\xff y",
    ];
    for run in runs {
        let run = OsStr::from_bytes(run);
        let mut out = OsString::from("--out=");
        out.push(run);
        let child = Command::new(env!("CARGO_BIN_EXE_lsoftmax"))
            .current_dir(path)
            .args([
                "train",
                "--train-samples",
                "64",
                "--test-samples",
                "20",
                "--iterations",
            ])
            .args([
                "200000",
                "--batch",
                "4",
                "--feature",
                "4",
                "--quiet",
                "--threads",
                "1",
            ])
            .arg(&out)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        common::wait_for(|| path.join(run).exists());
        std::thread::sleep(std::time::Duration::from_millis(300));
        let id = child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        let output = child.wait_with_output().unwrap();
        is_safe(&output);
        let text = String::from_utf8(output.stderr).unwrap();
        let (_, command) = text.rsplit_once("continue with `lsoftmax ").unwrap();
        let command = command.trim_end().strip_suffix('`').unwrap();
        // It finds the run, since the error is about the other data folder.
        let script = format!("{} {command} --seed 7", env!("CARGO_BIN_EXE_lsoftmax"));
        let again = Command::new("bash")
            .current_dir(path)
            .args(["-c", &script])
            .output()
            .unwrap();
        let again = String::from_utf8(again.stderr).unwrap();
        assert!(
            again.contains("--resume uses the run's own settings"),
            "{script}: {again}"
        );
        let script = format!(
            "timeout -s KILL 1 {} {command} --quiet",
            env!("CARGO_BIN_EXE_lsoftmax")
        );
        let again = Command::new("bash")
            .current_dir(path)
            .args(["-c", &script])
            .status()
            .unwrap();
        assert_eq!(
            again.signal(),
            Some(9),
            "it went on until it was killed: {script}"
        );
    }
}

/// A path that is not UTF-8.
fn odd(text: &str) -> OsString {
    let mut odd = OsString::from(text);
    odd.push(OsStr::from_bytes(b"\xff"));
    odd
}

fn run_os(dir: &Path, args: &[OsString], json: bool) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lsoftmax"));
    command
        .current_dir(dir)
        .args(args)
        .env_remove("LSOFTMAX_DATA");
    if json {
        command.arg("--json");
    }
    command.output().unwrap()
}

#[test]
fn every_verb_takes_paths_that_are_not_utf_8_or_refuses_them_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    model(path);
    faces(path, "others", &["p", "q", "r", "s"], 2);
    let pairs = "left,right,same\na/1.pgm,a/2.pgm,1\na/1.pgm,b/2.pgm,0\nb/3.pgm,b/4.pgm,1\n\
                 c/3.pgm,b/4.pgm,0\n";
    fs::write(path.join("faces/pairs.csv"), pairs).unwrap();
    {
        use lsoftmax_data::npy::{Values, write};
        let ones = |count| Values::F32((0..count).map(|i| i as f32 + 1.0).collect());
        write(&path.join("x.npy"), &[4, 3], &ones(12)).unwrap();
        write(&path.join("w.npy"), &[2, 3], &ones(6)).unwrap();
        write(&path.join("y.npy"), &[4], &Values::Int(vec![1, 0, 1, 0])).unwrap();
    }
    fs::create_dir(path.join("mine")).unwrap();
    let small = "train-samples = 40\ntest-samples = 20\niterations = 2\nbatch = 8\nfeature = 2\n";
    fs::write(
        path.join("mine/softmax.toml"),
        format!("{small}loss = 'softmax'\n"),
    )
    .unwrap();
    fs::write(path.join("mine.toml"), small).unwrap();
    let words = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
    let out = |text: &str, name: &str| [words(text), vec![odd(name)]].concat();
    let mut image = odd("e");
    image.push(".npy");
    let all = [
        out("train --config mine.toml --quiet --out", "t"),
        out(
            "compare --config mine.toml --losses softmax --no-pictures --quiet --out",
            "c",
        ),
        out("reproduce mine --seeds 0 --quiet --out", "r"),
        out("eval run --open-set others --out", "o"),
        out("verify run --pairs faces/pairs.csv --out", "v"),
        out("index run faces --out", "g"),
        out("plot margin --out", "p"),
        out(
            "loss --features x.npy --weights w.npy --labels y.npy --out",
            "l",
        ),
        [words("embed run faces --out"), vec![image]].concat(),
        out("report", "t"),
        out("eval", "t"),
        vec!["search".into(), odd("g"), "faces/a/1.pgm".into()],
    ];
    for args in &all {
        for json in [false, true] {
            if json && ["train", "compare"].iter().any(|verb| args[0] == *verb) {
                fs::remove_dir_all(path.join(args.last().unwrap())).unwrap();
            }
            let output = run_os(path, args, json);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{args:?}: {stderr}");
            assert!(!stderr.contains("panicked"), "{stderr}");
            if json {
                let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
                let field = match args[0].to_str().unwrap() {
                    "train" => "run",
                    "index" => "gallery",
                    "plot" => "picture",
                    "loss" => "out",
                    _ => continue,
                };
                let bytes: Vec<u8> =
                    serde_json::from_value(answer[format!("{field}_bytes")].clone()).unwrap();
                assert_eq!(OsStr::from_bytes(&bytes), args.last().unwrap());
                assert!(answer[field].as_str().unwrap().contains('\u{fffd}'));
            }
        }
    }
    // An experiment file is UTF-8: other values are refused before any work.
    for flag in ["--data-dir", "--landmarks", "--exclude", "--image-cache"] {
        let args = [
            words("train --data images --out no"),
            vec![flag.into(), odd("d")],
        ]
        .concat();
        let args = if flag == "--data-dir" {
            args
        } else {
            [args, words("--data-dir faces")].concat()
        };
        let output = run_os(path, &args, false);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(
            !stderr.contains("panicked") && stderr.contains(&flag[2..]),
            "{stderr}"
        );
        assert!(!path.join("no").exists());
    }
}

#[test]
fn the_place_of_data_need_not_be_utf_8() {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lsoftmax"))
        .current_dir(dir.path())
        .args(["data", "list", "--json"])
        .env("LSOFTMAX_DATA", odd("d"))
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let set = answer["data"]
        .as_array()
        .unwrap()
        .iter()
        .find(|set| set["name"] == "mnist");
    assert!(set.unwrap()["folder_bytes"].is_array());
}
