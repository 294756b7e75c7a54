//! Identification against sorting, and invalid input.

use lsoftmax_metrics::{Error, Identification, Matrix, identify};
use proptest::prelude::*;

const FEATURES: usize = 4;

/// Directions along the axes: all cosines are -1, 0 or 1, and therefore exact and often equal.
fn axes(count: usize) -> impl Strategy<Value = Vec<f32>> {
    let axis = (
        0..FEATURES,
        prop::sample::select(vec![-2.0_f32, 0.0, 1.0, 4.0]),
    );
    prop::collection::vec(axis, count).prop_map(|axes| {
        let mut values = vec![0.0; axes.len() * FEATURES];
        for (row, (axis, length)) in axes.into_iter().enumerate() {
            values[row * FEATURES + axis] = length;
        }
        values
    })
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
    if dot == 0.0 { 0.0 } else { dot.signum() }
}

type Set = (Vec<f32>, Vec<usize>);

fn set(most: usize) -> impl Strategy<Value = Set> {
    (1..most).prop_flat_map(|count| (axes(count), prop::collection::vec(0_usize..9, count)))
}

fn rows(set: &Set) -> Matrix<'_> {
    Matrix::new(&set.0, set.1.len(), FEATURES).unwrap()
}

fn run(probes: &Set, gallery: &Set) -> Identification {
    identify(rows(probes), &probes.1, rows(gallery), &gallery.1).unwrap()
}

proptest! {
    #[test]
    fn ranks_agree_with_counting(probes in set(80), gallery in set(100)) {
        let found = run(&probes, &gallery);
        let (mut mated, mut non_mated) = (found.mated.iter(), found.non_mated.iter());
        for (probe, row) in rows(&probes).iter_rows().enumerate() {
            let best: Vec<Option<f32>> = (0..9)
                .map(|identity| {
                    let images = rows(&gallery).iter_rows().zip(&gallery.1);
                    let images = images.filter(|&(_, &label)| label == identity);
                    images.map(|(image, _)| cosine(row, image)).max_by(f32::total_cmp)
                })
                .collect();
            prop_assert_eq!(best.iter().flatten().count(), found.identities);
            if let Some(own) = best[probes.1[probe]] {
                let result = mated.next().unwrap();
                // The right identity ranks last among ties, so its rank includes itself.
                let rank = best.iter().flatten().filter(|&&score| score >= own).count();
                prop_assert_eq!((result.probe, result.rank, result.score), (probe, rank, own));
            } else {
                let result = non_mated.next().unwrap();
                let top = best.iter().flatten().copied().max_by(f32::total_cmp).unwrap();
                prop_assert_eq!((result.probe, result.score), (probe, top));
            }
        }
        prop_assert!(mated.next().is_none() && non_mated.next().is_none());

        if let Ok(curve) = found.cmc_curve(usize::MAX) {
            prop_assert_eq!(curve.last(), Some(&1.0));
            for (rank, &value) in curve.iter().enumerate() {
                prop_assert_eq!(found.cmc(rank + 1).unwrap(), value);
            }
        } else {
            prop_assert!(found.mated.is_empty());
        }
    }

    #[test]
    fn the_order_of_the_gallery_does_not_matter(probes in set(20), gallery in set(60)) {
        let turned: Set = (
            gallery.0.chunks(FEATURES).rev().flatten().copied().collect(),
            gallery.1.iter().rev().copied().collect(),
        );
        prop_assert_eq!(run(&probes, &gallery), run(&probes, &turned));
    }
}

#[test]
fn equal_embeddings_identify_nobody() {
    let alike: Set = ([1.0, 2.0, 3.0, 4.0].repeat(5), vec![0, 1, 2, 3, 4]);
    let found = run(&alike, &alike);
    assert_eq!(found.cmc_curve(5).unwrap(), [0.0, 0.0, 0.0, 0.0, 1.0]);
}

#[test]
fn open_set_by_hand() {
    // Cosines to the first axis equal the first of two coordinates.
    let gallery = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0];
    let probes = [
        0.8, 0.6, 0.0, 0.0, // identity 5, correct with 0.8
        0.0, 0.0, 0.6, 0.8, // identity 5, wrong
        0.6, 0.8, 0.0, 0.0, // unknown, 0.6
        0.0, 1.0, 0.0, 0.0, // unknown, 0
    ];
    let gallery = Matrix::new(&gallery, 2, FEATURES).unwrap();
    let probes = Matrix::new(&probes, 4, FEATURES).unwrap();
    let found = identify(probes, &[5, 5, 8, 9], gallery, &[5, 6]).unwrap();
    assert_eq!(found.rank_1(), Ok(0.5));
    assert_eq!(found.tpir_at_fpir(0.4).unwrap().measured, None);
    let half = found.tpir_at_fpir(0.5).unwrap().measured.unwrap();
    assert_eq!((half.fpir, half.tpir), (0.5, 0.5));
    assert!(half.threshold > 0.0 && half.threshold < 1e-30);
    let all = found.tpir_at_fpir(1.0).unwrap().measured.unwrap();
    assert_eq!((all.fpir, all.tpir), (1.0, 0.5));

    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(
        serde_json::from_str::<Identification>(&text).unwrap(),
        found
    );
}

#[test]
fn invalid_input_is_an_error() {
    let good: Set = (vec![1.0; 8], vec![0, 1]);
    let with = |probes: &[f32], labels: &[usize]| {
        let probes = Matrix::new(probes, probes.len() / FEATURES, FEATURES).unwrap();
        identify(probes, labels, rows(&good), &good.1)
    };
    assert!(matches!(with(&[1.0; 8], &[0]), Err(Error::RowCount { .. })));
    assert!(matches!(with(&[], &[]), Err(Error::NoSamples { .. })));
    assert_eq!(
        with(&[1.0, 1.0, 1.0, f32::NAN], &[0]),
        Err(Error::NotFinite {
            what: "probes",
            row: 0
        })
    );
    let narrow = Matrix::new(&[1.0; 3], 1, 3).unwrap();
    assert!(matches!(
        identify(narrow, &[0], rows(&good), &good.1),
        Err(Error::ColumnCount { .. })
    ));
    assert!(matches!(
        identify(rows(&good), &good.1, rows(&good), &[1]),
        Err(Error::RowCount { .. })
    ));

    let strangers = with(&[1.0; 4], &[7]).unwrap();
    assert!(matches!(strangers.rank_1(), Err(Error::NoSamples { .. })));
    assert!(matches!(
        strangers.cmc_curve(3),
        Err(Error::NoSamples { .. })
    ));
    assert!(matches!(
        strangers.tpir_at_fpir(0.5),
        Err(Error::NoSamples { .. })
    ));
    let friends = with(&[1.0; 4], &[1]).unwrap();
    assert!(matches!(
        friends.tpir_at_fpir(0.5),
        Err(Error::NoSamples { .. })
    ));
    assert!(matches!(friends.tpir_at_fpir(1.5), Err(Error::Rate { .. })));
}
