use super::*;

fn names(list: &ImageList) -> Vec<String> {
    let base = fs::canonicalize(&list.source).unwrap();
    list.entries
        .iter()
        .map(|entry| {
            let path = fs::canonicalize(entry.path.parent().unwrap()).unwrap();
            let path = path.join(entry.path.file_name().unwrap());
            let path = path.strip_prefix(&base).unwrap_or(&path);
            path.to_string_lossy().replace('\\', "/")
        })
        .collect()
}

#[test]
fn classes_are_the_folders() {
    let dir = folder(&[
        ("Latin/b.PNG", png(0)),
        ("Latin/a.jpeg", png(0)),
        ("Latin/c.jfif", png(0)),
        ("Greek/10.pgm", png(0)),
        ("Greek/9.JPE", png(0)),
        ("Greek/readme.txt", vec![]),
        ("Greek/.hidden.png", vec![]),
        (".git/x/1.png", vec![]),
        ("空 間/gesicht größe 1.bmp", png(0)),
        ("top.csv", vec![]),
    ]);
    let list = ImageList::from_folder(dir.path()).unwrap();
    assert_eq!(list.class_names, ["Greek", "Latin", "空 間"]);
    assert_eq!(
        names(&list),
        [
            "Greek/10.pgm",
            "Greek/9.JPE",
            "Latin/a.jpeg",
            "Latin/b.PNG",
            "Latin/c.jfif",
            "空 間/gesicht größe 1.bmp",
        ]
    );
    let labels: Vec<u32> = list.entries.iter().map(|entry| entry.label).collect();
    assert_eq!(labels, [0, 0, 1, 1, 1, 2]);
    assert!(list.entries.iter().all(|entry| entry.part.is_none()));
    assert_eq!(list.reading.passed_over, 2);
    assert_eq!(list.reading.others.to_string(), "1 .csv, 1 .txt");
    assert_eq!(list.reading.warnings, [""; 0]);
    assert_eq!(ImageList::from_path(dir.path()).unwrap(), list);
}

#[test]
fn folders_without_classes_are_reported() {
    let dir = folder(&[("a.txt", vec![]), ("empty/readme", vec![])]);
    let from = |dir: &Path| ImageList::from_folder(dir);
    says(from(dir.path()), &["has no images (.jpg", "NAME/1.jpg"]);
    let dir = folder(&[("1.jpg", png(0)), ("2.jpg", png(0)), ("a/1.png", png(0))]);
    let expected = [
        "2 images directly in it, such as 1.jpg",
        "a folder of images for each class",
    ];
    says(from(dir.path()), &expected);
    let dir = folder(&[("1.jpg", png(0))]);
    says(from(dir.path()), &["1 images directly in it"]);
    says(
        from(&dir.path().join("nowhere")),
        &["cannot read", "nowhere"],
    );
    says(from(&dir.path().join("1.jpg")), &["cannot read", "1.jpg"]);
    says(
        ImageList::from_path(&dir.path().join("1.jpg")),
        &["a folder of images, or a list"],
    );
    says(
        ImageList::from_path(&dir.path().join("x")),
        &["cannot open"],
    );
}

#[cfg(unix)]
mod links {
    use super::*;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    #[test]
    fn are_followed_without_loops() {
        let elsewhere = folder(&[("person/1.png", png(1)), ("one.png", png(2))]);
        let dir = folder(&[("a/1.png", png(3)), ("b/c/1.png", png(4))]);
        put(dir.path(), "b/c/x.txt", b"");
        let link = |to: &Path, name: &str| symlink(to, dir.path().join(name)).unwrap();
        link(&elsewhere.path().join("person"), "linked");
        link(&elsewhere.path().join("one.png"), "a/2.png");
        link(Path::new("/nonexistent.png"), "a/3.png");
        link(Path::new("/nonexistent"), "a/4");
        // Links to itself, its parent, an ancestor of everything, and in a circle.
        link(&dir.path().join("a/self"), "a/self");
        link(dir.path(), "b/c/up");
        link(Path::new("/"), "b/all");
        link(&dir.path().join("b"), "a/b");
        link(&dir.path().join("a"), "b/a");
        let list = ImageList::from_folder(dir.path()).unwrap();
        assert_eq!(list.class_names, ["a", "b", "linked"]);
        assert_eq!(list.entries.len(), 5);
        assert_eq!(list.reading.skipped, 6);
        let decoded = list.decode(&small()).unwrap();
        assert_eq!((decoded.dataset.len(), decoded.skipped.len()), (4, 1));
        assert!(decoded.skipped[0].0.ends_with("a/3.png"));
    }

    #[test]
    fn many_take_no_longer_than_one() {
        let dir = folder(&[]);
        for i in 0..12 {
            put(dir.path(), &format!("{i:02}/1.png"), &png(i));
        }
        for i in 0..12 {
            for j in 0..12 {
                let to = dir.path().join(format!("{j:02}"));
                symlink(to, dir.path().join(format!("{i:02}/to{j:02}"))).unwrap();
            }
        }
        let list = ImageList::from_folder(dir.path()).unwrap();
        assert_eq!((list.entries.len(), list.reading.skipped), (12, 144));
    }

    #[test]
    fn parts_may_be_elsewhere() {
        let elsewhere = classes(&[2, 2]);
        let dir = folder(&[("train/a/1.png", png(1)), ("train/b/1.png", png(1))]);
        symlink(elsewhere.path(), dir.path().join("test")).unwrap();
        let list = ImageList::from_folder(dir.path()).unwrap();
        let tests = list.entries.iter().filter(|e| e.part == Some(Part::Test));
        assert_eq!(tests.count(), 4);
    }

    #[test]
    fn names_need_not_be_unicode() {
        let dir = folder(&[("a/1.png", png(1))]);
        let class = dir.path().join(OsStr::from_bytes(b"b\xFF"));
        // Not every file system supports such a name.
        if fs::create_dir(&class).is_ok() {
            fs::write(class.join(OsStr::from_bytes(b"\xFE.png")), png(2)).unwrap();
            let list = ImageList::from_folder(dir.path()).unwrap();
            assert_eq!(list.class_names, ["a", "b\\xFF"]);
            assert_eq!(list.decode(&small()).unwrap().dataset.len(), 2);
            // Two names that differ only in such bytes stay distinct and lead to their own files.
            let other = dir.path().join(OsStr::from_bytes(b"b\xFE"));
            fs::create_dir(&other).unwrap();
            for (name, value) in [(&b"\xFE.png"[..], 7), (b"\xFF.png", 8)] {
                fs::write(other.join(OsStr::from_bytes(name)), png(value)).unwrap();
            }
            let list = ImageList::from_folder(dir.path()).unwrap();
            assert_eq!(list.class_names, ["a", "b\\xFE", "b\\xFF"]);
            let data = list.decode(&small()).unwrap().dataset;
            let values: Vec<u8> = (0..data.len()).map(|index| data.image(index)[0]).collect();
            assert_eq!(values, [1, 7, 8, 2]);
        }
    }

    #[test]
    fn pipes_do_not_block() {
        let dir = folder(&[("a/1.png", png(1)), ("b/1.png", png(1))]);
        symlink("/dev/zero", dir.path().join("a/zero.png")).unwrap();
        let list = ImageList::from_folder(dir.path()).unwrap();
        assert_eq!((list.entries.len(), list.reading.skipped), (2, 1));
        says(
            decode_image(&dir.path().join("a/zero.png"), &small()),
            &["found a device"],
        );
    }
}
