//! Properties of pairs sampled from arbitrary labels.

use std::collections::{BTreeMap, BTreeSet};

use lsoftmax_metrics::{Error, Matrix, VerificationPairs, cosine_scores, k_fold_embeddings};
use proptest::prelude::*;

fn check(labels: &[usize], pairs: &VerificationPairs, folds: usize, most: [usize; 2]) {
    let mut fold_of_class = BTreeMap::new();
    let mut seen = BTreeSet::new();
    let mut drawn = vec![[0_usize; 2]; folds];
    for pair in 0..pairs.len() {
        let (left, right) = (pairs.left[pair] as usize, pairs.right[pair] as usize);
        assert!(left < right && right < labels.len());
        assert!(seen.insert((left, right)), "a pair occurs twice");
        assert_eq!(pairs.same[pair], labels[left] == labels[right]);
        let fold = pairs.folds[pair];
        for row in [left, right] {
            assert_eq!(*fold_of_class.entry(labels[row]).or_insert(fold), fold);
        }
        drawn[fold][usize::from(!pairs.same[pair])] += 1;
    }
    for counts in &drawn {
        assert!(counts[0] <= most[0] && counts[1] <= most[1]);
    }
}

proptest! {
    #[test]
    fn folds_share_no_class_and_no_pair_occurs_twice(
        labels in prop::collection::vec(0_usize..12, 30..80),
        folds in 1_usize..4,
        most in [0_usize..40, 0_usize..40],
        seed: u64,
    ) {
        if let Ok(pairs) = VerificationPairs::sample(&labels, folds, most[0], most[1], seed) {
            check(&labels, &pairs, folds, most);
            let again = VerificationPairs::sample(&labels, folds, most[0], most[1], seed);
            prop_assert_eq!(again, Ok(pairs));
        }
    }

    #[test]
    fn without_a_limit_every_pair_of_a_fold_is_there(
        labels in prop::collection::vec(0_usize..8, 20..50),
        seed: u64,
    ) {
        if let Ok(pairs) = VerificationPairs::sample(&labels, 1, usize::MAX, usize::MAX, seed) {
            check(&labels, &pairs, 1, [usize::MAX; 2]);
            prop_assert_eq!(pairs.len(), labels.len() * (labels.len() - 1) / 2);
        }
    }
}

/// 40 classes: 20 of one row, the others of 2 to 11.
fn people() -> Vec<usize> {
    let counts = (0..40).map(|class| if class < 20 { 1 } else { (class - 20) / 2 + 2 });
    counts
        .enumerate()
        .flat_map(|(class, count)| vec![class * 1000; count])
        .collect()
}

#[test]
fn same_pairs_are_even_over_classes() {
    let labels = people();
    let pairs = VerificationPairs::sample(&labels, 5, 20, 50, 1).unwrap();
    check(&labels, &pairs, 5, [20, 50]);
    for fold in 0..5 {
        let mut of_class: BTreeMap<usize, usize> = BTreeMap::new();
        let mut different = 0;
        for pair in (0..pairs.len()).filter(|&pair| pairs.folds[pair] == fold) {
            if pairs.same[pair] {
                *of_class
                    .entry(labels[pairs.left[pair] as usize])
                    .or_default() += 1;
            } else {
                different += 1;
            }
        }
        // Four classes with pairs per fold. A class with at least two fewer than another has no
        // more.
        assert_eq!(of_class.len(), 4);
        assert!(of_class.values().sum::<usize>() <= 20);
        assert_eq!(different, 50);
        let most = *of_class.values().max().unwrap();
        for (class, &count) in &of_class {
            let rows = labels.iter().filter(|&label| label == class).count();
            assert!(count + 1 >= most || count == rows * (rows - 1) / 2);
        }
    }
    let other = VerificationPairs::sample(&labels, 5, 20, 50, 2).unwrap();
    assert_ne!(pairs, other);
}

#[test]
fn two_huge_classes_need_little_memory() {
    // 2.5 billion different pairs.
    let labels: Vec<usize> = (0..100_000).map(|row| row % 2).collect();
    let pairs = VerificationPairs::sample(&labels, 1, 1000, 1000, 3).unwrap();
    assert_eq!(pairs.len(), 2000);
    check(&labels, &pairs, 1, [1000; 2]);
}

#[test]
fn too_few_classes_are_an_error() {
    let error = |labels: &[usize], folds| {
        VerificationPairs::sample(labels, folds, 10, 10, 0)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(&[1, 1, 2, 2], 0),
        "0 folds: at least 1 fold needed, 0 found"
    );
    assert_eq!(
        error(&[1, 1, 2, 2, 2], 2),
        "2 folds: 4 classes needed, 2 found"
    );
    assert_eq!(
        error(&[1, 1, 2, 3, 4], 2),
        "2 folds: 2 classes of two rows or more needed, 1 found"
    );
    assert_eq!(error(&[], 1), "1 folds: 2 classes needed, 0 found");
    assert!(VerificationPairs::sample(&[1, 1, 2, 2], usize::MAX, 1, 1, 0).is_err());
}

#[test]
fn scores_and_folds_agree_with_copied_rows() {
    let labels = people();
    let embeddings: Vec<f32> = (0..labels.len() * 3)
        .map(|i| ((i * i) as f32 * 0.37).sin() + (labels[i / 3] as f32).cos())
        .collect();
    let embeddings = Matrix::new(&embeddings, labels.len(), 3).unwrap();
    let pairs = VerificationPairs::sample(&labels, 4, 30, 30, 9).unwrap();
    let copied = |rows: &[u32]| -> Vec<f32> {
        rows.iter()
            .flat_map(|&row| embeddings.row(row as usize).unwrap())
            .copied()
            .collect()
    };
    let (left, right) = (copied(&pairs.left), copied(&pairs.right));
    let left = Matrix::new(&left, pairs.len(), 3).unwrap();
    let right = Matrix::new(&right, pairs.len(), 3).unwrap();
    assert_eq!(pairs.cosine_scores(embeddings), cosine_scores(left, right));
    for centred in [false, true] {
        assert_eq!(
            pairs.k_fold(embeddings, centred),
            k_fold_embeddings(left, right, &pairs.same, &pairs.folds, centred)
        );
    }

    let few = Matrix::new(&[1.0; 6], 2, 3).unwrap();
    assert!(matches!(
        pairs.cosine_scores(few),
        Err(Error::PairOutOfRange { .. })
    ));
    let mut uneven = pairs;
    uneven.right.pop();
    assert!(matches!(
        uneven.k_fold(embeddings, true),
        Err(Error::RowCount { .. })
    ));
}
