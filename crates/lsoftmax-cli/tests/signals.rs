//! Which signals the program handles, and when.
#![cfg(unix)]

mod common;

use common::{lsoftmax, wait_for};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A training with a long final evaluation.
const TRAIN: &str = "train --train-samples 64 --test-samples 3000 --iterations 2 --evaluations 0 \
    --batch 8 --feature 4 --quiet --threads 1";

/// Starts it after a line of a shell.
fn start(dir: &Path, before: &str, run: &str) -> Child {
    let program = env!("CARGO_BIN_EXE_lsoftmax");
    // The test runner may ignore SIGHUP, as under `nohup`, and a program inherits that.
    let heard = if before.is_empty() && cfg!(target_os = "linux") {
        "env --default-signal=HUP"
    } else {
        ""
    };
    let script = format!("{before} exec {heard} {program} {TRAIN} --out {run}");
    Command::new("bash")
        .current_dir(dir)
        .args(["-c", &script])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn send(child: &Child, signal: &str) {
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args([signal, &id])
            .status()
            .unwrap()
            .success()
    );
}

fn end(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn a_hang_up_stops_a_training_unless_it_was_ignored_from_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let child = start(path, "trap '' HUP;", "ignored");
    wait_for(|| path.join("ignored").exists());
    send(&child, "-HUP");
    let (status, stderr) = end(child);
    assert_eq!((status, stderr.as_str()), (Some(0), ""));
    let model = |run: &str| fs::read(path.join(run).join("model.safetensors"));
    assert!(model("ignored").is_ok());
    for (signal, run) in [("-HUP", "hup"), ("-TERM", "term"), ("-INT", "int")] {
        // After the last step: in the final evaluation, or just before it.
        let child = start(path, "", run);
        let last = path
            .join(run)
            .join("checkpoints/step-000000002.safetensors");
        wait_for(|| last.exists() || path.join(run).join("outcome.json").exists());
        send(&child, signal);
        let (status, stderr) = end(child);
        assert_eq!(status, Some(130), "{signal}: {stderr}");
        let last = stderr.trim_end().lines().last().unwrap();
        assert!(last.contains("stopped after step 2 of 2"), "{stderr}");
        let hint = format!("continue with `lsoftmax train --resume {run}`");
        assert!(last.ends_with(&hint), "{stderr}");
        let output = lsoftmax(path, &["train", "--resume", run, "--threads", "1"]);
        assert!(output.status.success(), "{output:?}");
        assert!(model(run).unwrap() == model("ignored").unwrap(), "{signal}");
    }
}

#[test]
fn nothing_is_left_of_what_a_signal_ends_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    common::model(path);
    let names = |dir: &Path| {
        let entries = fs::read_dir(dir).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names(path);
    for args in [["embed", "-o", "e.npy"], ["index", "-o", "g"]] {
        for signal in ["-TERM", "-INT", "-HUP"] {
            let child = Command::new(env!("CARGO_BIN_EXE_lsoftmax"))
                .current_dir(path)
                .args([args[0], "run", "faces", args[1], args[2]])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            send(&child, signal);
            let (status, _) = end(child);
            // Either it was already finished, or it left no files.
            if status != Some(0) {
                assert_eq!(names(path), before, "{args:?} {signal}");
            }
            for name in ["e.npy", "e.csv", "g"] {
                fs::remove_file(path.join(name)).ok();
            }
        }
    }
}
