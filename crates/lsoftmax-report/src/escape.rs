//! Escaping of external text for HTML and SVG.

use std::fmt::Write as _;

/// Escapes text for the inside of an element or of a quoted attribute, in HTML and in XML.
///
/// Characters that XML 1.0 forbids, even as references, become U+FFFD.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' => escaped.push(c),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Escaped text without line breaks at the hyphen of "L-Softmax" or the spaces of "m = 4".
pub(crate) fn unbroken(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    let text = text.replace(" = ", "\u{a0}=\u{a0}");
    for (i, word) in text.split(' ').enumerate() {
        if i > 0 {
            html.push(' ');
        }
        if word.contains('-') && word.len() <= 20 {
            append(
                &mut html,
                format_args!("<span class=\"word\">{}</span>", escape(word)),
            );
        } else {
            html.push_str(&escape(word));
        }
    }
    html
}

/// Plain text as HTML paragraphs: an empty line starts a new one.
pub(crate) fn paragraphs(text: &str) -> String {
    let mut html = String::new();
    for paragraph in text
        .split("\n\n")
        .filter(|paragraph| !paragraph.trim().is_empty())
    {
        append(
            &mut html,
            format_args!("<p>{}</p>", escape(paragraph.trim())),
        );
    }
    html
}

/// Appends formatted text; writing to a `String` cannot fail.
macro_rules! put {
    ($target:expr, $($argument:tt)*) => { $crate::escape::append(&mut $target, format_args!($($argument)*)) };
}
pub(crate) use put;

pub(crate) fn append(target: &mut String, text: std::fmt::Arguments<'_>) {
    target.write_fmt(text).ok();
}

/// Shortens `text` to `limit` characters with an ellipsis in the middle, since names often differ
/// at their ends.
pub(crate) fn shorten(text: &str, limit: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= limit {
        return text.to_owned();
    }
    let kept = limit.saturating_sub(1);
    let (head, tail) = characters.split_at(kept.div_ceil(2));
    let head: String = head.iter().collect();
    let tail: String = tail[tail.len() - kept / 2..].iter().collect();
    format!("{}…{}", head.trim_end(), tail.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_harmless() {
        let escaped = escape("<img src=\"x\" onerror='a&b'>\u{0}\u{1b}\u{ffff}");
        assert_eq!(
            escaped,
            "&lt;img src=&quot;x&quot; onerror=&#39;a&amp;b&#39;&gt;\u{fffd}\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn words_hold_together() {
        assert_eq!(
            unbroken("L-Softmax m = 4 & <b-c>"),
            "<span class=\"word\">L-Softmax</span> m\u{a0}=\u{a0}4 &amp; \
             <span class=\"word\">&lt;b-c&gt;</span>"
        );
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(shorten("triangle", 8), "triangle");
        assert_eq!(shorten("a very long name", 8), "a ve…ame");
        assert_eq!(shorten("class 12 of 90", 10), "class…f 90");
        assert_eq!(shorten("ÄÖÜäöü", 4), "ÄÖ…ü");
        assert_eq!(shorten("abc", 0), "…");
    }
}
