//! The page of a run is written last, and can be written again at any time.
#![cfg(unix)]

mod common;

use common::{faces, lsoftmax};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const TRAIN: &[&str] = &[
    "train",
    "--data",
    "images",
    "--data-dir",
    "faces",
    "--open-set",
    "others",
    "--image-size",
    "16",
    "--channels",
    "grey",
    "--iterations",
    "4",
    "--batch",
    "8",
    "--network",
    "nn.toml",
    "--threads",
    "1",
    "--quiet",
];

/// Small files, except for the page.
const NETWORK: &str =
    "name = 'nn'\nfeature = 2\n[[stages]]\nchannels = 2\nconvs = 1\npool = true\n";

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("nn.toml"), NETWORK).unwrap();
    faces(dir.path(), "faces", &["a", "b", "c", "d"], 1);
    faces(dir.path(), "others", &["p", "q", "r", "s"], 2);
    dir
}

fn train(dir: &Path, run: &str) {
    succeeds(&lsoftmax(dir, &[TRAIN, &["--out", run]].concat()));
}

fn succeeds(output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Every file of a run, and the page without the command.
fn files(run: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    let mut folders = vec![run.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path.clone());
                continue;
            }
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            let lines = text
                .lines()
                .filter(|line| !line.contains("class=\"command\""));
            let text = lines.collect::<Vec<_>>().join("\n");
            let name = path.strip_prefix(run).unwrap().display().to_string();
            all.insert(name, text);
        }
    }
    all
}

#[test]
fn killed_between_any_two_writes_it_is_completed_by_a_resume_and_by_report() {
    let dir = folder();
    let path = dir.path();
    train(path, "whole");
    let whole = files(&path.join("whole"));
    assert!(whole["report.html"].contains("Worst mistakes"));
    // Files left by a kill after the outcome.
    let states: [&[&str]; 4] = [
        &["report.html"],
        &["report.html", "figures/boundaries.svg"],
        &["report.html", "figures"],
        &["report.html", "figures", "evaluation.json"],
    ];
    for (number, state) in states.iter().enumerate() {
        for verb in [&["train", "--resume"][..], &["report"]] {
            let run = format!("r{number}-{}", verb[0]);
            copy(&path.join("whole"), &path.join(&run));
            for gone in *state {
                let gone = path.join(&run).join(gone);
                if gone.is_dir() {
                    fs::remove_dir_all(gone).unwrap();
                } else {
                    fs::remove_file(gone).unwrap();
                }
            }
            let left = path.join(&run).join("checkpoints");
            fs::create_dir_all(&left).unwrap();
            fs::write(left.join("step-000000003.safetensors"), "x").unwrap();
            succeeds(&lsoftmax(path, &[verb, &[&run]].concat()));
            let found = files(&path.join(&run));
            assert_eq!(
                found.keys().collect::<Vec<_>>(),
                whole.keys().collect::<Vec<_>>()
            );
            for (name, text) in &whole {
                assert!(found[name] == *text, "{name} after {verb:?} and {state:?}");
            }
        }
    }
    // Once complete, there is nothing to resume, and `report` writes the page again.
    let again = lsoftmax(path, &["train", "--resume", "whole"]);
    assert_eq!(again.status.code(), Some(2));
    succeeds(&lsoftmax(path, &["report", "whole", "--json"]));
    // Without the images, or with others, the page has no pictures of them.
    fs::rename(path.join("others"), path.join("moved")).unwrap();
    for _ in 0..2 {
        let output = lsoftmax(path, &["report", "whole"]);
        succeeds(&output);
        let note = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(note.contains("no pictures of unseen classes"), "{note}");
        let page = fs::read_to_string(path.join("whole/report.html")).unwrap();
        assert!(!page.contains("Worst mistakes") && page.contains("<svg"));
        faces(path, "others", &["p", "q", "r", "s"], 3);
    }
}

#[test]
fn killed_on_its_way_out_it_is_completed() {
    let dir = folder();
    let path = dir.path();
    train(path, "whole");
    let whole = files(&path.join("whole"));
    for round in 0..4 {
        let run = format!("r{round}");
        let mut child = Command::new(env!("CARGO_BIN_EXE_lsoftmax"))
            .current_dir(path)
            .args([TRAIN, &["--out", &run]].concat())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let sign = [
            "model.safetensors",
            "evaluation.json",
            "outcome.json",
            "figures",
        ][round];
        while !path.join(&run).join(sign).exists() && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_micros(200));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if !path.join(&run).join("report.html").exists() {
            succeeds(&lsoftmax(path, &["train", "--resume", &run]));
        }
        let found = files(&path.join(&run));
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            whole.keys().collect::<Vec<_>>()
        );
        for name in ["model.safetensors", "evaluation.json"] {
            assert!(found[name] == whole[name], "{name} in {run}");
        }
    }
}

#[test]
fn a_page_that_cannot_be_written_leaves_the_model_and_says_how_to_make_it() {
    let dir = folder();
    let path = dir.path();
    // A file size limit simulates a full disk: only the page exceeds it.
    let script = format!(
        "trap '' XFSZ; ulimit -f 40; exec {} {} --out 'my run'",
        env!("CARGO_BIN_EXE_lsoftmax"),
        TRAIN.join(" ")
    );
    let output = Command::new("bash")
        .current_dir(path)
        .args(["-c", &script])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    // Besides the line about the classes that were found.
    let errors = stderr.lines().filter(|line| line.starts_with("lsoftmax: "));
    assert_eq!(errors.count(), 1, "{stderr}");
    let hint = "write its page with `lsoftmax report 'my run'`";
    assert!(
        stderr.contains(hint) && stderr.contains("report.html"),
        "{stderr}"
    );
    succeeds(&lsoftmax(path, &["eval", "my run"]));
    // A blocked output is refused before the work, and nothing is lost.
    let page = path.join("my run/report.html");
    fs::create_dir(&page).unwrap();
    for verb in [&["report"][..], &["train", "--resume"]] {
        let output = lsoftmax(path, &[verb, &["my run"]].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    fs::remove_dir(&page).unwrap();
    fs::write(&page, "precious").unwrap();
    let output = lsoftmax(path, &["report", "my run"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(fs::read_to_string(&page).unwrap(), "precious");
    succeeds(&lsoftmax(path, &["report", "my run", "--force"]));
    assert!(fs::read_to_string(&page).unwrap().contains("<svg"));
}

#[test]
fn a_run_that_is_not_finished_or_is_none_has_no_page() {
    let dir = folder();
    let path = dir.path();
    fs::create_dir(path.join("r")).unwrap();
    train(path, "whole");
    fs::remove_file(path.join("whole/outcome.json")).unwrap();
    for (run, why) in [
        (
            "whole",
            "resume it first with `lsoftmax train --resume whole`",
        ),
        ("r", "cannot open r/experiment.toml"),
        ("nowhere", "cannot open nowhere/experiment.toml"),
    ] {
        let output = lsoftmax(path, &["report", run]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && stderr.contains(why), "{stderr}");
        assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    }
    assert!(!path.join("nowhere").exists());
}

#[test]
fn what_can_be_known_is_checked_before_a_run_folder_is_made() {
    let dir = folder();
    let path = dir.path();
    let network = |name: &str, stage: &str| {
        let text = format!("name = '{name}'\nfeature = 2\n[[stages]]\nconvs = 1\n{stage}\n");
        fs::write(path.join(format!("{name}.toml")), text).unwrap();
    };
    network("even", "channels = 2\nkernel = 4");
    network("wide", "channels = 99999\nkernel = 3");
    let deep = "channels = 2\nstride = 2\n[[stages]]\nconvs = 1\n".repeat(5);
    network("deep", &(deep + "channels = 2\nstride = 2"));
    for (network, why) in [
        ("even", "kernel must be odd and from 1 to 15, found 4"),
        ("wide", "channels must be from 1 to 16384, found 99999"),
        ("deep", "too small for stage"),
    ] {
        let file = format!("{network}.toml");
        let args: Vec<&str> = TRAIN
            .iter()
            .map(|&arg| if arg == "nn.toml" { file.as_str() } else { arg })
            .collect();
        let output = lsoftmax(path, &[&args[..], &["--out", "r"]].concat());
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
        assert!(!path.join("r").exists(), "{network}");
        let compare = [
            &["compare"],
            &args[1..],
            &["--out", "r", "--losses", "softmax"],
        ]
        .concat();
        assert_eq!(lsoftmax(path, &compare).status.code(), Some(2));
        assert!(!path.join("r").exists(), "{network}");
    }
    fs::write(path.join("file"), "x").unwrap();
    let output = lsoftmax(path, &[TRAIN, &["--out", "file/r"]].concat());
    assert_eq!(output.status.code(), Some(2));
}
