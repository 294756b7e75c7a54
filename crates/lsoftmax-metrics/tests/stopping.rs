//! Long work ends when it is told to.

use lsoftmax_metrics::{
    Error, Matrix, identify_until, k_fold_embeddings_until, k_means_until,
    retrieval_leave_one_out_until, retrieval_until,
};
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_flag_stops_each_and_left_alone_does_not() {
    let values: Vec<f32> = (0..400).map(|i| (i as f32 * 0.37).sin()).collect();
    let rows = Matrix::new(&values, 100, 4).unwrap();
    let labels: Vec<usize> = (0..100).map(|row| row % 5).collect();
    let stop = AtomicBool::new(false);
    let same: Vec<bool> = (0..100).map(|pair| pair % 3 == 0).collect();
    let folded =
        |centred| k_fold_embeddings_until(rows, rows, &same, &labels, centred, &stop).err();
    let errors = || {
        [
            folded(false),
            folded(true),
            k_means_until(rows, 3, 0, 10, &stop).err(),
            retrieval_leave_one_out_until(rows, &labels, &[1], &stop).err(),
            retrieval_until(rows, &labels, rows, &labels, &[1], &stop).err(),
            identify_until(rows, &labels, rows, &labels, &stop).err(),
        ]
    };
    assert_eq!(errors(), [const { None }; 6]);
    stop.store(true, Ordering::Relaxed);
    let stopped = Some(Error::Stopped);
    assert!(errors().iter().all(|error| *error == stopped));
}
