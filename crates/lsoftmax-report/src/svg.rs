//! An SVG picture under construction.

use crate::escape::{escape, put};
use crate::theme;

/// The anchor of a text relative to its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    fn attribute(self) -> &'static str {
        match self {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        }
    }
}

/// A picture. Lengths are CSS pixels at natural size.
pub(crate) struct Svg {
    pub(crate) width: f64,
    pub(crate) height: f64,
    title: String,
    description: String,
    body: String,
    open_groups: usize,
}

impl Svg {
    pub(crate) fn new(width: f64, height: f64, title: &str, description: &str) -> Self {
        Self {
            width,
            height,
            title: title.to_owned(),
            description: description.to_owned(),
            body: String::new(),
            open_groups: 0,
        }
    }

    pub(crate) fn open(&mut self, class: &str) {
        self.open_with(class, "");
    }

    /// Opens a group. `attributes` are written verbatim.
    pub(crate) fn open_with(&mut self, class: &str, attributes: &str) {
        let space = if attributes.is_empty() { "" } else { " " };
        put!(self.body, "<g class=\"{class}\"{space}{attributes}>");
        self.open_groups += 1;
    }

    pub(crate) fn close(&mut self) {
        debug_assert!(self.open_groups > 0, "a group is open");
        self.body.push_str("</g>");
        self.open_groups -= 1;
    }

    /// Opens a window at the given position and size, with its own origin in the middle. Content
    /// outside is clipped. Closed by [`Svg::close_window`].
    pub(crate) fn open_window(&mut self, x: f64, y: f64, width: f64, height: f64) {
        put!(
            self.body,
            "<svg x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" viewBox=\"{} {} {} {}\" overflow=\"hidden\">",
            at(x),
            at(y),
            at(width),
            at(height),
            at(-width / 2.0),
            at(-height / 2.0),
            at(width),
            at(height)
        );
    }

    pub(crate) fn close_window(&mut self) {
        self.body.push_str("</svg>");
    }

    pub(crate) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        put!(
            self.body,
            "<path class=\"{class}\" d=\"M{} {}L{} {}\"/>",
            at(from.0),
            at(from.1),
            at(to.0),
            at(to.1)
        );
    }

    pub(crate) fn rect(&mut self, class: &str, corner: (f64, f64), size: (f64, f64), more: &str) {
        let space = if more.is_empty() { "" } else { " " };
        put!(
            self.body,
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{space}{more}/>",
            at(corner.0),
            at(corner.1),
            at(size.0.max(0.0)),
            at(size.1.max(0.0))
        );
    }

    pub(crate) fn circle(&mut self, class: &str, centre: (f64, f64), radius: f64) {
        put!(
            self.body,
            "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"{}\"/>",
            at(centre.0),
            at(centre.1),
            at(radius)
        );
    }

    /// Adds a path, or nothing if `data` is empty.
    pub(crate) fn path(&mut self, class: &str, data: &str) {
        if !data.is_empty() {
            put!(self.body, "<path class=\"{class}\" d=\"{data}\"/>");
        }
    }

    pub(crate) fn text(&mut self, class: &str, anchor: Anchor, point: (f64, f64), text: &str) {
        let class_attribute = if class.is_empty() {
            String::new()
        } else {
            format!(" class=\"{class}\"")
        };
        put!(
            self.body,
            "<text{class_attribute} x=\"{}\" y=\"{}\"{}>{}</text>",
            at(point.0),
            at(point.1),
            anchor.attribute(),
            escape(text)
        );
    }

    /// Adds the title and a line below it, in the upper left corner.
    pub(crate) fn heading(&mut self, title: &str, subtitle: &str) {
        self.text("title", Anchor::Start, (2.0, 14.0), title);
        if !subtitle.is_empty() {
            self.text("", Anchor::Start, (2.0, 30.0), subtitle);
        }
    }

    /// Adds a sentence in place of a picture.
    pub(crate) fn sentence(&mut self, text: &str) {
        let middle = (self.width / 2.0, self.height / 2.0 + 10.0);
        self.text("", Anchor::Middle, middle, text);
    }

    /// The SVG for use within a page, which provides the styles.
    pub(crate) fn inline(&self) -> String {
        self.render("", "", 0.0)
    }

    /// The SVG as a file, with styles, a background and some padding.
    pub(crate) fn standalone(&self) -> String {
        let (width, height) = (self.width + 2.0 * AIR, self.height + 2.0 * AIR);
        let size = format!("width=\"{}\" height=\"{}\"", at(width), at(height));
        let attributes = format!(" xmlns=\"http://www.w3.org/2000/svg\" {size}");
        let corner = format!("x=\"{0}\" y=\"{0}\"", at(-AIR));
        let sheet = format!("<rect class=\"sheet\" {corner} {size}/>");
        self.render(
            &attributes,
            &format!("{}{sheet}", theme::standalone_style()),
            AIR,
        )
    }

    fn render(&self, attributes: &str, before: &str, air: f64) -> String {
        debug_assert_eq!(self.open_groups, 0, "every group is closed");
        format!(
            "<svg class=\"lsr\"{attributes} viewBox=\"{} {} {} {}\" role=\"img\" aria-label=\"{title}\">\
             <title>{title}</title><desc>{}</desc>{before}{}</svg>",
            at(-air),
            at(-air),
            at(self.width + 2.0 * air),
            at(self.height + 2.0 * air),
            escape(&self.description),
            self.body,
            title = escape(&self.title),
        )
    }
}

/// Padding around a standalone picture.
const AIR: f64 = 12.0;

/// Formats a coordinate with a precision of a tenth of a pixel. The result is always a number.
pub(crate) fn at(value: f64) -> String {
    if !value.is_finite() {
        return "0".to_owned();
    }
    let tenths = (value.clamp(-1e5, 1e5) * 10.0).round() as i64;
    let (whole, rest) = (tenths / 10, tenths.abs() % 10);
    match (rest, tenths < 0 && whole == 0) {
        (0, _) => whole.to_string(),
        (_, true) => format!("-0.{rest}"),
        _ => format!("{whole}.{rest}"),
    }
}

/// The approximate width of `text` at this font size.
pub(crate) fn text_width(text: &str, font_size: f64) -> f64 {
    let wide = |c: char| match c {
        'i' | 'j' | 'l' | 't' | 'f' | 'r' | '.' | ',' | ' ' | '\'' | '|' | ':' | '(' | ')' => 0.34,
        'm' | 'w' | 'M' | 'W' | '%' | '–' | '…' => 0.9,
        'A'..='Z' => 0.68,
        c if u32::from(c) >= 0x2e80 => 1.05,
        _ => 0.58,
    };
    text.chars().map(wide).sum::<f64>() * font_size
}

/// A small closed shape around a point: the mark of a series or of a class.
pub(crate) fn shape(index: usize, (x, y): (f64, f64), radius: f64) -> String {
    let r = radius;
    match index % 5 {
        // A circle made of two arcs.
        0 => {
            let (d, r) = (at(2.0 * r), at(r));
            format!(
                "M{} {}a{r} {r} 0 1 0 {d} 0a{r} {r} 0 1 0 -{d} 0z",
                at(x - radius),
                at(y)
            )
        }
        1 => {
            let (s, side) = (r * 0.88, at(r * 1.76));
            format!("M{} {}h{side}v{side}h-{side}z", at(x - s), at(y - s))
        }
        2 => format!(
            "M{} {}l{} {}h-{}z",
            at(x),
            at(y - 1.15 * r),
            at(1.1 * r),
            at(1.95 * r),
            at(2.2 * r)
        ),
        3 => {
            let (top, s) = (at(y - 1.25 * r), at(1.25 * r));
            format!("M{} {top}l{s} {s}l-{s} {s}l-{s} -{s}z", at(x))
        }
        _ => format!(
            "M{} {}l{} {}h-{}z",
            at(x),
            at(y + 1.15 * r),
            at(1.1 * r),
            at(-1.95 * r),
            at(2.2 * r)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_are_numbers() {
        assert_eq!(at(1.0), "1");
        assert_eq!(at(-0.04), "0");
        assert_eq!(at(-0.26), "-0.3");
        assert_eq!(at(12.34), "12.3");
        assert_eq!(at(f64::NAN), "0");
        assert_eq!(at(f64::NEG_INFINITY), "0");
        assert_eq!(at(1e300), "100000");
    }

    #[test]
    fn titles_are_escaped() {
        let svg = Svg::new(10.0, 10.0, "<b>", "\"quoted\"").inline();
        assert!(svg.contains("<title>&lt;b&gt;</title>"));
        assert!(svg.contains("&quot;quoted&quot;"));
    }
}
