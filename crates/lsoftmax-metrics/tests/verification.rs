//! Verification against its definitions, pair by pair.

use lsoftmax_metrics::{
    Error, KFold, Matrix, OperatingPoint, Roc, TarAtFar, k_fold, k_fold_embeddings,
};
use proptest::prelude::*;

/// Scores with few distinct values, so that ties are common; both kinds of pairs.
fn pairs() -> impl Strategy<Value = (Vec<f32>, Vec<bool>)> {
    (2_usize..60).prop_flat_map(|count| {
        (
            prop::collection::vec((-12_i8..12).prop_map(|step| f32::from(step) / 8.0), count),
            prop::collection::vec(any::<bool>(), count),
        )
            .prop_map(|(scores, mut same)| {
                same[0] = true;
                same[1] = false;
                (scores, same)
            })
    })
}

/// Share of the pairs of one kind with a score of at least `threshold`.
fn rate(scores: &[f32], same: &[bool], kind: bool, threshold: f32) -> f64 {
    let of_kind = || scores.iter().zip(same).filter(|&(_, &same)| same == kind);
    let accepted = of_kind().filter(|&(&score, _)| score >= threshold).count();
    accepted as f64 / of_kind().count() as f64
}

/// Every score and its next larger number.
fn thresholds(scores: &[f32]) -> Vec<f32> {
    let mut all: Vec<f32> = scores
        .iter()
        .flat_map(|&score| [score, score.next_up()])
        .collect();
    all.sort_by(f32::total_cmp);
    all
}

proptest! {
    #[test]
    fn rates_are_counts((scores, same) in pairs()) {
        let roc = Roc::new(&scores, &same).unwrap();
        for threshold in thresholds(&scores) {
            prop_assert_eq!(roc.far_at(threshold), rate(&scores, &same, false, threshold));
            prop_assert_eq!(roc.tar_at(threshold), rate(&scores, &same, true, threshold));
            let right = scores.iter().zip(&same);
            let right = right.filter(|&(&score, &same)| (score >= threshold) == same).count();
            let accuracy = right as f64 / scores.len() as f64;
            prop_assert_eq!(roc.accuracy_at(threshold), accuracy);
            prop_assert!(roc.best_threshold().accuracy >= accuracy);
        }
        let best = roc.best_threshold();
        prop_assert_eq!(roc.accuracy_at(best.threshold), best.accuracy);
    }

    #[test]
    fn auc_is_the_share_of_wins((scores, same) in pairs()) {
        let (mut wins, mut meetings) = (0.0, 0.0);
        for (&a, _) in scores.iter().zip(&same).filter(|&(_, &same)| same) {
            for (&b, _) in scores.iter().zip(&same).filter(|&(_, &same)| !same) {
                wins += if a > b { 1.0 } else if a == b { 0.5 } else { 0.0 };
                meetings += 1.0;
            }
        }
        prop_assert_eq!(Roc::new(&scores, &same).unwrap().auc(), wins / meetings);
    }

    #[test]
    fn the_order_of_pairs_does_not_matter((scores, same) in pairs()) {
        let mut turned = (scores.clone(), same.clone());
        turned.0.reverse();
        turned.1.reverse();
        prop_assert_eq!(Roc::new(&scores, &same), Roc::new(&turned.0, &turned.1));
    }

    #[test]
    fn tar_at_far_is_the_smallest_threshold((scores, same) in pairs(), far in 0.0_f64..=1.0) {
        let roc = Roc::new(&scores, &same).unwrap();
        let TarAtFar { measured, .. } = roc.tar_at_far(far).unwrap();
        prop_assert_eq!(measured.is_none(), far < roc.smallest_far());
        if let Some(OperatingPoint { threshold, far: found, tar }) = measured {
            prop_assert!(found <= far);
            prop_assert_eq!(found, rate(&scores, &same, false, threshold));
            prop_assert_eq!(tar, rate(&scores, &same, true, threshold));
            if threshold > f32::MIN {
                prop_assert!(rate(&scores, &same, false, threshold.next_down()) > far);
            }
        }
    }

    #[test]
    fn the_eer_lies_on_the_curve((scores, same) in pairs()) {
        let roc = Roc::new(&scores, &same).unwrap();
        let eer = roc.eer();
        // Between two neighbouring points of the curve, FAR and FRR both equal the rate.
        let points = roc.points(usize::MAX);
        let on_a_line = points.windows(2).any(|ends| {
            let gap = |point: &OperatingPoint| point.far - (1.0 - point.tar);
            let (a, b) = (&ends[0], &ends[1]);
            let part = gap(a) / (gap(a) - gap(b));
            let at = |a: f64, b: f64| a + part * (b - a);
            (0.0..=1.0).contains(&part)
                && (at(a.far, b.far) - eer.rate).abs() < 1e-12
                && (1.0 - at(a.tar, b.tar) - eer.rate).abs() < 1e-12
                && (b.threshold..=a.threshold).contains(&eer.threshold)
        });
        prop_assert!(on_a_line);
    }

    #[test]
    fn drawn_points_are_on_the_curve((scores, same) in pairs(), most in 0_usize..40) {
        let roc = Roc::new(&scores, &same).unwrap();
        let points = roc.points(most);
        prop_assert!(points.len() <= most.max(2));
        for point in &points {
            prop_assert_eq!(point.far, rate(&scores, &same, false, point.threshold));
            prop_assert_eq!(point.tar, rate(&scores, &same, true, point.threshold));
        }
        let ends = [points[0], points[points.len() - 1]].map(|point| (point.far, point.tar));
        prop_assert_eq!(ends, [(0.0, 0.0), (1.0, 1.0)]);
        for pair in points.windows(2) {
            prop_assert!(pair[0].threshold > pair[1].threshold);
            prop_assert!(pair[0].far <= pair[1].far && pair[0].tar <= pair[1].tar);
        }
    }
}

/// Scores of a large set; same pairs tend to score higher.
fn large(count: usize) -> (Vec<f32>, Vec<bool>) {
    (0..count)
        .map(|i| {
            let noise = (i as f64 * 0.618_033_988_749_895).fract();
            let same = i % 4 == 0;
            (
                noise.mul_add(0.5, if same { 0.4 } else { 0.0 }) as f32,
                same,
            )
        })
        .unzip()
}

#[test]
fn thinned_curves_resolve_small_rates() {
    let (scores, same) = large(400_000);
    let roc = Roc::new(&scores, &same).unwrap();
    let points = roc.points(200);
    assert!((100..=200).contains(&points.len()), "{}", points.len());
    for rate in [
        |point: &OperatingPoint| point.far,
        |point: &OperatingPoint| 1.0 - point.tar,
    ] {
        // No gap on the linear or the logarithmic axis.
        for pair in points.windows(2) {
            let (low, high) = (
                rate(&pair[0]).min(rate(&pair[1])),
                rate(&pair[0]).max(rate(&pair[1])),
            );
            assert!(high - low < 0.05);
            assert!(low == 0.0 || high / low < 2.001, "{low} {high}");
        }
        let smallest = points
            .iter()
            .map(rate)
            .filter(|&rate| rate > 0.0)
            .fold(1.0, f64::min);
        assert!(smallest < 2e-5, "{smallest}");
    }
}

#[test]
fn invalid_input_is_an_error() {
    assert_eq!(
        Roc::new(&[0.1, 0.2], &[true]),
        Err(Error::RowCount {
            what: "same",
            expected: 2,
            found: 1
        })
    );
    for score in [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN,
    ] {
        let error = Roc::new(&[0.1, 0.2, score], &[true, false, true]).unwrap_err();
        assert!(
            error.to_string().starts_with("row 2 has the score"),
            "{error}"
        );
    }
    let error = Roc::new(&[0.1, 0.2], &[true, true]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the set holds 2 same and 0 different pairs; at least one of each is needed"
    );
    let roc = Roc::new(&[0.1, 0.2], &[true, false]).unwrap();
    assert!(matches!(roc.tar_at_far(f64::NAN), Err(Error::Rate { .. })));
    assert!(matches!(roc.tar_at_far(-0.1), Err(Error::Rate { .. })));
    assert!(roc.histograms(1.0, 0.0, 4).is_err());

    let (scores, same) = ([0.1, 0.2, 0.3], [true, false, true]);
    assert!(matches!(
        k_fold(&scores, &same, &[0, 1]),
        Err(Error::RowCount { .. })
    ));
    assert!(matches!(
        k_fold(&scores, &same, &[4, 4, 4]),
        Err(Error::Folds { .. })
    ));
    assert!(matches!(k_fold(&[], &[], &[]), Err(Error::Folds { .. })));
    let error = k_fold(&scores, &same, &[0, 1, 0]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "all folds but fold 0 holds 0 same and 1 different pairs; at least one of each is needed"
    );

    let sides = Matrix::new(&[1.0; 6], 3, 2).unwrap();
    for centred in [false, true] {
        let fold =
            |same: &[bool], folds: &[usize]| k_fold_embeddings(sides, sides, same, folds, centred);
        assert!(matches!(
            fold(&same[..2], &[0, 1]),
            Err(Error::RowCount { .. })
        ));
        assert!(matches!(fold(&same, &[0, 1]), Err(Error::RowCount { .. })));
    }
}

#[test]
fn histograms_hold_both_kinds() {
    let roc = Roc::new(&[0.1, 0.6, 0.7, 2.0], &[false, true, true, true]).unwrap();
    let (same, different) = roc.histograms(0.0, 1.0, 2).unwrap();
    assert_eq!((same.counts(), same.above()), ([0, 2].as_slice(), 1));
    assert_eq!(different.counts(), [1, 0]);
}

#[test]
fn a_report_survives_json() {
    let (scores, same) = large(100);
    let folds: Vec<usize> = (0..100).map(|i| i / 20).collect();
    let found = k_fold(&scores, &same, &folds).unwrap();
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<KFold>(&text).unwrap(), found);
    let at = Roc::new(&scores, &same).unwrap().tar_at_far(0.1).unwrap();
    let text = serde_json::to_string(&at).unwrap();
    assert_eq!(serde_json::from_str::<TarAtFar>(&text).unwrap(), at);
}
