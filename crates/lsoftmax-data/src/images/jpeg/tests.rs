use super::super::decode::decode;
use super::layout::Layout;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

fn golden(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/images/golden");
    fs::read(folder.join(name)).unwrap()
}

/// Files of each kind of data: one or several scans, with and without restarts.
const KINDS: [&str; 8] = [
    "baseline_2x2.jpg",
    "each_2x2.jpg",
    "each_1x1.jpg",
    "progressive_2x2.jpg",
    "restarts_2x2.jpg",
    "restarts_progressive_2x1.jpg",
    "grey.jpg",
    "cmyk.jpg",
];

/// The reason for which a file is rejected.
fn refused(bytes: &[u8], what: &str) -> String {
    match decode(bytes) {
        Ok(_) => panic!("{what}: decoded"),
        Err((expected, found)) => format!("{expected}; {found}"),
    }
}

/// The byte range of each scan's data.
fn scans(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    let mut at = 2;
    while bytes[at + 1] != 0xD9 {
        let scan = bytes[at + 1] == 0xDA;
        at += 2 + usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
        if scan {
            let start = at;
            while bytes[at] != 0xFF || matches!(bytes[at + 1], 0 | 0xD0..=0xD7) {
                at += 1;
            }
            found.push(start..at);
        }
    }
    found
}

/// The data around a hole may happen to decode to the right number of blocks, more often if few
/// blocks are missing. Nothing in the format reveals that.
#[test]
fn a_hole_is_not_filled_with_grey() {
    let (mut tried, mut unseen) = (0, [0, 0]);
    for name in KINDS {
        let whole = golden(name);
        decode(&whole).unwrap();
        for scan in scans(&whole) {
            for start in scan.clone().step_by(7) {
                for end in [start + 64, scan.end - 16, scan.end] {
                    if end < start + 24.min(scan.len()) || end > scan.end {
                        continue;
                    }
                    tried += 1;
                    // The missing data is replaced by zeros, or removed.
                    let mut file = whole.clone();
                    file[start..end].fill(0);
                    unseen[0] += usize::from(decode(&file).is_ok());
                    file.drain(start..end);
                    unseen[1] += usize::from(decode(&file).is_ok());
                }
            }
        }
    }
    let few = unseen[0] * 20 <= tried && unseen[1] * 50 <= tried;
    assert!(tried > 500 && few, "{unseen:?} of {tried}");
}

#[test]
fn garbage_within_the_data_is_detected() {
    let (mut tried, mut unseen) = (0, 0);
    let texts = [
        &[0x5A; 64][..],
        &[0xA5; 40],
        b"any text between, as long as some blocks are",
    ];
    for name in KINDS {
        let whole = golden(name);
        for scan in scans(&whole) {
            for start in scan.clone().step_by(5) {
                for garbage in texts {
                    let file = [&whole[..start], garbage, &whole[start..]].concat();
                    tried += 1;
                    unseen += usize::from(decode(&file).is_ok());
                }
            }
        }
    }
    assert!(tried > 1000 && unseen * 20 <= tried, "{unseen} of {tried}");
}

#[test]
fn missing_data_is_reported() {
    let whole = golden("restarts_2x2.jpg");
    let first = whole
        .windows(2)
        .position(|pair| pair == [0xFF, 0xD0])
        .unwrap();
    let second = whole
        .windows(2)
        .position(|pair| pair == [0xFF, 0xD1])
        .unwrap();
    let without = |from: usize, to: usize| [&whole[..from], &whole[to..]].concat();
    // An interval, a marker, two swapped markers, and everything between the last marker and the
    // end.
    for file in [without(first, second), without(first, first + 2), {
        let mut file = whole.clone();
        (file[first + 1], file[second + 1]) = (0xD1, 0xD0);
        file
    }] {
        let message = refused(&file, "a missing interval");
        assert!(message.starts_with("a whole JPEG; "), "{message}");
        assert!(message.contains("of 6 blocks of scan 1"), "{message}");
    }
    let data = scans(&golden("baseline_2x2.jpg"))[0].clone();
    let whole = golden("baseline_2x2.jpg");
    let file = [&whole[..data.start], &whole[data.end..]].concat();
    let message = refused(&file, "no data");
    assert!(
        message.contains("data ends after 0 of 6 blocks of scan 1"),
        "{message}"
    );
    // Whole scans.
    for name in ["each_2x2.jpg", "progressive_2x2.jpg", "slow_2x2.jpg"] {
        let whole = golden(name);
        for scan in scans(&whole) {
            let header = whole[..scan.start]
                .windows(2)
                .rposition(|pair| pair == [0xFF, 0xDA])
                .unwrap();
            let file = [&whole[..header], &whole[scan.end..]].concat();
            let message = refused(&file, name);
            assert!(
                message.contains("scans missing") || message.contains("which does not fit"),
                "{message}"
            );
        }
    }
    let whole = golden("grey.jpg");
    for cut in 2..whole.len() {
        let message = refused(&whole[..cut], "cut off");
        assert!(!message.contains("panic"), "{message}");
    }
    let message = refused(&whole[..whole.len() - 1], "cut off");
    assert!(message.contains("the file is truncated"), "{message}");
}

#[test]
fn an_extra_byte_before_the_end_is_not_damage() {
    let whole = golden("baseline_2x2.jpg");
    let end = whole.len() - 2;
    let padded = |bytes: &[u8]| decode(&[&whole[..end], bytes, &whole[end..]].concat());
    assert_eq!(padded(&[0]).unwrap(), decode(&whole).unwrap());
    assert_eq!(padded(&[0xFF; 9]).unwrap(), decode(&whole).unwrap());
    assert!(padded(&[0; 3]).is_err());
    // Neither is anything after it.
    let more = [&whole[..], b"\xFF\xD8\xFFanother image"].concat();
    assert_eq!(decode(&more).unwrap(), decode(&whole).unwrap());
}

#[test]
fn unsupported_files_are_reported() {
    let whole = golden("baseline_1x1.jpg");
    let frame = whole
        .windows(2)
        .position(|pair| pair == [0xFF, 0xC0])
        .unwrap();
    let with = |place: usize, byte: u8| {
        let mut file = whole.clone();
        file[frame + place] = byte;
        file
    };
    for (file, part) in [
        (golden("arithmetic.jpg"), "arithmetic coding"),
        (golden("middle_each.jpg"), "reducible sampling factors"),
        (with(4, 12), "12 bits per sample"),
        (with(1, 0xC3), "lossless"),
        (with(1, 0xC5), "hierarchical"),
        (with(9, 2), "a frame of the wrong length; "),
        (with(11, 0x50), "an invalid component"),
    ] {
        let message = refused(&file, part);
        let part = part.trim_end_matches("; ");
        assert!(
            message.contains(part) || message.contains("2 components"),
            "{message}"
        );
    }
    // A frame without a height (a later DNL marker would define it).
    let mut file = whole.clone();
    file[frame + 5..frame + 7].fill(0);
    assert!(refused(&file, "no height").contains("35x0"));
}

/// Many scans of a large empty image take few bytes but long to decode.
#[test]
fn scans_are_counted() {
    let whole = golden("grey_progressive.jpg");
    let header = whole
        .windows(2)
        .position(|pair| pair == [0xFF, 0xDA])
        .unwrap();
    let end = scans(&whole)[0].end;
    let scan = whole[header..end].repeat(101);
    let file = [&whole[..header], &scan, &whole[end..]].concat();
    // The second of them does not follow the first.
    assert!(refused(&file, "scans").contains("scan 2, which does not fit the image"));
}

fn layout(bytes: &[u8]) {
    Layout::of(bytes, |_, bytes| {
        if bytes < 1 << 22 {
            Ok(())
        } else {
            Err(("a small image".into(), "a large one".into()))
        }
    })
    .ok();
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(
        prop_oneof![Just(0xFF), Just(0u8), any::<u8>()], 0..200)
    ) {
        layout(&bytes);
    }

    #[test]
    fn no_damage_panics(
        which in 0..KINDS.len(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = golden(KINDS[which]);
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        layout(&bytes);
        decode(&bytes).ok();
    }
}
