//! Two class weights in their plane, and the sectors that a margin leaves to each class.

use crate::escape::put;
use crate::model::Boundary;
use crate::number::fixed;
use crate::svg::{Anchor, Svg, at};

const PANEL: f64 = 212.0;
const HEIGHT: f64 = 208.0;
const TOP: f64 = 44.0;
/// The length on paper of the longer class weight.
const LONGEST: f64 = 128.0;
/// Radius of the sectors and length of the plain boundary.
const REACH: f64 = 150.0;

/// For each panel: the two class weights from a common origin, the sector in which a sample counts
/// as correct for each class in training, and the boundary of plain softmax between them.
///
/// This is the geometric picture of section 3.3 of the L-Softmax paper. The caller computes the
/// angles. Panels with numbers that are not finite are left out.
pub fn boundary_plot(panels: &[Boundary]) -> String {
    draw(panels).standalone()
}

pub(crate) fn draw(panels: &[Boundary]) -> Svg {
    let sound: Vec<&Boundary> = panels.iter().filter(|panel| is_sound(panel)).collect();
    let title = "The decision boundaries of two classes";
    let columns = sound.len().clamp(1, 2);
    let rows = sound.len().div_ceil(columns).max(1);
    let words: Vec<String> = sound.iter().map(|panel| describe(panel)).collect();
    let mut svg = Svg::new(
        PANEL * columns as f64,
        TOP + HEIGHT * rows as f64 + 10.0,
        title,
        &format!(
            "Class weights as arrows; for each class the sector where a sample counts as correct in \
             training, and between the sectors the margin. Plain softmax separates the classes at \
             the dashed line. {}",
            words.join(" ")
        ),
    );
    svg.heading(title, "sectors: correct in training; dashed: plain softmax");
    if sound.is_empty() {
        svg.sentence("No finite values to draw.");
    }
    for (i, boundary) in sound.into_iter().enumerate() {
        let corner = (
            PANEL * (i % columns) as f64,
            TOP + HEIGHT * (i / columns) as f64,
        );
        panel(&mut svg, boundary, corner);
    }
    svg
}

fn is_sound(panel: &Boundary) -> bool {
    let angles = [panel.plain_deg, panel.margin_deg[0], panel.margin_deg[1]];
    panel.between_deg > 0.0
        && panel.between_deg < 180.0
        && angles.iter().all(|a| (-180.0..=360.0).contains(a))
        && panel.norms.iter().all(|n| n.is_finite() && *n > 0.0)
}

fn describe(panel: &Boundary) -> String {
    format!(
        "{}: {}° between the class weights; plain softmax separates them at {}°, class 1 is correct \
         up to {}° and class 2 from {}° on.",
        panel.label,
        fixed(panel.between_deg, 0),
        fixed(panel.plain_deg, 1),
        fixed(panel.margin_deg[0], 1),
        fixed(panel.margin_deg[1], 1)
    )
}

/// The plane of a panel: angles are measured from class weight 1, lengths are on paper.
struct Plane {
    origin: (f64, f64),
    /// Rotation in degrees that makes the pair of class weights symmetric about 45°.
    turn: f64,
}

impl Plane {
    fn point(&self, deg: f64, length: f64) -> (f64, f64) {
        let angle = (deg + self.turn).to_radians();
        (
            self.origin.0 + length * angle.cos(),
            self.origin.1 - length * angle.sin(),
        )
    }

    fn sector(&self, svg: &mut Svg, from: f64, to: f64) {
        let (a, b) = (self.point(from, REACH), self.point(to, REACH));
        let (x, y) = self.origin;
        let mut data = format!("M{} {}L{} {}", at(x), at(y), at(a.0), at(a.1));
        // An arc drawn as short lines, which needs no arc flags.
        for i in 1..=24 {
            let point = self.point(from + (to - from) * f64::from(i) / 24.0, REACH);
            put!(data, "L{} {}", at(point.0), at(point.1));
        }
        put!(data, "L{} {}z", at(b.0), at(b.1));
        svg.path("area", &data);
    }

    fn class_weight(&self, svg: &mut Svg, deg: f64, length: f64, name: &str) {
        let tip = self.point(deg, length);
        svg.line("ray", self.origin, tip);
        svg.circle("mark", tip, 4.0);
        let place = self.point(deg, length + 13.0);
        svg.text("name", Anchor::Middle, (place.0, place.1 + 4.0), name);
    }
}

fn panel(svg: &mut Svg, panel: &Boundary, (left, top): (f64, f64)) {
    let plane = Plane {
        origin: (left + 22.0, top + HEIGHT - 36.0),
        turn: 45.0 - panel.between_deg / 2.0,
    };
    svg.text(
        "strong",
        Anchor::Start,
        (left + 4.0, top + 10.0),
        &panel.label,
    );
    let [first, second] = panel.margin_deg;
    let beyond = plane.turn.max(0.0);
    let longest = panel.norms[0].max(panel.norms[1]);
    let classes = [
        (0.0, -beyond, first, "w₁"),
        (panel.between_deg, second, panel.between_deg + beyond, "w₂"),
    ];
    for (class, (deg, from, to, name)) in classes.into_iter().enumerate() {
        svg.open(&format!("k{class}"));
        if to > from {
            plane.sector(svg, from, to);
        }
        let length = panel.norms[class] / longest * LONGEST;
        plane.class_weight(svg, deg, length, name);
        svg.close();
    }
    svg.line("gap", plane.origin, plane.point(panel.plain_deg, REACH));
    // Angles that differ only by rounding leave no margin between them.
    let margin = ((second - first) * 10.0).round() / 10.0;
    svg.text(
        "axis",
        Anchor::Start,
        (left + 4.0, top + HEIGHT - 16.0),
        &format!(
            "right {}° + {}°, margin {}°",
            fixed(first, 1),
            fixed(panel.between_deg - second, 1),
            fixed(margin, 1)
        ),
    );
    svg.circle("origin", plane.origin, 3.2);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_drawn_is_left_out() {
        let good = Boundary {
            label: "m = 2".to_owned(),
            between_deg: 60.0,
            norms: [1.0, 1.0],
            plain_deg: 30.0,
            margin_deg: [20.0, 40.0],
        };
        let bad = Boundary {
            plain_deg: f64::NAN,
            ..good.clone()
        };
        let svg = boundary_plot(&[good, bad]);
        assert_eq!(svg.matches("right 20.0° + 20.0°, margin 20.0°").count(), 1);
        assert!(!svg.contains("NaN"));
        assert!(boundary_plot(&[]).contains("No finite values"));
    }
}
