//! Colours, light and dark, and the style sheets that use them.

use crate::escape::put;

/// The styles of the pictures, in terms of the tokens below.
pub(crate) const CHART_CSS: &str = include_str!("assets/chart.css");

/// (name, light, dark). Pictures and page use the names only.
const TOKENS: &[(&str, &str, &str)] = &[
    ("bg", "#fafaf8", "#14161a"),
    ("card", "#ffffff", "#1b1e24"),
    ("panel", "#f6f7f8", "#15181d"),
    ("ink", "#1c2026", "#e8eaee"),
    ("soft", "#5a626e", "#a3abb8"),
    ("faint", "#667080", "#8b94a3"),
    ("rule", "#e2e5e9", "#2d323b"),
    ("grid", "#e9ebee", "#272c34"),
    ("accent", "#0b63a5", "#6cb4f0"),
    ("good", "#0a6b50", "#4fd1a5"),
    ("bad", "#b23c00", "#ff9d66"),
    ("right", "#0072b2", "#4aa8e8"),
    ("wrong", "#d55e00", "#f08a3c"),
    // The losses: a neutral tone for the first, then Okabe and Ito's.
    ("s0", "#59616d", "#b4bcc8"),
    ("s1", "#0072b2", "#4aa8e8"),
    ("s2", "#d55e00", "#f2813a"),
    ("s3", "#009e73", "#2fc99c"),
    ("s4", "#b1528f", "#e08fc0"),
    ("s5", "#c48a00", "#f0b429"),
    ("s6", "#5d3a9b", "#a78bea"),
    ("s7", "#3b9cd6", "#8fd0f7"),
    // The classes: Okabe and Ito's eight, yellow darkened on white, with violet and brown.
    ("k0", "#0072b2", "#3f9fe0"),
    ("k1", "#e69f00", "#f0b02e"),
    ("k2", "#009e73", "#22bb8e"),
    ("k3", "#d55e00", "#f0712a"),
    ("k4", "#5d3a9b", "#9a7be6"),
    ("k5", "#56b4e9", "#8fd3fb"),
    ("k6", "#cc79a7", "#e79cc6"),
    ("k7", "#8a5a2b", "#bd8a58"),
    ("k8", "#b5a800", "#ece04a"),
    ("k9", "#6b7078", "#aab1bb"),
];

/// Number of colours for losses (`s0`..) before they repeat.
pub(crate) const SERIES: usize = 8;
/// Number of colours for classes (`k0`..) before they repeat.
pub(crate) const CLASSES: usize = 10;

/// The class attribute of the series with this index.
pub(crate) fn series(index: usize) -> String {
    format!("s{}", index % SERIES)
}

/// The class attribute of the class with this label.
pub(crate) fn class(label: usize) -> String {
    format!("k{}", label % CLASSES)
}

/// The tokens as CSS custom properties: light, dark by preference, and by `data-theme`.
pub(crate) fn properties() -> String {
    let list = |dark: bool| {
        let mut text = format!("color-scheme:{};", if dark { "dark" } else { "light" });
        for (name, light, night) in TOKENS {
            put!(text, "--{name}:{};", if dark { night } else { light });
        }
        text
    };
    format!(
        ":root{{{}}}\n@media (prefers-color-scheme:dark){{:root{{{}}}}}\n\
         :root[data-theme=light]{{{}}}\n:root[data-theme=dark]{{{}}}\n",
        list(false),
        list(true),
        list(false),
        list(true)
    )
}

/// The style element of a standalone picture: light colours as literal values, for programs that do
/// not support custom properties.
pub(crate) fn standalone_style() -> String {
    let mut css = CHART_CSS.to_owned();
    for (name, light, _) in TOKENS {
        css = css.replace(&format!("var(--{name})"), light);
    }
    format!("<style>{css}</style>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_is_known() {
        assert!(!standalone_style().contains("var("));
        for index in 0..SERIES {
            assert!(CHART_CSS.contains(&format!(".{}{{", series(index))));
        }
        for label in 0..CLASSES {
            assert!(CHART_CSS.contains(&format!(".{}{{", class(label))));
        }
    }
}
