//! Retrieval metrics against pytorch-metric-learning (tests/golden/retrieval.py) and against a
//! naive implementation that sorts.

use lsoftmax_metrics::{Error, Matrix, RetrievalReport, retrieval, retrieval_leave_one_out};
use proptest::prelude::*;
use serde_json::Value;

fn list<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
    let values = value.as_array().unwrap();
    values.iter().map(|value| read(value).unwrap()).collect()
}

fn numbers(value: &Value) -> Vec<usize> {
    list(value, |value| value.as_u64().map(|value| value as usize))
}

fn floats(value: &Value) -> Vec<f32> {
    list(value, |value| value.as_f64().map(|value| value as f32))
}

fn assert_close(found: f64, expected: f64, what: &str) {
    assert!(
        (found - expected).abs() < 1e-12,
        "{what}: {found}, expected {expected}"
    );
}

#[test]
fn golden_values() {
    let cases: Value = serde_json::from_str(include_str!("golden/retrieval.json")).unwrap();
    for case in cases.as_array().unwrap() {
        let columns = case["columns"].as_u64().unwrap() as usize;
        let labels = numbers(&case["query_labels"]);
        let values = floats(&case["queries"]);
        let queries = Matrix::new(&values, labels.len(), columns).unwrap();
        let expected = &case["expected"];
        let recall_at: Vec<(usize, f64)> = list(&expected["recall_at"], |pair| {
            Some((pair[0].as_u64()? as usize, pair[1].as_f64()?))
        });
        let ks: Vec<usize> = recall_at.iter().map(|&(k, _)| k).collect();
        let report = if case["gallery"].is_null() {
            retrieval_leave_one_out(queries, &labels, &ks)
        } else {
            let values = floats(&case["gallery"]);
            let of_rows = numbers(&case["gallery_labels"]);
            let gallery = Matrix::new(&values, of_rows.len(), columns).unwrap();
            retrieval(queries, &labels, gallery, &of_rows, &ks)
        };
        let report = report.unwrap();
        let name = case["name"].as_str().unwrap();
        let number = |field: &str| expected[field].as_f64().unwrap();
        assert_eq!(report.queries as f64, number("queries"), "{name}");
        assert_eq!(
            report.without_reference as f64,
            number("without_reference"),
            "{name}"
        );
        assert_close(report.precision_at_1, number("precision_at_1"), name);
        assert_close(report.r_precision, number("r_precision"), name);
        assert_close(report.map_at_r, number("map_at_r"), name);
        assert_close(
            report.mean_average_precision,
            number("mean_average_precision"),
            name,
        );
        assert_eq!(report.recall_at.len(), recall_at.len());
        for (found, expected) in report.recall_at.iter().zip(&recall_at) {
            assert_eq!(found.0, expected.0);
            assert_close(found.1, expected.1, name);
        }
    }
}

/// The metrics by their definitions, from a sorted list per query.
fn naive(
    queries: Matrix<'_>,
    labels: &[usize],
    gallery: Matrix<'_>,
    of_rows: &[usize],
    ks: &[usize],
    leave_one_out: bool,
) -> Option<RetrievalReport> {
    let mut report = RetrievalReport {
        queries: 0,
        without_reference: 0,
        recall_at: ks.iter().map(|&k| (k, 0.0)).collect(),
        precision_at_1: 0.0,
        r_precision: 0.0,
        map_at_r: 0.0,
        mean_average_precision: 0.0,
    };
    for (at, (query, &label)) in queries.iter_rows().zip(labels).enumerate() {
        let mut ranking: Vec<(f32, usize)> = gallery
            .iter_rows()
            .enumerate()
            .filter(|&(row, _)| !leave_one_out || row != at)
            .map(|(row, values)| (values.iter().zip(query).map(|(a, b)| a * b).sum(), row))
            .collect();
        ranking.sort_by(|a, b| b.0.partial_cmp(&a.0).unwrap().then(a.1.cmp(&b.1)));
        let same: Vec<bool> = ranking
            .iter()
            .map(|&(_, row)| of_rows[row] == label)
            .collect();
        let hits = |ranks: usize| same.iter().take(ranks).filter(|&&same| same).count() as f64;
        let r = hits(same.len());
        if r == 0.0 {
            report.without_reference += 1;
            continue;
        }
        report.queries += 1;
        for (k, recall) in &mut report.recall_at {
            *recall += f64::from(hits(*k) > 0.0);
        }
        report.precision_at_1 += hits(1);
        report.r_precision += hits(r as usize) / r;
        let precision = |i: usize| {
            if same[i] {
                hits(i + 1) / (i + 1) as f64
            } else {
                0.0
            }
        };
        report.map_at_r += (0..r as usize).map(precision).sum::<f64>() / r;
        report.mean_average_precision += (0..same.len()).map(precision).sum::<f64>() / r;
    }
    let count = report.queries as f64;
    for (_, recall) in &mut report.recall_at {
        *recall /= count;
    }
    report.precision_at_1 /= count;
    report.r_precision /= count;
    report.map_at_r /= count;
    report.mean_average_precision /= count;
    (report.queries > 0).then_some(report)
}

fn check(found: Result<RetrievalReport, Error>, expected: Option<RetrievalReport>) {
    let Some(expected) = expected else {
        return assert_eq!(found, Err(Error::NoSamples { what: "retrieval" }));
    };
    let found = found.unwrap();
    assert_eq!(
        (found.queries, found.without_reference, &found.recall_at),
        (
            expected.queries,
            expected.without_reference,
            &expected.recall_at
        )
    );
    assert_eq!(found.precision_at_1, expected.precision_at_1);
    assert_close(found.r_precision, expected.r_precision, "R-precision");
    assert_close(found.map_at_r, expected.map_at_r, "MAP@R");
    assert_close(
        found.mean_average_precision,
        expected.mean_average_precision,
        "mAP",
    );
}

const COLUMNS: usize = 3;
const KS: [usize; 4] = [1, 2, 4, 500];

/// Rows of small integers, so that ties are common and sums exact.
fn rows(most: usize) -> impl Strategy<Value = (Vec<f32>, Vec<usize>)> {
    (1..most).prop_flat_map(|rows| {
        (
            prop::collection::vec((-2_i8..3).prop_map(f32::from), rows * COLUMNS),
            prop::collection::vec(0_usize..9, rows),
        )
    })
}

proptest! {
    #[test]
    fn leave_one_out_agrees_with_sorting((values, labels) in rows(150)) {
        let matrix = Matrix::new(&values, labels.len(), COLUMNS).unwrap();
        check(
            retrieval_leave_one_out(matrix, &labels, &KS),
            naive(matrix, &labels, matrix, &labels, &KS, true),
        );
    }

    #[test]
    fn a_gallery_agrees_with_sorting((a, labels) in rows(90), (b, of_rows) in rows(40)) {
        let queries = Matrix::new(&a, labels.len(), COLUMNS).unwrap();
        let gallery = Matrix::new(&b, of_rows.len(), COLUMNS).unwrap();
        check(
            retrieval(queries, &labels, gallery, &of_rows, &KS),
            naive(queries, &labels, gallery, &of_rows, &KS, false),
        );
    }
}

#[test]
fn invalid_input_is_an_error() {
    let values = [1.0, 0.0, 0.0, 1.0, f32::NAN, 0.0];
    let bad = Matrix::new(&values, 3, 2).unwrap();
    let good = Matrix::new(&values[..4], 2, 2).unwrap();
    let error = retrieval_leave_one_out(bad, &[0, 0, 0], &[1]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("gallery: row 2 has NaN in column 0"),
        "{error}"
    );
    let error = retrieval(bad, &[0, 0, 0], good, &[0, 0], &[1]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("queries: row 2 has NaN in column 0"),
        "{error}"
    );
    assert_eq!(
        retrieval_leave_one_out(good, &[0, 0], &[1, 0]),
        Err(Error::RecallAt)
    );
    assert_eq!(
        retrieval_leave_one_out(good, &[0, 1], &[1]),
        Err(Error::NoSamples { what: "retrieval" })
    );
    assert!(matches!(
        retrieval_leave_one_out(good, &[0], &[1]),
        Err(Error::RowCount { .. })
    ));
    assert!(matches!(
        retrieval(good, &[0], good, &[0, 0], &[1]),
        Err(Error::RowCount {
            what: "query labels",
            ..
        })
    ));
    let narrow = Matrix::new(&values[..2], 2, 1).unwrap();
    assert!(matches!(
        retrieval(good, &[0, 0], narrow, &[0, 0], &[1]),
        Err(Error::ColumnCount { .. })
    ));
    let none = Matrix::new(&[], 2, 0).unwrap();
    assert!(matches!(
        retrieval_leave_one_out(none, &[0, 0], &[1]),
        Err(Error::ColumnCount { .. })
    ));
    assert!(matches!(
        retrieval_leave_one_out(Matrix::new(&[], 0, 2).unwrap(), &[], &[1]),
        Err(Error::NoSamples { .. })
    ));
}

#[test]
fn a_report_survives_json() {
    let matrix = Matrix::new(&[1.0, 0.5, 0.2], 3, 1).unwrap();
    let report = retrieval_leave_one_out(matrix, &[1, 2, 1], &[1, 10]).unwrap();
    let text = serde_json::to_string(&report).unwrap();
    assert_eq!(
        serde_json::from_str::<RetrievalReport>(&text).unwrap(),
        report
    );
}
