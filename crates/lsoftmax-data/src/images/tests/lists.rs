use super::*;

/// A list beside the images `a/0.png`, `a/1.png`, `b/0.png`.
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
fn bad_rows_are_named() {
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
            &["each image once", "./a/0.png of line 2 again in line 4"],
        ),
        (
            "path,label,split\na/0.png,x,val\n",
            &["train, test or open-set", "\"val\" in line 2"],
        ),
        ("path,label,split\na/0.png,x,\n", &["\"\" in line 2"]),
        ("path,label\na/0.png,\n", &["an empty cell in line 2"]),
        ("path,label\n,x\n", &["an empty cell in line 2"]),
        ("path,label\na/0.png\n", &["comma-separated", "line: 2"]),
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
