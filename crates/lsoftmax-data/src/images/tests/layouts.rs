//! Common layouts of image folders and their interpretation.

use super::*;
use crate::source::{DataSource, SourceOptions};
use crate::splits::Split;

fn tree(files: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (value, file) in (0..).zip(files) {
        put(dir.path(), file, &png(value));
    }
    dir
}

fn list(files: &[&str]) -> Result<ImageList, DataError> {
    ImageList::from_folder(tree(files).path())
}

fn load_as(dir: &Path, class_folders: ClassFolders) -> Result<Split, DataError> {
    DataSource::Images.load(&SourceOptions {
        dir: Some(dir.to_owned()),
        images: small(),
        class_folders,
        ..SourceOptions::default()
    })
}

fn load(dir: &Path) -> Result<Split, DataError> {
    load_as(dir, ClassFolders::Auto)
}

/// `train/cat`, `train/dog`, `test/cat` and `test/dog` with two images each, with other names for
/// the parts.
fn parts_named(train: &str, test: &str) -> TempDir {
    let mut files = Vec::new();
    for part in [train, test] {
        for class in ["cat", "dog"] {
            files.extend([1, 2].map(|number| format!("{part}/{class}/{number}.png")));
        }
    }
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    tree(&files)
}

#[test]
fn parts_are_detected_by_name() {
    for (train, test) in [
        ("train", "test"),
        ("Training", "Testing"),
        ("trainset", "testset"),
        ("TRAIN_SET", "Test_Set"),
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("training_data", "test_data"),
        ("archive/train", "archive/test"),
        ("archive/data/Training", "archive/data/Testing"),
        ("images/train", "images/val"),
        ("train/images", "test/images"),
        ("train", "valid"),
        ("tiny_train", "tiny_test"),
    ] {
        let dir = parts_named(train, test);
        for clutter in ["__MACOSX/train/cat/._1.png", ".git/1.png", "@eaDir/x/1.png"] {
            put(dir.path(), clutter, b"");
        }
        let split = load(dir.path()).unwrap();
        assert_eq!(split.train.class_names, ["cat", "dog"], "{train}");
        let sizes = (split.train.len(), split.test.len(), split.held_out);
        assert_eq!(sizes, (4, 4, None));
        let line = format!(
            "images: 4 train / 4 test from {train}/ (train), {test}/ (test), 2 classes: cat, dog"
        );
        assert_eq!(split.summary.as_ref(), Some(&line));
        assert_eq!(split.warnings, [""; 0]);
    }
}

#[test]
fn validation_images_next_to_test_images_are_held_out() {
    let dir = parts_named("train", "test");
    put(dir.path(), "valid/dog/1.png", &png(99));
    let split = load(dir.path()).unwrap();
    let held_out = split.held_out.unwrap();
    assert_eq!((held_out.image(0)[0], held_out.labels()), (99, &[1][..]));
    assert!(split.summary.unwrap().contains(
        "4 train / 4 test / 1 held out from train/ (train), test/ (test), valid/ (held-out)"
    ));
    put(dir.path(), "valid/bird/1.png", &png(99));
    says(
        load(dir.path()),
        &["\"bird\" and 0 more without training images"],
    );
}

#[test]
fn ambiguous_parts_are_rejected() {
    for (files, parts) in [
        // Next to other folders of images.
        (
            &["train/a/1.png", "test/a/1.png", "unlabeled/1.png"][..],
            &["unlabeled next to the parts test, train"][..],
        ),
        (
            &["train/a/1.png", "test/a/1.png", "a/1.png", "b/1.png"],
            &["a, b next to the parts"],
        ),
        (
            &["train/a/1.png", "cat/1.png", "dog/1.png"],
            &["train next to cat, dog", "--class-folders top"],
        ),
        (
            &["test/1.png", "cat/1.png", "dog/1.png"],
            &["test next to cat, dog", "--class-folders top"],
        ),
        // One part twice, or only one part.
        (
            &["train/a/1.png", "training/a/1.png", "test/a/1.png"],
            &["train, training for the same part"],
        ),
        (
            &["val/a/1.png", "test/a/1.png"],
            &["a part to train on", "test, val only"],
        ),
        // Images without classes.
        (
            &["train/1.png", "test/1.png"],
            &["images directly in test, train", "--class-folders top"],
        ),
        (
            &["train/a/1.png", "train/b/1.png", "test/1.png"],
            &["images directly in test"],
        ),
        (
            &[
                "bounding_box_train/1.png",
                "bounding_box_test/1.png",
                "query/1.png",
            ],
            &["query next to"],
        ),
    ] {
        says(list(files), parts);
    }
    // With an explicit choice, they are classes.
    for files in [
        &["test/1.png", "cat/1.png", "dog/1.png"][..],
        &["train/1.png", "test/1.png", "tram/1.png"],
        &["train/1.png", "bus/1.png", "car/1.png"],
    ] {
        let dir = tree(files);
        for how in [ClassFolders::Top, ClassFolders::Each] {
            let list = ImageList::from_path_as(dir.path(), how).unwrap();
            assert_eq!(list.class_names.len(), 3);
            assert!(list.entries.iter().all(|entry| entry.part.is_none()));
        }
    }
    // A class within the parts may have any name.
    let list = list(&["train/test/1.png", "train/b/1.png", "test/test/1.png"]).unwrap();
    assert_eq!(list.class_names, ["b", "test"]);
}

#[test]
fn one_folder_may_wrap_everything() {
    for (files, classes, from) in [
        (
            &["archive/cat/1.png", "archive/dog/1.png"][..],
            &["cat", "dog"][..],
            &["archive"][..],
        ),
        (
            &["a b/data/cat/1.png", "a b/data/dog/1.png"],
            &["cat", "dog"],
            &["a b/data"],
        ),
        (
            &["train/cat/1.png", "train/dog/1.png"],
            &["cat", "dog"],
            &["train"],
        ),
        (
            &["cat/images/1.png", "dog/pictures/1.png"],
            &["cat", "dog"],
            &[],
        ),
        // A single class.
        (&["cat/1.png"], &["cat"], &[]),
        (&["cat/images/1.png"], &["cat"], &[]),
        (&["train/cat/1.png"], &["cat"], &["train"]),
    ] {
        let list = list(files).unwrap();
        assert_eq!(list.class_names, classes);
        let folders: Vec<&str> = list
            .reading
            .folders
            .iter()
            .map(|(relative, _)| &**relative)
            .collect();
        assert_eq!(folders, from);
        assert_eq!(list.entries.len(), files.len());
    }
}

#[test]
fn folders_in_classes_are_one_class_or_an_error() {
    for files in [
        // Images next to a folder of images.
        &["cat/1.png", "cat/old/2.png", "dog/1.png"][..],
        &["cat/old/2.png", "cat/new/1.png", "dog/1.png"],
        &["cat/a/b/2.png", "cat/a/1.png", "dog/1.png"],
        // The same name in two classes.
        &["a/x/1.png", "a/y/1.png", "b/x/1.png"],
        &["a/x/1.png", "b/x/1.png"],
        &["x/1.png", "b/x/1.png"],
        &["train/cat/a/1.png", "train/cat/b/1.png", "test/cat/a/1.png"],
    ] {
        says(
            list(files),
            &["--class-folders top", "--class-folders each", "use a list"],
        );
    }
    // If they were one class, test images would be trained on.
    let files = [
        "cat/train/1.png",
        "cat/test/1.png",
        "dog/train/1.png",
        "dog/test/1.png",
    ];
    says(
        list(&files),
        &[
            "parts in classes, cat/test and cat/train",
            "put the classes into",
        ],
    );
    let dir = tree(&["cat/1.png", "cat/old/2.png", "dog/x/y/1.png"]);
    let classes = |how| {
        ImageList::from_path_as(dir.path(), how)
            .unwrap()
            .class_names
    };
    assert_eq!(classes(ClassFolders::Top), ["cat", "dog"]);
    assert_eq!(classes(ClassFolders::Each), ["cat", "cat/old", "dog/x/y"]);
    let dir = tree(&["train/a/x/1.png", "train/b/x/1.png", "test/b/x/1.png"]);
    let classes = |how| ImageList::from_path_as(dir.path(), how).unwrap();
    assert_eq!(classes(ClassFolders::Top).class_names, ["a", "b"]);
    let each = classes(ClassFolders::Each);
    assert_eq!(each.class_names, ["a/x", "b/x"]);
    assert_eq!(each.entries[2].part, Some(Part::Test));
}

#[test]
fn a_class_without_images_is_reported() {
    let tif: &[u8] = b"II*\0";
    let with = |name: &str, bytes: &[u8]| {
        let dir = tree(&["a/1.png", "a/2.png", "b/1.png", "b/2.png"]);
        put(dir.path(), name, bytes);
        dir
    };
    for (name, bytes, found) in [
        ("c/1.tif", tif, "1 .tif in c"),
        ("c/1.GIF", b"", "1 .gif in c"),
        ("c/1.heic", b"", "1 .heic in c"),
        (
            "c/1",
            &png(1),
            "1 without extension (PNG by content: name them .png) in c",
        ),
        (
            "c/1.png_1",
            &jpeg(),
            "1 .png_1 (JPEG by content: name them .jpg) in c",
        ),
    ] {
        let expected = ["images of the class \"c\" that are read", found];
        says(load(with(name, bytes).path()), &expected);
    }
    // A folder without images need not be a class, but is reported.
    let split = load(with("c/notes.txt", b"").path()).unwrap();
    assert_eq!(
        split.warnings,
        ["no images in c (1 .txt): it is not a class"]
    );
    let dir = with("a/3.TIFF", tif);
    fs::create_dir(dir.path().join("c")).unwrap();
    let split = load(dir.path()).unwrap();
    assert_eq!(
        split.warnings,
        [
            "no images in c (no files): it is not a class",
            "images not read because of their format or file extension: 1 .tiff (in a)"
        ]
    );
    let dir = folder(&[("a/1.tif", tif.to_vec()), ("b/1.gif", vec![])]);
    says(load(dir.path()), &["has no images (.jpg", "1 .gif, 1 .tif"]);
    for ending in ["jfif", "jpe", "JIF", "JPE"] {
        let split = load(with(&format!("c/1.{ending}"), &jpeg()).path()).unwrap();
        assert_eq!(split.train.class_names, ["a", "b", "c"]);
    }
}

#[test]
fn clutter_is_ignored_everywhere() {
    let clutter = |dir: &Path| {
        for name in [
            ".ipynb_checkpoints/1.png",
            "@eaDir/1.png@SynoEAStream",
            "@eaDir/1.png/SYNOPHOTO_THUMB_M.jpg",
            "__MACOSX/._1.png",
            "._1.png",
            ".DS_Store",
            "Thumbs.db",
            "desktop.ini",
            "$RECYCLE.BIN/1.png",
        ] {
            put(dir, name, b"no image");
        }
    };
    let dir = tree(&["a/1.png", "a/2.png", "b/1.png", "b/2.png"]);
    let clean = load(dir.path()).unwrap();
    clutter(dir.path());
    clutter(&dir.path().join("a"));
    let split = load(dir.path()).unwrap();
    assert_eq!((&split.train, &split.test), (&clean.train, &clean.test));
    assert_eq!(split.warnings, [""; 0]);
    assert_eq!(split.remarks[0], "ignored: 16 hidden or system files");
    // A flat folder.
    let flat = ImageList::from_anything(&dir.path().join("a")).unwrap();
    assert_eq!(flat.entries.len(), 2);
    assert_eq!(flat.class_names, ["a"]);
    // The same with an empty subfolder, or one without images.
    put(dir.path(), "a/notes/1.txt", b"");
    let flat = ImageList::from_anything(&dir.path().join("a")).unwrap();
    assert_eq!(flat.entries.len(), 2);
    put(dir.path(), "a/more/1.png", &png(1));
    says(
        ImageList::from_anything(&dir.path().join("a")),
        &["2 images directly in it"],
    );
}

#[test]
fn any_folder_of_images_can_be_embedded() {
    for (files, classes) in [
        (
            &["2020/06/1.png", "2020/07/1.png", "2021/06/1.png"][..],
            &["2020/06", "2020/07", "2021/06"][..],
        ),
        (
            &["train/a/1.png", "test/a/1.png", "more/1.png"],
            &["more", "test/a", "train/a"],
        ),
        (&["train/a/1.png", "test/b/1.png"], &["a", "b"]),
    ] {
        let dir = tree(files);
        let list = ImageList::from_anything(dir.path()).unwrap();
        assert_eq!(
            (list.entries.len(), &list.class_names[..]),
            (
                files.len(),
                &classes
                    .iter()
                    .map(|&name| name.to_owned())
                    .collect::<Vec<_>>()[..]
            )
        );
    }
}

const COMPOSED: &str = "jos\u{e9}";
const DECOMPOSED: &str = "jose\u{301}";

#[test]
fn names_are_compared_after_normalisation() {
    let dir = tempfile::tempdir().unwrap();
    for (part, name) in [("train", COMPOSED), ("test", DECOMPOSED)] {
        put(dir.path(), &format!("{part}/{name}/1.png"), &png(1));
        put(dir.path(), &format!("{part}/ann/1.png"), &png(1));
    }
    let split = load(dir.path()).unwrap();
    assert_eq!(split.train.class_names, ["ann", COMPOSED]);
    assert_eq!(split.test.labels(), [0, 1]);
    // Folders and images in one folder.
    for files in [
        ["COMPOSED/1.png", "DECOMPOSED/1.png"],
        ["train/COMPOSED/1.png", "train/DECOMPOSED/1.png"],
        ["a/COMPOSED.png", "a/DECOMPOSED.png"],
    ] {
        let files = files.map(|file| {
            file.replace("DECOMPOSED", DECOMPOSED)
                .replace("COMPOSED", COMPOSED)
        });
        let files = files.each_ref().map(|file| &**file);
        says(list(&files), &["jos\\u{e9}", "jose\\u{301}", "NFC"]);
        says(ImageList::from_anything(tree(&files).path()), &["NFC"]);
    }
}

#[test]
fn names_that_differ_only_in_case_are_reported() {
    let dir = tree(&["train/Cat/1.png", "train/dog/1.png", "test/cat/1.png"]);
    says(
        load(dir.path()),
        &["\"cat\" and 0 more", "\"Cat\" has some"],
    );
    let dir = tree(&["Cat/1.png", "cat/1.png", "big_cat/1.png", "big cat/1.png"]);
    let list = ImageList::from_folder(dir.path()).unwrap();
    assert_eq!(list.class_names.len(), 4);
    assert_eq!(list.reading.warnings.len(), 2);
    assert!(list.reading.warnings[1].contains("\"Cat\" and \"cat\" differ only in case"));
}
