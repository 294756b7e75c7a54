//! How folders and lists of images are interpreted and reported.

mod common;

use common::{answer, lsoftmax};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A grey image with one value.
fn put(dir: &Path, name: &str, value: u8) {
    put_bytes(
        dir,
        name,
        &[b"P5\n4 4\n255\n".to_vec(), vec![value; 16]].concat(),
    );
}

fn put_bytes(dir: &Path, name: &str, bytes: &[u8]) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// `d/Training` and `d/Testing` with two classes.
fn parts(dir: &Path) {
    for (value, class) in (0..).zip(["cat", "dog"]) {
        for number in 0..4 {
            let value = 100 * value + number;
            put(dir, &format!("d/Training/{class}/{number}.pgm"), value);
            put(dir, &format!("d/Testing/{class}/{number}.pgm"), value + 50);
        }
    }
}

/// The JSON output of `data check`, whether it fails, and its lines without `--json`.
fn check(dir: &Path, path: &str) -> (Value, bool, String) {
    let args = ["data", "check", path];
    let output = lsoftmax(dir, &[&args[..], &["--json"]].concat());
    let refused = output.status.code() == Some(1);
    assert!(refused || output.status.success(), "{output:?}");
    let found = serde_json::from_slice(&output.stdout).unwrap();
    let text = lsoftmax(dir, &args);
    assert_eq!(text.status.code(), output.status.code());
    assert_eq!(
        String::from_utf8_lossy(&text.stderr).lines().count(),
        usize::from(refused)
    );
    (found, refused, String::from_utf8(text.stdout).unwrap())
}

fn train<'a>(data: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let args = [
        "train",
        "--data",
        "images",
        "--data-dir",
        data,
        "--out",
        out,
        "--image-size",
        "16",
        "--network",
        "compact",
        "--feature",
        "4",
        "--iterations",
        "1",
        "--batch",
        "4",
        "--evaluations",
        "1",
    ];
    [&args[..], more].concat()
}

#[test]
fn a_folder_is_checked_without_a_training() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    parts(dir);
    let (found, refused, text) = check(dir, "d");
    assert!(!refused);
    let line =
        "images: 8 train / 8 test from Training/ (train), Testing/ (test), 2 classes: cat, dog";
    assert_eq!(found["summary"], line);
    assert_eq!(text.lines().next(), Some(line));
    assert_eq!(
        found["classes"][1]["parts"],
        serde_json::json!({ "test": 4, "train": 4 })
    );
    assert_eq!(
        found["sizes"],
        serde_json::json!([{ "height": 4, "width": 4, "images": 16 }])
    );
    assert_eq!((&found["grey"], &found["colour"]), (&16.into(), &0.into()));
    for nothing in ["broken", "duplicates", "warnings", "errors"] {
        assert_eq!(found[nothing], serde_json::json!([]), "{nothing}");
    }

    // Duplicates, the worst first, broken images, and ignored files.
    put(dir, "d/Training/cat/a.pgm", 102);
    put(dir, "d/Testing/cat/a.pgm", 0);
    put(dir, "d/Training/dog/a.pgm", 103);
    put_bytes(dir, "d/Training/dog/b.jpg", b"\xFF\xD8\xFF\xE0");
    put_bytes(dir, "d/Training/dog/c.tif", b"II*\0");
    put_bytes(dir, "d/Training/@eaDir/1.pgm", b"");
    put_bytes(dir, "d/notes/1.txt", b"");
    let (found, refused, text) = check(dir, "d");
    assert!(!refused, "{text}");
    let kinds: Vec<&str> = found["duplicates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["across-labels", "across-parts", "within-class"]);
    assert_eq!(
        found["duplicates"][0]["classes"],
        serde_json::json!(["cat", "dog"])
    );
    for part in [
        "the same content under several labels: 1",
        "Training/cat/a.pgm = Training/dog/2.pgm",
        "in several parts: 1",
        "Training/cat/0.pgm = Testing/cat/a.pgm",
        "broken: Training/dog/b.jpg: expected a",
        "ignored: 1 hidden or system files; other files: 1 .tif, 1 .txt",
        "warning: no images in notes (1 .txt)",
        "1 .tif (in Training/dog)",
        "all 2 classes      20     11     9",
    ] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
    assert_eq!(found["passed_over"], 1);

    // Data that a training would refuse.
    put_bytes(dir, "d/Testing/bird/1.gif", b"GIF89a");
    let (found, refused, text) = check(dir, "d");
    // The contents are still printed.
    assert!(refused && text.contains("Training/dog"), "{text}");
    assert_eq!(found["duplicates"].as_array().unwrap().len(), 3);
    let error = found["errors"][0].as_str().unwrap();
    assert!(
        error.contains("d: expected images of the class \"bird\""),
        "{error}"
    );
    assert!(error.contains("1 .gif"), "{error}");
    let trained = lsoftmax(dir, &train("d", "run", &[]));
    let said = String::from_utf8_lossy(&trained.stderr);
    assert!(
        said.contains(found["errors"][0].as_str().unwrap()),
        "{said}"
    );
}

#[test]
fn a_list_is_checked_too() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    parts(dir);
    let rows: Vec<String> = ["cat", "dog"]
        .iter()
        .flat_map(|class| (0..4).map(move |i| format!("d\\Training\\{class}\\{i}.pgm,{class}")))
        .collect();
    fs::write(
        dir.join("list.csv"),
        format!("Path,Label\r\n{}\r\n", rows.join("\r\n")),
    )
    .unwrap();
    let (found, refused, _) = check(dir, "list.csv");
    assert!(!refused);
    assert_eq!(
        found["summary"],
        "images: 6 train / 2 test (drawn), 2 classes: cat, dog"
    );
    fs::write(
        dir.join("list.csv"),
        format!(
            "path,label\n{}\n{}\n",
            rows.join("\n"),
            "d/Training/cat/0.pgm,dog"
        ),
    )
    .unwrap();
    let (found, refused, _) = check(dir, "list.csv");
    assert!(refused);
    assert!(
        found["errors"][0]
            .as_str()
            .unwrap()
            .contains("with the label dog"),
        "{found}"
    );
    // One class alone cannot be trained.
    fs::write(dir.join("one.csv"), format!("path,label\n{}\n", rows[0])).unwrap();
    let (found, refused, _) = check(dir, "one.csv");
    assert!(
        refused
            && found["errors"][0]
                .as_str()
                .unwrap()
                .contains("at least two classes")
    );
}

#[test]
fn a_training_says_what_it_took_for_what() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    parts(dir);
    fs::create_dir(dir.join("d/Training/bird")).unwrap();
    put(dir, "d/valid/cat/0.pgm", 7);
    let output = lsoftmax(dir, &train("d", "run", &["--json"]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    answer(&["train"], &output);
    let line = "images: 8 train / 8 test / 1 held out from Training/ (train), Testing/ (test), \
                valid/ (held-out), 2 classes: cat, dog\n";
    assert!(said.contains(line), "{said}");
    let experiment = fs::read_to_string(dir.join("run/experiment.toml")).unwrap();
    assert!(
        experiment.contains("class-folders = \"auto\""),
        "{experiment}"
    );
    assert!(
        dir.join("run/checkpoints/best.safetensors").exists(),
        "chosen by the held-out image"
    );
    // Neither warnings nor the summary of the data count as progress.
    let output = lsoftmax(dir, &train("d", "quiet", &["--quiet"]));
    let warning = "warning: no images in Training/bird (no files): it is not a class\n";
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        format!("{warning}{line}")
    );
    let output = lsoftmax(dir, &train("d", "clash", &["--held-out", "2"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("1 images to choose a model by"));
    assert!(!dir.join("clash").exists());

    // Folders within classes, until the user says what they mean.
    for number in 0..3 {
        for class in ["a/x", "a/y", "b/x"] {
            put(dir, &format!("n/{class}/{number}.pgm"), 10 * number);
        }
    }
    let output = lsoftmax(dir, &train("n", "nested", &[]));
    assert_eq!(output.status.code(), Some(1));
    let output = lsoftmax(dir, &train("n", "nested", &["--class-folders", "top"]));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && said.contains("2 classes: a, b\n"),
        "{said}"
    );

    // A flat folder among other files, and a name that no table can hold.
    for clutter in [
        "@eaDir/1.pgm",
        ".ipynb_checkpoints/1.pgm",
        "._0.pgm",
        "Thumbs.db",
        "desktop.ini",
    ] {
        put_bytes(dir, &format!("d/Testing/cat/{clutter}"), b"");
    }
    let embed = [
        "embed",
        "run",
        "d/Testing/cat",
        "-o",
        "e.npy",
        "--refuse-broken",
        "--json",
    ];
    let found = answer(&embed, &lsoftmax(dir, &embed));
    assert_eq!(found["images"], 4);
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt as _;
        let name = std::ffi::OsStr::from_bytes(b"d/Testing/cat/\xFF.pgm");
        if fs::copy(dir.join("d/Testing/cat/0.pgm"), dir.join(name)).is_ok() {
            let output = lsoftmax(dir, &embed);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1));
            assert!(said.contains("cat/\\xFF.pgm is not UTF-8"), "{said}");
        }
    }
}
