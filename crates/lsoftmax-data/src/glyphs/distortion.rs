//! Maps a glyph's box to pixels with distortions.

use super::canvas::Pixels;
use super::shapes::Point;
use super::{Difficulty, SIDE};
use crate::random::Rng;

/// Knots per side of the displacement field.
const KNOTS: usize = 4;

/// An affine map followed by a smooth displacement.
pub(super) struct Distortion {
    /// Rows of a 2x2 matrix.
    matrix: [[f64; 2]; 2],
    shift: [f64; 2],
    field: [[[f64; 2]; KNOTS]; KNOTS],
}

impl Distortion {
    pub(super) fn new(rng: &mut Rng, difficulty: &Difficulty) -> Self {
        let mut both = |largest: f64| rng.between(-largest, largest);
        let slant = both(difficulty.slant);
        let angle = both(difficulty.rotation);
        let (width, height) = (
            1.0 + both(difficulty.stretch),
            1.0 + both(difficulty.stretch),
        );
        let shift = [both(difficulty.shift), both(difficulty.shift)];
        let (sin, cos) = (libm::sin(angle), libm::cos(angle));
        // Stretch, then shear against y, then rotate.
        let (a, b) = (width, -slant * height);
        let matrix = [
            [cos * a, cos * b - sin * height],
            [sin * a, sin * b + cos * height],
        ];
        let mut field = [[[0.0; 2]; KNOTS]; KNOTS];
        for knot in field.iter_mut().flatten().flatten() {
            *knot = difficulty.elastic * rng.normal();
        }
        Self {
            matrix,
            shift,
            field,
        }
    }

    /// Maps a point of the unit box to pixels; the box fills the middle 20 of 28 pixels.
    pub(super) fn apply(&self, (x, y): Point) -> Pixels {
        let (cx, cy) = (x - 0.5, y - 0.5);
        let [bent_x, bent_y] = self.displacement(x, y);
        let x = self.matrix[0][0] * cx + self.matrix[0][1] * cy + self.shift[0] + bent_x;
        let y = self.matrix[1][0] * cx + self.matrix[1][1] * cy + self.shift[1] + bent_y;
        let middle = (SIDE as f64 - 1.0) / 2.0;
        (middle + 20.0 * x, middle + 20.0 * y)
    }

    /// The displacement field, interpolated smoothly between its knots.
    fn displacement(&self, x: f64, y: f64) -> [f64; 2] {
        let place = |v: f64| {
            let v = v.clamp(0.0, 1.0) * (KNOTS - 1) as f64;
            let cell = (v as usize).min(KNOTS - 2);
            let t = v - cell as f64;
            (cell, t * t * (3.0 - 2.0 * t))
        };
        let ((i, u), (j, v)) = (place(x), place(y));
        [0, 1].map(|axis| {
            let at = |dj: usize, di: usize| self.field[j + dj][i + di][axis];
            let top = at(0, 0) + u * (at(0, 1) - at(0, 0));
            let bottom = at(1, 0) + u * (at(1, 1) - at(1, 0));
            top + v * (bottom - top)
        })
    }
}
