//! Nearest neighbours against a naive implementation that sorts.

use lsoftmax_metrics::{Error, Matrix, Neighbours, Search, SearchOptions, nearest, unit_rows};
use proptest::prelude::*;

fn naive(queries: Matrix<'_>, gallery: Matrix<'_>, k: usize, out: Option<&[u32]>) -> Neighbours {
    let (mut indices, mut scores) = (Vec::new(), Vec::new());
    for (at, query) in queries.iter_rows().enumerate() {
        let mut ranking: Vec<(f32, u32)> = gallery
            .iter_rows()
            .zip(0..)
            .filter(|&(_, row)| out.is_none_or(|out| out[at] != row))
            .map(|(values, row)| (values.iter().zip(query).map(|(a, b)| a * b).sum(), row))
            .collect();
        ranking.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(a.1.cmp(&b.1)));
        indices.extend(ranking[..k].iter().map(|&(_, row)| row));
        scores.extend(ranking[..k].iter().map(|&(score, _)| score));
    }
    Neighbours { k, indices, scores }
}

/// Rows of small integers, so that ties are common and sums exact.
fn rows(least: usize, most: usize, columns: usize) -> impl Strategy<Value = Vec<f32>> {
    (least..most).prop_flat_map(move |rows| {
        prop::collection::vec((-2_i8..3).prop_map(f32::from), rows * columns)
    })
}

/// Queries, gallery, columns.
fn arrays() -> impl Strategy<Value = (Vec<f32>, Vec<f32>, usize)> {
    (1_usize..5)
        .prop_flat_map(|columns| (rows(1, 90, columns), rows(2, 90, columns), Just(columns)))
}

fn matrix(values: &[f32], columns: usize) -> Matrix<'_> {
    Matrix::new(values, values.len() / columns, columns).unwrap()
}

proptest! {
    #[test]
    fn agrees_with_sorting((a, b, columns) in arrays(), share in 0.0..1.0) {
        let (queries, gallery) = (matrix(&a, columns), matrix(&b, columns));
        let k = 1 + ((gallery.rows() - 1) as f64 * share) as usize;
        let found = nearest(queries, gallery, k, SearchOptions::default()).unwrap();
        prop_assert_eq!(found, naive(queries, gallery, k, None));
    }

    #[test]
    fn leaves_out((values, _, columns) in arrays(), share in 0.0..1.0) {
        let queries = matrix(&values, columns);
        prop_assume!(queries.rows() > 1);
        let k = 1 + ((queries.rows() - 2) as f64 * share) as usize;
        let itself: Vec<u32> = (0..queries.rows() as u32).collect();
        let options = SearchOptions { leave_out: Some(&itself), ..SearchOptions::default() };
        let found = nearest(queries, queries, k, options).unwrap();
        prop_assert_eq!(found, naive(queries, queries, k, Some(&itself)));
    }

    #[test]
    fn blocks_and_memory_do_not_change_the_result(
        (a, b, columns) in arrays(),
        block in 1_usize..20,
        memory in 5_000_usize..50_000,
    ) {
        let (queries, gallery) = (matrix(&a, columns), matrix(&b, columns));
        let k = 1 + gallery.rows() / 3;
        let options = SearchOptions { memory, leave_out: None };
        let mut search = Search::new(queries, k, options).unwrap();
        for rows in b.chunks(block * columns) {
            search.push(matrix(rows, columns)).unwrap();
        }
        let all = nearest(queries, gallery, k, SearchOptions::default()).unwrap();
        prop_assert_eq!(search.finish().unwrap(), all);
    }
}

/// Pseudo-random numbers from -1 to 1.
fn noise(count: usize, seed: u32) -> Vec<f32> {
    (0..count as u32)
        .map(|at| (at + seed).wrapping_mul(2_654_435_761) >> 8)
        .map(|bits| bits as f32 / 8_388_608.0 - 1.0)
        .collect()
}

fn bits(found: &Neighbours) -> (Vec<u32>, Vec<u32>) {
    let scores = found.scores.iter().map(|score| score.to_bits()).collect();
    (found.indices.clone(), scores)
}

/// Several rounds of several parts, a gallery block that ends within a tile, and more than two
/// panels.
#[test]
fn bits_do_not_depend_on_threads_blocks_or_memory() {
    const COLUMNS: usize = 19;
    let (a, b) = (noise(140 * COLUMNS, 1), noise(70_001 * COLUMNS, 99_999));
    let (queries, gallery) = (matrix(&a, COLUMNS), matrix(&b, COLUMNS));
    let with_threads = |threads: usize, memory: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let options = SearchOptions {
            memory,
            leave_out: None,
        };
        bits(
            &pool
                .install(|| nearest(queries, gallery, 7, options))
                .unwrap(),
        )
    };
    let expected = with_threads(1, 256 << 20);
    assert_eq!(with_threads(3, 256 << 20), expected);
    assert_eq!(with_threads(2, 20 << 10), expected);
    let mut search = Search::new(queries, 7, SearchOptions::default()).unwrap();
    for block in b.chunks(12_345 * COLUMNS) {
        search.push(matrix(block, COLUMNS)).unwrap();
    }
    assert_eq!(bits(&search.finish().unwrap()), expected);
    // A single query, in a narrower panel.
    for query in [0, 77, 139] {
        let one = matrix(queries.row(query).unwrap(), COLUMNS);
        let found = nearest(one, gallery, 7, SearchOptions::default()).unwrap();
        assert_eq!(bits(&found).0, expected.0[query * 7..][..7]);
        assert_eq!(bits(&found).1, expected.1[query * 7..][..7]);
    }
    // Scores are correct, not only equal.
    let (indices, scores) = &expected;
    for (at, (&row, &score)) in indices.iter().zip(scores).enumerate() {
        let pair = queries
            .row(at / 7)
            .unwrap()
            .iter()
            .zip(gallery.row(row as usize).unwrap());
        let exact: f64 = pair.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
        assert!((f64::from(f32::from_bits(score)) - exact).abs() < 1e-5);
    }
}

#[test]
fn equal_rows_are_taken_in_order() {
    let gallery = vec![0.5; 3000 * 2];
    let queries = vec![1.0; 70 * 2];
    let found = nearest(
        matrix(&queries, 2),
        matrix(&gallery, 2),
        5,
        SearchOptions::default(),
    )
    .unwrap();
    for query in 0..70 {
        let rows: Vec<(u32, f32)> = found.of(query).unwrap().collect();
        assert_eq!(rows, (0..5).map(|row| (row, 1.0)).collect::<Vec<_>>());
    }
    assert!(found.of(70).is_none());
}

#[test]
fn invalid_input_is_an_error() {
    let values = [1.0, 0.0, 0.0, f32::INFINITY, 1e30, 0.0];
    let good = matrix(&values[..2], 2);
    let options = SearchOptions::default();
    let error = nearest(matrix(&values, 2), good, 1, options).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("queries: row 1 has inf in column 1; values must be finite"),
        "{error}"
    );

    // Rows are numbered across blocks, and the error persists.
    let mut search = Search::new(good, 1, options).unwrap();
    search.push(matrix(&values[..2], 2)).unwrap();
    let error = search.push(matrix(&values[4..], 2)).unwrap_err();
    assert!(
        matches!(
            error,
            Error::Value {
                what: "gallery",
                row: 1,
                column: 0,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(search.push(good), Err(error.clone()));
    assert_eq!(search.finish(), Err(error));

    let available = Some(1);
    let search = |k, options| nearest(good, good, k, options);
    assert_eq!(
        search(2, options),
        Err(Error::NeighbourCount { k: 2, available })
    );
    let available = None;
    assert_eq!(
        search(0, options),
        Err(Error::NeighbourCount { k: 0, available })
    );
    let tight = SearchOptions {
        memory: 100,
        ..options
    };
    assert!(matches!(
        search(1, tight),
        Err(Error::Memory { given: 100, .. })
    ));
    assert!(matches!(
        search(usize::MAX, options),
        Err(Error::Memory { .. })
    ));
    let out = SearchOptions {
        leave_out: Some(&[0, 0]),
        ..options
    };
    assert!(matches!(search(1, out), Err(Error::RowCount { .. })));
    let out = SearchOptions {
        leave_out: Some(&[0]),
        ..options
    };
    let available = Some(0);
    assert_eq!(
        search(1, out),
        Err(Error::NeighbourCount { k: 1, available })
    );
    let two = matrix(&[1.0, 0.0, 0.0, 1.0], 2).rows();
    let past = SearchOptions {
        leave_out: Some(&[2]),
        ..options
    };
    assert_eq!(
        nearest(good, matrix(&[1.0, 0.0, 0.0, 1.0], 2), 1, past),
        Err(Error::LeftOut {
            query: 0,
            row: 2,
            rows: two
        })
    );
    assert!(matches!(
        nearest(good, matrix(&values[..3], 1), 1, options),
        Err(Error::ColumnCount { .. })
    ));
    let none = Matrix::new(&[], usize::MAX, 0).unwrap();
    assert!(matches!(
        nearest(none, none, 1, options),
        Err(Error::ColumnCount { .. })
    ));
}

#[test]
fn no_queries_have_no_neighbours() {
    let none = Matrix::new(&[], 0, 2).unwrap();
    let found = nearest(none, matrix(&[1.0, 0.0], 2), 1, SearchOptions::default()).unwrap();
    assert!(found.indices.is_empty() && found.of(0).is_none());
}

#[test]
fn unit_rows_have_length_one_or_zero() {
    let values = [3.0, 4.0, 0.0, 0.0, 1e-30, 0.0, f32::MAX, f32::MAX];
    let half = 0.5_f32.sqrt();
    assert_eq!(
        unit_rows(matrix(&values, 2)).unwrap(),
        [0.6, 0.8, 0.0, 0.0, 1.0, 0.0, half, half]
    );
    let error = unit_rows(matrix(&[0.0, 1.0, 0.0, f32::NAN], 2)).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("unit rows: row 1 has NaN in column 1"),
        "{error}"
    );
}

/// A matrix without columns has no values and any number of rows; no loop may visit them.
#[test]
fn rows_without_columns_are_not_visited() {
    for rows in [0, 1, usize::MAX] {
        let nothing = Matrix::new(&[], rows, 0).unwrap();
        assert_eq!(unit_rows(nothing), Ok(Vec::new()));
    }
}
