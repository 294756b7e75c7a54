//! Confusion matrices as heat maps.

use crate::class_name::class_name;
use crate::escape::shorten;
use crate::number::{fixed, grouped};
use crate::svg::{Anchor, Svg, at, text_width};

/// Up to this number of classes, the counts are written in the cells.
const MAX_COUNTS: usize = 12;
/// Up to this number of classes, the names are written at the sides.
const MAX_NAMES: usize = 30;
/// Beyond this number of classes, a cell would be smaller than half a pixel.
const MAX_CLASSES: usize = 600;

/// The number of samples of one class that were classified as another.
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

/// The largest share of a class that was classified as one other class.
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

const WIDTH: f64 = 440.0;

/// The heat map: correct predictions in blue by their share of the row, wrong ones in orange.
///
/// If the worst share of several matrices is given, they have a common scale.
pub(crate) fn draw(
    title: &str,
    matrix: &[Vec<u64>],
    names: &[String],
    most_wrong: Option<f64>,
) -> Svg {
    let columns = matrix.iter().map(Vec::len).max().unwrap_or(0);
    let classes = columns.max(matrix.len());
    let total = matrix
        .iter()
        .fold(0_u64, |sum, row| sum.saturating_add(row_total(row)));
    let subtitle = subtitle(matrix, total);
    let description = description(matrix, names, &subtitle);
    let picture_title = format!("Confusion: {title}");
    if total == 0 || classes > MAX_CLASSES {
        let mut svg = Svg::new(WIDTH, 120.0, &picture_title, &description);
        svg.heading(&shorten(title, 44), "");
        svg.sentence(if total == 0 {
            "No predictions were counted."
        } else {
            "Too many classes to draw; see the list of confusions."
        });
        return svg;
    }

    let grid = Grid::new(classes, names);
    let height = grid.top + grid.side() + 6.0;
    let mut svg = Svg::new(WIDTH, height, &picture_title, &description);
    svg.heading(&shorten(title, 44), &subtitle);
    grid.frame(&mut svg);
    // Wrong predictions would be invisible on the scale of the correct ones.
    let most_wrong = most_wrong.unwrap_or_else(|| worst_share(matrix)).max(1e-9);
    grid.fill(&mut svg, matrix, most_wrong);
    if classes <= MAX_COUNTS {
        grid.write_counts(&mut svg, matrix);
    }
    if classes <= MAX_NAMES {
        grid.write_names(&mut svg);
    }
    svg
}

fn subtitle(matrix: &[Vec<u64>], total: u64) -> String {
    let right = matrix
        .iter()
        .enumerate()
        .filter_map(|(i, row)| row.get(i))
        .fold(0_u64, |sum, &count| sum.saturating_add(count));
    format!(
        "{} of {} wrong ({} %)",
        grouped(total - right),
        grouped(total),
        fixed(100.0 * (total - right) as f64 / total as f64, 2)
    )
}

fn description(matrix: &[Vec<u64>], names: &[String], subtitle: &str) -> String {
    let list: Vec<String> = worst(matrix, 3)
        .iter()
        .map(|cell| {
            format!(
                "{} taken for {}: {}",
                class_name(names, cell.truth),
                class_name(names, cell.answer),
                cell.count
            )
        })
        .collect();
    format!(
        "Rows: true class, columns: predicted class. {subtitle}. Most frequent: {}.",
        list.join("; ")
    )
}

/// The cells that are not zero, as (row, column, count).
fn cells(matrix: &[Vec<u64>]) -> impl Iterator<Item = (usize, usize, u64)> {
    matrix.iter().enumerate().flat_map(|(i, row)| {
        let counts = row.iter().enumerate().filter(|(_, count)| **count > 0);
        counts.map(move |(j, &count)| (i, j, count))
    })
}

/// The square of cells, and the names at its sides.
struct Grid {
    /// The names of the classes, shortened.
    names: Vec<String>,
    font: f64,
    left: f64,
    top: f64,
    /// The side of a cell.
    cell: f64,
    /// Whether the names above the columns are horizontal instead of vertical.
    is_flat: bool,
}

impl Grid {
    fn new(classes: usize, names: &[String]) -> Self {
        let font: f64 = if classes <= 14 { 11.0 } else { 9.0 };
        let names: Vec<String> = (0..classes)
            .map(|label| shorten(&class_name(names, label), 11))
            .collect();
        let longest = names
            .iter()
            .map(|name| text_width(name, font))
            .fold(10.0, f64::max);
        let named = classes <= MAX_NAMES;
        let left = if named { longest + 8.0 } else { 16.0 };
        let cell = (WIDTH - left - 2.0) / classes as f64;
        let is_flat = longest + 2.0 <= cell;
        let above = match (named, is_flat) {
            (false, _) => 2.0,
            (true, true) => 16.0,
            (true, false) => longest + 8.0,
        };
        Self {
            names,
            font,
            left,
            top: 40.0 + 14.0 + above,
            cell,
            is_flat,
        }
    }

    fn side(&self) -> f64 {
        self.cell * self.names.len() as f64
    }

    /// The middle of a row or column, relative to the corner of the square.
    fn middle(&self, label: usize) -> f64 {
        self.cell * (label as f64 + 0.5)
    }

    fn frame(&self, svg: &mut Svg) {
        let side = self.side();
        svg.text("axis", Anchor::Start, (2.0, 48.0), "true ↓");
        svg.text(
            "axis",
            Anchor::Middle,
            (self.left + side / 2.0, 48.0),
            "answer →",
        );
        svg.rect("frame", (self.left, self.top), (side, side), "");
    }

    fn fill(&self, svg: &mut Svg, matrix: &[Vec<u64>], most_wrong: f64) {
        let gap = if self.cell > 10.0 { 0.5 } else { 0.0 };
        let size = (self.cell - 2.0 * gap).max(0.5);
        for (i, j, count) in cells(matrix) {
            let share = share(&matrix[i], count);
            let (class, strength) = if i == j {
                ("right", 0.12 + 0.4 * share.powi(3))
            } else {
                ("wrong", 0.1 + 0.55 * (share / most_wrong).min(1.0).sqrt())
            };
            let corner = (
                self.left + self.cell * j as f64 + gap,
                self.top + self.cell * i as f64 + gap,
            );
            svg.rect(
                class,
                corner,
                (size, size),
                &format!("fill-opacity=\"{strength:.2}\""),
            );
        }
    }

    fn write_counts(&self, svg: &mut Svg, matrix: &[Vec<u64>]) {
        for (i, j, count) in cells(matrix) {
            let text = if count < 10_000 {
                count.to_string()
            } else {
                compact(count)
            };
            let point = (self.left + self.middle(j), self.top + self.middle(i) + 3.5);
            svg.text("cell", Anchor::Middle, point, &text);
        }
    }

    fn write_names(&self, svg: &mut Svg) {
        svg.open_with("", &format!("style=\"font-size:{}px\"", self.font));
        for (i, name) in self.names.iter().enumerate() {
            svg.text(
                "plain",
                Anchor::End,
                (self.left - 5.0, self.top + self.middle(i) + 3.4),
                name,
            );
            let x = self.left + self.middle(i);
            let y = self.top - 5.0;
            if self.is_flat {
                svg.text("plain", Anchor::Middle, (x, y), name);
            } else {
                let (x, y) = (at(x + 3.4), at(y));
                svg.open_with("", &format!("transform=\"translate({x} {y})rotate(-90)\""));
                svg.text("plain", Anchor::Start, (0.0, 0.0), name);
                svg.close();
            }
        }
        svg.close();
    }
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
                .contains("No predictions were counted.")
        );
        assert!(
            draw("x", &[vec![0; 3]], &[], None)
                .inline()
                .contains("No predictions were counted.")
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
