//! Confusion matrices as heat maps.

use crate::escape::shorten;
use crate::feature::class_name;
use crate::number::{fixed, grouped};
use crate::svg::{Anchor, Svg, at, text_width};

/// Up to this many classes the counts are written into the cells.
const MAX_COUNTS: usize = 12;
/// Up to this many classes the names are written at the sides.
const MAX_NAMES: usize = 30;
/// Beyond this many classes a cell would be less than half a pixel.
const MAX_CLASSES: usize = 600;

/// How often a class was taken for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Confusion {
    pub(crate) truth: usize,
    pub(crate) answer: usize,
    pub(crate) count: u64,
}

/// The most frequent confusions, most frequent first.
pub(crate) fn worst(matrix: &[Vec<u64>], limit: usize) -> Vec<Confusion> {
    let mut found: Vec<Confusion> = matrix
        .iter()
        .enumerate()
        .flat_map(|(truth, row)| {
            row.iter()
                .enumerate()
                .map(move |(answer, &count)| Confusion {
                    truth,
                    answer,
                    count,
                })
        })
        .filter(|cell| cell.truth != cell.answer && cell.count > 0)
        .collect();
    found.sort_by(|a, b| {
        b.count
            .cmp(&a.count)
            .then(a.truth.cmp(&b.truth))
            .then(a.answer.cmp(&b.answer))
    });
    found.truncate(limit);
    found
}

fn row_total(row: &[u64]) -> u64 {
    row.iter().fold(0, |sum, &count| sum.saturating_add(count))
}

fn share(row: &[u64], count: u64) -> f64 {
    count as f64 / row_total(row).max(1) as f64
}

/// The greatest share of a class that was taken for one other class.
pub(crate) fn worst_share(matrix: &[Vec<u64>]) -> f64 {
    let wrong = |(i, row): (usize, &Vec<u64>)| {
        let others = row.iter().enumerate().filter(|(j, _)| *j != i);
        others
            .map(|(_, &count)| count)
            .max()
            .map_or(0.0, |most| share(row, most))
    };
    matrix.iter().enumerate().map(wrong).fold(0.0, f64::max)
}

/// The heat map: right answers blue by their share of the row, wrong ones orange.
///
/// With the worst share of several matrices they have one scale.
pub(crate) fn draw(
    title: &str,
    matrix: &[Vec<u64>],
    names: &[String],
    most_wrong: Option<f64>,
) -> Svg {
    let classes = matrix
        .iter()
        .map(Vec::len)
        .max()
        .unwrap_or(0)
        .max(matrix.len());
    let total = matrix
        .iter()
        .fold(0_u64, |sum, row| sum.saturating_add(row_total(row)));
    let right = matrix
        .iter()
        .enumerate()
        .filter_map(|(i, row)| row.get(i))
        .fold(0_u64, |sum, &count| sum.saturating_add(count));
    let subtitle = format!(
        "{} of {} wrong ({} %)",
        grouped(total - right),
        grouped(total),
        fixed(100.0 * (total - right) as f64 / total as f64, 2)
    );
    let list: Vec<String> = worst(matrix, 3)
        .iter()
        .map(|cell| {
            let name = |label| class_name(names, label);
            format!(
                "{} taken for {}: {}",
                name(cell.truth),
                name(cell.answer),
                cell.count
            )
        })
        .collect();
    let description = format!(
        "Rows: true class, columns: answer. {subtitle}. Most frequent: {}.",
        list.join("; ")
    );

    let width = 440.0;
    let picture_title = format!("Confusion: {title}");
    if total == 0 || classes > MAX_CLASSES {
        let mut svg = Svg::new(width, 120.0, &picture_title, &description);
        svg.heading(&shorten(title, 44), "");
        svg.sentence(if total == 0 {
            "No answers were counted."
        } else {
            "Too many classes to draw; see the list of confusions."
        });
        return svg;
    }

    let named = classes <= MAX_NAMES;
    let font: f64 = if classes <= 14 { 11.0 } else { 9.0 };
    let short: Vec<String> = (0..classes)
        .map(|label| shorten(&class_name(names, label), 11))
        .collect();
    let longest = short
        .iter()
        .map(|name| text_width(name, font))
        .fold(10.0, f64::max);
    let left = if named { longest + 8.0 } else { 16.0 };
    let cell = (width - left - 2.0) / classes as f64;
    // Names over columns lie flat if they fit, else upright.
    let flat = longest + 2.0 <= cell;
    let top = 40.0
        + 14.0
        + if !named {
            2.0
        } else if flat {
            16.0
        } else {
            longest + 8.0
        };
    let side = cell * classes as f64;
    let mut svg = Svg::new(width, top + side + 6.0, &picture_title, &description);
    svg.heading(&shorten(title, 44), &subtitle);
    svg.text("axis", Anchor::Start, (2.0, 48.0), "true ↓");
    svg.text(
        "axis",
        Anchor::Middle,
        (left + side / 2.0, 48.0),
        "answer →",
    );
    svg.rect("frame", (left, top), (side, side), "");

    // Wrong answers would be invisible on the scale of the right ones.
    let most_wrong = most_wrong.unwrap_or_else(|| worst_share(matrix)).max(1e-9);
    let gap = if cell > 10.0 { 0.5 } else { 0.0 };
    for (i, row) in matrix.iter().enumerate() {
        for (j, &count) in row.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (class, strength) = if i == j {
                ("right", 0.12 + 0.4 * share(row, count).powi(3))
            } else {
                (
                    "wrong",
                    0.1 + 0.55 * (share(row, count) / most_wrong).min(1.0).sqrt(),
                )
            };
            let corner = (left + cell * j as f64 + gap, top + cell * i as f64 + gap);
            let size = (cell - 2.0 * gap).max(0.5);
            svg.rect(
                class,
                corner,
                (size, size),
                &format!("fill-opacity=\"{strength:.2}\""),
            );
        }
    }
    let middle = |i: usize| cell * (i as f64 + 0.5);
    if classes <= MAX_COUNTS {
        for (i, row) in matrix.iter().enumerate() {
            for (j, &count) in row.iter().enumerate().filter(|(_, count)| **count > 0) {
                let text = if count < 10_000 {
                    count.to_string()
                } else {
                    compact(count)
                };
                let point = (left + middle(j), top + middle(i) + 3.5);
                svg.text("cell", Anchor::Middle, point, &text);
            }
        }
    }
    if named {
        svg.open_with("", &format!("style=\"font-size:{font}px\""));
        for (i, name) in short.iter().enumerate() {
            svg.text(
                "plain",
                Anchor::End,
                (left - 5.0, top + middle(i) + 3.4),
                name,
            );
            let x = left + middle(i);
            if flat {
                svg.text("plain", Anchor::Middle, (x, top - 5.0), name);
            } else {
                let turn = format!(
                    "transform=\"translate({} {})rotate(-90)\"",
                    at(x + 3.4),
                    at(top - 5.0)
                );
                svg.open_with("", &turn);
                svg.text("plain", Anchor::Start, (0.0, 0.0), name);
                svg.close();
            }
        }
        svg.close();
    }
    svg
}

fn compact(count: u64) -> String {
    let (divisor, unit) = if count < 1_000_000 {
        (1e3, "k")
    } else {
        (1e6, "M")
    };
    let value = count as f64 / divisor;
    format!("{value:.*}{unit}", usize::from(value < 10.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_written_and_zeros_are_not() {
        let matrix = vec![vec![90, 10, 0], vec![0, 100, 0], vec![1, 2, 97]];
        let svg = draw("softmax", &matrix, &["<o>".to_owned()], None).inline();
        assert_eq!(svg.matches("class=\"cell\"").count(), 6);
        assert_eq!(svg.matches("class=\"right\"").count(), 3);
        assert!(svg.contains("13 of 300 wrong (4.33 %)"));
        assert!(svg.contains("&lt;o&gt;") && !svg.contains("<o>"));
        assert_eq!(
            worst(&matrix, 1),
            [Confusion {
                truth: 0,
                answer: 1,
                count: 10
            }]
        );
    }

    #[test]
    fn empty_ragged_and_huge_matrices() {
        assert!(
            draw("x", &[], &[], None)
                .inline()
                .contains("No answers were counted.")
        );
        assert!(
            draw("x", &[vec![0; 3]], &[], None)
                .inline()
                .contains("No answers were counted.")
        );
        let ragged = draw("x", &[vec![1], vec![u64::MAX, u64::MAX, 3]], &[], None).inline();
        assert!(!ragged.contains("NaN"));
        let mut huge = vec![vec![]; 5000];
        huge[4999] = vec![3];
        assert!(
            draw("x", &huge, &[], None)
                .inline()
                .contains("Too many classes")
        );
    }
}
