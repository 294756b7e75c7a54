//! Outputs never replace inputs, and never replace files of other programs.
#![cfg(unix)]

mod common;

use common::{lsoftmax, model};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Asserts that a command is refused as misuse with one line that contains `why`.
fn refused(dir: &Path, args: &[&str], why: &str) {
    let output = lsoftmax(dir, args);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
    assert_eq!(text.trim_end().lines().count(), 1, "{args:?}: {text}");
    assert!(text.contains(why), "{args:?}: {text}");
}

fn succeeds(dir: &Path, args: &[&str]) {
    let output = lsoftmax(dir, args);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {text}");
}

/// All files below a folder, with their contents.
fn content(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else {
                let bytes = fs::read(&path).unwrap_or_default();
                files.push((path.display().to_string(), bytes));
            }
        }
    }
    files.sort();
    files
}

const INPUT: &str = "is one of the inputs";
const FOREIGN: &str = "was not made by this command";

#[test]
fn no_output_is_an_input_under_whatever_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    model(path);
    let list = "path,label\nfaces/a/1.pgm,a\nfaces/b/1.pgm,b\n";
    fs::write(path.join("list.csv"), list).unwrap();
    fs::write(path.join("x.npy"), "").unwrap();
    fs::hard_link(path.join("list.csv"), path.join("x.csv")).unwrap();
    symlink("faces/a/1.pgm", path.join("soft.gallery")).unwrap();
    fs::hard_link(path.join("faces/a/2.pgm"), path.join("hard.parquet")).unwrap();
    let before = content(path);
    for force in [&[][..], &["--force"]] {
        let refused = |args: &[&str]| refused(path, &[args, force].concat(), INPUT);
        // Images: by name, by another spelling, by links; in a folder, in a list, and as given.
        refused(&["index", "run", "faces", "-o", "faces/a/1.pgm"]);
        refused(&["index", "run", "faces", "-o", "run/../faces/b/../a/1.pgm"]);
        refused(&["index", "run", "faces/a/1.pgm", "-o", "soft.gallery"]);
        refused(&["index", "run", "list.csv", "-o", "soft.gallery"]);
        refused(&["embed", "run", "faces", "-o", "hard.parquet"]);
        // Lists, the model, the run, and the files written next to the array.
        refused(&["index", "run", "list.csv", "-o", "list.csv"]);
        refused(&["embed", "run", "list.csv", "-o", "x.npy"]);
        refused(&["embed", "run", "list.csv", "-o", "list.npy"]);
        refused(&["index", "run", "faces", "-o", "run/model.safetensors"]);
        refused(&[
            "index",
            "run/model.safetensors",
            "faces",
            "-o",
            "run/model.safetensors",
        ]);
        refused(&["index", "run", "faces", "-o", "run/experiment.toml"]);
        refused(&["index", "run", "faces", "-o", "run/report.html"]);
        refused(&["index", "run", "faces", "-o", "run/outcome.json"]);
    }
    assert_eq!(content(path), before);
}

#[test]
fn nothing_foreign_is_replaced_without_force_and_everything_own_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    model(path);
    let write = |name: &str, text: &str| fs::write(path.join(name), text).unwrap();
    for name in ["x.csv", "y.parquet", "g", "p.svg", "p.html"] {
        write(name, "precious");
    }
    // One of our lists and a foreign array are not a pair of ours.
    write("z.csv", "path,label\na,b\n");
    write("z.npy", "precious");
    fs::create_dir(path.join("folder")).unwrap();
    let before = content(path);
    let all: [&[&str]; 7] = [
        &["embed", "run", "faces", "-o", "x.npy"],
        &["embed", "run", "faces", "-o", "z.npy"],
        &["embed", "run", "faces", "-o", "y.parquet"],
        &["index", "run", "faces", "-o", "g"],
        &["plot", "margin", "--out", "p.svg"],
        &["plot", "boundary", "--out", "p.html"],
        &["plot", "annealing", "--out", "p.svg"],
    ];
    for args in all {
        refused(path, args, FOREIGN);
    }
    refused(
        path,
        &["plot", "margin", "--out", "folder"],
        "is in the way",
    );
    assert_eq!(content(path), before);
    for args in all {
        succeeds(path, &[args, &["--force"]].concat());
        // Files of the command itself can be replaced any number of times.
        succeeds(path, args);
    }
    // Another picture belongs to another command.
    refused(path, &["plot", "margin", "--out", "p.svg"], FOREIGN);
    refused(path, &["index", "run", "faces", "-o", "x.npy"], FOREIGN);
    refused(
        path,
        &["embed", "run", "faces", "-o", "g"],
        "must end in .npy or .parquet",
    );
}

#[test]
fn what_fails_later_has_replaced_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    model(path);
    succeeds(path, &["embed", "run", "faces/a", "-o", "d.npy"]);
    let before = content(path);
    fs::write(path.join("broken.pgm"), "P5 16 16 255\nshort").unwrap();
    for args in [
        &["embed", "run", "faces", "missing", "-o", "d.npy"][..],
        &[
            "embed",
            "run",
            "faces",
            "broken.pgm",
            "--refuse-broken",
            "-o",
            "d.npy",
        ],
        &["embed", "run", "faces", "-o", "missing/d.npy"],
        &["index", "run", "faces", "-o", "missing/g"],
    ] {
        let output = lsoftmax(path, args);
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{args:?}");
        assert_eq!(text.trim_end().lines().count(), 1, "{text}");
    }
    fs::remove_file(path.join("broken.pgm")).unwrap();
    assert_eq!(content(path), before);
}

#[test]
fn pages_go_neither_over_a_run_nor_over_foreign_pages() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    model(path);
    let pairs = "left,right,same\na/1.pgm,a/2.pgm,1\na/1.pgm,b/2.pgm,0\nb/3.pgm,b/4.pgm,1\n\
                 c/3.pgm,b/4.pgm,0\n";
    fs::write(path.join("faces/pairs.csv"), pairs).unwrap();
    let verify = |out| ["verify", "run", "--pairs", "faces/pairs.csv", "--out", out];
    let eval = |out| ["eval", "run", "--open-set", "others", "--out", out];
    common::faces(path, "others", &["p", "q", "r", "s"], 9);
    for folder in ["page", "pictures/figures"] {
        fs::create_dir_all(path.join(folder)).unwrap();
    }
    fs::write(path.join("page/report.html"), "precious").unwrap();
    fs::write(path.join("pictures/figures/roc.svg"), "precious").unwrap();
    fs::write(path.join("file"), "precious").unwrap();
    let before = content(path);
    for out in ["run", "page", "pictures", "file", "file/below"] {
        for args in [verify(out), eval(out)] {
            let why = if out.starts_with("file") {
                "is in the way"
            } else if out == "run" {
                "is the folder of a run"
            } else {
                FOREIGN
            };
            refused(path, &args, why);
        }
    }
    assert_eq!(content(path), before);
    for _ in 0..2 {
        succeeds(path, &verify("v"));
        succeeds(path, &eval("e/deep"));
    }
    refused(path, &verify("e/deep"), FOREIGN);
    refused(path, &eval("v"), FOREIGN);
    succeeds(path, &[&eval("v")[..], &["--force"]].concat());
}

#[test]
fn arrays_of_a_loss_and_tables_of_a_paper_are_checked_before_the_work() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let array = |name: &str, shape: &[usize], ints: bool| {
        use lsoftmax_data::npy::{Values, write};
        let count = shape.iter().product::<usize>();
        let values = if ints {
            Values::Int(vec![1; count])
        } else {
            Values::F32((0..count).map(|i| i as f32 + 1.0).collect())
        };
        write(&path.join(name), shape, &values).unwrap();
    };
    array("logits.npy", &[4, 3], false);
    array("w.npy", &[2, 3], false);
    array("y.npy", &[4], true);
    let loss = |x, out| {
        let args = [
            "loss",
            "--features",
            x,
            "--weights",
            "w.npy",
            "--labels",
            "y.npy",
            "--out",
            out,
        ];
        args.map(str::to_owned)
    };
    let args = loss("logits.npy", ".");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let before = content(path);
    refused(path, &args, INPUT);
    refused(path, &[&args[..], &["--force"]].concat(), INPUT);
    fs::rename(path.join("logits.npy"), path.join("x.npy")).unwrap();
    array("loss.npy", &[3], false);
    let args = loss("x.npy", ".");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    refused(path, &args, FOREIGN);
    assert_eq!(content(path).len(), before.len() + 1);
    succeeds(path, &[&args[..], &["--force"]].concat());
    succeeds(path, &args);

    fs::create_dir_all(path.join("mine")).unwrap();
    let experiment = "train-samples = 40\ntest-samples = 20\niterations = 2\nbatch = 8\nfeature = 2\n\
                      loss = 'softmax'\n";
    fs::write(path.join("mine/softmax.toml"), experiment).unwrap();
    fs::create_dir_all(path.join("out")).unwrap();
    fs::write(path.join("out/results.md"), "# Results\n\nprecious").unwrap();
    let args = [
        "reproduce",
        "mine",
        "--seeds",
        "0",
        "--out",
        "out",
        "--quiet",
    ];
    refused(path, &args, FOREIGN);
    assert_eq!(fs::read_dir(path.join("out")).unwrap().count(), 1);
    fs::remove_file(path.join("out/results.md")).unwrap();
    succeeds(path, &args);
    succeeds(path, &args);
    fs::write(path.join("out/mine/report.html"), "precious").unwrap();
    refused(path, &args, FOREIGN);
}
