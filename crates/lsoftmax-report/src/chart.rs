//! Axes, lines and step outlines on an [`Svg`].

use crate::escape::{put, shorten};
use crate::scale::{Scale, ZERO_GAP};
use crate::svg::{Anchor, Svg, at, shape, text_width};
use crate::theme;

/// The rectangle inside the axes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    pub(crate) left: f64,
    pub(crate) top: f64,
    pub(crate) width: f64,
    pub(crate) height: f64,
}

/// An x axis and a y axis with their place in the picture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plot {
    area: Area,
    x: Scale,
    y: Scale,
}

/// Maximum number of points to draw per line.
const LINE_POINTS: usize = 600;

impl Plot {
    /// Lays the axes into `outer` and draws grid, ticks and the name of the x axis.
    pub(crate) fn new(svg: &mut Svg, outer: Area, x: Scale, y: Scale, x_name: &str) -> Self {
        let y_ticks = y.ticks(if outer.height < 180.0 { 4 } else { 5 });
        let label_width = y_ticks
            .iter()
            .map(|tick| text_width(&tick.label, 10.5))
            .fold(8.0, f64::max);
        let left = outer.left + label_width + 9.0;
        let area = Area {
            left,
            top: outer.top,
            width: outer.left + outer.width - left - 10.0,
            height: outer.height - 36.0,
        };
        let plot = Self { area, x, y };
        let right = area.left + area.width;
        let bottom = area.top + area.height;
        for tick in y_ticks {
            let height = plot.height(tick.place);
            svg.line("grid", (area.left, height), (right, height));
            svg.text(
                "axis",
                Anchor::End,
                (area.left - 6.0, height + 3.6),
                &tick.label,
            );
        }
        if matches!(y, Scale::LogZero { .. }) {
            let height = plot.height(ZERO_GAP);
            svg.line("gap", (area.left, height), (right, height));
        }
        svg.line("base", (area.left, bottom), (right, bottom));
        let mut free = f64::NEG_INFINITY;
        for tick in x.ticks((area.width / 60.0) as usize) {
            let across = area.left + tick.place.clamp(0.0, 1.0) * area.width;
            svg.line("base", (across, bottom), (across, bottom + 4.0));
            let half = text_width(&tick.label, 10.5) / 2.0;
            // Within the picture, and not overlapping the previous label.
            let middle = across.min(outer.left + outer.width - half - 1.0);
            if middle - half > free {
                svg.text("axis", Anchor::Middle, (middle, bottom + 16.0), &tick.label);
                free = middle + half + 5.0;
            }
        }
        svg.text("axis", Anchor::End, (right, bottom + 31.0), x_name);
        plot
    }

    fn height(&self, place: f64) -> f64 {
        self.area.top + (1.0 - place.clamp(-0.02, 1.02)) * self.area.height
    }

    /// The position of a point, if it has one.
    fn point(&self, (x, y): (f64, f64)) -> Option<(f64, f64)> {
        let across = self.x.place(x)?.clamp(0.0, 1.0);
        let up = self.y.place(y)?;
        Some((self.area.left + across * self.area.width, self.height(up)))
    }

    /// A line through the points, interrupted at points without a position, with a mark at its end.
    pub(crate) fn line(&self, svg: &mut Svg, class: &str, mark: usize, points: &[(f64, f64)]) {
        let mark_at = |end| shape(mark, end, 3.4);
        let mut data = String::new();
        let mut end = None;
        let mut pen_down = false;
        for (place, alone) in self.stretches(points) {
            let Some((x, y)) = place else {
                pen_down = false;
                continue;
            };
            let letter = if pen_down { 'L' } else { 'M' };
            put!(data, "{letter}{} {}", at(x), at(y));
            if alone {
                data.push_str("h0");
            }
            pen_down = true;
            end = Some((x, y));
        }
        svg.path(class, &data);
        if let Some(end) = end {
            svg.path("mark", &mark_at(end));
        }
    }

    /// The positions of the points, and whether each point is isolated.
    fn stretches(&self, points: &[(f64, f64)]) -> Vec<(Option<(f64, f64)>, bool)> {
        let places: Vec<_> = thin(points, LINE_POINTS)
            .into_iter()
            .map(|point| self.point(point))
            .collect();
        let there = |i: Option<usize>| i.and_then(|i| places.get(i)).is_some_and(Option::is_some);
        (0..places.len())
            .map(|i| (places[i], !there(i.checked_sub(1)) && !there(Some(i + 1))))
            .collect()
    }

    /// The outline of a histogram, with a light filling.
    pub(crate) fn steps(&self, svg: &mut Svg, edges: &[f64], heights: &[f64]) {
        // From the first bin that is not empty to the last.
        let Some(first_bin) = heights.iter().position(|height| *height > 0.0) else {
            return;
        };
        let last_bin = heights
            .iter()
            .rposition(|height| *height > 0.0)
            .unwrap_or(first_bin);
        let heights = &heights[first_bin..=last_bin];
        let edges = &edges[first_bin.min(edges.len())..];
        let mut outline = String::new();
        let Some((first, floor)) = edges.first().and_then(|&edge| self.point((edge, 0.0))) else {
            return;
        };
        put!(outline, "M{} {}", at(first), at(floor));
        let mut level = floor;
        let mut last = first;
        for (edge, &height) in edges.windows(2).zip(heights) {
            let corners = (self.point((edge[0], height)), self.point((edge[1], height)));
            let (Some((_, y)), Some((right, _))) = corners else {
                continue;
            };
            if right - last < 0.05 {
                continue;
            }
            if at(y) != at(level) {
                put!(outline, "V{}", at(y));
            }
            put!(outline, "H{}", at(right));
            level = y;
            last = right;
        }
        put!(outline, "V{}", at(floor));
        svg.path("area", &outline);
        svg.path("line", &outline);
    }

    /// A dashed line from bottom to top at `x`, marked at its upper end.
    pub(crate) fn upright(&self, svg: &mut Svg, mark: usize, x: f64) {
        if let Some(place) = self.x.place(x).filter(|place| (0.0..=1.0).contains(place)) {
            let x = self.area.left + place * self.area.width;
            let (top, bottom) = (self.area.top, self.area.top + self.area.height);
            svg.line("mean", (x, top), (x, bottom));
            svg.path("mark", &shape(mark, (x, top), 3.6));
        }
    }
}

/// At most about `limit` of the points: of each interval the first, smallest, largest and last, so
/// that no peak is lost.
pub(crate) fn thin(points: &[(f64, f64)], limit: usize) -> Vec<(f64, f64)> {
    if points.len() <= limit {
        return points.to_vec();
    }
    let mut kept = Vec::with_capacity(limit);
    for stretch in points.chunks(points.len().div_ceil((limit / 4).max(1))) {
        let mut wanted = vec![0, stretch.len() - 1];
        let value = |i: &usize| stretch[*i].1;
        wanted.extend((0..stretch.len()).min_by(|i, j| value(i).total_cmp(&value(j))));
        wanted.extend((0..stretch.len()).max_by(|i, j| value(i).total_cmp(&value(j))));
        wanted.extend((0..stretch.len()).find(|i| !value(i).is_finite()));
        wanted.sort_unstable();
        wanted.dedup();
        kept.extend(wanted.into_iter().map(|i| stretch[i]));
    }
    kept
}

/// One entry of a legend: colour class, shape and name.
pub(crate) struct Entry {
    pub(crate) class: String,
    pub(crate) mark: usize,
    pub(crate) name: String,
}

/// The entries of the series with these names, in order.
pub(crate) fn series_entries<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Entry> {
    let entry = |(index, name): (usize, &str)| Entry {
        class: theme::series(index),
        mark: index,
        name: name.to_owned(),
    };
    names.into_iter().enumerate().map(entry).collect()
}

const LEGEND_ROW: f64 = 17.0;

/// The positions of the entries in rows of the given width, and the total height.
fn legend_places(entries: &[Entry], width: f64) -> (Vec<(f64, f64)>, f64) {
    let (mut x, mut y) = (0.0, 0.0);
    let mut places = Vec::with_capacity(entries.len());
    for entry in entries {
        let wide = 18.0 + text_width(&shorten(&entry.name, 34), 11.0) + 12.0;
        if x > 0.0 && x + wide > width {
            (x, y) = (0.0, y + LEGEND_ROW);
        }
        places.push((x, y));
        x += wide;
    }
    (
        places,
        if entries.is_empty() {
            0.0
        } else {
            y + LEGEND_ROW
        },
    )
}

/// The height of the legend at this width.
pub(crate) fn legend_height(entries: &[Entry], width: f64) -> f64 {
    legend_places(entries, width).1
}

/// Draws the legend with its upper left corner at `corner`.
pub(crate) fn legend(svg: &mut Svg, entries: &[Entry], corner: (f64, f64), width: f64) {
    for (entry, (x, y)) in entries.iter().zip(legend_places(entries, width).0) {
        let (x, y) = (corner.0 + x, corner.1 + y);
        svg.open(&entry.class);
        svg.path("mark", &shape(entry.mark, (x + 6.0, y + 7.0), 4.2));
        svg.close();
        svg.text(
            "strong",
            Anchor::Start,
            (x + 15.0, y + 11.0),
            &shorten(&entry.name, 34),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_keeps_ends_and_peaks() {
        let mut points: Vec<_> = (0..100_000).map(|i| (i as f64, (i % 7) as f64)).collect();
        points[51_234].1 = 1e6;
        points[61_234].1 = f64::NAN;
        let kept = thin(&points, 600);
        assert!(kept.len() <= 800);
        assert_eq!(kept.first(), points.first());
        assert_eq!(kept.last(), points.last());
        assert!(kept.contains(&(51_234.0, 1e6)));
        assert!(kept.iter().any(|point| point.1.is_nan()));
        assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn lines_break_where_a_value_is_not_finite() {
        let mut svg = Svg::new(300.0, 200.0, "t", "");
        let area = Area {
            left: 0.0,
            top: 0.0,
            width: 300.0,
            height: 200.0,
        };
        let scale = Scale::Linear {
            low: 0.0,
            high: 4.0,
        };
        let plot = Plot::new(&mut svg, area, scale, scale, "step");
        let before = svg.inline();
        assert!(!before.contains("class=\"line\""));
        plot.line(
            &mut svg,
            "line",
            0,
            &[
                (0.0, 1.0),
                (1.0, 2.0),
                (2.0, f64::NAN),
                (3.0, f64::INFINITY),
                (4.0, 1.0),
            ],
        );
        let picture = svg.inline();
        let path = picture
            .split("class=\"line\" d=\"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        assert_eq!(path.matches('M').count(), 2, "{path}");
        assert_eq!(path.matches('L').count(), 1, "{path}");
        assert!(!path.contains("NaN") && !path.contains("inf"));
    }
}
