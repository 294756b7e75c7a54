//! k-means: properties of every result, and invalid input.

use lsoftmax_metrics::{
    Error, KMeans, Matrix, adjusted_mutual_information, k_means, k_means_from,
    normalized_mutual_information,
};
use proptest::prelude::*;

const FEATURES: usize = 3;

fn points() -> impl Strategy<Value = Vec<f32>> {
    // Integers, so that there are equal points and equal distances.
    (1_usize..60).prop_flat_map(|count| {
        prop::collection::vec((-4_i8..5).prop_map(f32::from), count * FEATURES)
    })
}

fn rows(values: &[f32]) -> Matrix<'_> {
    Matrix::new(values, values.len() / FEATURES, FEATURES).unwrap()
}

fn squared(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2))
        .sum()
}

fn check(values: &[f32], found: &KMeans, k: usize) {
    let centroids: Vec<&[f32]> = found.centroids.chunks(FEATURES).collect();
    assert_eq!(
        (centroids.len(), found.clusters.len()),
        (k, values.len() / FEATURES)
    );
    let mut inertia = 0.0;
    for (point, &cluster) in values.chunks(FEATURES).zip(&found.clusters) {
        let own = squared(point, centroids[cluster]);
        inertia += own;
        // No other centroid is nearer.
        assert!(
            centroids
                .iter()
                .all(|centroid| own <= squared(point, centroid) + 1e-4)
        );
    }
    assert!((found.inertia - inertia).abs() <= 1e-4 * inertia + 1e-4);
    if found.converged && found.iterations > 0 {
        for (cluster, centroid) in centroids.iter().enumerate() {
            let members: Vec<&[f32]> = values
                .chunks(FEATURES)
                .zip(&found.clusters)
                .filter(|&(_, &of)| of == cluster)
                .map(|(point, _)| point)
                .collect();
            for (feature, &value) in centroid.iter().enumerate() {
                let sum: f64 = members.iter().map(|point| f64::from(point[feature])).sum();
                let mean = sum / members.len() as f64;
                assert!(members.is_empty() || (mean - f64::from(value)).abs() < 1e-5);
            }
        }
    }
}

fn distinct(values: &[f32]) -> usize {
    let mut points: Vec<Vec<i32>> = values
        .chunks(FEATURES)
        .map(|point| point.iter().map(|&value| value as i32).collect())
        .collect();
    points.sort_unstable();
    points.dedup();
    points.len()
}

proptest! {
    #[test]
    fn a_result_is_a_local_optimum(values in points(), k in 1_usize..9, seed: u64) {
        let k = k.min(values.len() / FEATURES);
        let mut inertia = f64::INFINITY;
        for iterations in [0, 1, 2, 50] {
            let found = k_means(rows(&values), k, seed, iterations).unwrap();
            check(&values, &found, k);
            prop_assert!(found.iterations <= iterations);
            prop_assert!(found.inertia <= inertia + 1e-4);
            inertia = found.inertia;
        }
        let found = k_means(rows(&values), k, seed, 50).unwrap();
        prop_assert!(found.converged);
        // As many non-empty clusters as distinct points, up to k.
        let mut used = found.clusters;
        used.sort_unstable();
        used.dedup();
        prop_assert_eq!(used.len(), k.min(distinct(&values)));
    }
}

/// Points around well-separated centres, in turn.
fn groups(count: usize, k: usize) -> (Vec<f32>, Vec<usize>) {
    let labels: Vec<usize> = (0..count).map(|point| point % k).collect();
    let values = labels
        .iter()
        .enumerate()
        .flat_map(|(point, &label)| {
            let noise = |i: usize| ((point * 7 + i * 13) as f32).sin();
            let centre = [label % 3, label / 3 % 3, label / 9].map(|step| 20.0 * step as f32);
            std::array::from_fn::<f32, FEATURES, _>(|i| 1000.0 + centre[i] + noise(i))
        })
        .collect();
    (values, labels)
}

#[test]
fn groups_are_found_again() {
    let (values, labels) = groups(500, 20);
    let best = (0..20)
        .map(|seed| k_means(rows(&values), 20, seed, 100).unwrap())
        .min_by(|a, b| a.inertia.total_cmp(&b.inertia))
        .unwrap();
    assert_eq!(
        normalized_mutual_information(&labels, &best.clusters),
        Ok(1.0)
    );
    let adjusted = adjusted_mutual_information(&labels, &best.clusters).unwrap();
    assert!((adjusted - 1.0).abs() < 1e-12);
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let (values, _) = groups(1000, 20);
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| k_means(rows(&values), 33, 4, 20).unwrap())
    };
    assert_eq!(with(1), with(3));
    assert_eq!(with(1), with(2));
    assert_ne!(with(1), k_means(rows(&values), 33, 5, 20).unwrap());
}

#[test]
fn empty_clusters_receive_a_point() {
    // The last two centroids are far from all points.
    let values = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 10.0, 0.0, 0.0, 11.0, 0.0, 0.0];
    let start = [0.0, 0.0, 0.0, 99.0, 0.0, 0.0, 98.0, 0.0, 0.0];
    let found = k_means_from(rows(&values), rows(&start), 20).unwrap();
    assert!(found.converged);
    assert_eq!(found.inertia, 0.5);
    // Equal points cannot fill two clusters.
    let equal = k_means(rows(&[3.0; 12]), 3, 0, 5).unwrap();
    assert_eq!((equal.clusters, equal.inertia), (vec![0; 4], 0.0));
    assert_eq!(equal.centroids, [3.0; 9]);
}

#[test]
fn the_largest_and_smallest_numbers_are_clustered() {
    for size in [f32::MAX, f32::MIN_POSITIVE, 1.0] {
        let values = [size, 0.0, 0.0, -size, 0.0, 0.0, size, 0.0, 0.0];
        let found = k_means(rows(&values), 2, 1, 9).unwrap();
        assert_eq!(found.clusters[0], found.clusters[2]);
        assert_ne!(found.clusters[0], found.clusters[1]);
        assert!(found.inertia.is_finite());
    }
}

#[test]
fn invalid_input_is_an_error() {
    let values = [1.0; 6];
    assert_eq!(
        k_means(rows(&values), 0, 0, 5),
        Err(Error::Clusters { k: 0, rows: 2 })
    );
    assert_eq!(
        k_means(rows(&values), 3, 0, 5),
        Err(Error::Clusters { k: 3, rows: 2 })
    );
    assert!(matches!(
        k_means(rows(&[]), 1, 0, 5),
        Err(Error::Clusters { .. })
    ));
    let nan = [1.0, 1.0, 1.0, 1.0, f32::NAN, 1.0];
    let expected = Err(Error::NotFinite {
        what: "embeddings",
        row: 1,
    });
    assert_eq!(k_means(rows(&nan), 1, 0, 5), expected);
    let narrow = Matrix::new(&values[..2], 1, 2).unwrap();
    assert!(matches!(
        k_means_from(rows(&values), narrow, 5),
        Err(Error::ColumnCount { .. })
    ));
    let empty = Matrix::new(&[], usize::MAX, 0).unwrap();
    assert!(matches!(
        k_means(empty, 1, 0, 5),
        Err(Error::ColumnCount { .. })
    ));
    // Centroids out of `f32` range relative to the points do not panic.
    let far = [f32::MAX, f32::MIN, 0.0];
    assert!(k_means_from(rows(&[1e-30, 0.0, 0.0, 0.0, 0.0, 0.0]), rows(&far), 3).is_ok());
}
