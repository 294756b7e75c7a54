//! The real program, stopped in every way and resumed.
#![cfg(unix)]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A training of a second or two, with a checkpoint every few steps.
const SETTINGS: &str = "train-samples = 400\ntest-samples = 100\niterations = 60\nbatch = 16\n\
    network = 'compact'\nfeature = 2\nheld-out = 50\ncheckpoint-every = 4\nevaluations = 6\n";

fn command(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lsoftmax"));
    command
        .current_dir(dir)
        .args(args)
        .args(["--quiet", "--threads", "2"])
        .env_remove("LSOFTMAX_DATA");
    command
}

fn run(dir: &Path, args: &[&str]) -> Output {
    command(dir, args).output().expect("the program starts")
}

fn succeeds(dir: &Path, args: &[&str]) {
    let output = run(dir, args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
}

/// Returns the one line of its error.
fn complaint(dir: &Path, status: i32, args: &[&str]) -> String {
    let output = run(dir, args);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{args:?}: {stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "one line: {stderr}");
    stderr
}

/// A folder with the experiment and an uninterrupted run of it.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("e.toml"), SETTINGS).unwrap();
    succeeds(
        dir.path(),
        &["train", "--config", "e.toml", "--out", "whole"],
    );
    dir
}

fn start(dir: &Path, run: &str) -> Child {
    command(dir, &["train", "--config", "e.toml", "--out", run])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn checkpoints(dir: &Path, run: &str) -> Vec<String> {
    let entries = fs::read_dir(dir.join(run).join("checkpoints"));
    let mut names: Vec<String> = entries
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("step-"))
        .collect();
    names.sort();
    names
}

fn wait_for(what: impl Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_mins(1), "it never came");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The output of a run that is asked to stop.
fn interrupted(child: Child, signal: &str) -> String {
    let id = child.id().to_string();
    let sent = Command::new("kill").args([signal, &id]).status().unwrap();
    assert!(sent.success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    stderr
}

fn model(dir: &Path, run: &str) -> Vec<u8> {
    fs::read(dir.join(run).join("model.safetensors")).unwrap()
}

/// Everything except times.
fn curve(dir: &Path, run: &str) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(dir.join(run).join("metrics.jsonl")).unwrap();
    let line = |line: &str| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("images_per_second");
        line
    };
    text.lines().map(line).collect()
}

#[test]
fn killed_at_any_instant_it_goes_on_to_the_same_bits() {
    let dir = folder();
    let path = dir.path();
    for (run, count) in [("a", 0), ("b", 1), ("c", 2)] {
        let mut child = start(path, run);
        wait_for(|| path.join(run).exists() && checkpoints(path, run).len() >= count);
        child.kill().unwrap();
        child.wait().unwrap();
        succeeds(path, &["train", "--resume", run]);
        assert!(model(path, run) == model(path, "whole"), "{run}");
        assert_eq!(curve(path, run), curve(path, "whole"), "{run}");
        let best = |run: &str| fs::read(path.join(run).join("checkpoints/best.safetensors"));
        assert!(best(run).is_ok(), "the best model stays");
        succeeds(
            path,
            &[
                "eval",
                run,
                "--model",
                &format!("{run}/checkpoints/best.safetensors"),
            ],
        );
        // Half-written files do not matter either.
        assert_eq!(
            fs::read_dir(path.join(run).join("checkpoints"))
                .unwrap()
                .count(),
            1
        );
        assert_eq!(checkpoints(path, run), [""; 0], "the others go");
    }
}

#[test]
fn an_interrupt_saves_and_says_how_to_go_on() {
    let dir = folder();
    let path = dir.path();
    let child = start(path, "r");
    wait_for(|| checkpoints(path, "r").len() >= 2);
    let stderr = interrupted(child, "-INT");
    assert!(stderr.contains("stopping after this step"), "{stderr}");
    assert!(
        stderr.contains("of 60; continue with `lsoftmax train --resume r`"),
        "{stderr}"
    );
    succeeds(path, &["train", "--resume", "r"]);
    assert!(model(path, "r") == model(path, "whole"));
    let again = complaint(path, 2, &["train", "--resume", "r"]);
    assert!(again.contains("the run r is finished"), "{again}");
}

#[test]
fn a_checkpoint_that_cannot_be_trusted_is_refused_and_the_one_before_it_offered() {
    let dir = folder();
    let path = dir.path();
    let mut child = start(path, "r");
    wait_for(|| checkpoints(path, "r").len() >= 2);
    // While it runs, no other process may write to it.
    let running = run(path, &["train", "--resume", "r"]);
    child.kill().unwrap();
    child.wait().unwrap();
    let stderr = String::from_utf8_lossy(&running.stderr);
    assert!(
        stderr.contains("is being trained by another process"),
        "{stderr}"
    );
    let names = checkpoints(path, "r");
    let file = |i: usize| path.join("r/checkpoints").join(&names[i]);
    let (before, last) = (file(names.len() - 2), file(names.len() - 1));
    let good = fs::read(&last).unwrap();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for damaged in [flipped, good[..good.len() - 1].to_vec(), Vec::new()] {
        fs::write(&last, damaged).unwrap();
        let found = complaint(path, 1, &["train", "--resume", "r"]);
        assert!(found.contains(&names[names.len() - 1]), "{found}");
        assert!(found.contains("is damaged"), "{found}");
        assert!(
            found.contains("resume from the one before it with --resume r/checkpoints"),
            "{found}"
        );
    }
    let other = SETTINGS.replace("iterations = 60", "iterations = 61");
    fs::write(path.join("other.toml"), other).unwrap();
    let mut child = command(path, &["train", "--config", "other.toml", "--out", "o"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(|| !checkpoints(path, "o").is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    let foreign = path.join("o/checkpoints").join(&checkpoints(path, "o")[0]);
    fs::copy(foreign, &last).unwrap();
    let found = complaint(path, 1, &["train", "--resume", "r"]);
    assert!(found.contains("is of another experiment"), "{found}");
    // The suggested command works.
    let before = before.strip_prefix(path).unwrap().to_str().unwrap();
    succeeds(path, &["train", "--resume", before]);
    assert!(model(path, "r") == model(path, "whole"));
    let nothing = complaint(path, 1, &["train", "--resume", "nowhere/at/all"]);
    assert!(
        nothing.contains("nowhere/at/all is neither a run nor"),
        "{nothing}"
    );
    let settings = complaint(path, 2, &["train", "--resume", "r", "--batch", "3"]);
    assert!(settings.contains("--resume uses the run's own settings"));
}

#[test]
fn a_folder_that_vanishes_is_one_line() {
    let dir = folder();
    let path = dir.path();
    let child = start(path, "r");
    wait_for(|| !checkpoints(path, "r").is_empty());
    fs::rename(path.join("r"), path.join("away")).unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    assert!(stderr.contains("cannot write r/"), "{stderr}");
    assert!(!path.join("r").exists(), "nothing is made anew");
    // The saved files are complete.
    succeeds(path, &["train", "--resume", "away"]);
    assert!(model(path, "away") == model(path, "whole"));
}

#[test]
fn a_table_is_a_queue_that_goes_on_where_it_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    fs::create_dir(path.join("mine")).unwrap();
    for (row, loss) in [("softmax", "softmax"), ("m2", "l-softmax")] {
        let text = format!(
            "{SETTINGS}loss = '{loss}'\nmargin = 2\n[published]\narticle = 1.5\niterations = 600\n"
        );
        fs::write(path.join("mine").join(format!("{row}.toml")), text).unwrap();
    }
    let args = ["reproduce", "mine", "--seeds", "0,1"];
    let child = command(path, &args)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let second = "runs/reproduce/mine/m2-seed0";
    wait_for(|| !checkpoints(path, second).is_empty());
    let stderr = interrupted(child, "-TERM");
    assert!(
        stderr.contains("continue with `lsoftmax reproduce mine --seeds 0,1"),
        "{stderr}"
    );
    let first = path.join("runs/reproduce/mine/softmax-seed0/model.safetensors");
    let made = fs::metadata(&first).unwrap().modified().unwrap();
    let output = run(path, &args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(
        table.contains("60 of 600") && table.contains("L-Softmax m = 2"),
        "{table}"
    );
    assert_eq!(
        fs::metadata(&first).unwrap().modified().unwrap(),
        made,
        "not run again"
    );
    let results = fs::read_to_string(path.join("runs/reproduce/results.md")).unwrap();
    assert!(
        results.contains("## mine") && results.contains("| 1.50 |"),
        "{results}"
    );
    let page = fs::read_to_string(path.join("runs/reproduce/mine/report.html")).unwrap();
    assert!(page.contains("Two classes") && page.contains("type=\"range\""));
    // Runs with other settings under the same name are not mixed in.
    let found = complaint(
        path,
        2,
        &["reproduce", "mine", "--iterations", "30", "--seeds", "0"],
    );
    assert!(found.contains("was run with other settings"), "{found}");
    let unknown = complaint(path, 2, &["reproduce", "mnits"]);
    assert!(unknown.contains("did you mean mnist?"), "{unknown}");
}

/// Images of two classes, all different.
fn write_images(folder: &Path) {
    for class in ["a", "b"] {
        fs::create_dir_all(folder.join(class)).unwrap();
        for image in 0..12u32 {
            let look = u32::from(class == "a") * 91 + image * 37;
            let mut bytes = b"P5\n16 16\n255\n".to_vec();
            bytes.extend((0..256).map(|place| (look * (place / 16) + place) as u8));
            fs::write(folder.join(class).join(format!("{image}.pgm")), bytes).unwrap();
        }
    }
}

#[test]
fn a_run_goes_on_with_its_own_images_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    write_images(&path.join("d"));
    let settings = "data = 'images'\ndata-dir = 'd'\nimage-size = '16'\niterations = 200\nbatch = 8\n\
        network = 'compact'\nfeature = 4\nheld-out = 4\ncheckpoint-every = 10\nloss = 'softmax'\n";
    fs::write(path.join("e.toml"), settings).unwrap();
    succeeds(path, &["train", "--config", "e.toml", "--out", "whole"]);
    let child = start(path, "r");
    wait_for(|| checkpoints(path, "r").len() >= 2);
    interrupted(child, "-INT");
    let saved = checkpoints(path, "r");
    let refused = |expected: &str| {
        let found = complaint(path, 1, &["train", "--resume", "r"]);
        assert!(
            found.contains("d: not the images that the run r recorded: "),
            "{found}"
        );
        assert!(found.contains(expected), "{found}");
        assert!(found.contains("put the data back as they were"), "{found}");
        assert_eq!(checkpoints(path, "r"), saved, "nothing is lost");
    };
    let rename = |from: &str, to: &str| fs::rename(path.join(from), path.join(to)).unwrap();
    let swap = |one: &str, other: &str| {
        rename(one, "t");
        rename(other, one);
        rename("t", other);
    };
    // Labels that were corrected by exchanging two files: the mean image stays the same.
    swap("d/a/1.pgm", "d/b/1.pgm");
    refused("2 with other content (first ");
    // From an earlier checkpoint too, without removing the last one.
    let first = format!("r/checkpoints/{}", saved[0]);
    complaint(path, 1, &["train", "--resume", &first]);
    assert_eq!(checkpoints(path, "r"), saved);
    swap("d/a/1.pgm", "d/b/1.pgm");
    rename("d/a/3.pgm", "d/a/99.pgm");
    refused("1 no longer there (a/3.pgm, now a/99.pgm), 1 new (a/99.pgm)");
    rename("d/a/99.pgm", "d/a/3.pgm");
    rename("d/a", "d/c");
    refused("12 no longer there (first a/");
    rename("d/c", "d/a");
    // If all files are moved together, they are still the same.
    rename("d", "moved");
    complaint(path, 1, &["train", "--resume", "r"]);
    succeeds(path, &["train", "--resume", "r", "--data-dir", "moved"]);
    assert!(model(path, "r") == model(path, "whole"));
}
