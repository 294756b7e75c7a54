use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::points::Points;
use crate::matrix::check_columns;
use crate::unit::{check_embeddings, dot_f32, squared_distance_f32};
use crate::vector::add_scaled;
use crate::{Error, Matrix, Result, stop};
use lsoftmax_spec::random::Rng;
use std::sync::atomic::AtomicBool;

/// Points per task, and centroids that stay in the cache meanwhile. Neither affects the result.
const POINTS: usize = 64;
const CENTROIDS: usize = 32;

/// The result of [`k_means`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KMeans {
    /// `[point]`: the cluster of each point.
    pub clusters: Vec<usize>,
    /// `[cluster, feature]`: the mean of each cluster, row after row.
    pub centroids: Vec<f32>,
    /// Sum over the points of the squared distance to their centroid.
    pub inertia: f64,
    /// Number of iterations run.
    pub iterations: usize,
    /// Whether the last iteration changed no cluster. If not, the iteration limit was reached.
    pub converged: bool,
}

/// k-means clustering with squared Euclidean distances: k-means++ seeding (Arthur and Vassilvitskii
/// 2007) followed by Lloyd's iterations (1982).
///
/// The random number for seed point `i` is a function of `seed` and `i`. The result is a local
/// optimum; run several seeds and take the lowest inertia for a better one. To cluster by cosine,
/// pass embeddings of unit length. A cluster that loses its last point receives the point farthest
/// from its centroid.
///
/// One iteration costs `point * k * feature` multiplications, and so does the seeding.
///
/// # Shapes
/// - embeddings: `[point, feature]`
///
/// # Errors
/// [`Error::Clusters`] if `k` is 0 or exceeds the number of points, [`Error::NotFinite`] if a row
/// holds a NaN or an infinity.
pub fn k_means(embeddings: Matrix<'_>, k: usize, seed: u64, iterations: usize) -> Result<KMeans> {
    k_means_until(embeddings, k, seed, iterations, &stop::NEVER)
}

/// [`k_means`] that ends soon after `stop` is set.
///
/// # Errors
/// As [`k_means`], and [`Error::Stopped`].
pub fn k_means_until(
    embeddings: Matrix<'_>,
    k: usize,
    seed: u64,
    iterations: usize,
    stop: &AtomicBool,
) -> Result<KMeans> {
    check_k(k, embeddings)?;
    let points = Points::new(embeddings)?;
    let seeds = seeds(&points, k, seed, stop)?;
    lloyd(&points, seeds, k, iterations, stop)
}

/// The iterations of [`k_means`] from given centroids.
///
/// # Shapes
/// - embeddings: `[point, feature]`
/// - centroids: `[cluster, feature]`
///
/// # Errors
/// As [`k_means`], or the numbers of columns differ.
pub fn k_means_from(
    embeddings: Matrix<'_>,
    centroids: Matrix<'_>,
    iterations: usize,
) -> Result<KMeans> {
    let k = centroids.rows();
    check_k(k, embeddings)?;
    check_columns("centroids", centroids, embeddings.columns())?;
    check_embeddings("centroids", centroids)?;
    let points = Points::new(embeddings)?;
    let centroids = points.moved(centroids);
    lloyd(&points, centroids, k, iterations, &stop::NEVER)
}

fn check_k(k: usize, embeddings: Matrix<'_>) -> Result<()> {
    let rows = embeddings.rows();
    if (1..=rows).contains(&k) {
        Ok(())
    } else {
        Err(Error::Clusters { k, rows })
    }
}

/// k-means++ seeding: each seed is a point, drawn in proportion to its squared distance to the
/// previous seeds.
fn seeds(points: &Points, k: usize, seed: u64, stop: &AtomicBool) -> Result<Vec<f32>> {
    let mut centroids = Vec::with_capacity(k * points.columns);
    let mut squared = vec![f32::INFINITY; points.rows];
    let mut drawn = Rng::at(seed, &[0]).below(points.rows as u64) as usize;
    for index in 1..=k {
        stop::check(stop)?;
        let centroid = points.row(drawn);
        centroids.extend_from_slice(centroid);
        squared
            .par_iter_mut()
            .enumerate()
            .with_min_len(POINTS)
            .for_each(|(row, nearest)| {
                *nearest = nearest.min(squared_distance_f32(points.row(row), centroid));
            });
        let total: f64 = squared.iter().map(|&squared| f64::from(squared)).sum();
        let mut left = Rng::at(seed, &[index as u64]).uniform() * total;
        // If every point is already a seed, any point will do; repeat the same one.
        let candidates = squared
            .iter()
            .enumerate()
            .filter(|&(_, &squared)| squared > 0.0);
        for (row, &squared) in candidates {
            drawn = row;
            left -= f64::from(squared);
            if left < 0.0 {
                break;
            }
        }
    }
    Ok(centroids)
}

fn lloyd(
    points: &Points,
    mut centroids: Vec<f32>,
    k: usize,
    most: usize,
    stop: &AtomicBool,
) -> Result<KMeans> {
    let mut clusters = assign(points, &centroids, k, stop)?;
    let mut iterations = 0;
    let mut converged = false;
    while !converged && iterations < most {
        fill_empty(points, &centroids, &mut clusters, k);
        update(points, &clusters, &mut centroids, k);
        let next = assign(points, &centroids, k, stop)?;
        converged = next == clusters;
        clusters = next;
        iterations += 1;
    }
    let squared = distances(points, &centroids, &clusters);
    let inertia = squared.iter().map(|&squared| f64::from(squared)).sum();
    Ok(KMeans {
        clusters,
        centroids: points.back(&centroids),
        inertia: points.squared_back(inertia),
        iterations,
        converged,
    })
}

fn centroid(centroids: &[f32], columns: usize, cluster: usize) -> &[f32] {
    &centroids[cluster * columns..(cluster + 1) * columns]
}

/// The nearest centroid of each point; ties go to the first.
fn assign(points: &Points, centroids: &[f32], k: usize, stop: &AtomicBool) -> Result<Vec<usize>> {
    let of = |cluster| centroid(centroids, points.columns, cluster);
    // |x - c|² = |x|² - 2 (x c - |c|² / 2): the largest bracket is nearest.
    let halves: Vec<f32> = (0..k)
        .map(|cluster| dot_f32(of(cluster), of(cluster)) / 2.0)
        .collect();
    let mut nearest = vec![(f32::NEG_INFINITY, 0); points.rows];
    nearest
        .par_chunks_mut(POINTS)
        .enumerate()
        .for_each(|(block, nearest)| {
            if stop::is_set(stop) {
                return;
            }
            for first in (0..k).step_by(CENTROIDS) {
                for (number, nearest) in nearest.iter_mut().enumerate() {
                    let point = points.row(block * POINTS + number);
                    let clusters = first..(first + CENTROIDS).min(k);
                    for (cluster, half) in clusters.clone().zip(&halves[clusters]) {
                        let closeness = dot_f32(point, of(cluster)) - half;
                        if closeness > nearest.0 {
                            *nearest = (closeness, cluster);
                        }
                    }
                }
            }
        });
    stop::check(stop)?;
    Ok(nearest.into_iter().map(|(_, cluster)| cluster).collect())
}

/// The squared distance of each point to the centroid of its cluster.
fn distances(points: &Points, centroids: &[f32], clusters: &[usize]) -> Vec<f32> {
    let rows = clusters.par_iter().enumerate().with_min_len(POINTS);
    rows.map(|(row, &cluster)| {
        squared_distance_f32(
            points.row(row),
            centroid(centroids, points.columns, cluster),
        )
    })
    .collect()
}

/// Assigns to each empty cluster the point farthest from its centroid. The point must not be the
/// last of its cluster and must differ from its centroid; ties go to the first.
fn fill_empty(points: &Points, centroids: &[f32], clusters: &mut [usize], k: usize) {
    let mut sizes = vec![0_usize; k];
    for &cluster in &*clusters {
        sizes[cluster] += 1;
    }
    let empty: Vec<usize> = (0..k).filter(|&cluster| sizes[cluster] == 0).collect();
    if empty.is_empty() {
        return;
    }
    let squared = distances(points, centroids, clusters);
    let mut farthest: Vec<usize> = (0..points.rows).filter(|&row| squared[row] > 0.0).collect();
    farthest.sort_by(|&a, &b| squared[b].total_cmp(&squared[a]));
    let mut farthest = farthest.into_iter();
    for cluster in empty {
        let Some(row) = farthest.find(|&row| sizes[clusters[row]] > 1) else {
            return;
        };
        sizes[clusters[row]] -= 1;
        sizes[cluster] = 1;
        clusters[row] = cluster;
    }
}

/// Moves each centroid to the mean of its cluster. A centroid without points does not move.
fn update(points: &Points, clusters: &[usize], centroids: &mut [f32], k: usize) {
    if points.columns == 0 {
        return;
    }
    let mut members = vec![Vec::new(); k];
    for (row, &cluster) in clusters.iter().enumerate() {
        members[cluster].push(row);
    }
    // One task per cluster, which adds its points in order.
    let centroids = centroids.par_chunks_exact_mut(points.columns);
    centroids.zip(&members).for_each(|(centroid, members)| {
        if members.is_empty() {
            return;
        }
        let mut sum = vec![0.0; points.columns];
        for &row in members {
            add_scaled(&mut sum, points.row(row), 1.0);
        }
        for (value, sum) in centroid.iter_mut().zip(sum) {
            *value = (sum / members.len() as f64) as f32;
        }
    });
}
