//! The images that a run records: those it was trained on, and those it is evaluated on.

mod common;

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;

/// Images `first` to `last` of a class, all different.
fn write(folder: &Path, class: &str, images: std::ops::Range<u32>) {
    let dir = folder.join(class);
    fs::create_dir_all(&dir).unwrap();
    let look = class.bytes().map(u32::from).sum::<u32>();
    for image in images {
        let mut bytes = b"P5\n16 16\n255\n".to_vec();
        bytes.extend((0..256).map(|place| (look * (place / 16) + image * 37 + place) as u8));
        fs::write(dir.join(format!("{image}.pgm")), bytes).unwrap();
    }
}

fn train(dir: &Path, data: &str, run: &str, more: &[&str]) -> Output {
    let args = [
        "train",
        "--data",
        "images",
        "--data-dir",
        data,
        "--out",
        run,
        "--image-size",
        "16",
        "--network",
        "compact",
        "--feature",
        "8",
        "--loss",
        "softmax",
        "--iterations",
        "4",
        "--batch",
        "8",
        "--evaluations",
        "1",
        "--threads",
        "1",
        "--quiet",
    ];
    common::lsoftmax(dir, &[&args, more].concat())
}

#[track_caller]
fn trained(dir: &Path, data: &str, run: &str, more: &[&str]) -> String {
    let output = train(dir, data, run, more);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{stderr}");
    stderr
}

/// The JSON output, and the text on stderr.
#[track_caller]
fn json(dir: &Path, args: &[&str]) -> (Value, String) {
    let output = common::lsoftmax(dir, &[args, &["--json"]].concat());
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (common::answer(args, &output), stderr)
}

#[track_caller]
fn refused(output: &Output, parts: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    for part in parts {
        assert!(stderr.contains(part), "{part:?} is not in: {stderr}");
    }
}

fn swap(dir: &Path, one: &str, other: &str) {
    fs::rename(dir.join(one), dir.join("t")).unwrap();
    fs::rename(dir.join(other), dir.join(one)).unwrap();
    fs::rename(dir.join("t"), dir.join(other)).unwrap();
}

/// The paths of one part of a run.
fn part(dir: &Path, run: &str, part: &str) -> Vec<String> {
    let text = fs::read_to_string(dir.join(run).join("images.csv")).unwrap();
    let rows = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let rows = rows.filter(|row| row[2] == part);
    rows.map(|row| row[0].to_owned()).collect()
}

#[test]
fn a_run_is_evaluated_on_its_own_test_images_or_on_all_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for class in ["apple", "banana", "cherry"] {
        write(&dir.join("d"), class, 0..8);
    }
    let said = trained(dir, "d", "run", &["--held-out", "3"]);
    assert!(
        said.starts_with("images: ") && said.lines().count() == 1,
        "{said}"
    );
    let parts = ["train", "held-out", "test"].map(|name| part(dir, "run", name).len());
    assert_eq!(parts, [15, 3, 6]);
    let (first, said) = json(dir, &["eval", "run"]);
    assert!(
        said.contains("the 6 test images that the run recorded, in d"),
        "{said}"
    );
    let about = &first["evaluated"];
    assert_eq!(
        (&about["part"], &about["images"]),
        (&"recorded-test-part".into(), &6.into())
    );
    assert_eq!(
        (&about["trained_on"], &about["classes"]),
        (&0.into(), &3.into())
    );

    // Images and a class were added, and the folder was moved.
    write(&dir.join("d"), "apple", 8..30);
    write(&dir.join("d"), "aa", 0..4);
    assert_eq!(json(dir, &["eval", "run"]).0, first);
    fs::rename(dir.join("d"), dir.join("e")).unwrap();
    let (moved, said) = json(dir, &["eval", "run", "--data-dir", "e"]);
    assert_eq!(moved["error_percent"], first["error_percent"]);
    assert_eq!(moved["evaluated"]["part"], "recorded-test-part");
    assert!(said.contains("that the run recorded, in e"), "{said}");
    fs::rename(dir.join("e"), dir.join("d")).unwrap();

    // Missing and changed test images are named.
    let test = part(dir, "run", "test");
    let (one, last) = (format!("d/{}", test[0]), format!("d/{}", test[5]));
    let eval = || common::lsoftmax(dir, &["eval", "run"]);
    fs::rename(dir.join(&one), dir.join("t")).unwrap();
    refused(
        &eval(),
        &[
            "d: not the images that the run run recorded: 1 missing",
            &test[0],
        ],
    );
    fs::rename(dir.join("t"), dir.join(&one)).unwrap();
    swap(dir, &one, &last);
    refused(&eval(), &["2 with other content (first ", &test[0]]);
    swap(dir, &one, &last);
    fs::rename(dir.join("d/banana"), dir.join("d/Banana")).unwrap();
    refused(&eval(), &["2 missing (first banana/"]);
    fs::rename(dir.join("d/Banana"), dir.join("d/banana")).unwrap();
    let image = fs::read(dir.join(&one)).unwrap();
    fs::write(dir.join(&one), &image[..40]).unwrap();
    refused(&eval(), &["1 with other content", &test[0]]);
    fs::write(dir.join(&one), image).unwrap();
    assert_eq!(json(dir, &["eval", "run"]).0, first);

    // New images: all of them, from two of the classes, except a broken one.
    write(&dir.join("new"), "banana", 40..50);
    write(&dir.join("new"), "cherry", 40..50);
    fs::write(dir.join("new/cherry/bad.png"), b"no image").unwrap();
    let (found, said) = json(dir, &["eval", "run", "--data-dir", "new"]);
    let about = &found["evaluated"];
    assert_eq!(
        (&found["samples"], &about["part"]),
        (&20.into(), &"all".into())
    );
    assert_eq!(
        (&about["trained_on"], &about["classes"]),
        (&0.into(), &2.into())
    );
    assert_eq!(about["broken"][0]["path"], "cherry/bad.png");
    assert_eq!(about["data_dir"], "new");
    assert!(
        said.contains("all 20 images of new, of 2 of the 3 classes"),
        "{said}"
    );
    assert!(
        said.contains("warning: 1 broken images are not evaluated: cherry/bad.png ("),
        "{said}"
    );
    // Rows are true classes; none of the images is an apple.
    let apples = found["confusion"][0].as_array().unwrap();
    assert!(apples.iter().all(|count| count == 0), "{apples:?}");

    // From a list, the rows of its test part, from another folder; two of them are training images.
    let known = part(dir, "run", "train");
    let rows = format!(
        "path,label,split\nnew/banana/40.pgm,banana,test\nd/{},{},test\nd/{},{},test\n\
         new/banana/41.pgm,banana,train\n",
        known[0],
        known[0].split('/').next().unwrap(),
        known[1],
        known[1].split('/').next().unwrap(),
    );
    fs::write(dir.join("list.csv"), rows).unwrap();
    let (found, said) = json(dir, &["eval", "run", "--data-dir", "list.csv", "--quiet"]);
    let about = &found["evaluated"];
    assert_eq!(
        (&about["images"], &about["part"]),
        (&3.into(), &"test-part".into())
    );
    assert_eq!(about["trained_on"], 2);
    assert!(
        said.starts_with("warning: 2 of 3 images were trained on, such as d/"),
        "{said}"
    );

    // A class that the model does not know, although it looks similar.
    fs::rename(dir.join("new/cherry"), dir.join("new/Cherry")).unwrap();
    let output = common::lsoftmax(dir, &["eval", "run", "--data-dir", "new"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("new: unknown class \"Cherry\""), "{said}");
    assert!(
        said.contains("did you mean \"cherry\"?") && said.contains("--open-set"),
        "{said}"
    );

    // A run of an older version.
    fs::remove_file(dir.join("run/images.csv")).unwrap();
    fs::remove_dir_all(dir.join("d/aa")).unwrap();
    let (old, said) = json(dir, &["eval", "run"]);
    assert!(said.contains("run does not record its images"), "{said}");
    assert_eq!(old["evaluated"]["trained_on"], Value::Null);
}

#[test]
fn open_sets_are_compared_with_what_was_trained_on() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for class in ["ann", "ben", "cat"] {
        write(&dir.join("t"), class, 0..6);
    }
    for class in ["ann", "ben", "kim", "leo"] {
        write(&dir.join("o"), class, 20..24);
    }
    let names = "2 of 4 with names of trained classes, such as \"ann\"";
    refused(
        &train(dir, "t", "run", &["--open-set", "o"]),
        &["o: expected classes", names],
    );
    assert!(!dir.join("run").exists());
    let differ = ["--open-set-same-names", "different"];
    trained(
        dir,
        "t",
        "run",
        &[&["--open-set", "o"], &differ[..]].concat(),
    );
    let page = fs::read_to_string(dir.join("run/report.html")).unwrap();
    assert!(page.contains("2 of the classes have names of trained classes"));
    let outcome = fs::read_to_string(dir.join("run/outcome.json")).unwrap();
    assert!(outcome.contains("\"same_names\":2"), "{outcome}");
    let model = fs::read(dir.join("run/model.safetensors")).unwrap();
    assert!(String::from_utf8_lossy(&model).contains("same_names"));
    assert_eq!(part(dir, "run", "open-set").len(), 16);

    // The same for an existing model.
    let eval = |more: &[&str]| {
        let args = [&["eval", "run", "--open-set", "o"], more].concat();
        common::lsoftmax(dir, &args)
    };
    refused(&eval(&[]), &[names]);
    let (found, said) = json(
        dir,
        &[&["eval", "run", "--open-set", "o"], &differ[..]].concat(),
    );
    assert_eq!(
        (&found["same_names"], &found["images_compared"]),
        (&2.into(), &true.into())
    );
    assert!(
        said.contains("2 of the classes have names of trained classes"),
        "{said}"
    );
    // Trained images under other names, in any case; also from a list.
    fs::copy(dir.join("t/cat/3.pgm"), dir.join("o/kim/x.pgm")).unwrap();
    let twin = "1 identical to images of trained classes (kim/x.pgm and cat/3.pgm";
    refused(&eval(&differ), &[twin]);
    let both = [&["--open-set", "o"], &differ[..]].concat();
    let twin = [
        "1 of 17 images that are, first kim/x.pgm",
        "identical to cat/3.pgm",
    ];
    refused(&train(dir, "t", "other", &both), &twin);
    let rows =
        "path,label\no/kim/x.pgm,kim\no/kim/20.pgm,kim\no/leo/20.pgm,leo\no/leo/21.pgm,leo\n";
    fs::write(dir.join("o.csv"), rows).unwrap();
    let output = common::lsoftmax(dir, &["eval", "run", "--open-set", "o.csv"]);
    refused(
        &output,
        &["1 identical to images of trained classes (o/kim/x.pgm and"],
    );
    fs::remove_file(dir.join("o/kim/x.pgm")).unwrap();

    // Pairs of trained images.
    let pairs = "left,right,same\nt/ann/0.pgm,t/ann/1.pgm,1\nt/ann/0.pgm,o/kim/20.pgm,0\n";
    fs::write(dir.join("pairs.csv"), pairs).unwrap();
    let (found, said) = json(dir, &["verify", "run", "--pairs", "pairs.csv"]);
    let trained = part(dir, "run", "train");
    let count = ["ann/0.pgm", "ann/1.pgm"]
        .iter()
        .filter(|&&it| trained.iter().any(|t| t == it));
    let count = count.count();
    assert!(count > 0, "one of two of six images is trained on");
    assert_eq!(found["trained_on"], count);
    assert!(
        said.contains(&format!("warning: {count} of 3 images were trained on")),
        "{said}"
    );

    // A model without its run: only class names can be compared.
    fs::create_dir(dir.join("alone")).unwrap();
    fs::copy(
        dir.join("run/model.safetensors"),
        dir.join("alone/m.safetensors"),
    )
    .unwrap();
    let args = [
        &["eval", "alone/m.safetensors", "--open-set", "o"],
        &differ[..],
    ]
    .concat();
    let (found, said) = json(dir, &args);
    assert_eq!(found["images_compared"], false);
    assert!(
        said.contains("the list of its images was not found next to the model"),
        "{said}"
    );
    refused(
        &common::lsoftmax(dir, &["eval", "alone/m.safetensors", "--open-set", "o"]),
        &[names],
    );
    let wrong = [
        &["--open-set", "o"],
        &["--open-set-same-names", "maybe"][..],
    ]
    .concat();
    assert_eq!(train(dir, "t", "other", &wrong).status.code(), Some(2));
}

#[test]
fn identical_images_are_named_before_the_training_and_on_its_page() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    for class in ["a", "b"] {
        write(&dir.join("d/train"), class, 0..6);
        write(&dir.join("d/test"), class, 0..3);
    }
    fs::copy(dir.join("d/train/a/0.pgm"), dir.join("d/train/b/wrong.pgm")).unwrap();
    let said = trained(dir, "d", "run", &[]);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(
        lines[0].starts_with("warning: 6 of 6 test images are identical"),
        "{said}"
    );
    let pair = "train/a/0.pgm (class a) and train/b/wrong.pgm (class b)";
    assert!(lines[1].contains(pair), "{said}");
    let page = fs::read_to_string(dir.join("run/report.html")).unwrap();
    assert!(page.contains("6 of 6 test images are identical"));
}

/// A data set in MNIST's format with these labels and distinct images.
fn write_idx(folder: &Path, look: u8, train: &[u8], test: &[u8]) {
    fs::create_dir_all(folder).unwrap();
    let word = |number: usize| (number as u32).to_be_bytes();
    for (name, labels, part) in [("train", train, 0), ("t10k", test, 100)] {
        let count = labels.len();
        let head = [word(0x803), word(count), word(16), word(16)].concat();
        let pixels = labels.iter().zip(part..).flat_map(|(&label, image)| {
            let at = move |place: u16| (place as u8 / 16).wrapping_mul(label * 50 + look);
            (0..256).map(move |place| at(place).wrapping_add(image))
        });
        let images: Vec<u8> = head.into_iter().chain(pixels).collect();
        fs::write(folder.join(format!("{name}-images-idx3-ubyte")), images).unwrap();
        let labels = [&word(0x801)[..], &word(count), labels].concat();
        fs::write(folder.join(format!("{name}-labels-idx1-ubyte")), labels).unwrap();
    }
}

#[test]
fn files_with_many_images_are_known_too() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write_idx(
        &dir.join("d"),
        3,
        &[0, 1, 2].repeat(6),
        &[0, 1, 2].repeat(3),
    );
    let args = [
        "train",
        "--data",
        "idx",
        "--data-dir",
        "d",
        "--out",
        "run",
        "--network",
        "compact",
        "--feature",
        "8",
        "--loss",
        "softmax",
        "--iterations",
        "4",
        "--batch",
        "8",
        "--quiet",
        "--test-samples",
        "6",
    ];
    let output = common::lsoftmax(dir, &args);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(part(dir, "run", "test").len(), 6);
    let (first, said) = json(dir, &["eval", "run"]);
    assert!(
        said.contains("the 6 test images that the run recorded"),
        "{said}"
    );
    // Moved to a folder whose name changes the names of the classes.
    fs::rename(dir.join("d"), dir.join("fashion")).unwrap();
    let (moved, _) = json(dir, &["eval", "run", "--data-dir", "fashion"]);
    assert_eq!(moved["error_percent"], first["error_percent"]);
    assert_eq!(moved["evaluated"]["part"], "recorded-test-part");
    fs::rename(dir.join("fashion"), dir.join("d")).unwrap();
    // Other files: their whole test part, with fewer classes, partly trained on.
    write_idx(&dir.join("e"), 7, &[0, 1], &[1, 1, 0]);
    let (other, _) = json(dir, &["eval", "run", "--data-dir", "e"]);
    let about = &other["evaluated"];
    assert_eq!(
        (&about["images"], &about["classes"]),
        (&3.into(), &2.into())
    );
    assert_eq!(
        (&about["part"], &about["trained_on"]),
        (&"test-part".into(), &0.into())
    );
    for kind in ["images-idx3", "labels-idx1"] {
        let file = |folder: &str, part: &str| dir.join(format!("{folder}/{part}-{kind}-ubyte"));
        fs::copy(file("d", "train"), file("e", "t10k")).unwrap();
    }
    let (other, said) = json(dir, &["eval", "run", "--data-dir", "e"]);
    assert_eq!(other["evaluated"]["trained_on"], 18);
    assert!(
        said.contains("warning: 18 of 18 images were trained on"),
        "{said}"
    );
    write_idx(&dir.join("e"), 7, &[0, 1], &[1, 3]);
    let output = common::lsoftmax(dir, &["eval", "run", "--data-dir", "e"]);
    refused(&output, &["e: unknown class \"3\""]);
    // A changed pixel and a changed label.
    let change = |name: &str, place: usize| {
        let path = dir.join("d").join(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[place] = (bytes[place] + 1) % 3;
        fs::write(path, bytes).unwrap();
    };
    change("t10k-labels-idx1-ubyte", 8);
    let eval = || common::lsoftmax(dir, &["eval", "run"]);
    refused(
        &eval(),
        &["1 of another class (t10k-images-idx3-ubyte/0, from 0 to 1)"],
    );
    change("t10k-images-idx3-ubyte", 16 + 256);
    refused(
        &eval(),
        &["1 with other content (t10k-images-idx3-ubyte/1)"],
    );
}
