//! The clean shapes: strokes in a unit box, x to the right and y down.

use crate::random::Rng;

pub(super) type Point = (f64, f64);

/// A character as a list of strokes.
#[derive(Clone, Debug)]
pub(super) struct Glyph(pub(super) Vec<Stroke>);

/// A line through points, either straight or smooth.
#[derive(Clone, Debug)]
pub(super) struct Stroke {
    points: Vec<Point>,
    smooth: bool,
}

/// Straight segments between two points of a smooth stroke.
const PIECES: usize = 8;

impl Stroke {
    /// The stroke with random offsets of its points.
    pub(super) fn jittered(&self, rng: &mut Rng, deviation: f64) -> Self {
        let points = self
            .points
            .iter()
            .map(|&(x, y)| (x + deviation * rng.normal(), y + deviation * rng.normal()))
            .collect();
        Self {
            points,
            smooth: self.smooth,
        }
    }

    /// The stroke as a polyline.
    pub(super) fn path(&self) -> Vec<Point> {
        let p = &self.points;
        let mut path = Vec::with_capacity(p.len() * PIECES);
        for i in 0..p.len() - 1 {
            let previous = p[i.saturating_sub(1)];
            let next = p[(i + 2).min(p.len() - 1)];
            for piece in 0..PIECES {
                let t = piece as f64 / PIECES as f64;
                path.push(if self.smooth {
                    (
                        catmull_rom([previous.0, p[i].0, p[i + 1].0, next.0], t),
                        catmull_rom([previous.1, p[i].1, p[i + 1].1, next.1], t),
                    )
                } else {
                    (
                        p[i].0 + t * (p[i + 1].0 - p[i].0),
                        p[i].1 + t * (p[i + 1].1 - p[i].1),
                    )
                });
            }
        }
        path.extend(p.last());
        path
    }
}

/// A cubic through the two middle values with the slopes of a Catmull-Rom spline.
fn catmull_rom([a, b, c, d]: [f64; 4], t: f64) -> f64 {
    let linear = c - a;
    let square = 2.0 * a - 5.0 * b + 4.0 * c - d;
    let cube = 3.0 * b - a - 3.0 * c + d;
    b + 0.5 * t * (linear + t * (square + t * cube))
}

fn straight(points: &[Point]) -> Stroke {
    Stroke {
        points: points.to_vec(),
        smooth: false,
    }
}

fn smooth(points: &[Point]) -> Stroke {
    Stroke {
        points: points.to_vec(),
        smooth: true,
    }
}

/// The variants of a digit.
#[rustfmt::skip]
pub(super) fn digit(label: u32) -> Vec<Glyph> {
    let glyphs = |variants: Vec<Vec<Stroke>>| variants.into_iter().map(Glyph).collect();
    match label {
        0 => glyphs(vec![
            vec![smooth(&[(0.50, 0.04), (0.28, 0.14), (0.18, 0.48), (0.28, 0.86), (0.50, 0.96),
                (0.73, 0.86), (0.82, 0.50), (0.73, 0.14), (0.50, 0.04)])],
            vec![smooth(&[(0.56, 0.05), (0.36, 0.16), (0.29, 0.52), (0.38, 0.88), (0.52, 0.95),
                (0.66, 0.82), (0.70, 0.46), (0.64, 0.12), (0.44, 0.07)])],
        ]),
        1 => glyphs(vec![
            vec![straight(&[(0.52, 0.04), (0.48, 0.96)])],
            vec![straight(&[(0.30, 0.26), (0.53, 0.04), (0.53, 0.96)])],
            vec![straight(&[(0.32, 0.22), (0.52, 0.05), (0.52, 0.95)]),
                straight(&[(0.30, 0.95), (0.75, 0.95)])],
        ]),
        2 => glyphs(vec![
            vec![smooth(&[(0.20, 0.26), (0.34, 0.08), (0.60, 0.06), (0.77, 0.24), (0.66, 0.50),
                (0.40, 0.74), (0.18, 0.94)]), straight(&[(0.18, 0.94), (0.83, 0.93)])],
            vec![smooth(&[(0.22, 0.20), (0.45, 0.05), (0.72, 0.15), (0.70, 0.42), (0.46, 0.72),
                (0.24, 0.88), (0.20, 0.74), (0.36, 0.74), (0.56, 0.92), (0.82, 0.86)])],
        ]),
        3 => glyphs(vec![
            vec![smooth(&[(0.22, 0.16), (0.45, 0.04), (0.72, 0.14), (0.68, 0.36), (0.42, 0.47)]),
                smooth(&[(0.42, 0.47), (0.70, 0.54), (0.79, 0.74), (0.58, 0.95), (0.20, 0.86)])],
            vec![straight(&[(0.22, 0.06), (0.76, 0.06), (0.44, 0.42)]),
                smooth(&[(0.44, 0.42), (0.68, 0.46), (0.80, 0.68), (0.62, 0.92), (0.22, 0.90)])],
        ]),
        4 => glyphs(vec![
            vec![straight(&[(0.28, 0.05), (0.20, 0.55), (0.82, 0.55)]),
                straight(&[(0.66, 0.26), (0.62, 0.96)])],
            vec![straight(&[(0.64, 0.96), (0.64, 0.04), (0.14, 0.64), (0.88, 0.64)])],
            vec![smooth(&[(0.30, 0.06), (0.20, 0.30), (0.24, 0.50), (0.48, 0.52), (0.72, 0.44)]),
                straight(&[(0.74, 0.05), (0.68, 0.96)])],
        ]),
        5 => glyphs(vec![
            vec![straight(&[(0.76, 0.06), (0.30, 0.06), (0.26, 0.46)]),
                smooth(&[(0.26, 0.46), (0.50, 0.38), (0.76, 0.52), (0.75, 0.80), (0.48, 0.96),
                    (0.20, 0.86)])],
            vec![smooth(&[(0.34, 0.08), (0.28, 0.44), (0.54, 0.42), (0.74, 0.60), (0.66, 0.86),
                (0.42, 0.96), (0.22, 0.88)]), straight(&[(0.34, 0.07), (0.80, 0.05)])],
        ]),
        6 => glyphs(vec![
            vec![smooth(&[(0.68, 0.06), (0.40, 0.24), (0.24, 0.60), (0.34, 0.90), (0.60, 0.94),
                (0.76, 0.74), (0.62, 0.54), (0.38, 0.58), (0.26, 0.76)])],
            vec![smooth(&[(0.44, 0.04), (0.30, 0.30), (0.24, 0.68), (0.40, 0.94), (0.66, 0.90),
                (0.72, 0.66), (0.52, 0.54), (0.30, 0.70)])],
        ]),
        7 => glyphs(vec![
            vec![straight(&[(0.18, 0.08), (0.82, 0.08), (0.44, 0.96)])],
            vec![straight(&[(0.18, 0.08), (0.80, 0.08), (0.46, 0.96)]),
                straight(&[(0.34, 0.50), (0.76, 0.50)])],
            vec![straight(&[(0.20, 0.22), (0.20, 0.08)]), straight(&[(0.20, 0.08), (0.80, 0.08)]),
                smooth(&[(0.80, 0.08), (0.60, 0.40), (0.50, 0.68), (0.48, 0.96)])],
        ]),
        8 => glyphs(vec![
            vec![smooth(&[(0.68, 0.14), (0.46, 0.04), (0.28, 0.18), (0.38, 0.40), (0.64, 0.56),
                (0.76, 0.78), (0.54, 0.96), (0.28, 0.86), (0.30, 0.64), (0.56, 0.44), (0.72, 0.26),
                (0.66, 0.10)])],
            vec![smooth(&[(0.50, 0.46), (0.30, 0.30), (0.36, 0.08), (0.62, 0.07), (0.70, 0.28),
                (0.50, 0.46)]),
                smooth(&[(0.50, 0.46), (0.26, 0.66), (0.32, 0.92), (0.66, 0.94), (0.76, 0.68),
                    (0.50, 0.46)])],
        ]),
        _ => glyphs(vec![
            vec![smooth(&[(0.72, 0.22), (0.52, 0.05), (0.30, 0.16), (0.28, 0.38), (0.48, 0.50),
                (0.70, 0.36), (0.74, 0.16)]), straight(&[(0.73, 0.18), (0.66, 0.96)])],
            vec![smooth(&[(0.70, 0.20), (0.46, 0.05), (0.26, 0.24), (0.38, 0.48), (0.64, 0.40),
                (0.74, 0.18)]),
                smooth(&[(0.74, 0.18), (0.76, 0.56), (0.62, 0.88), (0.30, 0.92)])],
        ]),
    }
}

/// Seed of the invented characters, which are the same for all users.
const ALPHABET: u64 = 0x616c_7068;

/// The invented character with this number: two to four strokes between the knots of a grid.
pub(super) fn invented(class: u32) -> Glyph {
    let mut rng = Rng::at(ALPHABET, &[u64::from(class)]);
    let strokes = 2 + rng.below(3);
    let point = |rng: &mut Rng| {
        let mut knot = || 0.08 + 0.28 * rng.below(4) as f64;
        (knot(), knot())
    };
    let mut glyph = Vec::new();
    let mut last = point(&mut rng);
    for _ in 0..strokes {
        // Most strokes continue where another one ended.
        let mut at = if rng.chance(0.6) {
            last
        } else {
            point(&mut rng)
        };
        let bends = 2 + rng.below(3) as usize;
        let mut points = vec![at];
        while points.len() < bends {
            let next = point(&mut rng);
            if (next.0 - at.0).abs() + (next.1 - at.1).abs() > 0.3 {
                points.push(next);
                at = next;
            }
        }
        last = at;
        glyph.push(Stroke {
            points,
            smooth: rng.chance(0.6),
        });
    }
    Glyph(glyph)
}
