//! Text that is safe to print to a terminal.

use std::fmt::Write as _;

/// Escapes all control characters except line ends, and characters that change the writing
/// direction, in text that may contain names from files.
pub(crate) fn printable(text: &str) -> String {
    escaped(text, |c| c != '\n' && is_unsafe(c))
}

/// The same on one line.
pub(crate) fn one_line(text: &str) -> String {
    escaped(text, is_unsafe)
}

/// Escapes all control characters in JSON. JSON itself does not escape those from U+007F on.
pub(crate) fn json(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
            write!(safe, "\\u{:04x}", u32::from(c)).ok();
        } else {
            safe.push(c);
        }
    }
    safe
}

fn escaped(text: &str, is_unsafe: impl Fn(char) -> bool) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
            safe.extend(c.escape_default());
        } else {
            safe.push(c);
        }
    }
    safe
}

fn is_unsafe(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(printable("größe 1\n2"), "größe 1\n2");
        assert_eq!(one_line("a\nb\tc"), "a\\nb\\tc");
        assert_eq!(printable("\x1b]0;x\x07"), "\\u{1b}]0;x\\u{7}");
        assert_eq!(printable("\u{9b}31m\u{7f}"), "\\u{9b}31m\\u{7f}");
        assert_eq!(printable("a\u{202e}gpj"), "a\\u{202e}gpj");
        let name = "\u{9b}31m\x1b\u{7f}\u{202e}";
        let text = json(&serde_json::json!({ "name": name }).to_string());
        assert!(text.is_ascii(), "{text}");
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back["name"], name);
    }
}
