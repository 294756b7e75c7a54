//! From a folder of images to a model that distinguishes unseen classes.

mod common;

use lsoftmax_data::glyphs::SIDE;
use lsoftmax_data::{DataSource, Dataset, SourceOptions};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Output;

/// Characters to train on, and additional ones.
fn write_folders(dir: &Path) {
    let options = SourceOptions {
        train_samples: Some(40 * 20),
        test_samples: Some(40),
        open_set: Some("6".parse().unwrap()),
        ..SourceOptions::default()
    };
    let split = DataSource::Alphabet { classes: 40 }.load(&options).unwrap();
    write_images(&split.train, &dir.join("known"), "class");
    write_images(&split.open_set.unwrap(), &dir.join("unknown ü"), "new");
}

fn write_images(data: &Dataset, dir: &Path, name: &str) {
    for index in 0..data.len() {
        let class = dir.join(format!("{name} {}", data.label(index)));
        fs::create_dir_all(&class).unwrap();
        let mut bytes = format!("P5\n{SIDE} {SIDE}\n255\n").into_bytes();
        bytes.extend_from_slice(data.image(index));
        fs::write(class.join(format!("{index:04}.pgm")), bytes).unwrap();
    }
}

/// An image of a class that is not trained on.
fn first_of(dir: &Path, class: u32) -> String {
    let folder = format!("unknown ü/new {class}");
    let files = fs::read_dir(dir.join(&folder)).unwrap();
    let name = files.map(|file| file.unwrap().file_name()).min().unwrap();
    format!("{folder}/{}", name.to_str().unwrap())
}

fn lsoftmax(dir: &Path, args: &[&str]) -> Output {
    common::lsoftmax(dir, &[args, &["--threads", "2"]].concat())
}

fn json(dir: &Path, args: &[&str]) -> Value {
    let output = lsoftmax(dir, &[args, &["--json"]].concat());
    common::answer(args, &output)
}

/// The one line of an error, and the exit status.
fn refused(dir: &Path, args: &[&str]) -> (String, i32) {
    let output = lsoftmax(dir, args);
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.stdout.is_empty(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stdout)
    );
    assert!(!text.contains("panicked"), "{text}");
    assert_eq!(text.trim_end().lines().count(), 1, "{args:?}: {text}");
    (text, output.status.code().unwrap())
}

const TRAIN: &[&str] = &[
    "train",
    "--data",
    "images",
    "--data-dir",
    "known",
    "--open-set",
    "unknown ü",
    "--image-size",
    "28",
    "--loss",
    "l-softmax",
    "--margin",
    "2",
    "--iterations",
    "200",
    "--batch",
    "32",
    "--feature",
    "32",
    "--evaluations",
    "1",
    "--out",
    "run",
];

#[test]
fn a_folder_of_images_becomes_a_model_for_classes_it_has_never_seen() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    write_folders(dir);
    let trained = json(dir, TRAIN);
    let open_set = &trained["row"]["open_set"];
    assert_eq!(open_set["classes"], 6);
    assert_eq!(open_set["images"], 120);
    let accuracy = open_set["verification"]["accuracy_percent"]
        .as_f64()
        .unwrap();
    assert!(accuracy > 75.0, "{open_set}");

    // The same figures from the model file and the folder.
    let found = json(dir, &["eval", "run", "--open-set", "unknown ü"]);
    assert_eq!(
        found["verification"]["auc"],
        open_set["verification"]["auc"]
    );
    let known = &found["identification"];
    assert_eq!(
        (&known["enrolled"], &known["mated_probes"]),
        (&3.into(), &57.into())
    );
    assert_eq!(known["non_mated_probes"], 60);
    assert!(known["cmc"][0][1].as_f64().unwrap() > 0.5, "{known}");
    assert!(found["ami"].as_f64().unwrap() <= found["nmi"].as_f64().unwrap());
    json(
        dir,
        &["eval", "run", "--open-set", "unknown ü", "--out", "page"],
    );
    let page = fs::read_to_string(dir.join("page/report.html")).unwrap();
    for part in [
        "On classes never trained on",
        "Worst mistakes",
        "Nearest neighbours",
        "Rank 1",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(
        !page.contains("no finished run"),
        "a page without a table of runs"
    );
    assert!(dir.join("page/figures/open-set-roc.svg").is_file());

    let npy = json(dir, &["embed", "run", "unknown ü", "-o", "e.npy"]);
    assert_eq!(
        (&npy["images"], &npy["embedding_size"]),
        (&120.into(), &32.into())
    );
    let array = lsoftmax_data::npy::read(&dir.join("e.npy")).unwrap();
    assert_eq!(array.shape, [120, 32]);
    let names = fs::read_to_string(dir.join("e.csv")).unwrap();
    assert_eq!(names.lines().count(), 121);
    assert!(
        names.contains("unknown ü/new 3/") && names.contains(",new 3\n"),
        "{names}"
    );
    json(dir, &["embed", "run", "unknown ü", "-o", "e.parquet"]);
    let columns =
        lsoftmax_data::parquet_file::read_columns(&dir.join("e.parquet"), &["path"]).unwrap();
    assert!(columns[0].is_some());

    // An image is equal to itself.
    let images: Vec<String> = (0..4).map(|class| first_of(dir, class)).collect();
    let image = &*images[3];
    let same = json(dir, &["verify", "run", image, image]);
    assert_eq!(same["same"], true);
    assert!(same["score"].as_f64().unwrap() > 0.9999, "{same}");
    assert_eq!(same["validation_classes_unseen"], true);
    let strict = json(dir, &["verify", "run", image, image, "--far", "0.01"]);
    assert!(
        strict["false_accept_rate"].as_f64().unwrap() <= 0.01,
        "{strict}"
    );

    let [a, b, c] = [&images[0], &images[1], &images[2]];
    let pairs = format!("left,right,same\n{a},{a},1\n{a},{b},0\n{b},{b},1\n{a},{c},0\n");
    fs::write(dir.join("pairs.csv"), pairs).unwrap();
    let many = json(dir, &["verify", "run", "--pairs", "pairs.csv"]);
    assert_eq!((&many["pairs"], &many["images"]), (&4.into(), &3.into()));
    assert_eq!(
        many["auc"], 1.0,
        "nothing is more alike than an image and itself"
    );
    json(
        dir,
        &[
            "verify",
            "run",
            "--pairs",
            "pairs.csv",
            "--out",
            "pairs page",
        ],
    );
    let page = fs::read_to_string(dir.join("pairs page/report.html")).unwrap();
    assert!(page.contains("4 pairs of 3 images") && page.contains("Worst mistakes"));

    let index = json(dir, &["index", "run", "unknown ü", "-o", "gallery"]);
    assert_eq!(index["images"], 120);
    let found = json(dir, &["search", "gallery", image, "-k", "3"]);
    let hits = found["searches"][0]["hits"].as_array().unwrap();
    assert_eq!(hits.len(), 3);
    assert_eq!(hits[0]["label"], "new 3");
    assert!(
        hits[0]["path"].as_str().unwrap().ends_with(image),
        "{found}"
    );
    let always = [
        "index",
        "run",
        "unknown ü",
        "-o",
        "indexed",
        "--approximate",
        "always",
    ];
    if cfg!(feature = "usearch") {
        let index = json(dir, &always);
        let recall = index["approximate"]["recall_at_10"].as_f64().unwrap();
        assert!(recall > 0.9, "{index}");
        let near = json(dir, &["search", "indexed", image, "-k", "3"]);
        assert_eq!(near["searches"], found["searches"]);
        assert_eq!(near["approximate"], index["approximate"]);
        let exact = json(dir, &["search", "indexed", image, "-k", "3", "--exact"]);
        assert_eq!(
            (&exact["searches"], &exact["approximate"]),
            (&found["searches"], &Value::Null)
        );
    } else {
        let (text, status) = refused(dir, &always);
        assert!(status == 2 && text.contains("feature usearch"), "{text}");
        assert!(!dir.join("indexed").exists());
    }
    bad_input(dir, image);
}

/// Invalid commands, each with a one-line error. The model of `dir` is used unchanged.
fn bad_input(dir: &Path, image: &str) {
    let (text, status) = refused(dir, &["search", "gallery", image, "-k", "0"]);
    assert!(
        status == 2 && text.contains("-k must be at least 1"),
        "{text}"
    );

    // A truncated gallery, and a gallery of another model.
    let whole = fs::read(dir.join("gallery")).unwrap();
    fs::write(dir.join("short"), &whole[..whole.len() / 2]).unwrap();
    let (text, status) = refused(dir, &["search", "short", image]);
    assert!(
        status == 1 && text.contains("short is not a gallery"),
        "{text}"
    );
    let other: Vec<&str> = TRAIN
        .iter()
        .map(|&arg| match arg {
            "run" => "other",
            "200" => "10",
            arg => arg,
        })
        .collect();
    json(dir, &other);
    let (text, _) = refused(dir, &["search", "gallery", image, "--run", "other"]);
    assert!(text.contains("another model"), "{text}");
    fs::rename(dir.join("run"), dir.join("moved")).unwrap();
    let (text, _) = refused(dir, &["search", "gallery", image]);
    assert!(text.contains("--run says where it is now"), "{text}");
    json(dir, &["search", "gallery", image, "--run", "moved"]);
    fs::rename(dir.join("moved"), dir.join("run")).unwrap();

    // A tiny file that claims 60,000 x 60,000 pixels.
    fs::write(dir.join("bomb.pgm"), b"P5\n60000 60000\n255\n").unwrap();
    let (text, _) = refused(dir, &["verify", "run", "bomb.pgm", image]);
    assert!(
        text.contains("bomb.pgm") && text.contains("60000x60000"),
        "{text}"
    );
    fs::write(dir.join("none.png"), b"").unwrap();
    let (text, _) = refused(dir, &["verify", "run", "none.png", image]);
    assert!(
        text.contains("none.png") && text.contains("empty file"),
        "{text}"
    );
    let (text, _) = refused(dir, &["verify", "run", "not-there.png", image]);
    assert!(text.contains("not-there.png"), "{text}");
    let (text, status) = refused(dir, &["verify", "run", image]);
    assert!(status == 2 && text.contains("two images"), "{text}");
    let (text, status) = refused(dir, &["verify", "run", image, image, "--far", "1e-9"]);
    assert!(status == 2 && text.contains("different pairs"), "{text}");
    let (text, status) = refused(dir, &["embed", "run", image, "-o", "e.txt"]);
    assert!(status == 2 && text.contains(".npy or .parquet"), "{text}");
    let (text, _) = refused(dir, &["embed", "run", image, "-o", "nowhere/e.npy"]);
    assert!(text.contains("nowhere"), "{text}");
    let (text, status) = refused(
        dir,
        &["embed", "run", image, "-o", "e.npy", "--landmarks", "x"],
    );
    assert!(status == 2 && text.contains("without `align`"), "{text}");
    // A list of images that an array of the same name would replace.
    let list = format!("path,label\n{image},a\n");
    fs::write(dir.join("list.csv"), &list).unwrap();
    let (text, status) = refused(dir, &["embed", "run", "list.csv", "-o", "list.npy"]);
    assert!(status == 2 && text.contains("one of the inputs"), "{text}");
    assert_eq!(fs::read_to_string(dir.join("list.csv")).unwrap(), list);
    json(dir, &["embed", "run", "list.csv", "-o", "other.npy"]);
    fs::write(
        dir.join("wrong.csv"),
        "left,right,same\na.png,b.png,1\nc.png,d.png,0\n",
    )
    .unwrap();
    let (text, _) = refused(dir, &["verify", "run", "--pairs", "wrong.csv"]);
    assert!(text.contains("4 of the 4 images"), "{text}");

    // A folder with one class, and one with a single image per class.
    let (text, _) = refused(dir, &["eval", "run", "--open-set", "unknown ü/new 3"]);
    assert!(text.contains("class"), "{text}");
    for class in ["a", "b", "c"] {
        fs::create_dir_all(dir.join("single").join(class)).unwrap();
        fs::copy(
            dir.join(image),
            dir.join("single").join(class).join("1.pgm"),
        )
        .unwrap();
    }
    for folder in ["single", "unknown ü/new 3"] {
        let args = [
            "train",
            "--data",
            "images",
            "--data-dir",
            folder,
            "--iterations",
            "2",
        ];
        let (text, _) = refused(dir, &args);
        assert!(text.contains("class") || text.contains("image"), "{text}");
        assert!(!dir.join("runs").exists(), "nothing is left behind");
    }
}
