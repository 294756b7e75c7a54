//! Normalises names of classes and files across systems.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

/// The name in Unicode normalisation form C, in which names are compared. macOS writes `é` as `e`
/// with a combining accent, other systems as one character.
pub fn nfc(name: &str) -> Cow<'_, str> {
    match is_nfc_quick(name.chars()) {
        IsNormalized::Yes => Cow::Borrowed(name),
        _ => Cow::Owned(name.nfc().collect()),
    }
}

/// The name of a file or folder as text. Bytes that are not UTF-8 become `\xFF` and the like, so
/// that different names stay different.
pub fn text(name: &OsStr) -> String {
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02X}").ok();
        }
    }
    text
}

/// A path with slashes, spelled like the existing file below `root`: as given, or with names in
/// Unicode form C or D, which differ between systems and archives.
pub(crate) fn as_on_disk(root: &Path, path: &str) -> Option<String> {
    if root.join(path).symlink_metadata().is_ok() {
        return Some(path.to_owned());
    }
    if path.is_ascii() {
        return None;
    }
    let mut found = String::new();
    for (place, name) in path.split('/').enumerate() {
        if place > 0 {
            found.push('/');
        }
        let spellings = [
            name.to_owned(),
            nfc(name).into_owned(),
            name.nfd().collect(),
        ];
        let there = |name: &String| {
            let path = root.join(format!("{found}{name}"));
            name.is_empty() || path.symlink_metadata().is_ok()
        };
        let name = spellings.into_iter().find(there)?;
        found.push_str(&name);
    }
    Some(found)
}

/// The name with non-ASCII characters as code points, which distinguishes spellings that look
/// alike.
pub fn spelled(name: &str) -> String {
    let mut text = String::new();
    for char in name.chars() {
        match char {
            ' '..='~' => text.push(char),
            other => text.extend(other.escape_unicode()),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_name_are_equal_after_normalisation() {
        for (composed, decomposed) in [
            ("jos\u{e9}", "jose\u{301}"),
            ("\u{d55c}", "\u{1112}\u{1161}\u{11ab}"),
            ("\u{1e69}", "s\u{307}\u{323}"),
            ("\u{c5}ngstr\u{f6}m", "\u{212b}ngstro\u{308}m"),
        ] {
            assert_eq!(nfc(composed), nfc(decomposed));
            assert_eq!(nfc(composed), composed);
            assert_ne!(spelled(composed), spelled(decomposed));
        }
        assert!(matches!(nfc("plain"), Cow::Borrowed("plain")));
        assert_eq!(spelled("jose\u{301} x"), "jose\\u{301} x");
    }

    #[test]
    fn files_are_found_in_either_normal_form() {
        let dir = tempfile::tempdir().unwrap();
        let (c, d) = ("jos\u{e9}", "jose\u{301}");
        std::fs::create_dir(dir.path().join(c)).unwrap();
        std::fs::write(dir.path().join(format!("{c}/{d}.png")), b"").unwrap();
        let found = Some(format!("{c}/{d}.png"));
        for path in [
            format!("{c}/{d}.png"),
            format!("{d}/{d}.png"),
            format!("{d}/{c}.png"),
        ] {
            assert_eq!(as_on_disk(dir.path(), &path), found);
        }
        let absolute = dir.path().join(format!("{d}/{c}.png"));
        let absolute = as_on_disk(Path::new("elsewhere"), absolute.to_str().unwrap());
        assert!(absolute.is_some_and(|path| Path::new(&path).is_file()));
        for path in ["josef/1.png", "jos\u{e8}/1.png", "a"] {
            assert_eq!(as_on_disk(dir.path(), path), None);
        }
    }

    #[cfg(unix)]
    #[test]
    fn names_of_any_bytes_stay_different() {
        use std::os::unix::ffi::OsStrExt as _;
        let names = [&b"b\xFF"[..], b"b\xFE", b"b", "b\u{FFFD}".as_bytes()];
        let texts = names.map(|name| text(OsStr::from_bytes(name)));
        assert_eq!(texts, ["b\\xFF", "b\\xFE", "b", "b\u{FFFD}"]);
    }
}
