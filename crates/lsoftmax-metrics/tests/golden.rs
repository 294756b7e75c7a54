//! Golden values of scikit-learn and of naive programs, by tests/golden/make.py.

use lsoftmax_metrics::{
    KFold, Matrix, Roc, adjusted_mutual_information, cosine_scores, identify, k_fold,
    k_fold_embeddings, k_means_from, normalized_mutual_information, probit,
};
use serde_json::Value;

fn golden(part: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("golden/golden.json")).unwrap();
    all[part].clone()
}

fn cases(part: &str) -> Vec<Value> {
    golden(part).as_array().unwrap().clone()
}

fn of<T>(list: &Value, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
    let values = list.as_array().unwrap().iter();
    values.map(|value| read(value).unwrap()).collect()
}

fn floats(list: &Value) -> Vec<f32> {
    of(list, |value| value.as_f64().map(|value| value as f32))
}

fn doubles(list: &Value) -> Vec<f64> {
    of(list, Value::as_f64)
}

fn numbers(list: &Value) -> Vec<usize> {
    of(list, |value| value.as_u64().map(|value| value as usize))
}

fn bools(list: &Value) -> Vec<bool> {
    of(list, Value::as_bool)
}

fn rows<'a>(values: &'a [f32], case: &Value) -> Matrix<'a> {
    let columns = case["features"].as_u64().unwrap() as usize;
    Matrix::new(values, values.len() / columns, columns).unwrap()
}

#[track_caller]
fn close(found: f64, expected: &Value, tolerance: f64, what: impl std::fmt::Display) {
    let expected = expected.as_f64().unwrap();
    assert!(
        (found - expected).abs() <= tolerance,
        "{what}: {found}, expected {expected}"
    );
}

#[test]
fn roc() {
    for case in cases("roc") {
        let name = &case["name"];
        let roc = Roc::new(&floats(&case["scores"]), &bools(&case["same"])).unwrap();
        close(roc.auc(), &case["auc"], 1e-14, name);
        let eer = roc.eer();
        close(eer.rate, &case["eer"], 1e-12, name);

        let best = roc.best_threshold();
        assert_eq!(f64::from(best.threshold), case["best_threshold"], "{name}");
        close(best.accuracy, &case["best_accuracy"], 0.0, name);
        assert_eq!(roc.accuracy_at(best.threshold), best.accuracy);

        for rate in case["tar_at_far"].as_array().unwrap() {
            let asked = rate[0].as_f64().unwrap();
            let found = roc.tar_at_far(asked).unwrap().measured;
            assert_eq!(found.is_none(), rate[1].is_null(), "{name} at {asked}");
            if let Some(point) = found {
                close(
                    point.tar,
                    &rate[1],
                    1e-15,
                    format_args!("{name} at {asked}"),
                );
                assert!(point.far <= asked);
            }
        }

        let points = roc.points(usize::MAX);
        let expected = case["points"].as_array().unwrap();
        assert_eq!(points.len(), expected.len(), "{name}");
        for (point, expected) in points.iter().zip(expected) {
            close(point.far, &expected[0], 1e-15, name);
            close(point.tar, &expected[1], 1e-15, name);
        }
    }
}

fn compare(found: &KFold, expected: &Value, what: &Value) {
    close(
        found.accuracy_percent,
        &expected["accuracy_percent"],
        1e-11,
        what,
    );
    close(
        found.standard_error_percent,
        &expected["standard_error_percent"],
        1e-11,
        what,
    );
    let accuracies = doubles(&expected["fold_accuracies"]);
    assert_eq!(found.folds.len(), accuracies.len());
    for (fold, accuracy) in found.folds.iter().zip(accuracies) {
        assert!((fold.accuracy_percent - accuracy).abs() < 1e-11, "{what}");
    }
}

#[test]
fn cross_validation_of_scores() {
    for case in golden("k_fold")["scores"].as_array().unwrap() {
        let (scores, same) = (floats(&case["scores"]), bools(&case["same"]));
        let found = k_fold(&scores, &same, &numbers(&case["folds"])).unwrap();
        compare(&found, case, &case["name"]);
        let thresholds: Vec<f32> = found.folds.iter().map(|fold| fold.threshold).collect();
        assert_eq!(thresholds, floats(&case["thresholds"]));
    }
}

#[test]
fn cross_validation_of_embeddings() {
    let case = &golden("k_fold")["embeddings"];
    let (left, right) = (floats(&case["left"]), floats(&case["right"]));
    let (left, right) = (rows(&left, case), rows(&right, case));
    let (same, folds) = (bools(&case["same"]), numbers(&case["folds"]));
    let scores = cosine_scores(left, right).unwrap();
    for (found, expected) in scores.iter().zip(floats(&case["cosines"])) {
        assert!((found - expected).abs() < 1e-6);
    }
    for (centred, name) in [(false, "plain"), (true, "centred")] {
        let found = k_fold_embeddings(left, right, &same, &folds, centred).unwrap();
        compare(&found, &case[name], &name.into());
        // Cosines may differ in their last bit.
        for (fold, expected) in found.folds.iter().zip(floats(&case[name]["thresholds"])) {
            assert!((fold.threshold - expected).abs() < 1e-6);
        }
    }
}

#[test]
fn identification() {
    for case in cases("identification") {
        let name = &case["name"];
        let (probes, gallery) = (floats(&case["probes"]), floats(&case["gallery"]));
        let found = identify(
            rows(&probes, &case),
            &numbers(&case["probe_labels"]),
            rows(&gallery, &case),
            &numbers(&case["gallery_labels"]),
        )
        .unwrap();
        let ranks: Vec<usize> = found.mated.iter().map(|probe| probe.rank).collect();
        assert_eq!(ranks, numbers(&case["ranks"]), "{name}");
        let curve = found.cmc_curve(usize::MAX).unwrap();
        assert_eq!(curve, doubles(&case["cmc"]), "{name}");
        assert_eq!(found.rank_1().unwrap(), curve[0]);
        for rate in case["tpir_at_fpir"].as_array().unwrap() {
            let asked = rate[0].as_f64().unwrap();
            let point = found.tpir_at_fpir(asked).unwrap().measured;
            assert_eq!(point.is_none(), rate[1].is_null(), "{name} at {asked}");
            if let Some(point) = point {
                close(
                    point.tpir,
                    &rate[1],
                    1e-15,
                    format_args!("{name} at {asked}"),
                );
                assert!(point.fpir <= asked);
            }
        }
    }
}

#[test]
fn mutual_information() {
    for case in cases("mutual_information") {
        let (first, second) = (numbers(&case["first"]), numbers(&case["second"]));
        let nmi = normalized_mutual_information(&first, &second).unwrap();
        close(nmi, &case["nmi"], 1e-12, &case["name"]);
        let ami = adjusted_mutual_information(&first, &second).unwrap();
        close(ami, &case["ami"], 1e-10, &case["name"]);
    }
}

#[test]
fn k_means() {
    for case in cases("k_means") {
        let (embeddings, start) = (floats(&case["embeddings"]), floats(&case["start"]));
        let found = k_means_from(rows(&embeddings, &case), rows(&start, &case), 100).unwrap();
        assert!(found.converged);
        assert_eq!(found.clusters, numbers(&case["clusters"]));
        let inertia = case["inertia"].as_f64().unwrap();
        assert!((found.inertia / inertia - 1.0).abs() < 1e-5);
        for (found, expected) in found.centroids.iter().zip(doubles(&case["centroids"])) {
            assert!((f64::from(*found) - expected).abs() < 1e-5 * expected.abs().max(1.0));
        }
    }
}

#[test]
fn normal_deviates() {
    for case in cases("probit") {
        let rate = case[0].as_f64().unwrap();
        close(probit(rate), &case[1], 5e-14, rate);
    }
}
