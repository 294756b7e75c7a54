//! `lsoftmax loss` on arrays from outside.

use lsoftmax_data::npy::{Array, Values, read, write};
use std::path::Path;
use std::process::{Command, Output};

fn run(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lsoftmax"))
        .current_dir(dir)
        .args([
            "loss",
            "--features",
            "x.npy",
            "--weights",
            "w.npy",
            "--labels",
            "y.npy",
        ])
        .args(["--out", "out"])
        .args(args)
        .output()
        .unwrap()
}

fn arrays(dir: &Path, x: &Values, w: &Values, y: &[i64]) {
    write(&dir.join("x.npy"), &[2, 2], x).unwrap();
    write(&dir.join("w.npy"), &[2, 2], w).unwrap();
    write(&dir.join("y.npy"), &[y.len()], &Values::Int(y.to_vec())).unwrap();
}

fn values(array: Array) -> Vec<f64> {
    match array.values {
        Values::F32(v) => v.into_iter().map(f64::from).collect(),
        Values::F64(v) => v,
        Values::Int(_) => panic!("integers"),
    }
}

// x = [[3, 4], [1, 0]], w = [[2, 0], [0, 1]], y = [0, 0], m = 2, lambda = 1.
// Row 0: c = 0.6, |w||x| = 10, psi = 2 c^2 - 1 = -0.28, target (6 - 2.8)/2 = 1.6, other 4.
// Row 1: c = 1, psi = 1, target 2, other 0.
#[test]
fn the_loss_and_its_gradient_in_the_precision_of_the_input() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let (x, w) = ([3.0, 4.0, 1.0, 0.0], [2.0, 0.0, 0.0, 1.0]);
    let single = |v: [f64; 4]| Values::F32(v.iter().map(|&v| v as f32).collect());
    for (x, w, tolerance) in [
        (Values::F64(x.to_vec()), Values::F64(w.to_vec()), 1e-7),
        (single(x), single(w), 1e-5),
    ] {
        arrays(path, &x, &w, &[0, 0]);
        let output = run(
            path,
            &[
                "--loss",
                "l-softmax",
                "--margin",
                "2",
                "--lambda",
                "1",
                "--json",
            ],
        );
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let out = |name: &str| read(&path.join("out").join(name)).unwrap();
        let loss = out("loss.npy");
        assert_eq!(loss.shape, Vec::<usize>::new());
        assert_eq!(
            matches!(loss.values, Values::F64(_)),
            matches!(x, Values::F64(_))
        );
        let first = (1.0 + (4.0f64 - 1.6).exp()).ln();
        let second = (1.0 + (-2.0f64).exp()).ln();
        let expected = f64::midpoint(first, second);
        assert!((values(loss)[0] - expected).abs() < tolerance);
        assert_eq!(values(out("logits.npy")), [6.0, 4.0, 2.0, 0.0]);
        let (dx, dw) = (out("grad_features.npy"), out("grad_weights.npy"));
        assert_eq!(
            (dx.shape.clone(), dw.shape.clone()),
            (vec![2, 2], vec![2, 2])
        );
        // Euler: sum of x dx is that of the logits weighted with softmax - onehot.
        let inner: f64 = values(dx)
            .iter()
            .zip([3.0, 4.0, 1.0, 0.0])
            .map(|(d, x)| d * x)
            .sum();
        let p = |other: f64, target: f64| 1.0 / (1.0 + (target - other).exp());
        let weighted = f64::midpoint(p(4.0, 1.6) * (4.0 - 1.6), p(0.0, 2.0) * (0.0 - 2.0));
        assert!(
            (inner - weighted).abs() < 10.0 * tolerance,
            "{inner} {weighted}"
        );
    }
}

#[test]
fn arrays_that_do_not_fit_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let four = Values::F32(vec![1.0; 4]);
    let complaint = |args: &[&str]| {
        let output = run(path, args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            !output.status.success() && text.trim_end().lines().count() == 1,
            "{text}"
        );
        assert!(!path.join("out").exists());
        text
    };
    arrays(path, &four, &four, &[0, 2]);
    assert!(
        complaint(&[]).contains("label 2 in row 1 is out of range: there are 2 classes (0 to 1)")
    );
    arrays(path, &four, &four, &[-1, 0]);
    assert!(complaint(&[]).contains("label -1 in row 0"));
    arrays(path, &four, &four, &[0, 1, 1]);
    assert!(complaint(&[]).contains("y.npy has 3 labels, but x.npy has 2 rows"));
    arrays(path, &four, &four, &[0, 1]);
    assert!(complaint(&["--margin", "0"]).contains("from 1 to 16, found 0"));
    assert!(complaint(&["--lambda=-2"]).contains("at least 0"));
    write(&path.join("w.npy"), &[4, 1], &four).unwrap();
    assert!(complaint(&[]).contains("both need the same feature size"));
    std::fs::write(path.join("w.npy"), b"not an array").unwrap();
    assert!(complaint(&[]).contains("w.npy: expected a .npy file"));
}
