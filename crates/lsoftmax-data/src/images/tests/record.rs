//! The recorded images of a run, and the detection of changes.

use super::*;
use crate::open_set::{OpenSet, SameNames};
use crate::source::{DataSource, SourceOptions};
use crate::splits::Split;
use crate::{RunImages, RunPart};

fn options(path: &Path) -> SourceOptions {
    SourceOptions {
        dir: Some(path.to_owned()),
        images: small(),
        ..SourceOptions::default()
    }
}

fn load(options: &SourceOptions) -> Split {
    DataSource::Images.load(options).unwrap()
}

fn record(options: &SourceOptions) -> RunImages {
    let split = load(options);
    let held_out = split.train.draw_held_out(2, 0).unwrap();
    RunImages::new(&split, &held_out)
}

/// `train` and `test`, with two classes each.
fn in_parts() -> TempDir {
    let files = [
        "train/a/1",
        "train/a/2",
        "train/a/3",
        "train/b/1",
        "train/b/2",
        "test/a/1",
        "test/b/1",
    ];
    let dir = tempfile::tempdir().unwrap();
    for (value, name) in (0..).zip(files) {
        put(dir.path(), &format!("{name}.png"), &png(10 * value));
    }
    dir
}

fn swap(dir: &Path, one: &str, other: &str) {
    fs::rename(dir.join(one), dir.join("t")).unwrap();
    fs::rename(dir.join(other), dir.join(one)).unwrap();
    fs::rename(dir.join("t"), dir.join(other)).unwrap();
}

#[track_caller]
fn changed(before: &RunImages, options: &SourceOptions, expected: &str) {
    let found = before.changes(&record(options)).unwrap_or_default();
    assert_eq!(found, expected);
}

#[test]
fn a_table_stores_everything() {
    let dir = classes(&[6, 6, 6, 4]);
    put(dir.path(), "a/ü, \"x\".png", &png(99));
    let options = SourceOptions {
        open_set: Some(OpenSet::Classes(1)),
        ..options(dir.path())
    };
    let images = record(&options);
    let counts = [
        RunPart::Train,
        RunPart::HeldOut,
        RunPart::Test,
        RunPart::OpenSet,
    ]
    .map(|part| images.of(part).count());
    assert_eq!(counts.iter().sum::<usize>(), 23);
    assert_eq!(counts[1], 2);
    let file = dir.path().join("images.csv");
    fs::write(&file, images.to_csv().unwrap()).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with("path,class,part,sha256,pixels_sha256\n"),
        "{text}"
    );
    let again = RunImages::read(&file).unwrap().unwrap();
    assert!(again.iter().eq(images.iter()));
    assert_eq!(images.changes(&again), None);
    assert!(RunImages::read(&dir.path().join("none")).unwrap().is_none());
    for (from, to, says) in [
        (",sha256,", ",digest,", "no column sha256"),
        (",train,", ",trained,", "\"trained\" in line"),
        ("held-out,", "held-out,x", "a SHA-256"),
    ] {
        fs::write(&file, text.replacen(from, to, 1)).unwrap();
        let message = RunImages::read(&file).unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn changes_of_a_folder_with_parts_are_reported() {
    let dir = in_parts();
    let (path, options) = (dir.path(), options(dir.path()));
    let before = record(&options);
    changed(&before, &options, "");
    // Swapped between classes, within one, and between the parts.
    for (one, other) in [
        ("train/a/1.png", "train/b/1.png"),
        ("train/a/1.png", "train/a/2.png"),
        ("train/a/1.png", "test/a/1.png"),
    ] {
        swap(path, one, other);
        let found = before.changes(&record(&options)).unwrap();
        assert!(
            found.starts_with("2 with other content (first t"),
            "{found}"
        );
        assert!(found.contains(one) || found.contains(other), "{found}");
        swap(path, one, other);
    }
    // Another image with the same name.
    put(path, "test/b/1.png", &png(200));
    changed(&before, &options, "1 with other content (test/b/1.png)");
    put(path, "test/b/1.png", &png(60));
    changed(&before, &options, "");
    // Added, removed.
    put(path, "train/b/9.png", &png(201));
    changed(&before, &options, "1 new (train/b/9.png)");
    fs::remove_file(path.join("train/b/9.png")).unwrap();
    fs::rename(path.join("train/a/3.png"), path.join("t")).unwrap();
    changed(&before, &options, "1 no longer there (train/a/3.png)");
    // Moved to the other class, and to the other part.
    fs::rename(path.join("t"), path.join("train/b/3.png")).unwrap();
    let moved = "1 no longer there (train/a/3.png, now train/b/3.png), 1 new (train/b/3.png)";
    changed(&before, &options, moved);
    fs::rename(path.join("train/b/3.png"), path.join("test/a/3.png")).unwrap();
    let moved = "1 no longer there (train/a/3.png, now test/a/3.png), 1 new (test/a/3.png)";
    changed(&before, &options, moved);
    fs::rename(path.join("test/a/3.png"), path.join("train/a/3.png")).unwrap();
    // A class with another name.
    for part in ["train", "test"] {
        fs::rename(path.join(part).join("a"), path.join(part).join("A")).unwrap();
    }
    let found = before.changes(&record(&options)).unwrap();
    assert!(
        found.contains("4 no longer there (first train/a/"),
        "{found}"
    );
    assert!(found.contains(", now train/A/"), "{found}");
}

#[test]
fn changes_of_a_list_and_of_a_drawn_split_are_reported() {
    let dir = classes(&[4, 4]);
    let rows = [
        "a/0.png,a,train",
        "a/1.png,a,train",
        "a/2.png,a,train",
        "a/3.png,a,test",
        "b/0.png,b,train",
        "b/1.png,b,train",
        "b/2.png,b,train",
        "b/3.png,b,test",
    ];
    let file = dir.path().join("list.csv");
    let write = |rows: &[&str]| {
        fs::write(&file, format!("path,label,split\n{}\n", rows.join("\n"))).unwrap();
    };
    write(&rows);
    let of_list = options(&file);
    let before = record(&of_list);
    let with = |place: usize, row: &'static str| {
        let mut rows = rows;
        rows[place] = row;
        write(&rows);
    };
    with(3, "a/3.png,a,train");
    let found = before.changes(&record(&of_list)).unwrap();
    assert!(found.contains("in another part ("), "{found}");
    with(2, "a/2.png,b,train");
    let found = before.changes(&record(&of_list)).unwrap();
    assert!(
        found.contains("1 of another class (a/2.png, from a to b)"),
        "{found}"
    );
    let mut other = rows;
    other.swap(0, 1);
    write(&other);
    let found = before.changes(&record(&of_list)).unwrap();
    assert!(
        found.contains("another order") || found.contains("another part"),
        "{found}"
    );

    // If the split is drawn, one more image redraws all of them; only the new one is reported.
    let folder = classes(&[9, 9]);
    let drawn = options(folder.path());
    let before = record(&drawn);
    put(folder.path(), "a/77.png", &png(99));
    changed(&before, &drawn, "1 new (a/77.png)");
    // Unless it changes nothing: only these rows of the list are used.
    write(&rows);
    let few = SourceOptions {
        train_samples: Some(4),
        test_samples: Some(1),
        ..options(&file)
    };
    let before = record(&few);
    put(dir.path(), "b/9.png", &png(99));
    let more = [&rows[..], &["b/9.png,b,train"]].concat();
    write(&more);
    changed(&before, &few, "");
}

#[test]
fn the_recorded_test_part_is_found_again() {
    let dir = classes(&[8, 8]);
    let before = record(&options(dir.path()));
    let list = || ImageList::from_folder(dir.path()).unwrap();
    let select = || {
        let listed = before.listed(RunPart::Test, &list());
        let decoded = listed.decode(&small()).unwrap();
        before.select(RunPart::Test, &decoded.dataset, &[])
    };
    let test = load(&options(dir.path())).test;
    assert_eq!(select().unwrap(), test);
    // Regardless of added images.
    put(dir.path(), "a/.0.png", &png(1));
    put(dir.path(), "a/00.png", &png(201));
    put(dir.path(), "c/00.png", &png(202));
    let again = select().unwrap();
    assert_eq!(again.relabelled(&test.class_names).unwrap(), test);
    assert!(before.are_in_list(&list()));
    let paths: Vec<String> = before
        .of(RunPart::Test)
        .map(|it| it.path.to_owned())
        .collect();
    swap(dir.path(), &paths[0], &paths[paths.len() - 1]);
    let found = select().unwrap_err();
    assert_eq!(found, format!("2 with other content (first {})", paths[0]));
    assert!(!before.are_in_list(&list()));
    swap(dir.path(), &paths[0], &paths[paths.len() - 1]);
    fs::remove_file(dir.path().join(&paths[0])).unwrap();
    assert_eq!(select().unwrap_err(), format!("1 missing ({})", paths[0]));
}

#[test]
fn classes_are_matched_by_name() {
    let dir = classes(&[2, 2, 2]);
    fs::rename(dir.path().join("b"), dir.path().join("Jose\u{301}")).unwrap();
    let list = ImageList::from_folder(dir.path()).unwrap();
    let data = list.decode(&small()).unwrap().dataset;
    let names = |names: &[&str]| {
        names
            .iter()
            .map(|&name| name.to_owned())
            .collect::<Vec<_>>()
    };
    let known = names(&["0", "a", "Jos\u{e9}", "c", "d"]);
    let matched = data.relabelled(&known).unwrap();
    let name = |data: &crate::Dataset, i| data.class_names[data.label(i) as usize].clone();
    for i in 0..6 {
        assert_eq!(name(&matched, i), crate::names::nfc(&name(&data, i)));
        assert_eq!(matched.origin(i), data.origin(i));
    }
    for (known, says) in [
        (names(&["a", "c"]), "\"Jos"),
        (
            names(&["a", "c", "jos\u{e9}"]),
            "did you mean \"jos\u{e9}\"?",
        ),
        (names(&["x", "y"]), "and 2 others"),
    ] {
        let message = data.relabelled(&known).unwrap_err().to_string();
        assert!(message.contains(says), "{message}");
    }
}

#[test]
fn identical_images_in_two_parts_or_classes_are_reported() {
    let dir = in_parts();
    assert_eq!(load(&options(dir.path())).warnings, [""; 0]);
    // A training image in the test part.
    put(dir.path(), "test/a/copy.png", &png(10));
    let warnings = load(&options(dir.path())).warnings;
    let [warning] = &warnings[..] else {
        panic!("{warnings:?}")
    };
    assert!(
        warning.starts_with("1 of 3 test images are identical"),
        "{warning}"
    );
    let pair = "train/a/2.png (class a) and test/a/copy.png (class a)";
    assert!(warning.contains(pair), "{warning}");
    fs::remove_file(dir.path().join("test/a/copy.png")).unwrap();
    // In two classes, also in another format.
    let bmp = encoded(&[10; 64], [8, 8], ExtendedColorType::L8, ImageFormat::Bmp);
    for (name, bytes) in [("train/b/x.png", png(10)), ("train/b/x.bmp", bmp)] {
        put(dir.path(), name, &bytes);
        let warnings = load(&options(dir.path())).warnings;
        let [warning] = &warnings[..] else {
            panic!("{warnings:?}")
        };
        assert!(
            warning.starts_with("identical images in two classes: train/a/2.png"),
            "{warning}"
        );
        assert!(warning.contains(name), "{warning}");
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    // Copies within a class are harmless unless they are tested on.
    put(dir.path(), "train/a/9.png", &png(10));
    assert_eq!(load(&options(dir.path())).warnings, [""; 0]);
    // In a list, under another class in the test part: both warnings.
    let rows = "path,label,split\ntrain/a/1.png,a,train\ntrain/b/1.png,b,train\nt.png,b,test\n";
    put(dir.path(), "t.png", &png(0));
    put(dir.path(), "list.csv", rows.as_bytes());
    let warnings = load(&options(&dir.path().join("list.csv"))).warnings;
    assert_eq!(warnings.len(), 2, "{warnings:?}");
}

#[test]
fn an_open_set_has_other_classes_and_other_images() {
    let dir = classes(&[5, 5, 5]);
    let unseen = folder(&[
        ("b/1.png", png(201)),
        ("b/2.png", png(202)),
        ("x/1.png", png(203)),
    ]);
    let with = |path: &Path, same_names| {
        DataSource::Images.load(&SourceOptions {
            open_set: Some(OpenSet::Folder(path.to_owned())),
            open_set_same_names: same_names,
            ..options(dir.path())
        })
    };
    says(
        with(unseen.path(), SameNames::Refuse),
        &[
            "1 of 2 with names of trained classes, such as \"b\"",
            "--open-set-same-names different",
        ],
    );
    let split = with(unseen.path(), SameNames::Different).unwrap();
    assert_eq!((split.same_names, split.warnings.len()), (1, 0));
    // A trained image is rejected in both cases, under any name.
    put(unseen.path(), "y/new.png", &png(21));
    for same_names in [SameNames::Refuse, SameNames::Different] {
        fs::rename(unseen.path().join("b"), unseen.path().join("z")).ok();
        let found = with(unseen.path(), same_names);
        says(
            found,
            &["1 of 4 images that are, first y/new.png (class y), identical to b/1.png"],
        );
    }
    // The same for the rows of a list.
    let rows = "path,label,split\na/0.png,a,train\nb/0.png,b,train\na/1.png,a,test\n\
        b/1.png,b,test\ncopy.png,c,open-set\n";
    put(dir.path(), "copy.png", &png(20));
    put(dir.path(), "list.csv", rows.as_bytes());
    let found = DataSource::Images.load(&options(&dir.path().join("list.csv")));
    says(
        found,
        &["first copy.png (class c), identical to b/0.png (class b)"],
    );
    fs::remove_file(dir.path().join("copy.png")).unwrap();
    // The same image in two classes of the open set.
    put(unseen.path(), "y/new.png", &png(203));
    let warnings = with(unseen.path(), SameNames::Refuse).unwrap().warnings;
    let pair = "in two classes: x/1.png (class x) and y/new.png (class y)";
    assert!(warnings[0].contains(pair), "{warnings:?}");
    // The same pixels in another format are reported.
    let bmp = encoded(&[40; 64], [8, 8], ExtendedColorType::L8, ImageFormat::Bmp);
    put(unseen.path(), "y/new.png", &bmp);
    let warnings = with(unseen.path(), SameNames::Refuse).unwrap().warnings;
    assert!(
        warnings[0].starts_with("identical images in the open set"),
        "{warnings:?}"
    );
}

#[test]
fn trained_images_are_detected_in_another_format_too() {
    let dir = classes(&[6, 6]);
    let images = record(&options(dir.path()));
    let trained = images.of(RunPart::Train).next().unwrap();
    let value = decode_image(&dir.path().join(trained.path), &small()).unwrap()[0];
    let saved_again = encoded(
        &[value; 64],
        [8, 8],
        ExtendedColorType::L8,
        ImageFormat::Bmp,
    );
    let other = folder(&[
        ("x/1.bmp", saved_again),
        ("x/2.png", png(201)),
        ("y/1.png", png(202)),
    ]);
    let list = ImageList::from_folder(other.path()).unwrap();
    let read = || list.decode(&small()).unwrap().dataset;
    assert_eq!(images.trained_on(&read()), (1, Some("x/1.bmp")));
    let warning = images.refuse_in(&read(), other.path()).unwrap().unwrap();
    let pair = format!("1 of them (x/1.bmp and {} of the class", trained.path);
    assert!(warning.contains(&pair), "{warning}");
    // The same file.
    fs::copy(dir.path().join(trained.path), other.path().join("x/2.png")).unwrap();
    let message = images
        .refuse_in(&read(), other.path())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("1 identical to images of trained classes (x/2.png and "),
        "{message}"
    );
    fs::remove_file(other.path().join("x/1.bmp")).unwrap();
    put(other.path(), "x/2.png", &png(201));
    let list = ImageList::from_folder(other.path()).unwrap();
    let data = list.decode(&small()).unwrap().dataset;
    assert_eq!(images.refuse_in(&data, other.path()).unwrap(), None);
    assert_eq!(images.trained_on(&data), (0, None));
    // A table of an older version has no digests of pixels.
    let csv = String::from_utf8(images.to_csv().unwrap()).unwrap();
    let cut = |line: &str| line.rsplit_once(',').unwrap().0.to_owned();
    let old: Vec<String> = csv.lines().map(cut).collect();
    put(dir.path(), "old.csv", old.join("\n").as_bytes());
    let old = RunImages::read(&dir.path().join("old.csv"))
        .unwrap()
        .unwrap();
    assert_eq!(images.changes(&old), None);
    assert_eq!(old.trained_on(&data), (0, None));
}
