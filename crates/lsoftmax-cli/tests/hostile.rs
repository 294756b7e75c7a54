//! Files that would hang the program or use up all memory, systems that refuse threads or memory,
//! and results that must not differ between commands.
#![cfg(unix)]

mod common;

use common::lsoftmax;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

/// Runs a command that fails, and returns the line of its error.
fn complaint(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code();
    assert!(matches!(code, Some(1 | 2)), "{:?}: {stderr}", output.status);
    assert_eq!(stderr.trim_end().lines().count(), 1, "one line: {stderr}");
    stderr
}

fn refused(dir: &Path, args: &[&str]) -> String {
    complaint(&lsoftmax(dir, args))
}

fn succeeds(dir: &Path, args: &[&str]) {
    let output = lsoftmax(dir, args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
}

/// Runs the command with a shell's resource limit.
fn limited(dir: &Path, limit: &str, args: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_lsoftmax");
    Command::new("sh")
        .current_dir(dir)
        .args(["-c", &format!("ulimit {limit}; exec '{program}' {args}")])
        .env("RAYON_NUM_THREADS", "600")
        .env_remove("RUST_BACKTRACE")
        .output()
        .unwrap()
}

/// A folder `faces` with four small classes, and a model of them in `run`.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for class in 0..4_u8 {
        let folder = dir.path().join(format!("faces/{class}"));
        fs::create_dir_all(&folder).unwrap();
        for image in 0..6_u8 {
            let pixel = |at: u8| (at / 16 * class * 5).wrapping_add(at.wrapping_mul(image + 3));
            let pixels: Vec<u8> = (0..=255).map(pixel).collect();
            let bytes = [b"P5 16 16 255\n", &pixels[..]].concat();
            fs::write(folder.join(format!("{image}.pgm")), bytes).unwrap();
        }
    }
    train(dir.path(), "run");
    dir
}

fn train(dir: &Path, run: &str) {
    #[rustfmt::skip]
    succeeds(dir, &[
        "train", "--data", "images", "--data-dir", "faces", "--image-size", "16", "--channels", "grey",
        "--iterations", "8", "--batch", "4", "--feature", "4", "--held-out", "4", "--evaluations", "2",
        "--quiet", "--threads", "1", "--out", run,
    ]);
}

const IMAGES: [&str; 2] = ["faces/0/1.pgm", "faces/1/1.pgm"];
const MODEL: &str = "run/model.safetensors";

fn verify(dir: &Path, model: &str) -> Output {
    let [left, right] = IMAGES;
    lsoftmax(dir, &["verify", model, left, right, "--threshold", "0.5"])
}

/// Header and data of a safetensors file.
fn parts(path: &Path) -> (Value, Vec<u8>) {
    let bytes = fs::read(path).unwrap();
    let size = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = serde_json::from_slice(&bytes[8..8 + size]).unwrap();
    (header, bytes[8 + size..].to_vec())
}

fn write_parts(path: &Path, header: &Value, data: &[u8]) {
    let header = header.to_string().into_bytes();
    let length = (header.len() as u64).to_le_bytes();
    fs::write(path, [&length, &header[..], data].concat()).unwrap();
}

/// The model without a digest, as in older files, with other metadata.
fn forged(dir: &Path, name: &str, change: impl FnOnce(&mut Value)) {
    let (mut header, data) = parts(&dir.join(MODEL));
    let metadata = header["__metadata__"].as_object_mut().unwrap();
    assert!(metadata.remove("sha256").is_some());
    let mut info: Value = serde_json::from_str(metadata["lsoftmax"].as_str().unwrap()).unwrap();
    info["version"] = 1.into();
    change(&mut info);
    metadata["lsoftmax"] = info.to_string().into();
    write_parts(&dir.join(name), &header, &data);
}

#[test]
fn what_is_no_regular_file_is_refused_wherever_a_file_is_read() {
    let dir = folder();
    let path = dir.path();
    for pipe in ["p", "p.toml", "p.npy", "p.csv"] {
        let made = Command::new("mkfifo").arg(path.join(pipe)).status();
        assert!(made.unwrap().success());
    }
    for link in ["z.toml", "z.csv"] {
        symlink("/dev/zero", path.join(link)).unwrap();
    }
    for device in ["p.toml", "z.toml", "faces"] {
        let message = refused(path, &["train", "--config", device, "--out", "x"]);
        assert!(message.contains(device), "{message}");
    }
    for device in ["p.toml", "z.toml"] {
        let message = refused(path, &["train", "--network", device, "--out", "x"]);
        assert!(message.contains(device), "{message}");
    }
    for device in ["p", "/dev/zero", "faces/0"] {
        let message = complaint(&verify(path, device));
        assert!(message.contains(device), "{message}");
        refused(path, &["search", device, IMAGES[0]]);
        refused(
            path,
            &[
                "loss",
                "--features",
                device,
                "--weights",
                "p.npy",
                "--labels",
                "p.npy",
                "--out",
                "x",
            ],
        );
    }
    for table in ["p.csv", "z.csv"] {
        refused(path, &["verify", "run", "--pairs", table]);
        refused(path, &["embed", "run", table, "--out", "e.npy"]);
    }
    // A gallery that names another file as its model.
    succeeds(path, &["index", "run", "faces", "--out", "g"]);
    for model in ["p", "/dev/zero"] {
        let message = refused(path, &["search", "g", IMAGES[0], "--run", model]);
        assert!(message.contains(model), "{message}");
    }
    // The class names of a CIFAR folder.
    let cifar = path.join("cifar");
    fs::create_dir(&cifar).unwrap();
    for number in [
        "data_batch_1",
        "data_batch_2",
        "data_batch_3",
        "data_batch_4",
        "data_batch_5",
        "test_batch",
    ] {
        fs::write(cifar.join(format!("{number}.bin")), [0; 3073]).unwrap();
    }
    symlink("/dev/zero", cifar.join("batches.meta.txt")).unwrap();
    let message = refused(path, &["data", "check", "cifar"]);
    assert!(message.contains("batches.meta.txt"), "{message}");
    // A long file of zeros.
    let sparse = fs::File::create(path.join("sparse")).unwrap();
    sparse.set_len(1 << 40).unwrap();
    assert!(complaint(&verify(path, "sparse")).contains("sparse"));
    let message = refused(path, &["train", "--config", "sparse", "--out", "x"]);
    assert!(message.contains("at most 1048576 bytes"), "{message}");
    assert!(!path.join("x").exists());
}

#[test]
fn an_experiment_may_come_from_a_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_lsoftmax");
    let script = format!("printf 'iterations = 0' | '{program}' train --config /dev/stdin --out x");
    let output = Command::new("sh")
        .current_dir(dir.path())
        .args(["-c", &script])
        .output()
        .unwrap();
    assert!(complaint(&output).contains("iterations must be"));
}

#[test]
fn a_model_that_asks_for_more_memory_than_any_network_has_is_refused() {
    type Change = fn(&mut Value);
    let dir = folder();
    let path = dir.path();
    let changes: [Change; 4] = [
        |info| info["image"] = serde_json::json!([1, 1 << 20, 1 << 20]),
        |info| info["image"] = serde_json::json!([1, u64::MAX, u64::MAX]),
        |info| {
            info["network"]["stages"] = serde_json::json!([
                { "channels": 16384, "convs": 1, "kernel": 1 },
                { "channels": 1, "convs": 1, "kernel": 1, "stride": 2, "pool": true },
            ]);
            info["image"] = serde_json::json!([1, 2048, 2048]);
        },
        |info| info["image"] = serde_json::json!([0, 16, 16]),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        forged(path, "m", change);
        let message = complaint(&verify(path, "m"));
        let expected = ["and at most 512 MiB are allowed", "an image's channels"][number / 3];
        assert!(message.contains(expected), "{message}");
    }
    // The original file.
    forged(path, "m", |_| ());
    assert!(verify(path, "m").status.success());
    // The same for custom networks, before a folder is created.
    let network =
        "name = 'wide'\nfeature = 4\nstages = [{ channels = 16384, convs = 1, kernel = 1 }]\n";
    fs::write(path.join("wide.toml"), network).unwrap();
    let train = |size: &str, batch: &str| {
        #[rustfmt::skip]
        let args = [
            "train", "--data", "images", "--data-dir", "faces", "--channels", "grey", "--network",
            "wide.toml", "--image-size", size, "--batch", batch, "--out", "x",
        ];
        refused(path, &args)
    };
    let message = train("80", "4");
    assert!(
        message.contains("16384x80x80 activations of a 1x80x80 image"),
        "{message}"
    );
    let message = train("32", "65536");
    assert!(message.contains("choose a smaller --batch"), "{message}");
    assert!(!path.join("x").exists());
}

#[test]
fn a_bit_that_flipped_in_a_model_is_noticed() {
    let dir = folder();
    let path = dir.path();
    let whole = fs::read(path.join(MODEL)).unwrap();
    let place = path.join("m");
    // Positions spread over the file, and all positions in the header.
    let far = (0..whole.len()).step_by(whole.len() / 40);
    let header = (0..3000).step_by(97);
    for at in far.chain(header) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(&place, bytes).unwrap();
        let message = complaint(&verify(path, "m"));
        assert!(message.contains("m is not a model"), "byte {at}: {message}");
    }
    // With its digest removed.
    let (mut header, data) = parts(&path.join(MODEL));
    header["__metadata__"]
        .as_object_mut()
        .unwrap()
        .remove("sha256");
    write_parts(&place, &header, &data);
    let message = complaint(&verify(path, "m"));
    assert!(message.contains("no SHA-256"), "{message}");
}

#[test]
fn the_same_commands_make_the_same_files() {
    let dir = folder();
    let path = dir.path();
    train(path, "again");
    for file in ["model.safetensors", "checkpoints/best.safetensors"] {
        let bytes = |run: &str| fs::read(path.join(run).join(file)).unwrap();
        assert!(bytes("run") == bytes("again"), "{file}");
    }
    #[rustfmt::skip]
    let embed = ["embed", "run", "faces", "--out"];
    let mut galleries = Vec::new();
    for number in 0..4 {
        succeeds(path, &["index", "run", "faces", "--out", "g"]);
        galleries.push(fs::read(path.join("g")).unwrap());
        for ending in ["npy", "parquet"] {
            let name = format!("{number}.{ending}");
            succeeds(path, &[&embed[..], &[&name]].concat());
        }
    }
    assert!(galleries.iter().all(|bytes| *bytes == galleries[0]));
    for ending in ["npy", "csv", "parquet"] {
        let bytes = |number| fs::read(path.join(format!("{number}.{ending}"))).unwrap();
        assert!((1..4).all(|number| bytes(number) == bytes(0)), "{ending}");
    }
}

#[test]
fn without_threads_there_is_a_line_and_no_panic() {
    let dir = tempfile::tempdir().unwrap();
    // Enough memory for the program, but not for the stacks of all its threads.
    for args in ["plot margin", "plot margin --threads 600", "data list"] {
        let message = complaint(&limited(dir.path(), "-v 600000", args));
        assert!(message.contains("cannot start the threads"), "{message}");
    }
}

#[test]
fn a_limit_of_file_sizes_is_an_error_and_leaves_nothing() {
    let dir = folder();
    let path = dir.path();
    for (args, file) in [
        ("plot margin --threads 1 --out p.svg", "p.svg"),
        ("index run faces --threads 1 --out g", "g"),
        ("embed run faces --threads 1 --out e.npy", "e.npy"),
    ] {
        let message = complaint(&limited(path, "-f 0", args));
        assert!(message.contains("File too large"), "{message}");
        assert!(!path.join(file).exists());
    }
    let mut names: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["faces", "run"]);
}

#[test]
fn parts_of_others_stay_and_their_links_are_not_followed() {
    let dir = folder();
    let path = dir.path();
    fs::write(path.join("victim"), "precious").unwrap();
    fs::create_dir(path.join("x")).unwrap();
    for name in [".backup.part", ".1-0.part", ".lsoftmax-000000000000.part"] {
        symlink("../victim", path.join("x").join(name)).unwrap();
    }
    // Files left by a killed process.
    fs::write(path.join("x/.lsoftmax-abcdefghijkl.part"), "half").unwrap();
    for (verb, out) in [("embed", "x/e.npy"), ("index", "x/g")] {
        succeeds(path, &[verb, "run", "faces", "--out", out]);
    }
    let mut names: Vec<_> = fs::read_dir(path.join("x"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = [
        ".1-0.part",
        ".backup.part",
        ".lsoftmax-000000000000.part",
        "e.csv",
        "e.npy",
        "g",
    ];
    assert_eq!(names, expected);
    assert_eq!(fs::read(path.join("victim")).unwrap(), b"precious");
}
