//! Quotes words for a shell, so that printed commands can be pasted.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::Path;

/// Quotes a word for a POSIX shell: unchanged if that is safe, otherwise in single quotes. Control
/// characters and bytes that are not UTF-8 are written as `$'\xNN'`, which bash, zsh and ksh
/// support.
pub fn quoted(word: &OsStr) -> String {
    let bytes = word.as_encoded_bytes();
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_./:=@%+,-".contains(byte);
    match word.to_str() {
        Some(text) if !text.is_empty() && bytes.iter().all(is_plain) => text.to_owned(),
        Some(text) if !text.contains(char::is_control) => {
            format!("'{}'", text.replace('\'', "'\\''"))
        }
        _ => {
            let mut quoted = String::from("$'");
            for &byte in bytes {
                match byte {
                    b'\'' | b'\\' => quoted.extend(['\\', char::from(byte)]),
                    b' '..=b'~' => quoted.push(char::from(byte)),
                    _ => {
                        write!(quoted, "\\x{byte:02x}").ok();
                    }
                }
            }
            quoted.push('\'');
            quoted
        }
    }
}

/// Quotes a path so that no command takes it for a flag.
pub fn quoted_path(path: &Path) -> String {
    if path.as_os_str().as_encoded_bytes().starts_with(b"-") {
        return quoted(Path::new(".").join(path).as_os_str());
    }
    quoted(path.as_os_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unsafe_words_are_quoted() {
        let of = |word: &str| quoted(word.as_ref());
        assert_eq!(of("runs/a-1_b.toml"), "runs/a-1_b.toml");
        assert_eq!(of("--seeds"), "--seeds");
        assert_eq!(of(""), "''");
        assert_eq!(of("my run"), "'my run'");
        assert_eq!(of("it's"), "'it'\\''s'");
        assert_eq!(of("$(reboot)`x`"), "'$(reboot)`x`'");
        assert_eq!(of("~"), "'~'");
        assert_eq!(of("größe"), "'größe'");
        assert_eq!(of("a\nb\x1b[2J\\'"), "$'a\\x0ab\\x1b[2J\\\\\\''");
        assert_eq!(quoted_path("-r".as_ref()), "./-r");
    }

    #[cfg(unix)]
    #[test]
    fn a_shell_reads_back_quoted_words() {
        use std::os::unix::ffi::OsStrExt as _;
        let words: [&[u8]; 5] = [
            b"a b'c\"d",
            b"\xff\xfe x",
            b"\n\t\x07",
            b"*?[$!\\;&",
            "ü'".as_bytes(),
        ];
        for word in words {
            let script = format!("printf %s {}", quoted(OsStr::from_bytes(word)));
            let output = std::process::Command::new("bash")
                .args(["-c", &script])
                .output()
                .unwrap();
            assert_eq!(output.stdout, word, "{script}");
        }
    }
}
