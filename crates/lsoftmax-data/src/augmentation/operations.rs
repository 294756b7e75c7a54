//! Changes of image bytes as defined by Pillow and torchvision.

use crate::random::Rng;

/// The bytes of an image, `[channel, height, width]`.
#[derive(Clone, Debug)]
pub(super) struct Image {
    bytes: Vec<u8>,
    channels: usize,
    height: usize,
    width: usize,
}

/// Largest shear, largest translation as a share of the side, and largest rotation in degrees.
const MOST_SHEAR: f64 = 0.3;
const MOST_TRANSLATION: f64 = 0.45;
const MOST_DEGREES: f64 = 30.0;
/// Largest difference of a factor from 1.
const MOST_FACTOR: f64 = 0.9;
/// Maximum number of low bits to clear.
const MOST_BITS: f64 = 4.0;
/// The smoothing kernel of sharpness: weight 5 in the middle, 1 around it, 13 in total.
const CENTRE: f64 = 5.0;
const KERNEL: f64 = 13.0;

/// Number of operations to draw from.
const OPERATIONS: u64 = 14;
/// The only operation that needs colours.
const SATURATION: u64 = 6;

impl Image {
    pub(super) fn new(bytes: Vec<u8>, [channels, height, width]: [usize; 3]) -> Self {
        Self {
            bytes,
            channels,
            height,
            width,
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn area(&self) -> usize {
        self.height * self.width
    }

    /// The grey value of each pixel (ITU-R 601).
    fn luminance(&self) -> Vec<f64> {
        let plane = |channel: usize| self.bytes[channel * self.area()..].iter().take(self.area());
        if self.channels != 3 {
            let mut sums = vec![0.0; self.area()];
            for channel in 0..self.channels {
                let bytes = plane(channel);
                sums.iter_mut()
                    .zip(bytes)
                    .for_each(|(sum, &byte)| *sum += f64::from(byte));
            }
            return sums.iter().map(|sum| sum / self.channels as f64).collect();
        }
        let pixels = plane(0).zip(plane(1)).zip(plane(2));
        let grey = |((&r, &g), &b): ((&u8, &u8), &u8)| {
            (299.0 * f64::from(r) + 587.0 * f64::from(g) + 114.0 * f64::from(b)) / 1_000.0
        };
        pixels.map(grey).collect()
    }

    /// Interpolates from another byte (factor 0) to each byte itself (factor 1). A factor above 1
    /// exaggerates the difference.
    fn blend(&mut self, factor: f64, other: impl Fn(usize) -> f64) {
        for (at, byte) in self.bytes.iter_mut().enumerate() {
            let other = other(at);
            *byte = rounded(other + factor * (f64::from(*byte) - other));
        }
    }

    /// Replaces each byte by its entry in a table for its channel.
    fn look_up(&mut self, table: impl Fn(&[u8]) -> [u8; 256]) {
        let area = self.area();
        for plane in self.bytes.chunks_exact_mut(area) {
            let table = table(plane);
            for byte in plane {
                *byte = table[usize::from(*byte)];
            }
        }
    }

    /// Moves pixels: a pixel shows the position `map` times its own, relative to the centre, plus
    /// `shift` (columns, rows). Positions outside the image show the bytes of `fill`.
    fn warp(&mut self, map: [[f64; 2]; 2], shift: [f64; 2], fill: &[u8]) {
        let (height, width, area) = (self.height, self.width, self.area());
        let centre = [(width as f64 - 1.0) / 2.0, (height as f64 - 1.0) / 2.0];
        for (plane, &fill) in self.bytes.chunks_exact_mut(area).zip(fill) {
            let old = plane.to_vec();
            let byte = |x: f64, y: f64| {
                let inside = x >= 0.0 && y >= 0.0 && x < width as f64 && y < height as f64;
                f64::from(if inside {
                    old[y as usize * width + x as usize]
                } else {
                    fill
                })
            };
            for (at, out) in plane.iter_mut().enumerate() {
                let place = [at % width, at / width];
                let [dx, dy] = [0, 1].map(|axis| place[axis] as f64 - centre[axis]);
                let x = map[0][0] * dx + map[0][1] * dy + centre[0] + shift[0];
                let y = map[1][0] * dx + map[1][1] * dy + centre[1] + shift[1];
                let (left, top) = (x.floor(), y.floor());
                let row = |y| {
                    let (a, b) = (byte(left, y), byte(left + 1.0, y));
                    a + (x - left) * (b - a)
                };
                let (a, b) = (row(top), row(top + 1.0));
                *out = rounded(a + (y - top) * (b - a));
            }
        }
    }
}

fn rounded(value: f64) -> u8 {
    // The conversion saturates.
    value.round() as u8
}

/// Multiplies all values.
pub(super) fn brightness(image: &mut Image, factor: f64) {
    image.blend(factor, |_| 0.0);
}

/// Scales the difference of all values to the mean grey.
pub(super) fn contrast(image: &mut Image, factor: f64) {
    let grey = image.luminance();
    let mean = (grey.iter().sum::<f64>() / grey.len() as f64).round();
    image.blend(factor, |_| mean);
}

/// Scales the difference of each pixel to its grey value.
pub(super) fn saturation(image: &mut Image, factor: f64) {
    let grey = image.luminance();
    image.blend(factor, |at| grey[at % grey.len()]);
}

/// Scales the difference of each pixel to the mean of its neighbourhood. Pixels at the edge do not
/// change.
fn sharpness(image: &mut Image, factor: f64) {
    let (height, width, area) = (image.height, image.width, image.area());
    let old = image.bytes.clone();
    image.blend(factor, |at| {
        let (x, y) = (at % width, at % area / width);
        let own = f64::from(old[at]);
        if x == 0 || y == 0 || x + 1 == width || y + 1 == height {
            return own;
        }
        let rows = [at - width, at, at + width];
        let sum: f64 = rows
            .iter()
            .flat_map(|&row| &old[row - 1..=row + 1])
            .copied()
            .map(f64::from)
            .sum();
        ((sum + (CENTRE - 1.0) * own) / KERNEL).round()
    });
}

/// Stretches each channel to the range 0 to 255.
fn auto_contrast(image: &mut Image) {
    image.look_up(|plane| {
        let (low, high) = plane.iter().fold((u8::MAX, 0), |(low, high), &byte| {
            (byte.min(low), byte.max(high))
        });
        let scale = 255.0 / f64::from(high.saturating_sub(low).max(1));
        table(|byte| {
            if low >= high {
                return byte as u8;
            }
            rounded((byte as f64 - f64::from(low)) * scale)
        })
    });
}

/// Equalises the histogram of each channel as far as possible.
fn equalize(image: &mut Image) {
    image.look_up(|plane| {
        let mut counts = [0_usize; 256];
        for &byte in plane {
            counts[usize::from(byte)] += 1;
        }
        let last = counts
            .iter()
            .rev()
            .copied()
            .find(|&count| count > 0)
            .unwrap_or(0);
        let step = (plane.len() - last) / 255;
        if step == 0 {
            return table(|byte| byte as u8);
        }
        let mut below = step / 2;
        let mut values = [0; 256];
        for (value, count) in values.iter_mut().zip(counts) {
            *value = (below / step).min(255) as u8;
            below += count;
        }
        values
    });
}

fn table(value: impl Fn(usize) -> u8) -> [u8; 256] {
    std::array::from_fn(value)
}

/// Applies one operation of the list, with `level` times its largest strength, and a random sign if
/// it has one.
pub(super) fn random(image: &mut Image, level: f64, fill: &[u8], rng: &mut Rng) {
    let has_colour = image.channels == 3;
    let drawn = rng.below(if has_colour {
        OPERATIONS
    } else {
        OPERATIONS - 1
    });
    // Images without colour use the other operations.
    let operation = if has_colour || drawn < SATURATION {
        drawn
    } else {
        drawn + 1
    };
    let sign = if rng.chance(0.5) { 1.0 } else { -1.0 };
    let signed = sign * level;
    let factor = 1.0 + signed * MOST_FACTOR;
    let shear = signed * MOST_SHEAR;
    match operation {
        0 => image.warp([[1.0, shear], [0.0, 1.0]], [0.0; 2], fill),
        1 => image.warp([[1.0, 0.0], [shear, 1.0]], [0.0; 2], fill),
        2 => {
            let columns = (signed * MOST_TRANSLATION * image.width as f64).round();
            image.warp([[1.0, 0.0], [0.0, 1.0]], [columns, 0.0], fill);
        }
        3 => {
            let rows = (signed * MOST_TRANSLATION * image.height as f64).round();
            image.warp([[1.0, 0.0], [0.0, 1.0]], [0.0, rows], fill);
        }
        4 => {
            let angle = (signed * MOST_DEGREES).to_radians();
            let (sin, cos) = (libm::sin(angle), libm::cos(angle));
            image.warp([[cos, -sin], [sin, cos]], [0.0; 2], fill);
        }
        5 => brightness(image, factor),
        SATURATION => saturation(image, factor),
        7 => contrast(image, factor),
        8 => sharpness(image, factor),
        9 => {
            let cleared = (level * MOST_BITS).round() as u32;
            image.look_up(|_| table(|byte| byte as u8 & (0xff_u8 << cleared)));
        }
        10 => {
            let threshold = 256.0 * (1.0 - level);
            image.look_up(|_| {
                table(|byte| {
                    if byte as f64 >= threshold {
                        255 - byte as u8
                    } else {
                        byte as u8
                    }
                })
            });
        }
        11 => auto_contrast(image),
        12 => equalize(image),
        // One operation of the list changes nothing.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEIGHT: usize = 24;
    const WIDTH: usize = 22;

    /// A colour image with many different bytes.
    fn image() -> Image {
        let bytes = (0..3 * HEIGHT * WIDTH)
            .map(|i| (i * i * 7 % 251) as u8)
            .collect();
        Image::new(bytes, [3, HEIGHT, WIDTH])
    }

    fn changed(change: impl Fn(&mut Image)) -> Vec<u8> {
        let mut image = image();
        change(&mut image);
        image.into_bytes()
    }

    #[derive(serde::Deserialize)]
    struct Golden {
        bytes: Vec<u8>,
        pillow: Vec<(String, f64, Vec<u8>)>,
    }

    /// Computed by tests/golden/pillow.py.
    #[test]
    fn colours_are_those_of_pillow() {
        let golden: Golden =
            serde_json::from_str(include_str!("../../tests/golden/pillow.json")).unwrap();
        assert_eq!(golden.bytes, image().into_bytes());
        assert_eq!(golden.pillow.len(), 15);
        for (name, number, expected) in golden.pillow {
            let found = changed(|image| match name.as_str() {
                "brightness" => brightness(image, number),
                "contrast" => contrast(image, number),
                "saturation" => saturation(image, number),
                "sharpness" => sharpness(image, number),
                "auto-contrast" => auto_contrast(image),
                "equalize" => equalize(image),
                name => panic!("{name}"),
            });
            // Pillow truncates where this code rounds.
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    found.abs_diff(expected) <= 1,
                    "{name} {number}: {found}, {expected}"
                );
            }
        }
    }

    #[test]
    fn warps_move_pixels_to_their_places() {
        let old = image().into_bytes();
        let identity = [[1.0, 0.0], [0.0, 1.0]];
        assert_eq!(changed(|it| it.warp(identity, [0.0; 2], &[1, 2, 3])), old);
        let moved = changed(|it| it.warp(identity, [2.0, -1.0], &[1, 2, 3]));
        // A rotation by 180 degrees.
        let turned = changed(|it| it.warp([[-1.0, 0.0], [0.0, -1.0]], [0.0; 2], &[1, 2, 3]));
        for channel in 0..3 {
            for y in 0..HEIGHT {
                for x in 0..WIDTH {
                    let at = |x: usize, y: usize| old[(channel * HEIGHT + y) * WIDTH + x];
                    let out = (channel * HEIGHT + y) * WIDTH + x;
                    let inside = x + 2 < WIDTH && y > 0;
                    let expected = if inside {
                        at(x + 2, y - 1)
                    } else {
                        channel as u8 + 1
                    };
                    assert_eq!(moved[out], expected);
                    assert_eq!(turned[out], at(WIDTH - 1 - x, HEIGHT - 1 - y));
                }
            }
        }
        // Halfway between two columns.
        let half = changed(|it| it.warp(identity, [0.5, 0.0], &[0, 0, 0]));
        let between = f64::midpoint(f64::from(old[0]), f64::from(old[1]));
        assert_eq!(half[0], rounded(between));
    }

    #[test]
    fn every_operation_is_drawn_and_those_of_no_strength_change_nothing() {
        let grey = || Image::new((0..100).collect(), [1, 10, 10]);
        let mut kinds = std::collections::HashSet::new();
        for key in 0..400 {
            let mut drawn = image();
            random(&mut drawn, 0.9, &[5, 5, 5], &mut Rng::at(key, &[]));
            kinds.insert(drawn.into_bytes());
            let mut drawn = grey();
            random(&mut drawn, 0.9, &[5], &mut Rng::at(key, &[]));
            assert_eq!(drawn.into_bytes().len(), 100);
            // At level 0, only autocontrast and equalize have an effect.
            let mut still = image();
            random(&mut still, 0.0, &[5, 5, 5], &mut Rng::at(key, &[]));
            let [stretched, equal] = [auto_contrast, equalize].map(|change| changed(change));
            assert!(
                [image().bytes, stretched, equal].contains(&still.bytes),
                "{key}"
            );
        }
        // 9 operations with a sign, 4 without, and the identity.
        assert_eq!(kinds.len(), 2 * 9 + 4 + 1);
    }
}
