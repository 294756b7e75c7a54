use super::*;
use crate::open_set::OpenSet;
use crate::source::{DataSource, SourceOptions};
use crate::splits::Split;

fn options(path: &Path) -> SourceOptions {
    SourceOptions {
        dir: Some(path.to_owned()),
        images: small(),
        ..SourceOptions::default()
    }
}

fn load(path: &Path) -> Result<Split, DataError> {
    DataSource::Images.load(&options(path))
}

fn values(data: &crate::Dataset) -> Vec<u8> {
    (0..data.len()).map(|index| data.image(index)[0]).collect()
}

#[test]
fn a_folder_is_split_by_a_share() {
    let dir = classes(&[10, 5, 1]);
    put(dir.path(), "a/readme.txt", b"");
    put(dir.path(), "b/cut.jpg", &jpeg()[..300]);
    let split = load(dir.path()).unwrap();
    assert_eq!(split.train.class_counts(), [8, 4, 1]);
    assert_eq!(split.test.class_counts(), [2, 1, 0]);
    assert_eq!((split.train.channels, split.open_set), (1, None));
    assert_eq!(split.remarks.len(), 3);
    assert_eq!(
        split.summary.unwrap(),
        "images: 13 train / 3 test (drawn), 3 classes: a, b, c"
    );
    assert!(split.remarks[0].starts_with("1 broken images skipped: b"));
    assert_eq!(split.remarks[1], "ignored: other files: 1 .txt");
    assert_eq!(split.remarks[2], "1 of 3 classes have no test images");
    // Drawn by the seed.
    let other = DataSource::Images.load(&SourceOptions {
        seed: 1,
        ..options(dir.path())
    });
    assert_ne!(other.unwrap().test, split.test);
    let fewer = DataSource::Images.load(&SourceOptions {
        train_samples: Some(3),
        test_samples: Some(1),
        test_share: 0.5,
        ..options(dir.path())
    });
    let fewer = fewer.unwrap();
    assert_eq!(fewer.train.class_counts(), [1, 1, 1]);
    assert_eq!(fewer.test.len(), 1);
}

#[test]
fn too_little_data_is_reported_in_a_sentence() {
    says(
        load(classes(&[5]).path()),
        &["at least two classes", "one, \"a\""],
    );
    says(
        load(classes(&[1, 1, 1]).path()),
        &["images per class must be at least 2 in some class"],
    );
    says(load(folder(&[]).path()), &["has no images"]);
    let dir = classes(&[3, 3]);
    let with = |options: SourceOptions| DataSource::Images.load(&options);
    says(
        with(SourceOptions {
            dir: None,
            ..options(dir.path())
        }),
        &["data-dir must be a folder", "found none"],
    );
    says(
        with(SourceOptions {
            test_share: 1.5,
            ..options(dir.path())
        }),
        &["test-share must be above 0 and below 1, found 1.5"],
    );
    says(
        with(SourceOptions {
            open_set: Some(OpenSet::Classes(1)),
            ..options(dir.path())
        }),
        &["open-set must be left out: of 2 classes none can be kept"],
    );
}

#[test]
fn open_set_classes_are_given_by_number_and_by_folder() {
    let dir = classes(&[5; 8]);
    let load = |open_set| {
        DataSource::Images.load(&SourceOptions {
            open_set: Some(open_set),
            ..options(dir.path())
        })
    };
    let split = load(OpenSet::Classes(3)).unwrap();
    let open_set = split.open_set.unwrap();
    assert_eq!(open_set.class_counts(), [5; 3]);
    assert_eq!(split.train.class_counts(), [4; 5]);
    assert_eq!(split.test.class_counts(), [1; 5]);
    let mut all = [&split.train, &split.test, &open_set].map(values).concat();
    all.sort_unstable();
    let expected: Vec<u8> = (0..8)
        .flat_map(|class| (0..5).map(move |i| 20 * class + i))
        .collect();
    assert_eq!(all, expected);

    let unseen = folder(&[
        ("x/1.jpg", jpeg()),
        ("y/1.jpg", jpeg()),
        ("y/2.jpg", vec![]),
    ]);
    let split = load(OpenSet::Folder(unseen.path().to_owned())).unwrap();
    let open_set = split.open_set.unwrap();
    // Grey, like the training images.
    assert_eq!(
        (open_set.channels, open_set.height, open_set.len()),
        (1, 4, 2)
    );
    assert_eq!(open_set.class_names, ["x", "y"]);
    assert_eq!(
        split.summary.unwrap(),
        "images: 32 train / 8 test (drawn), 8 classes: a, b, c, d, e and 3 more; open set: 2 of 2 \
         classes: x, y"
    );
    assert!(split.remarks[0].starts_with("1 broken images skipped"));
    says(
        load(OpenSet::Folder("/nonexistent".into())),
        &["cannot open /nonexistent"],
    );
}

#[test]
fn generated_and_packed_sets_have_open_sets_too() {
    let unseen = classes(&[2, 2]);
    let split = DataSource::Glyphs.load(&SourceOptions {
        train_samples: Some(20),
        test_samples: Some(10),
        open_set: Some(OpenSet::Folder(unseen.path().to_owned())),
        ..SourceOptions::default()
    });
    let split = split.unwrap();
    assert_eq!(split.open_set.unwrap().height, 28);
}

#[test]
fn train_and_test_folders_are_used_as_given() {
    let dir = folder(&[
        ("train/a/1.png", png(1)),
        ("train/a/2.png", png(2)),
        ("train/b/1.png", png(3)),
        ("test/b/1.png", png(4)),
    ]);
    let split = load(dir.path()).unwrap();
    assert_eq!(values(&split.train), [1, 2, 3]);
    assert_eq!(values(&split.test), [4]);
    assert_eq!(split.test.labels(), [1]);
    assert_eq!(
        split.summary.unwrap(),
        "images: 3 train / 1 test from train/ (train), test/ (test), 2 classes: a, b"
    );
    assert_eq!(split.remarks, ["1 of 2 classes have no test images"]);
    put(dir.path(), "test/c/1.png", &png(5));
    says(
        load(dir.path()),
        &["\"c\" and 0 more without training images", "--open-set"],
    );
}

#[test]
fn a_list_defines_the_part_of_each_image() {
    let dir = classes(&[3, 3, 2]);
    let file = dir.path().join("list.csv");
    let load = |text: &str, open_set| {
        fs::write(&file, text).unwrap();
        DataSource::Images.load(&SourceOptions {
            open_set,
            ..options(&file)
        })
    };
    let text = "path,label,split\na/0.png,a,train\nb/0.png,m,train\na/1.png,a,test\n\
                b/1.png,m,test\nc/0.png,b,open-set\nc/1.png,b,open-set\n";
    let split = load(text, None).unwrap();
    assert_eq!(split.train.class_names, ["a", "m"]);
    assert_eq!(
        (values(&split.train), values(&split.test)),
        (vec![0, 20], vec![1, 21])
    );
    assert_eq!(split.test.labels(), [0, 1]);
    let open_set = split.open_set.unwrap();
    assert_eq!(
        (values(&open_set), open_set.labels()),
        (vec![40, 41], &[0, 0][..])
    );
    assert_eq!(open_set.class_names, ["b"]);
    says(
        load(text, Some(OpenSet::Classes(1))),
        &["no images of the split open-set", "2 of them"],
    );
    says(
        load(text, Some(OpenSet::Folder(dir.path().join("a")))),
        &["no images of the split open-set"],
    );
    // Without test rows they are drawn.
    let text = "path,label,split\na/0.png,a,train\na/1.png,a,train\nb/0.png,b,train\n";
    let split = load(text, None).unwrap();
    assert_eq!(split.test.class_counts(), [1, 0]);
    for (text, parts) in [
        (
            "a/0.png,a,train\nb/0.png,b,train\na/1.png,a,open-set\n",
            &["other classes in the split open-set", "\"a\" in both"][..],
        ),
        (
            "a/0.png,a,test\nb/0.png,b,test\n",
            &["images of the split train, found only others"],
        ),
        (
            "a/0.png,a,train\nb/0.png,b,train\nc/0.png,c,test\n",
            &["\"c\" and 0 more without training images"],
        ),
        (
            "a/0.png,a,train\na/1.png,a,test\n",
            &["at least two classes"],
        ),
    ] {
        says(load(&format!("path,label,split\n{text}"), None), parts);
    }
}

#[test]
fn classes_in_an_exclude_list_are_left_out() {
    let dir = classes(&[5, 5, 5]);
    let names = dir.path().join("exclude.txt");
    std::fs::write(&names, "b\nnobody\n").unwrap();
    let with = |exclude| {
        DataSource::Images.load(&SourceOptions {
            exclude: Some(exclude),
            ..options(dir.path())
        })
    };
    let split = with(names.clone()).unwrap();
    assert_eq!(split.train.class_names, ["a", "c"]);
    assert_eq!(split.train.class_counts(), [4, 4]);
    // Images keep their classes: each class has its own values.
    let all = load(dir.path()).unwrap().train;
    let of = |data: &crate::Dataset, class: u32| -> Vec<u8> {
        let values = values(data).into_iter().zip(data.labels());
        values
            .filter(|&(_, &l)| l == class)
            .map(|(v, _)| v)
            .collect()
    };
    assert_eq!(of(&split.train, 1).len(), of(&all, 2).len());
    assert!(
        of(&split.train, 1)
            .iter()
            .all(|value| !of(&all, 1).contains(value))
    );
    assert!(split.remarks[0].starts_with("1 of 3 classes left out by "));
    assert!(
        split.remarks[1].contains("\"nobody\""),
        "{:?}",
        split.remarks
    );

    std::fs::write(&names, "a\nb\nc\n").unwrap();
    says(with(names), &["exclude.txt", "all 3 in it"]);
    says(with(dir.path().join("none.txt")), &["none.txt"]);
}

#[test]
fn every_part_has_the_origins_of_its_images() {
    let dir = classes(&[6; 6]);
    let split = DataSource::Images.load(&SourceOptions {
        open_set: Some(OpenSet::Classes(2)),
        ..options(dir.path())
    });
    let split = split.unwrap();
    let open_set = split.open_set.as_ref().unwrap();
    let (rest, held_out) = split.train.hold_out(5, 0).unwrap();
    let (some, few) = open_set
        .split_classes(0, 0)
        .unwrap_or_else(|_| (open_set.mirrored(), open_set.subset(3)));
    let mut seen = 0;
    for part in [&split.test, open_set, &rest, &held_out, &some, &few] {
        for index in 0..part.len() {
            let origin = part.origin(index).unwrap();
            let value = part.image(index)[0];
            let (class, image) = (char::from(b'a' + value / 20), value % 20);
            assert_eq!(origin.path, format!("{class}/{image}.png"));
            let bytes = fs::read(dir.path().join(origin.path)).unwrap();
            assert_eq!(origin.digest, Digest::of(&bytes));
            seen += 1;
        }
    }
    assert_eq!(seen, 36 + 12 + 3);
}
