use super::*;
use crate::images::{ImageList, Part};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

#[test]
fn what_is_written_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    // More than one row group.
    let rows = (1 << 16) + 3;
    let embeddings: Vec<f32> = (0..rows * 3).map(|i| i as f32 / 7.0).collect();
    let paths: Vec<String> = (0..rows).map(|row| format!("größe/{row}.png")).collect();
    let labels: Vec<String> = (0..rows).map(|row| format!("{}", row % 10)).collect();
    write_embeddings_parquet(&path, &embeddings, 3, &paths, &labels).unwrap();
    let columns = read_columns(&path, &["label", "nothing", "embedding", "path"]).unwrap();
    assert_eq!(columns[0], Some(Column::Text(labels)));
    assert_eq!(columns[1], None);
    let lists = Column::FloatLists {
        values: embeddings,
        width: 3,
    };
    assert_eq!(columns[2], Some(lists));
    assert_eq!(columns[3], Some(Column::Text(paths)));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn no_rows_are_a_table_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    write_embeddings_parquet(&path, &[], 3, &[], &[]).unwrap();
    assert_eq!(read_columns(&path, &["path"]).unwrap(), [None]);
}

#[test]
fn lengths_have_to_fit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    let (one, two) = (strings(&["a"]), strings(&["a", "b"]));
    for (values, feature, paths, labels) in
        [(2, 3, &one, &one), (3, 3, &one, &two), (0, 0, &one, &one)]
    {
        let result = write_embeddings_parquet(&path, &vec![0.0; values], feature, paths, labels);
        let message = result.unwrap_err().to_string();
        assert!(message.contains("values of embeddings"), "{message}");
    }
    assert!(!path.exists());
}

#[test]
fn a_bomb_is_refused() {
    // Ten million times the same label in a few kilobytes.
    let message = read_columns(&table("bomb.parquet"), &["label"])
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("bytes of values in a file of"),
        "{message}"
    );
}

/// A table of `pyarrow.parquet`, made by `tables.py`.
fn table(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src/parquet_file/golden")
        .join(name)
}

#[test]
fn reads_what_pyarrow_writes() {
    let columns = read_columns(
        &table("kinds.parquet"),
        &["text", "small", "big", "half", "list"],
    );
    let columns: Vec<Column> = columns.unwrap().into_iter().flatten().collect();
    assert_eq!(
        columns,
        [
            Column::Text(strings(&["a", "ü", "a"])),
            Column::Integer(vec![-1, 2, 3]),
            Column::Integer(vec![1 << 40, 0, -5]),
            Column::Float(vec![0.5, -1.25, 3.0]),
            Column::FloatLists {
                values: vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
                width: 2,
            },
        ]
    );
}

#[test]
fn the_case_of_a_header_does_not_matter() {
    let columns = read_columns(&table("header.parquet"), &["path", "label", "split"]);
    let columns: Vec<Column> = columns.unwrap().into_iter().flatten().collect();
    let texts = [&["a.png"], &["b"], &["test"]].map(|texts| Column::Text(strings(texts)));
    assert_eq!(columns, texts);
    let message = read_columns(&table("twice.parquet"), &["label", "path"])
        .unwrap_err()
        .to_string();
    assert!(message.contains(r#""path" and "Path""#), "{message}");
}

#[test]
fn bad_cells_are_named() {
    for (column, parts) in [
        ("empty", ["strings", "an empty cell in row 1"]),
        ("ragged", ["one length", "in row 2"]),
        ("date", ["strings, numbers or lists of numbers", "in row 0"]),
    ] {
        let message = read_columns(&table("bad.parquet"), &[column])
            .unwrap_err()
            .to_string();
        for part in parts {
            assert!(message.contains(part), "{part:?} is not in: {message}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    for bytes in [
        &b""[..],
        b"PAR1",
        b"no table at all, but long enough to be read",
    ] {
        let path = dir.path().join("a.parquet");
        fs::write(&path, bytes).unwrap();
        let message = read_columns(&path, &["path"]).unwrap_err().to_string();
        assert!(message.contains("expected a Parquet file"), "{message}");
    }
}

#[test]
fn every_compression_and_encoding_that_people_write_is_read() {
    let expected: Vec<String> = (0..300).map(|i| format!("name {}/{i}", i % 7)).collect();
    for name in [
        "none",
        "snappy",
        "gzip",
        "zstd",
        "lz4",
        "two_versions",
        "delta_byte_array",
        "delta_length_byte_array",
        "plain",
    ] {
        let columns = read_columns(&table(&format!("{name}.parquet")), &["text"]);
        let columns = columns.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(columns, [Some(Column::Text(expected.clone()))], "{name}");
    }
    let message = read_columns(&table("brotli.parquet"), &["text"])
        .unwrap_err()
        .to_string();
    for part in ["found one with BROTLI", "zstd", "write it again"] {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
    let columns = read_columns(&table("empty.parquet"), &["text"]).unwrap();
    assert_eq!(columns, [None]);
    let columns = read_columns(&table("nullable.parquet"), &["text", "number"]).unwrap();
    let texts = Column::Text(strings(&["a", "b"]));
    assert_eq!(columns, [Some(texts), Some(Column::Integer(vec![1, 2]))]);
}

/// Puts a number of Thrift's in the place of another, which is as long.
fn with_number(bytes: &[u8], from: u64, to: u64) -> Vec<u8> {
    let varint = |number: u64| {
        let mut number = number << 1;
        let mut out = Vec::new();
        while number > 127 {
            out.push(number as u8 | 128);
            number >>= 7;
        }
        out.push(number as u8);
        out
    };
    let (from, to) = (varint(from), varint(to));
    assert_eq!(from.len(), to.len());
    let mut out = bytes.to_vec();
    let mut found = false;
    for place in 0..out.len() - from.len() {
        if out[place..].starts_with(&from) {
            out[place..place + from.len()].copy_from_slice(&to);
            found = true;
        }
    }
    assert!(found);
    out
}

#[test]
fn what_a_file_claims_is_not_believed() {
    let refused = |bytes: &[u8], part: &str| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        fs::write(&path, bytes).unwrap();
        let start = std::time::Instant::now();
        let message = read_columns(&path, &["text", "label", "path"]);
        let message = message.unwrap_err().to_string();
        assert!(message.contains(part), "{part:?} is not in: {message}");
        assert!(start.elapsed() < std::time::Duration::from_secs(5));
    };
    // Groups within groups.
    refused(
        &fs::read(table("deep.parquet")).unwrap(),
        "nested too deeply",
    );
    // More rows than there are, in the footer and in the header of the page.
    let zstd = fs::read(table("zstd.parquet")).unwrap();
    refused(&with_number(&zstd, 300, 8000), "");
    refused(
        &fs::read(table("bomb.parquet")).unwrap(),
        "bytes of values in a file of",
    );
    // A footer that asks for memory: lists, text and maps of billions.
    let footer = |footer: &[u8]| {
        let length = (footer.len() as u32).to_le_bytes();
        [b"PAR1", footer, &length, b"PAR1"].concat()
    };
    let huge = b"\xff\xff\xff\xff\x07";
    for start in [
        &b"\x15\x02\x19\xfc"[..],
        b"\x15\x02\x18",
        b"\x15\x02\x29\x0c\x16\x00\x19\xfc",
        b"\x5b",
    ] {
        refused(
            &footer(&[start, huge, b"\x00\x00\x00"].concat()),
            "damaged footer",
        );
    }
    refused(&footer(&b"\x1c".repeat(100_000)), "damaged footer");
}

#[test]
fn a_feature_of_any_size_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.parquet");
    // No rows are a table, whatever their size.
    write_embeddings_parquet(&path, &[], usize::MAX, &[], &[]).unwrap();
    let one = ["a".to_owned()];
    for (values, feature) in [(0, usize::MAX), (1, usize::MAX), (0, 0), (3, 2)] {
        let values = vec![0.0; values];
        let message = write_embeddings_parquet(&path, &values, feature, &one, &one);
        let message = message.unwrap_err().to_string();
        assert!(message.contains("the number of values"), "{message}");
    }
}

#[test]
fn a_list_of_images() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["1.png", "2.png", "3.png"] {
        fs::write(dir.path().join(name), b"").unwrap();
    }
    let path = dir.path().join("list.parquet");
    fs::copy(table("list.parquet"), &path).unwrap();
    let list = ImageList::from_path(&path).unwrap();
    assert_eq!(list.class_names, ["12", "7"]);
    let labels: Vec<u32> = list.entries.iter().map(|entry| entry.label).collect();
    assert_eq!(labels, [1, 0, 1]);
    let parts: Vec<_> = list.entries.iter().filter_map(|entry| entry.part).collect();
    assert_eq!(parts, [Part::Train, Part::Train, Part::Test]);
    fs::remove_file(dir.path().join("2.png")).unwrap();
    let message = ImageList::from_path(&path).unwrap_err().to_string();
    assert!(message.contains("2.png in row 1"), "{message}");
    fs::copy(table("kinds.parquet"), &path).unwrap();
    let message = ImageList::from_path(&path).unwrap_err().to_string();
    assert!(message.contains("no column path"), "{message}");
}

proptest! {
    #[test]
    fn damage_never_panics(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = fs::read(table("kinds.parquet")).unwrap();
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.parquet");
        fs::write(&path, bytes).unwrap();
        read_columns(&path, &["text", "big", "list"]).ok();
    }
}
