use super::*;

/// A list next to the images `a/0.png`, `a/1.png`, `b/0.png`.
fn list(text: &str) -> (TempDir, Result<ImageList, DataError>) {
    let dir = classes(&[2, 1]);
    let file = dir.path().join("list.csv");
    fs::write(&file, text).unwrap();
    let list = ImageList::from_path(&file);
    (dir, list)
}

#[test]
fn a_list_names_images_and_classes() {
    let text = "\u{FEFF}label, path ,age,split\nzoe,b/0.png,3,train\nadam,./a/1.png,4,test\n\
                zoe,\"a/0.png\",,open-set\n";
    let (dir, list) = list(text);
    let list = list.unwrap();
    assert_eq!(list.class_names, ["adam", "zoe"]);
    let labels: Vec<u32> = list.entries.iter().map(|entry| entry.label).collect();
    assert_eq!(labels, [1, 0, 1]);
    let parts: Vec<_> = list.entries.iter().filter_map(|entry| entry.part).collect();
    assert_eq!(parts, [Part::Train, Part::Test, Part::OpenSet]);
    assert_eq!(list.entries[0].path, dir.path().join("b/0.png"));
    let decoded = list.decode(&small()).unwrap();
    assert_eq!(decoded.dataset.image(0)[0], 20);
}

#[test]
fn paths_may_be_absolute_and_names_have_commas() {
    let elsewhere = classes(&[1]);
    let path = elsewhere.path().join("a/0.png");
    let (_dir, list) = list(&format!("path,label\n{},\"Doe, Jane\"\n", path.display()));
    let list = list.unwrap();
    assert_eq!(list.class_names, ["Doe, Jane"]);
    assert_eq!(list.entries[0].path, path);
    assert_eq!(list.entries[0].part, None);
}

#[test]
fn invalid_rows_are_reported() {
    for (text, parts) in [
        ("", &["the columns path, label"][..]),
        (
            "path,name\na/0.png,x\n",
            &["list.csv", "the columns path, label", "path,name"],
        ),
        ("path,label\n", &["at least one image, found none"]),
        (
            "path,label\na/0.png,x\na/9.png,x\n",
            &["no file", "9.png in line 3"],
        ),
        ("path,label\na,x\n", &["no file", "in line 2"]),
        (
            "path,label\na/0.png,x\nb/0.png,x\n./a/0.png,y\n",
            &[
                "each image once",
                "./a/0.png again with the label y, a/0.png of line 2 with the label x, in line 4",
            ],
        ),
        (
            "path,label,split\na/0.png,x,val\n",
            &["train, test or open-set", "\"val\" in line 2"],
        ),
        ("path,label,split\na/0.png,x,\n", &["\"\" in line 2"]),
        ("path,label\na/0.png,\n", &["an empty cell in line 2"]),
        ("path,label\n,x\n", &["an empty cell in line 2"]),
        ("path,label\na/0.png\n", &["comma-separated", "line 2"]),
    ] {
        says(list(text).1, parts);
    }
    let dir = folder(&[("list.csv", b"path,label\n\xFF\xFE,x\n".to_vec())]);
    let file = dir.path().join("list.csv");
    says(ImageList::from_csv(&file), &["list.csv", "UTF-8"]);
    says(
        ImageList::from_csv(&dir.path().join("no.csv")),
        &["cannot open"],
    );
    says(ImageList::from_csv(dir.path()), &["expected a file"]);
}

#[cfg(not(feature = "parquet"))]
#[test]
fn a_build_without_parquet_says_so() {
    let dir = folder(&[("list.parquet", vec![])]);
    let file = dir.path().join("list.parquet");
    says(ImageList::from_path(&file), &["feature parquet"]);
}

#[test]
fn lists_of_common_programs_are_read() {
    let plain = "path,label\na/0.png,x\na/1.png,x\nb/0.png,y\n";
    let (_dir, expected) = list(plain);
    let expected = expected.unwrap();
    for text in [
        plain.replace("path,label", "Path,LABEL"),
        plain.replace('/', "\\"),
        format!("\u{FEFF}{}", plain.replace('\n', "\r\n")),
        plain.replace('\n', "\r"),
        plain.replace(',', ", ").trim_end().to_owned(),
        format!("\u{FEFF}\"path\",\"label\"{}\n\n", &plain[10..]),
        ",path,label\n0,a/0.png,x\n1,a/1.png,x\n2,b/0.png,y\n".to_owned(),
    ] {
        let (dir, list) = list(&text);
        let list = list.unwrap();
        assert_eq!(list.class_names, expected.class_names);
        let labels = |list: &ImageList| list.entries.iter().map(|e| e.label).collect::<Vec<_>>();
        assert_eq!(labels(&list), labels(&expected));
        assert_eq!(list.entries[2].path, dir.path().join("b/0.png"));
    }
    for (text, parts) in [
        (
            plain.replace(',', ";"),
            &["columns path, label", "semicolons"][..],
        ),
        (plain.replace(',', "\t"), &["columns path, label", "tabs"]),
        (plain.replace("path,label\n", ""), &["columns path, label"]),
        (
            plain.replace("path,label", "path,label,Path"),
            &["one column path", "more than one"],
        ),
        (
            plain.replace("a/1.png", "C:\\data\\a\\1.png"),
            &["no file C:\\data\\a\\1.png (a path of Windows", "in line 3"],
        ),
        (
            plain.replace("a/1.png", "\\\\nas\\a\\1.png"),
            &["a path of Windows"],
        ),
        (
            plain.replace('\n', "\r").replace("a/1.png", "a/7.png"),
            &["a/7.png in line 3"],
        ),
        (
            "path,label,SPLIT\na/0.png,x,Test\n".to_owned(),
            &["train, test or open-set", "\"Test\" in line 2"],
        ),
    ] {
        says(list(&text).1, parts);
    }
    let utf16: Vec<u8> = plain.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let dir = folder(&[("list.csv", [&[0xFF, 0xFE][..], &utf16].concat())]);
    says(
        ImageList::from_csv(&dir.path().join("list.csv")),
        &["UTF-16: save it as UTF-8"],
    );
}

#[test]
fn one_file_by_two_paths_is_an_error() {
    let row =
        |path: &str, label: &str| format!("path,label\na/0.png,x\nb/0.png,y\n{path},{label}\n");
    for path in [
        "a/0.png",
        "./a/0.png",
        "b/../a/0.png",
        "a\\0.png",
        "a//0.png",
    ] {
        let found = format!("{path} again, a/0.png of line 2, in line 4");
        says(list(&row(path, "x")).1, &["each image once", &found]);
        let found = format!("{path} again with the label y, a/0.png of line 2 with the label x,");
        says(list(&row(path, "y")).1, &[&found]);
    }
    let dir = classes(&[2, 1]);
    let file = dir.path().join("list.csv");
    let read = |path: &str| {
        fs::write(&file, row(path, "y")).unwrap();
        ImageList::from_csv(&file)
    };
    let absolute = dir.path().join("a/0.png");
    says(
        read(absolute.to_str().unwrap()),
        &["each image once", "line 2"],
    );
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../a/0.png", dir.path().join("b/link.png")).unwrap();
        std::os::unix::fs::symlink("a", dir.path().join("c")).unwrap();
        for path in ["b/link.png", "c/0.png"] {
            says(read(path), &["each image once", &format!("{path} again")]);
        }
    }
    read("a/1.png").unwrap();
}

#[test]
fn names_in_lists_are_compared_after_normalisation() {
    let (composed, decomposed) = ("jos\u{e9}", "jose\u{301}");
    let dir = folder(&[
        (&format!("{composed}/{decomposed}.png"), png(1)),
        ("b/1.png", png(2)),
    ]);
    let file = dir.path().join("list.csv");
    let read = |text: &str| {
        fs::write(&file, format!("path,label\n{text}")).unwrap();
        ImageList::from_csv(&file)
    };
    for (folder, name) in [
        (composed, composed),
        (decomposed, decomposed),
        (decomposed, composed),
    ] {
        let list = read(&format!("{folder}/{name}.png,{decomposed}\nb/1.png,b\n")).unwrap();
        assert_eq!(list.class_names, ["b", composed]);
        assert_eq!(list.decode(&small()).unwrap().dataset.len(), 2);
    }
    let both = format!("b/1.png,{composed}\n{composed}/{decomposed}.png,{decomposed}\n");
    says(
        read(&both),
        &[
            "each label in one spelling",
            "jos\\u{e9}\" in line 2",
            "jose\\u{301}\" in line 3",
        ],
    );
    let twice = format!("{composed}/{decomposed}.png,a\n{composed}/{composed}.png,b\n");
    says(read(&twice), &["each image once", "line 2", "line 3"]);
    let list = read(&format!("b/1.png,Cat\n{composed}/{composed}.png,cat\n")).unwrap();
    assert!(list.reading.warnings[0].contains("\"Cat\" and \"cat\""));
}
