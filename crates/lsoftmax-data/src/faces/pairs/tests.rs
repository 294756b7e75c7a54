use super::*;
use proptest::prelude::*;

fn parse(text: &str) -> Result<PairsFile, String> {
    PairsFile::parse(Path::new("p.txt"), text).map_err(|error| error.to_string())
}

fn refused(text: &str, parts: &[&str]) {
    let message = parse(text).unwrap_err();
    assert!(message.starts_with("p.txt: expected "), "{message}");
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

fn pair(left: &str, right: &str, same: bool, fold: usize) -> FacePair {
    FacePair {
        left: left.into(),
        right: right.into(),
        same,
        fold,
    }
}

/// Two folds with one pair of each kind.
const LFW: &str = "2\t1\nAnn_Bo\t1\t12\nAnn_Bo\t3\tCy\t1\nDi\t2\t1\nDi\t1\tEd Fo\t1234\n";

fn expected() -> PairsFile {
    PairsFile {
        folds: 2,
        pairs: vec![
            pair("Ann_Bo/Ann_Bo_0001.jpg", "Ann_Bo/Ann_Bo_0012.jpg", true, 0),
            pair("Ann_Bo/Ann_Bo_0003.jpg", "Cy/Cy_0001.jpg", false, 0),
            pair("Di/Di_0002.jpg", "Di/Di_0001.jpg", true, 1),
            pair("Di/Di_0001.jpg", "Ed Fo/Ed Fo_1234.jpg", false, 1),
        ],
    }
}

#[test]
fn pairs_of_view_2() {
    assert_eq!(parse(LFW).unwrap(), expected());
    assert_eq!(parse(LFW.trim_end()).unwrap(), expected());
    let windows = LFW.replace('\n', "\r\n") + "\r\n \r\n\t\r\n";
    assert_eq!(parse(&windows).unwrap(), expected());
    let blanks = LFW.replace("Ed Fo", "Ed_Fo").replace('\t', "  ");
    assert_eq!(
        parse(&blanks).unwrap().pairs[3].right,
        "Ed_Fo/Ed_Fo_1234.jpg"
    );
}

#[test]
fn pairs_of_view_1_are_one_fold() {
    let file = parse("2\nA\t1\t2\nB\t1\t2\nA\t1\tB\t1\nB\t2\tA\t1\n").unwrap();
    assert_eq!(file.folds, 1);
    let same: Vec<bool> = file.pairs.iter().map(|pair| pair.same).collect();
    assert_eq!(same, [true, true, false, false]);
    assert!(file.pairs.iter().all(|pair| pair.fold == 0));
}

#[test]
fn the_official_size() {
    let mut lines = vec!["10\t300".to_owned()];
    for fold in 0..10 {
        lines.extend((1..=300).map(|i| format!("P{fold}\t{i}\t{}", i + 1)));
        lines.extend((1..=300).map(|i| format!("P{fold}\t{i}\tQ{fold}\t{i}")));
    }
    let text = lines.join("\n");
    let file = parse(&text).unwrap();
    assert_eq!((file.folds, file.pairs.len()), (10, 6000));
    for fold in 0..10 {
        let pairs = || file.pairs.iter().filter(|pair| pair.fold == fold);
        assert_eq!(pairs().filter(|pair| pair.same).count(), 300);
        assert_eq!(pairs().count(), 600);
        assert!(pairs().all(|pair| pair.left.starts_with(&format!("P{fold}/"))));
    }
}

#[test]
fn errors_in_pairs_name_the_line() {
    for text in [
        "",
        "\n2\t1\n",
        "left,right\n",
        "1 2 3\n",
        "-1\n",
        "10\t300 pairs\n",
        "a\n",
    ] {
        refused(text, &["a first line with", "found"]);
    }
    for text in ["0\n", "0\t5\n", "5\t0\n"] {
        refused(text, &["at least one fold and one pair in line 1"]);
    }
    // One line fewer, one more.
    let cut = LFW.trim_end().rsplit_once('\n').unwrap().0;
    refused(
        cut,
        &[
            "2 x 1 pairs in each of 2 folds",
            "up to line 5",
            "found 3 lines",
        ],
    );
    refused(
        &format!("{LFW}Di\t1\t2\n"),
        &["up to line 5", "found 5 lines"],
    );
    refused(
        "99999999999999999\t99999999999999999\nA\t1\t2",
        &["found 1 lines"],
    );
    for (from, to, parts) in [
        (
            "Di\t2\t1",
            "Di\t2",
            ["name, i, j", "in line 4", "found 2 fields: \"Di\\t2\""],
        ),
        (
            "Di\t2\t1",
            "",
            ["name, i, j", "in line 4", "found 0 fields"],
        ),
        (
            "Di\t2\t1",
            "Di\t2\tA\t1",
            ["of one person", "in line 4", "found 4 fields"],
        ),
        (
            "Ann_Bo\t3\tCy\t1",
            "Cy\t1\t2",
            ["of two people", "in line 3", "found 3 fields"],
        ),
        (
            "Ann_Bo\t3\tCy\t1",
            "Cy\t3\tCy\t1",
            ["two people", "in line 3", "\"Cy\" twice"],
        ),
        (
            "Di\t2\t1",
            "Di\t0\t1",
            ["from 1", "in line 4", "found \"0\""],
        ),
        (
            "Di\t2\t1",
            "Di\t2\t-1",
            ["from 1", "in line 4", "found \"-1\""],
        ),
        (
            "Di\t2\t1",
            "Di\t2\tx",
            ["from 1", "in line 4", "found \"x\""],
        ),
        (
            "Di\t2\t1",
            "..\t2\t1",
            ["a person's folder", "in line 4", "found \"..\""],
        ),
        (
            "Di\t2\t1",
            "a/b\t2\t1",
            ["a person's folder", "in line 4", "found \"a/b\""],
        ),
    ] {
        refused(&LFW.replacen(from, to, 1), &parts);
    }
}

#[test]
fn pairs_in_a_csv_table() {
    let text = "Left,right,SAME,fold\r\na/1.png,b/1.png,0,7\r\n\"a, c/1\",a\\2.png,TRUE,3\r\n\r\n\
                a/1.png,c.png,false,7\r\n";
    let file = parse(text).unwrap();
    assert_eq!(file.folds, 2);
    let expected = [
        pair("a/1.png", "b/1.png", false, 1),
        pair("a, c/1", "a/2.png", true, 0),
        pair("a/1.png", "c.png", false, 1),
    ];
    assert_eq!(file.pairs, expected);
    let file = parse("score,same,right,left\n0.5,1,b,a").unwrap();
    assert_eq!(
        (file.folds, &file.pairs[..]),
        (1, &[pair("a", "b", true, 0)][..])
    );
}

#[test]
fn errors_in_a_table_name_the_line() {
    refused("left,same\n", &["a column right in the header"]);
    refused("left,left,right,same\n", &["one column left"]);
    refused("left,right,same\n", &["at least one pair"]);
    refused(
        "left,right,same\na,b\n",
        &["3 comma-separated fields in line 2", "found 2"],
    );
    for text in [
        "left,right,same\n\na,b,1\na,b,2\n",
        "left,right,same\na,b,1\n\na,b,2\n",
    ] {
        let parts = ["in line 4, column same", "found \"2\""];
        refused(text, &parts);
        refused(&text.replace('\n', "\r\n"), &parts);
        refused(
            &text.replace(",2", ""),
            &["3 comma-separated fields in line 4", "found 2"],
        );
    }
    // A line break within a field counts as a line of the file.
    refused(
        "left,right,same\r\n\"a\r\n\",b,1\r\na,b,2\r\n",
        &["in line 4, column same"],
    );
    refused(
        "left,right,same\na,,1\n",
        &["in line 2, column right", "found \"\""],
    );
    refused(
        "left,right,same\n/a,b,1\n",
        &["in line 2, column left", "found \"/a\""],
    );
    for fold in ["-1", "x", "", "1.5"] {
        let text = format!("left,right,same,fold\na,b,1,{fold}\n");
        refused(
            &text,
            &[
                "a whole number in line 2, column fold",
                &format!("{fold:?}"),
            ],
        );
    }
}

#[test]
fn images_are_found_with_any_extension() {
    let root = tempfile::tempdir().unwrap();
    for (folder, file) in [
        ("Ann_Bo", "Ann_Bo_0001.jpg"),
        ("Ann_Bo", "Ann_Bo_0001.png"),
        ("Ann_Bo", "Ann_Bo_0003.png"),
        ("Ann_Bo", "Ann_Bo_0012.JPG"),
        ("Di", "Di_0001.bmp"),
        ("Di", "Di_0002.jpg"),
        ("Ed Fo", "Ed Fo_1234.webp"),
    ] {
        std::fs::create_dir_all(root.path().join(folder)).unwrap();
        std::fs::write(root.path().join(folder).join(file), "").unwrap();
    }
    // A folder is not an image.
    std::fs::create_dir_all(root.path().join("Cy/Cy_0001.jpg")).unwrap();
    let file = parse(LFW).unwrap();
    let message = file.resolve(root.path()).unwrap_err().to_string();
    assert!(
        message.contains("has no Cy/Cy_0001.jpg; 1 of the 7 images"),
        "{message}"
    );
    std::fs::write(root.path().join("Cy/Cy_0001.jpeg"), "").unwrap();
    let found = file.resolve(root.path()).unwrap();
    let expected = [
        "Ann_Bo/Ann_Bo_0001.jpg",
        "Ann_Bo/Ann_Bo_0012.JPG",
        "Ann_Bo/Ann_Bo_0003.png",
        "Cy/Cy_0001.jpeg",
        "Di/Di_0002.jpg",
        "Di/Di_0001.bmp",
        "Ed Fo/Ed Fo_1234.webp",
    ];
    // A case-insensitive file system finds the name as it was requested.
    for (found, expected) in found.images.iter().zip(expected) {
        assert!(found.eq_ignore_ascii_case(expected), "{found} {expected}");
    }
    assert_eq!(found.images.len(), expected.len());
    assert_eq!(found.pairs, [[0, 1], [2, 3], [4, 5], [5, 6]]);
    let nowhere = file
        .resolve(&root.path().join("none"))
        .unwrap_err()
        .to_string();
    assert!(
        nowhere.contains("0003.jpg, ...; 7 of the 7 images"),
        "{nowhere}"
    );
}

#[test]
fn a_name_may_have_dots() {
    let root = tempfile::tempdir().unwrap();
    std::fs::write(root.path().join("J._D.png"), "").unwrap();
    std::fs::write(root.path().join("e"), "").unwrap();
    let found = parse("left,right,same\nJ._D,e,0\n")
        .unwrap()
        .resolve(root.path())
        .unwrap();
    assert_eq!(found.images, ["J._D.png", "e"]);
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*", rows in "[A-C0-9,\t\n]*") {
        parse(&text).ok();
        for header in ["2\t1", "1", "left,right,same"] {
            parse(&format!("{header}\n{rows}")).ok();
        }
    }
}
