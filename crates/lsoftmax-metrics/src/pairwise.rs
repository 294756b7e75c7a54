use serde::{Deserialize, Serialize};

use crate::Matrix;
use crate::vector::{angle_rad, dot, has_direction, norm};

/// Rows whose pairs are computed while in the cache.
const BLOCK: usize = 32;

/// The angles between all pairs of a set of vectors, such as the class weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PairwiseAngles {
    /// Number of vectors with a direction.
    pub vectors: usize,
    /// Number of vectors excluded because they are zero or not finite.
    pub undefined: usize,
    /// Mean over all pairs, in radians; `None` with fewer than two vectors.
    pub mean_rad: Option<f64>,
    /// The smallest angle of any pair, in radians.
    pub smallest_rad: Option<f64>,
    /// The rows of the pair with the smallest angle; the first such pair in row order.
    pub closest: Option<(usize, usize)>,
    /// Mean over the vectors of the angle to their nearest neighbour, in radians.
    pub mean_nearest_rad: Option<f64>,
}

/// The angles between all pairs of rows. Rows that are zero or not finite are excluded and counted.
///
/// The cost grows with the square of the rows: 10,000 class weights of 512 values take 25 billion
/// multiplications.
///
/// # Shapes
/// - rows: `[class, feature]`
pub(crate) fn pairwise_angles(rows: Matrix<'_>) -> PairwiseAngles {
    if rows.is_empty() {
        return PairwiseAngles {
            undefined: rows.rows(),
            ..of_directions(None)
        };
    }
    let directions = rows.iter_rows().map(|row| {
        let norm = norm(row);
        has_direction(norm).then(|| row.iter().map(|&value| f64::from(value) / norm).collect())
    });
    of_directions(directions)
}

/// The same for unit vectors; `None` is a vector without direction.
pub(crate) fn of_directions(
    directions: impl IntoIterator<Item = Option<Vec<f64>>>,
) -> PairwiseAngles {
    let mut undefined = 0;
    let mut units: Vec<(usize, Vec<f64>)> = Vec::new();
    for (row, direction) in directions.into_iter().enumerate() {
        match direction {
            Some(direction) => units.push((row, direction)),
            None => undefined += 1,
        }
    }

    let count = units.len();
    let mut sum = 0.0;
    let mut nearest = vec![f64::INFINITY; count];
    let mut closest: Option<(f64, (usize, usize))> = None;
    for block in (0..count).step_by(BLOCK) {
        for second in block + 1..count {
            for first in block..(block + BLOCK).min(second) {
                let angle = angle_rad(dot(&units[first].1, &units[second].1));
                sum += angle;
                nearest[first] = nearest[first].min(angle);
                nearest[second] = nearest[second].min(angle);
                let pair = (units[first].0, units[second].0);
                if closest.is_none_or(|found| (angle, pair) < found) {
                    closest = Some((angle, pair));
                }
            }
        }
    }

    let pairs = count as f64 * (count as f64 - 1.0) / 2.0;
    PairwiseAngles {
        vectors: count,
        undefined,
        mean_rad: closest.map(|_| sum / pairs),
        smallest_rad: closest.map(|(angle, _)| angle),
        closest: closest.map(|(_, pair)| pair),
        mean_nearest_rad: closest.map(|_| nearest.iter().sum::<f64>() / count as f64),
    }
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};

    use super::*;

    #[test]
    fn angles_of_four_directions() {
        #[rustfmt::skip]
        let values = [
            3.0, 0.0,
            0.0, 0.0, // no direction
            0.0, 0.5,
            -2.0, 0.0,
            1.0, 1.0,
            f32::NAN, 1.0, // no direction
        ];
        let angles = pairwise_angles(Matrix::new(&values, 6, 2).unwrap());
        assert_eq!((angles.vectors, angles.undefined), (4, 2));
        // 0-2: 90, 0-3: 180, 0-4: 45, 2-3: 90, 2-4: 45, 3-4: 135 degrees
        let mean = (FRAC_PI_2 + PI + FRAC_PI_4 + FRAC_PI_2 + FRAC_PI_4 + 3.0 * FRAC_PI_4) / 6.0;
        assert!((angles.mean_rad.unwrap() - mean).abs() < 1e-12);
        assert!((angles.smallest_rad.unwrap() - FRAC_PI_4).abs() < 1e-12);
        assert!(matches!(angles.closest, Some((0 | 2, 4))));
        // nearest: 45, 45, 90, 45 degrees
        assert!((angles.mean_nearest_rad.unwrap() - 5.0 * FRAC_PI_4 / 4.0).abs() < 1e-12);
    }

    #[test]
    fn one_vector_has_no_pair() {
        let angles = pairwise_angles(Matrix::new(&[1.0, 2.0], 1, 2).unwrap());
        assert_eq!(
            (angles.vectors, angles.mean_rad, angles.closest),
            (1, None, None)
        );
        assert_eq!(angles.mean_nearest_rad, None);
        assert_eq!(pairwise_angles(Matrix::new(&[], 0, 2).unwrap()).vectors, 0);
    }

    /// A matrix without columns has no values and any number of rows; no loop may visit them.
    #[test]
    fn rows_without_columns_are_not_visited() {
        for rows in [0, 1, usize::MAX] {
            let angles = pairwise_angles(Matrix::new(&[], rows, 0).unwrap());
            assert_eq!((angles.vectors, angles.undefined), (0, rows));
            assert_eq!((angles.mean_rad, angles.closest), (None, None));
        }
    }

    #[test]
    fn blocks_cover_every_pair_once() {
        // Directions around the circle: neighbours are one step apart.
        let rows = 2 * BLOCK + 5;
        let step = 2.0 * PI / rows as f64;
        let values: Vec<f32> = (0..rows)
            .flat_map(|row| {
                [
                    (row as f64 * step).cos() as f32,
                    (row as f64 * step).sin() as f32,
                ]
            })
            .collect();
        let matrix = Matrix::new(&values, rows, 2).unwrap();
        let angles = pairwise_angles(matrix);
        let mut sum = 0.0;
        let mut pairs = 0;
        for i in 0..rows {
            for j in 0..i {
                let steps = (i - j).min(rows - (i - j));
                sum += steps as f64 * step;
                pairs += 1;
            }
        }
        assert!((angles.mean_rad.unwrap() - sum / f64::from(pairs)).abs() < 1e-6);
        assert!((angles.mean_nearest_rad.unwrap() - step).abs() < 1e-6);
    }
}
