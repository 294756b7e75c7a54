//! Names of classes and files, however the system that wrote them spells them.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt::Write as _;
use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

/// The name in Unicode's normalisation form C, in which names are compared: macOS writes an `é` as
/// `e` with a combining accent, others as one character.
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

/// The name with all but ASCII as code points: two spellings that look alike differ in it.
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

    #[cfg(unix)]
    #[test]
    fn names_of_any_bytes_stay_different() {
        use std::os::unix::ffi::OsStrExt as _;
        let names = [&b"b\xFF"[..], b"b\xFE", b"b", "b\u{FFFD}".as_bytes()];
        let texts = names.map(|name| text(OsStr::from_bytes(name)));
        assert_eq!(texts, ["b\\xFF", "b\\xFE", "b", "b\u{FFFD}"]);
    }
}
