//! Similarity transforms of the plane.

use super::FivePoints;
use crate::error::DataError;

/// Maximum magnitude of a coordinate; no image is larger.
const MAX_COORDINATE: f64 = 1e6;
/// Minimum root mean square distance of the points from their mean, in pixels. Below it, a face
/// degenerates to a point.
const MIN_SPREAD: f64 = 1.0;
/// Minimum share of the target points' spread that a fit must explain. Points with left and right
/// swapped reach 0.05; a full profile reaches 0.5 and more.
const MIN_EXPLAINED: f64 = 0.25;

/// Rotation, uniform scale and translation in the image plane; no reflection.
///
/// Points are (x, y) in pixels, x to the right and y down, with integers at pixel centres. With
/// points as complex numbers `z = x + iy`, the map is
///
/// ```text
/// z -> a z + t        |a| the scale, arg a the rotation
/// ```
///
/// which is the matrix `[[re, -im, tx], [im, re, ty]]` of `cv2.warpAffine`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Similarity {
    /// a: real part, imaginary part.
    factor: [f64; 2],
    /// t: x, y.
    offset: [f64; 2],
}

impl Similarity {
    /// The similarity that maps `from` closest to `to` in the least-squares sense over the five
    /// points.
    ///
    /// With p the points of `from` and q those of `to`, both minus their means,
    ///
    /// ```text
    /// a = sum conj(p) q / sum |p|^2        t = mean(to) - a mean(from)
    /// ```
    ///
    /// minimises `sum |a p + t - q|^2`, as its derivative with respect to conj(a) shows. This is
    /// the two-dimensional case of S. Umeyama, "Least-Squares Estimation of Transformation
    /// Parameters Between Two Point Patterns", PAMI 13(4), 1991, equations 40 to 42. Complex
    /// factors include no reflections, so the singular value decomposition and the sign of its
    /// determinant are not needed.
    ///
    /// # Errors
    /// A coordinate is not finite or beyond ±10^6; the points almost coincide; or the best
    /// similarity leaves three quarters of the spread of `to` unexplained, for example because left
    /// and right are swapped.
    pub fn between(from: &FivePoints, to: &FivePoints) -> Result<Self, DataError> {
        for &value in from.iter().chain(to).flatten() {
            // NaN is out of range too.
            if !(-MAX_COORDINATE..=MAX_COORDINATE).contains(&value) {
                return Err(DataError::out_of_range(
                    "each coordinate of a landmark",
                    "a number of pixels within ±10^6",
                    value,
                ));
            }
        }
        let ([from_mean, to_mean], mut product) = ([mean(from), mean(to)], [0.0; 2]);
        let [mut from_square, mut to_square] = [0.0; 2];
        for (p, q) in from.iter().zip(to) {
            let p = [p[0] - from_mean[0], p[1] - from_mean[1]];
            let q = [q[0] - to_mean[0], q[1] - to_mean[1]];
            product[0] += p[0] * q[0] + p[1] * q[1];
            product[1] += p[0] * q[1] - p[1] * q[0];
            from_square += p[0] * p[0] + p[1] * p[1];
            to_square += q[0] * q[0] + q[1] * q[1];
        }
        for square in [from_square, to_square] {
            let spread = (square / from.len() as f64).sqrt();
            if spread < MIN_SPREAD {
                return Err(DataError::out_of_range(
                    "the spread of five landmarks (root mean square distance from their mean)",
                    "at least 1 pixel",
                    spread,
                ));
            }
        }
        let explained =
            (product[0] * product[0] + product[1] * product[1]) / (from_square * to_square);
        if explained < MIN_EXPLAINED {
            return Err(DataError::out_of_range(
                "the share of the template's spread that landmarks explain",
                "at least 0.25 (left and right are those of the image, in the order left eye, \
                 right eye, nose, left and right corner of the mouth)",
                format!("{explained:.3}"),
            ));
        }
        let factor = product.map(|part| part / from_square);
        let [x, y] = rotate(factor, from_mean);
        Ok(Self {
            factor,
            offset: [to_mean[0] - x, to_mean[1] - y],
        })
    }

    /// Maps a point.
    pub fn apply(&self, point: [f64; 2]) -> [f64; 2] {
        let [x, y] = rotate(self.factor, point);
        [x + self.offset[0], y + self.offset[1]]
    }

    /// The inverse similarity.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let [re, im] = self.factor;
        let square = re * re + im * im;
        let factor = [re / square, -im / square];
        let [x, y] = rotate(factor, self.offset);
        Self {
            factor,
            offset: [-x, -y],
        }
    }

    /// The scale factor of lengths, above 0; below 1 the image shrinks.
    pub fn scale(&self) -> f64 {
        let [re, im] = self.factor;
        (re * re + im * im).sqrt()
    }

    /// Rotation in radians, in -π ..= π. Positive from x towards y, which is clockwise on screen.
    pub fn rotation(&self) -> f64 {
        libm::atan2(self.factor[1], self.factor[0])
    }

    /// The two rows of the matrix that maps (x, y, 1).
    pub fn matrix(&self) -> [[f64; 3]; 2] {
        let ([re, im], [x, y]) = (self.factor, self.offset);
        [[re, -im, x], [im, re, y]]
    }
}

fn rotate([re, im]: [f64; 2], [x, y]: [f64; 2]) -> [f64; 2] {
    [re * x - im * y, im * x + re * y]
}

pub(super) fn mean(points: &FivePoints) -> [f64; 2] {
    let sum = points
        .iter()
        .fold([0.0; 2], |sum, p| [sum[0] + p[0], sum[1] + p[1]]);
    sum.map(|part| part / points.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faces::FaceTemplate;
    use proptest::prelude::*;

    const TEMPLATE: FivePoints = FaceTemplate::Arc112x112.points();

    fn distance(a: &FivePoints, b: &FivePoints) -> f64 {
        let squares = a.iter().flatten().zip(b.iter().flatten());
        squares.map(|(a, b)| (a - b) * (a - b)).sum()
    }

    proptest! {
        #[test]
        fn a_known_similarity_is_recovered(
            scale in 0.05..20.0f64,
            angle in -3.1..3.1f64,
            x in -900.0..900.0,
            y in -900.0..900.0,
        ) {
            let known = Similarity {
                factor: [scale * angle.cos(), scale * angle.sin()],
                offset: [x, y],
            };
            let from = TEMPLATE.map(|point| known.inverse().apply(point));
            let found = Similarity::between(&from, &TEMPLATE).unwrap();
            for (found, known) in found.matrix().iter().flatten().zip(known.matrix().iter().flatten()) {
                prop_assert!((found - known).abs() < 1e-9, "{found} {known}");
            }
            prop_assert!((found.scale() - scale).abs() < 1e-9);
            prop_assert!((found.rotation() - angle).abs() < 1e-9);
        }

        #[test]
        fn no_similarity_nearby_is_closer(
            noise in prop::array::uniform5(prop::array::uniform2(-6.0..6.0)),
            step in prop::array::uniform4(-1e-3..1e-3),
        ) {
            let mut from = TEMPLATE;
            for (point, noise) in from.iter_mut().flatten().zip(noise.iter().flatten()) {
                *point += noise;
            }
            let best = Similarity::between(&from, &TEMPLATE).unwrap();
            let other = Similarity {
                factor: [best.factor[0] + step[0], best.factor[1] + step[1]],
                offset: [best.offset[0] + step[2], best.offset[1] + step[3]],
            };
            let off = |map: Similarity| distance(&from.map(|p| map.apply(p)), &TEMPLATE);
            prop_assert!(off(best) <= off(other) + 1e-12);
        }
    }

    #[test]
    fn points_that_are_not_a_face_are_rejected() {
        let message = |from: FivePoints| {
            Similarity::between(&from, &TEMPLATE).map_err(|error| error.to_string())
        };
        for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e9, -1e7] {
            let mut from = TEMPLATE;
            from[3][1] = bad;
            let message = message(from).unwrap_err();
            assert!(message.contains("within ±10^6"), "{message}");
            assert!(message.ends_with(&format!("found {bad}")), "{message}");
        }
        let one_place = message([[70.0, 80.0]; 5]).unwrap_err();
        assert!(
            one_place.contains("at least 1 pixel, found 0"),
            "{one_place}"
        );
        let [a, b, c, d, e] = TEMPLATE;
        let exchanged = message([b, a, c, e, d]).unwrap_err();
        assert!(
            exchanged.contains("left and right are those of the image"),
            "{exchanged}"
        );
        let mirrored = message(TEMPLATE.map(|[x, y]| [-x, y])).unwrap_err();
        assert!(mirrored.contains("left and right"), "{mirrored}");
    }

    #[test]
    fn heads_upside_down_and_in_profile_are_faces() {
        let centre = mean(&TEMPLATE);
        let turned = TEMPLATE.map(|[x, y]| [2.0 * centre[0] - x, 2.0 * centre[1] - y]);
        let map = Similarity::between(&turned, &TEMPLATE).unwrap();
        assert!((map.rotation().abs() - std::f64::consts::PI).abs() < 1e-9);
        // Eyes and corners of the mouth one behind the other, the nose far to the side.
        let mut profile = TEMPLATE.map(|[_, y]| [56.0, y]);
        profile[2][0] += 25.0;
        Similarity::between(&profile, &TEMPLATE).unwrap();
    }
}
