//! Angle statistics against values computed by hand, against naive implementations, and under
//! transformations that must not change them.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, PI};

use lsoftmax_metrics::{
    AngleReport, AngleStatistics, Centre, Error, Histogram, IntraAngles, IntraReport, Matrix,
    intra_angles, target_angles_rad,
};
use proptest::prelude::*;

fn close(a: f64, b: f64, tolerance: f64) {
    assert!(
        (a - b).abs() <= tolerance,
        "{a} and {b} differ by more than {tolerance}"
    );
}

/// The report of features pushed in batches of `batch` rows.
fn report(
    features: &[f32],
    labels: &[usize],
    weights: &[f32],
    columns: usize,
    centre: Centre,
    batch: usize,
) -> AngleReport {
    let classes = weights.len() / columns;
    let weights = Matrix::new(weights, classes, columns).unwrap();
    let mut angles = AngleStatistics::new(classes, columns, centre)
        .with_class_weights(weights)
        .unwrap();
    for (features, labels) in features.chunks(batch * columns).zip(labels.chunks(batch)) {
        angles
            .push(
                Matrix::new(features, labels.len(), columns).unwrap(),
                labels,
            )
            .unwrap();
    }
    angles.finish()
}

fn intra(features: &[f32], labels: &[usize], columns: usize, centre: Centre) -> IntraReport {
    let features = Matrix::new(features, labels.len(), columns).unwrap();
    intra_angles(features, labels, 4, centre).unwrap()
}

#[test]
fn two_classes_by_hand() {
    // Class 0 at 0 and 90 degrees, class 1 at 180 degrees twice; lengths 1, 1, 2, 2.
    let features = [1.0, 0.0, 0.0, 1.0, -2.0, 0.0, -2.0, 0.0];
    let weights = [5.0, 0.0, 0.0, 0.1];
    let report = report(
        &features,
        &[0, 0, 1, 1],
        &weights,
        2,
        Centre::MeanDirection,
        3,
    );

    assert_eq!(report.samples, 4);
    assert_eq!(report.mean_feature_norm, Some(1.5));
    let target = report.target_angle_rad.unwrap();
    close(target.minimum, 0.0, 1e-12);
    close(target.median, FRAC_PI_2, 1e-12);
    close(target.mean, 3.0 * FRAC_PI_2 / 4.0, 1e-12);

    // Centres at 45 and 180 degrees.
    close(
        report.centre_angles.smallest_rad.unwrap(),
        3.0 * FRAC_PI_4,
        1e-12,
    );
    assert_eq!(report.centre_angles.closest, Some((0, 1)));
    close(
        report.class_weight_angles.unwrap().mean_rad.unwrap(),
        FRAC_PI_2,
        1e-12,
    );

    // Overall mean direction (1 - 2, 1) = (-1, 1), at 135 degrees: 90 and 45 degrees from the
    // centres.
    let within = 2.0 * (1.0 - FRAC_PI_4.cos());
    let between = 2.0 * (1.0 - 0.0) + 2.0 * (1.0 - FRAC_PI_4.cos());
    close(
        report.angular_fisher_score.unwrap(),
        within / between,
        1e-12,
    );
}

#[test]
fn the_two_centres_differ_where_lengths_differ() {
    let features = [3.0, 0.0, 0.0, 1.0];
    let mean_feature = intra(&features, &[0, 0], 2, Centre::MeanFeature)
        .angle_rad
        .unwrap();
    close(mean_feature.minimum, (1.0_f64 / 3.0).atan(), 1e-12);
    close(mean_feature.maximum, 3.0_f64.atan(), 1e-12);
    let mean_direction = intra(&features, &[0, 0], 2, Centre::MeanDirection);
    close(mean_direction.angle_rad.unwrap().maximum, FRAC_PI_4, 1e-12);
    assert_eq!(mean_direction.class_mean_rad.len(), 4);
    assert_eq!(mean_direction.class_mean_rad[1..], [None, None, None]);
}

#[test]
fn vectors_without_direction_are_skipped_and_counted() {
    #[rustfmt::skip]
    let features = [
        1.0, 0.0,
        0.0, 0.0, // zero
        f32::NAN, 1.0,
        f32::INFINITY, 1.0,
        0.0, 2.0, // its class weight is zero
    ];
    let labels = [0, 0, 0, 0, 1];
    let weights = [1.0, 1.0, 0.0, 0.0];
    let report = report(&features, &labels, &weights, 2, Centre::MeanFeature, 5);
    assert_eq!(
        (
            report.samples,
            report.zero_features,
            report.non_finite_features
        ),
        (5, 1, 2)
    );
    assert_eq!(report.target_angle_undefined, 1);
    assert_eq!(report.target_angle_rad.as_ref().unwrap().count, 1);
    close(report.target_angle_rad.unwrap().mean, FRAC_PI_4, 1e-12);
    assert_eq!(report.mean_feature_norm, Some(1.0));
    assert_eq!(report.class_weight_angles.unwrap().undefined, 1);
    assert_eq!(report.centre_angles.vectors, 2);

    let matrix = Matrix::new(&features, 5, 2).unwrap();
    let weights = Matrix::new(&weights, 2, 2).unwrap();
    let angles = target_angles_rad(matrix, &labels, weights).unwrap();
    assert_eq!(angles.iter().filter(|angle| angle.is_none()).count(), 4);
    assert_eq!(
        intra(&features, &labels, 2, Centre::MeanFeature).undefined,
        3
    );
}

#[test]
fn opposite_features_have_no_centre() {
    let features = [0.1, 0.3, -0.1, -0.3, 1.0, 0.0];
    for centre in [Centre::MeanFeature, Centre::MeanDirection] {
        let report = intra(&features, &[0, 0, 1], 2, centre);
        assert_eq!((report.undefined, report.angle_rad.unwrap().count), (2, 1));
    }
    // Three directions at 120 degrees cancel except for rounding.
    let third = |i: i32| {
        let angle = 2.0 * PI * f64::from(i) / 3.0;
        [(7.0 * angle.cos()) as f32, (7.0 * angle.sin()) as f32]
    };
    let features = [third(0), third(1), third(2)].concat();
    assert_eq!(
        intra(&features, &[0, 0, 0], 2, Centre::MeanFeature).undefined,
        3
    );
    let balanced = report(&features, &[0, 1, 2], &features, 2, Centre::MeanFeature, 9);
    assert_eq!(balanced.angular_fisher_score, None);
    close(
        balanced.centre_angles.smallest_rad.unwrap(),
        2.0 * PI / 3.0,
        1e-6,
    );
}

#[test]
fn parallel_and_opposite_vectors_give_0_and_pi() {
    // A cosine that rounds above 1 must not become NaN.
    let feature: Vec<f32> = (1..=64).map(|i| 1.0 / i as f32).collect();
    let opposite: Vec<f32> = feature.iter().map(|value| -3.0 * value).collect();
    let weights = [feature.clone(), opposite].concat();
    let weights = Matrix::new(&weights, 2, 64).unwrap();
    for (label, expected) in [(0, 0.0), (1, PI)] {
        let features = Matrix::new(&feature, 1, 64).unwrap();
        let angles = target_angles_rad(features, &[label], weights).unwrap();
        close(angles[0].unwrap(), expected, 1e-6);
    }
}

#[test]
fn without_samples_values_are_none() {
    let report = report(&[], &[], &[1.0, 0.0], 2, Centre::MeanFeature, 1);
    assert_eq!(report.samples, 0);
    assert_eq!(
        (report.mean_feature_norm, report.angular_fisher_score),
        (None, None)
    );
    assert_eq!(report.target_angle_rad, None);
    // A single class has no separation.
    let single = [1.0, 0.0, 1.0, 0.1];
    let statistics = self::report(&single, &[0, 0], &[1.0, 0.0], 2, Centre::MeanFeature, 2);
    assert_eq!(statistics.angular_fisher_score, None);
}

#[test]
fn the_histogram_counts_target_angles() {
    let weights = [1.0, 0.0];
    let mut angles = AngleStatistics::new(1, 2, Centre::MeanFeature)
        .with_class_weights(Matrix::new(&weights, 1, 2).unwrap())
        .unwrap()
        .with_target_histogram_rad(Histogram::uniform(0.0, PI, 2).unwrap());
    let features = [1.0, 0.1, 1.0, -0.1, -1.0, 0.0];
    angles
        .push(Matrix::new(&features, 3, 2).unwrap(), &[0, 0, 0])
        .unwrap();
    assert_eq!(
        angles.finish().target_angle_histogram_rad.unwrap().counts(),
        [2, 1]
    );
}

#[test]
fn mismatched_input_is_an_error() {
    let values = [1.0; 6];
    let two_by_three = Matrix::new(&values, 2, 3).unwrap();
    let three_by_two = Matrix::new(&values, 3, 2).unwrap();
    let statistics = || AngleStatistics::new(2, 3, Centre::default());

    assert!(matches!(
        statistics().with_class_weights(three_by_two),
        Err(Error::RowCount {
            what: "class weights",
            expected: 2,
            found: 3
        })
    ));
    let narrow = Matrix::new(&values[..4], 2, 2).unwrap();
    assert!(matches!(
        statistics().with_class_weights(narrow),
        Err(Error::ColumnCount { .. })
    ));
    assert!(matches!(
        statistics().push(three_by_two, &[0, 1, 0]),
        Err(Error::ColumnCount { .. })
    ));
    assert!(matches!(
        statistics().push(two_by_three, &[0]),
        Err(Error::RowCount { .. })
    ));
    assert_eq!(
        statistics().push(two_by_three, &[0, 2]),
        Err(Error::LabelOutOfRange {
            row: 1,
            label: 2,
            classes: 2
        })
    );
    let centres = statistics().centres();
    assert!(
        IntraAngles::new(&centres)
            .push(three_by_two, &[0, 1, 0])
            .is_err()
    );
    assert!(
        IntraAngles::new(&centres)
            .push(two_by_three, &[0, 2])
            .is_err()
    );
    assert!(target_angles_rad(three_by_two, &[0, 0, 0], two_by_three).is_err());
    assert!(target_angles_rad(two_by_three, &[0, 2], two_by_three).is_err());
}

/// The Fisher score by its definition: two loops over the samples, no shared sums.
fn naive_fisher(features: &[f32], labels: &[usize], columns: usize, centre: Centre) -> f64 {
    let rows: Vec<Vec<f64>> = features
        .chunks(columns)
        .map(|row| {
            let row: Vec<f64> = row.iter().map(|&value| f64::from(value)).collect();
            let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt();
            let scale = if centre == Centre::MeanFeature {
                1.0
            } else {
                norm
            };
            row.iter().map(|value| value / scale).collect()
        })
        .collect();
    let mean = |wanted: &dyn Fn(usize) -> bool| -> Vec<f64> {
        let chosen: Vec<_> = rows
            .iter()
            .zip(labels)
            .filter(|(_, label)| wanted(**label))
            .collect();
        (0..columns)
            .map(|i| chosen.iter().map(|(row, _)| row[i]).sum::<f64>() / chosen.len() as f64)
            .collect()
    };
    let cosine = |a: &[f64], b: &[f64]| {
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        product(a, b) / (product(a, a) * product(b, b)).sqrt()
    };
    let overall = mean(&|_| true);
    let (mut within, mut between) = (0.0, 0.0);
    for (row, &label) in rows.iter().zip(labels) {
        let centre = mean(&|other| other == label);
        within += 1.0 - cosine(row, &centre);
        between += 1.0 - cosine(&centre, &overall);
    }
    within / between
}

/// Rotates the plane of the first and last coordinate by `angle`, in `f64` and back.
fn rotate(features: &[f32], columns: usize, angle: f64) -> Vec<f32> {
    let (sin, cos) = angle.sin_cos();
    let mut turned = features.to_vec();
    for row in turned.chunks_mut(columns) {
        let (a, b) = (f64::from(row[0]), f64::from(row[columns - 1]));
        row[0] = (cos * a - sin * b) as f32;
        row[columns - 1] = (sin * a + cos * b) as f32;
    }
    turned
}

const COLUMNS: usize = 5;

/// Twelve non-zero features, three classes that all occur, and three class weights.
fn samples() -> impl Strategy<Value = (Vec<f32>, Vec<usize>, Vec<f32>)> {
    let values = |rows: usize| prop::collection::vec(0.05_f32..2.0, rows * COLUMNS);
    let signs = |rows: usize| prop::collection::vec(any::<bool>(), rows * COLUMNS);
    let signed = move |rows: usize| {
        (values(rows), signs(rows)).prop_map(|(values, signs)| {
            let pairs = values.into_iter().zip(signs);
            pairs
                .map(|(value, negative)| if negative { -value } else { value })
                .collect()
        })
    };
    let labels = prop::collection::vec(0_usize..3, 9).prop_map(|mut labels| {
        labels.extend([0, 1, 2]);
        labels
    });
    (signed(12), labels, signed(3))
}

proptest! {
    #[test]
    fn scale_and_rotation_do_not_change_angles(
        (features, labels, weights) in samples(),
        scale in 0.01_f32..100.0,
        turn in -3.0_f64..3.0,
    ) {
        for centre in [Centre::MeanFeature, Centre::MeanDirection] {
            let before = report(&features, &labels, &weights, COLUMNS, centre, 12);
            let moved: Vec<f32> = features.iter().map(|value| value * scale).collect();
            let moved = rotate(&moved, COLUMNS, turn);
            let weights = rotate(&weights, COLUMNS, turn);
            let after = report(&moved, &labels, &weights, COLUMNS, centre, 12);

            let (a, b) = (before.target_angle_rad.unwrap(), after.target_angle_rad.unwrap());
            close(a.mean, b.mean, 1e-5);
            close(a.maximum, b.maximum, 1e-5);
            let norms = (before.mean_feature_norm.unwrap(), after.mean_feature_norm.unwrap());
            close(norms.0 * f64::from(scale), norms.1, 1e-5 * norms.1);
            let (a, b) = (before.class_weight_angles.unwrap(), after.class_weight_angles.unwrap());
            close(a.smallest_rad.unwrap(), b.smallest_rad.unwrap(), 1e-3);
        }
    }

    #[test]
    fn the_fisher_score_agrees_with_its_definition((features, labels, weights) in samples()) {
        for centre in [Centre::MeanFeature, Centre::MeanDirection] {
            let report = report(&features, &labels, &weights, COLUMNS, centre, 12);
            let expected = naive_fisher(&features, &labels, COLUMNS, centre);
            let found = report.angular_fisher_score.unwrap();
            prop_assert!((found - expected).abs() < 1e-7 * expected, "{found} {expected}");
        }
    }

    #[test]
    fn the_batch_size_does_not_matter(
        (features, labels, weights) in samples(),
        batch in 1_usize..12,
    ) {
        let whole = report(&features, &labels, &weights, COLUMNS, Centre::MeanFeature, 12);
        let parts = report(&features, &labels, &weights, COLUMNS, Centre::MeanFeature, batch);
        prop_assert_eq!(whole, parts);
    }

    #[test]
    fn the_mean_direction_has_the_largest_mean_cosine((features, labels, _) in samples()) {
        let cosine_sum = |centre| {
            let mut first = AngleStatistics::new(3, COLUMNS, centre);
            let matrix = Matrix::new(&features, 12, COLUMNS).unwrap();
            first.push(matrix, &labels).unwrap();
            let centres = first.centres();
            matrix
                .iter_rows()
                .zip(&labels)
                .map(|(row, &label)| {
                    let norm = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
                    let centre = centres.direction(label).unwrap();
                    row.iter().zip(centre).map(|(a, b)| f64::from(*a) * b).sum::<f64>() / norm
                })
                .sum::<f64>()
        };
        prop_assert!(cosine_sum(Centre::MeanDirection) >= cosine_sum(Centre::MeanFeature) - 1e-9);
    }
}
