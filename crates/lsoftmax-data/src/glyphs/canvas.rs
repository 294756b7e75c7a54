//! Draws strokes on a grid of pixels.

use super::SIDE;
use crate::random::Rng;

/// Brightness of each pixel, 0 black and 1 white.
#[derive(Clone, Debug)]
pub(super) struct Canvas(Vec<f64>);

/// Pixel coordinates, right and down.
pub(super) type Pixels = (f64, f64);

impl Canvas {
    pub(super) fn new() -> Self {
        Self(vec![0.0; SIDE * SIDE])
    }

    /// Draws a polyline with round ends. Where strokes cross, the brighter one wins.
    pub(super) fn stroke(&mut self, path: &[Pixels], thickness: f64, brightness: f64) {
        let radius = thickness / 2.0;
        for pair in path.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            let reach = radius + 1.0;
            let columns = span(from.0.min(to.0) - reach, from.0.max(to.0) + reach);
            for y in span(from.1.min(to.1) - reach, from.1.max(to.1) + reach) {
                for x in columns.clone() {
                    let distance = distance((x as f64, y as f64), from, to);
                    let cover = (radius + 0.5 - distance).clamp(0.0, 1.0) * brightness;
                    let pixel = &mut self.0[y * SIDE + x];
                    *pixel = pixel.max(cover);
                }
            }
        }
    }

    /// Blackens a rectangle around a centre.
    pub(super) fn wipe(&mut self, (cx, cy): Pixels, half_width: f64, half_height: f64) {
        for y in span(cy - half_height, cy + half_height) {
            for x in span(cx - half_width, cx + half_width) {
                self.0[y * SIDE + x] = 0.0;
            }
        }
    }

    /// Mixes each pixel with the mean of its four neighbours.
    pub(super) fn blur(&mut self, share: f64) {
        let at = |values: &[f64], x: usize, y: usize, dx: isize, dy: isize| {
            let (x, y) = (x as isize + dx, y as isize + dy);
            let inside = (0..SIDE as isize).contains(&x) && (0..SIDE as isize).contains(&y);
            if inside {
                values[y as usize * SIDE + x as usize]
            } else {
                0.0
            }
        };
        let old = self.0.clone();
        for y in 0..SIDE {
            for x in 0..SIDE {
                let around = at(&old, x, y, -1, 0)
                    + at(&old, x, y, 1, 0)
                    + at(&old, x, y, 0, -1)
                    + at(&old, x, y, 0, 1);
                let pixel = &mut self.0[y * SIDE + x];
                *pixel = (1.0 - share) * *pixel + share * around * 0.25;
            }
        }
    }

    /// Adds Gaussian noise; its standard deviation is drawn from 0 to `largest`.
    pub(super) fn noise(&mut self, rng: &mut Rng, largest: f64) {
        let deviation = rng.between(0.0, largest);
        for pixel in &mut self.0 {
            *pixel += deviation * rng.normal();
        }
    }

    /// The pixels as bytes.
    pub(super) fn write(&self, image: &mut [u8]) {
        for (byte, pixel) in image.iter_mut().zip(&self.0) {
            *byte = (pixel.clamp(0.0, 1.0) * 255.0 + 0.5) as u8;
        }
    }
}

/// The pixels from `low` to `high` on the canvas.
fn span(low: f64, high: f64) -> std::ops::Range<usize> {
    // Casting a negative number gives 0.
    let start = (low + 0.999_999) as usize;
    let end = if high < 0.0 {
        0
    } else {
        (high as usize + 1).min(SIDE)
    };
    start.min(end)..end
}

/// Distance from a point to a line segment.
fn distance(p: Pixels, from: Pixels, to: Pixels) -> f64 {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 {
        (((p.0 - from.0) * dx + (p.1 - from.1) * dy) / length).clamp(0.0, 1.0)
    } else {
        0.0
    };
    let (ex, ey) = (p.0 - from.0 - along * dx, p.1 - from.1 - along * dy);
    (ex * ex + ey * ey).sqrt()
}
