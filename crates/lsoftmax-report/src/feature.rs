//! 2-D features with the class weights as rays, as in Figure 2 of the paper.

use crate::chart::{Entry, legend, legend_height};
use crate::class_name::class_name;
use crate::escape::{put, shorten};
use crate::model::Run;
use crate::number::{fixed, grouped, significant};
use crate::scale::nice_step;
use crate::svg::{Anchor, Svg, at, shape, text_width};
use crate::theme;
use lsoftmax_record::Frame;

/// Maximum number of points to draw.
pub(crate) const MAX_POINTS: usize = 1500;
/// Maximum number of points to draw for an earlier step.
const MAX_EARLIER: usize = 600;
/// With more classes, the rays have no names.
const MAX_NAMES: usize = 24;
/// Maximum number of classes for which a legend is drawn.
pub(crate) const MAX_LEGEND: usize = 60;

const SIDE: f64 = 312.0;
const HALF: f64 = SIDE / 2.0;
const TOP: f64 = 40.0;
const RAY: f64 = HALF * 0.76;
const NAME_RADIUS: f64 = HALF * 0.88;
const FONT: f64 = 11.0;

/// Number of classes in a frame, from the class weights or from the labels in use.
pub(crate) fn class_count(frame: &Frame) -> usize {
    let labels = frame.labels.iter().take(frame.points.len());
    let by_label = labels.max().map_or(0, |&label| label as usize + 1);
    // A label out of range must not request four billion classes.
    by_label.min(65_536).max(frame.class_weights.len())
}

/// A finite feature with its label.
type Point = ([f64; 2], usize);

/// Selects the points to draw: finite ones, the same share of every class, evenly spaced by
/// position.
fn sample(frame: &Frame, most: usize) -> Vec<Point> {
    let mut finite: Vec<_> = frame
        .points
        .iter()
        .zip(&frame.labels)
        .filter(|(point, _)| point.iter().all(|x| x.is_finite()))
        .map(|(point, &label)| (point.map(f64::from), label as usize))
        .collect();
    // By class first: an even stride could interfere with data that are sorted by class.
    finite.sort_by_key(|(_, label)| *label);
    let kept = finite.len().min(most);
    (0..kept).map(|i| finite[i * finite.len() / kept]).collect()
}

/// Half the side of the square that contains nearly all points.
pub(crate) fn own_reach(frame: &Frame) -> f64 {
    let mut sizes: Vec<f64> = frame
        .points
        .iter()
        .zip(&frame.labels)
        .map(|(point, _)| f64::from(point[0].abs().max(point[1].abs())))
        .filter(|size| size.is_finite())
        .collect();
    sizes.sort_unstable_by(f64::total_cmp);
    let Some(&most) = sizes.last() else {
        return 1.0;
    };
    // A few distant points must not shrink all others.
    let usual = sizes[(sizes.len() - 1) * 995 / 1000];
    let reach = if most > 1.6 * usual {
        usual * 1.15
    } else {
        most * 1.04
    };
    if reach > 0.0 { reach } else { 1.0 }
}

/// One line under the title.
fn subtitle(run: &Run) -> String {
    let error = run.outcome.evaluation.error_percent;
    let angle = run.outcome.evaluation.mean_target_angle_deg;
    let mut parts = Vec::new();
    if error.is_finite() {
        parts.push(format!("test error {} %", fixed(error, 2)));
    }
    if angle.is_finite() {
        parts.push(format!("mean target angle {}°", fixed(angle, 1)));
    }
    parts.join(" · ")
}

/// The last frame of a run, or an empty one.
///
/// With the reach of all compared pictures, the picture can be shown on their common scale, and at
/// earlier steps.
pub(crate) fn draw(
    run: &Run,
    class_names: &[String],
    shared_reach: Option<f64>,
    with_legend: bool,
) -> Svg {
    let empty = Frame::default();
    let (last, earlier) = match run.outcome.frames.split_last() {
        Some((last, earlier)) => (last, earlier),
        None => (&empty, &[][..]),
    };
    let classes = class_count(last);
    let entries = if with_legend && classes <= MAX_LEGEND {
        legend_entries(classes, class_names)
    } else {
        Vec::new()
    };
    let legend_top = TOP + SIDE + 28.0;
    let width = SIDE + 8.0;
    let height = legend_top - 4.0 + legend_height(&entries, width);

    let points = sample(last, MAX_POINTS);
    let reach = own_reach(last);
    let title = format!("2-D features: {}", run.label);
    let description = description(run, last, &points, reach);
    let mut svg = Svg::new(width, height, &title, &description);
    svg.heading(&shorten(&run.label, 40), &subtitle(run));
    svg.rect("frame", (4.0, TOP), (SIDE, SIDE), "rx=\"4\"");
    if points.is_empty() {
        svg.text(
            "",
            Anchor::Middle,
            (width / 2.0, TOP + HALF),
            "No finite points to draw.",
        );
        return svg;
    }
    // Only a page can show other steps than the last.
    let earlier = if shared_reach.is_some() { earlier } else { &[] };
    let mut steps: Vec<(Vec<Point>, &Frame)> = earlier
        .iter()
        .map(|frame| (sample(frame, MAX_EARLIER), frame))
        .collect();
    steps.push((points, last));
    draw_steps(&mut svg, &steps, class_names, reach, shared_reach);
    draw_scale(&mut svg, reach, shared_reach);
    legend(&mut svg, &entries, (4.0, legend_top - 2.0), width);
    svg
}

fn legend_entries(classes: usize, class_names: &[String]) -> Vec<Entry> {
    let entry = |label| Entry {
        class: theme::class(label),
        mark: label / theme::CLASSES,
        name: class_name(class_names, label),
    };
    (0..classes).map(entry).collect()
}

fn description(run: &Run, frame: &Frame, points: &[Point], reach: f64) -> String {
    let outside = points
        .iter()
        .filter(|(p, _)| p[0].abs() > reach || p[1].abs() > reach)
        .count();
    format!(
        "2-D features of {}, coloured by class, with the directions of the class weights as rays \
         from the origin. {} of {} points drawn{}. {}",
        run.label,
        grouped(points.len() as u64),
        grouped(frame.points.len() as u64),
        if outside > 0 {
            format!(", {outside} of them outside the frame")
        } else {
            String::new()
        },
        subtitle(run)
    )
}

/// The frames. The page shows one at a time: the last one until its slider is moved.
fn draw_steps(
    svg: &mut Svg,
    steps: &[(Vec<Point>, &Frame)],
    class_names: &[String],
    reach: f64,
    shared_reach: Option<f64>,
) {
    let shrink = shared_reach
        .filter(|shared| *shared > 0.0)
        .map_or(1.0, |shared| reach / shared);
    let shrink = format!("style=\"--shrink:{shrink:.4}\"");
    svg.open_window(4.5, TOP + 0.5, SIDE - 1.0, SIDE - 1.0);
    svg.line("grid", (-HALF, 0.0), (HALF, 0.0));
    svg.line("grid", (0.0, -HALF), (0.0, HALF));
    for (index, (points, frame)) in steps.iter().enumerate() {
        let class = if index + 1 == steps.len() {
            "step now"
        } else {
            "step"
        };
        svg.open_with(class, &format!("data-frame=\"{index}\""));
        svg.open_with("cloud", &shrink);
        clouds(svg, points, reach);
        svg.close();
        rays(svg, &frame.class_weights, class_names);
        svg.close();
    }
    svg.circle("origin", (0.0, 0.0), 3.2);
    svg.close_window();
}

/// The scale bar. On a page there are two, for the picture's own scale and the shared one.
fn draw_scale(svg: &mut Svg, reach: f64, shared_reach: Option<f64>) {
    let top = TOP + SIDE + 14.0;
    let Some(shared) = shared_reach else {
        scale_bar(svg, reach, top);
        return;
    };
    svg.open("own");
    scale_bar(svg, reach, top);
    svg.close();
    svg.open("shared");
    scale_bar(svg, shared, top);
    svg.close();
}

/// All points, as one path per class, which is short and can be highlighted.
fn clouds(svg: &mut Svg, points: &[Point], reach: f64) {
    let last = points.iter().map(|(_, label)| *label).max().unwrap_or(0);
    let mut data = vec![String::new(); last.min(65_535) + 1];
    for (point, label) in points {
        // Distant points stay distant, but within the range of renderers.
        let [x, y] = point.map(|value| (value / reach * HALF).clamp(-9e4, 9e4));
        let label = (*label).min(65_535);
        match label / theme::CLASSES {
            0 => put!(data[label], "M{} {}h0", at(x), at(-y)),
            mark => data[label].push_str(&shape(mark, (x, -y), 2.1)),
        }
    }
    for (label, data) in data.iter().enumerate().filter(|(_, data)| !data.is_empty()) {
        svg.open_with(
            &format!("cls {}", theme::class(label)),
            &format!("data-class=\"{label}\""),
        );
        svg.path(
            if label < theme::CLASSES {
                "dots"
            } else {
                "shape"
            },
            data,
        );
        svg.close();
    }
}

/// The directions of the class weights, with the names at their ends.
fn rays(svg: &mut Svg, weights: &[[f32; 2]], names: &[String]) {
    let directions: Vec<(usize, f64)> = weights
        .iter()
        .map(|weight| weight.map(f64::from))
        .enumerate()
        .filter(|(_, [x, y])| x.is_finite() && y.is_finite() && (*x != 0.0 || *y != 0.0))
        .map(|(label, [x, y])| (label, y.atan2(x)))
        .collect();
    let tip = |angle: f64| (RAY * angle.cos(), -RAY * angle.sin());
    let named = directions.len() <= MAX_NAMES;
    let places = if named {
        name_places(&directions, names)
    } else {
        Vec::new()
    };
    for (i, &(label, angle)) in directions.iter().enumerate() {
        svg.open_with(
            &format!("cls {}", theme::class(label)),
            &format!("data-class=\"{label}\""),
        );
        svg.line("halo", (0.0, 0.0), tip(angle));
        svg.line("ray", (0.0, 0.0), tip(angle));
        svg.path("mark", &shape(label / theme::CLASSES, tip(angle), 4.0));
        if let Some(place) = places.get(i) {
            if place.moved {
                svg.line("leader", tip(angle), (place.x, place.y));
            }
            svg.text(
                "name",
                Anchor::Middle,
                (place.x, place.y + 3.8),
                &place.text,
            );
        }
        svg.close();
    }
}

struct NamePlace {
    text: String,
    x: f64,
    y: f64,
    /// Half the width of the name.
    half: f64,
    /// Whether it was moved away from its ray.
    moved: bool,
}

impl NamePlace {
    /// The place at the end of a ray.
    fn new(text: String, ray: f64) -> Self {
        let half = text_width(&text, FONT) / 2.0 + 3.0;
        let mut place = Self {
            text,
            x: 0.0,
            y: 0.0,
            half,
            moved: false,
        };
        place.move_to(ray, ray);
        place
    }

    /// Moves the name of a ray to another angle.
    fn move_to(&mut self, ray: f64, angle: f64) {
        let limit = HALF - self.half - 1.0;
        let x = (NAME_RADIUS * angle.cos() * 1.03).clamp(-limit, limit);
        let y = -NAME_RADIUS * angle.sin() * 1.03;
        // A wide name at the side would hide the end of its ray, so it is placed above or below.
        let tip = (RAY * ray.cos(), -RAY * ray.sin());
        let hides = (x - tip.0).abs() < self.half + 3.0 && (y - tip.1).abs() < 12.0;
        (self.x, self.y) = match (hides, y <= tip.1) {
            (false, _) => (x, y),
            (true, true) => (x, tip.1 - 12.0),
            (true, false) => (x, tip.1 + 12.0),
        };
        self.moved = (angle - ray).abs() > 0.05;
    }

    fn overlaps(&self, other: &Self) -> bool {
        (self.x - other.x).abs() < self.half + other.half && (self.y - other.y).abs() < 14.0
    }
}

/// Names near the ends of their rays, pushed apart along the circle until none overlap.
fn name_places(directions: &[(usize, f64)], names: &[String]) -> Vec<NamePlace> {
    let mut places: Vec<NamePlace> = directions
        .iter()
        .map(|&(label, angle)| NamePlace::new(shorten(&class_name(names, label), 10), angle))
        .collect();
    let mut angles: Vec<f64> = directions.iter().map(|(_, angle)| *angle).collect();
    for _ in 0..200 {
        let mut quiet = true;
        for i in 0..places.len() {
            for j in i + 1..places.len() {
                if !places[i].overlaps(&places[j]) {
                    continue;
                }
                quiet = false;
                // The angle from i to j. Equal angles are ordered by index.
                let turn = (angles[j] - angles[i]).sin();
                let sign = if turn < 0.0 { -1.0 } else { 1.0 };
                angles[i] -= 0.03 * sign;
                angles[j] += 0.03 * sign;
                for k in [i, j] {
                    places[k].move_to(directions[k].1, angles[k]);
                }
            }
        }
        if quiet {
            break;
        }
    }
    for place in &mut places {
        place.x = place.x.clamp(place.half - HALF, HALF - place.half);
    }
    places
}

/// A scale bar with a round length.
fn scale_bar(svg: &mut Svg, reach: f64, y: f64) {
    let length = nice_step(reach * 0.4);
    let pixels = length / reach * HALF;
    let (left, right) = (6.0, 6.0 + pixels);
    svg.path(
        "base",
        &format!(
            "M{0} {1}v6M{0} {2}H{3}M{3} {1}v6",
            at(left),
            at(y - 3.0),
            at(y),
            at(right)
        ),
    );
    svg.text(
        "axis",
        Anchor::Start,
        (right + 6.0, y + 3.6),
        &significant(length),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(count: usize) -> Frame {
        Frame {
            points: (0..count)
                .map(|i| [(i % 97) as f32 - 40.0, (i % 89) as f32])
                .collect(),
            labels: (0..count).map(|i| (i % 10) as u32).collect(),
            class_weights: (0..10)
                .map(|i| [(i as f32).cos(), (i as f32).sin()])
                .collect(),
            ..Frame::default()
        }
    }

    fn run(frames: Vec<Frame>) -> Run {
        let mut run = crate::testing::run("softmax");
        run.outcome.frames = frames;
        run
    }

    fn drawn(frame: Frame) -> usize {
        draw(&run(vec![frame]), &[], None, false)
            .inline()
            .matches("h0")
            .count()
    }

    #[test]
    fn points_are_counted() {
        assert_eq!(drawn(frame(123)), 123);
        assert_eq!(drawn(frame(100_000)), MAX_POINTS);
        let mut some = frame(100);
        some.points[3] = [f32::NAN, 0.0];
        some.points[4] = [0.0, f32::INFINITY];
        assert_eq!(drawn(some), 98);
    }

    #[test]
    fn pictures_without_points_have_a_sentence() {
        for frames in [vec![], vec![Frame::default()]] {
            let svg = draw(&run(frames), &[], None, true).inline();
            assert!(svg.contains("No finite points"));
        }
        let mut lost = frame(5);
        lost.points.fill([f32::NAN, 1.0]);
        assert!(
            draw(&run(vec![lost]), &[], Some(3.0), true)
                .inline()
                .contains("No finite points")
        );
    }

    #[test]
    fn wild_labels_and_weights_do_no_harm() {
        let mut wild = frame(10);
        wild.labels[0] = u32::MAX;
        wild.class_weights[0] = [f32::NAN, 1.0];
        wild.class_weights[1] = [0.0, 0.0];
        wild.points[1] = [f32::MAX, f32::MIN];
        let svg = draw(&run(vec![wild]), &["<a>".to_owned()], None, true).inline();
        assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains("<a>"));
    }

    #[test]
    fn names_part() {
        let directions: Vec<(usize, f64)> = (0..6).map(|i| (i, 0.3 + 0.01 * i as f64)).collect();
        let names: Vec<String> = (0..6).map(|i| format!("class {i}")).collect();
        let places = name_places(&directions, &names);
        for (i, a) in places.iter().enumerate() {
            for b in &places[i + 1..] {
                assert!((a.x - b.x).abs() >= a.half + b.half - 1e-9 || (a.y - b.y).abs() >= 13.9);
            }
        }
    }
}
