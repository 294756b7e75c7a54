//! `lsoftmax loss` on arrays from other programs.

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
        // Euler's theorem: the sum of x dx equals that of the logits weighted by softmax - onehot.
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
    assert!(complaint(&["--margin", "0"]).contains("from 1 to 16 for l-softmax, found 0"));
    assert!(complaint(&["--lambda=-2"]).contains("at least 0"));
    for loss in ["softmax", "arc-face", "cos-face", "am-softmax", "combined"] {
        let text = complaint(&["--loss", loss, "--lambda", "5"]);
        assert!(text.contains("--lambda must be left out"), "{text}");
    }
    write(&path.join("w.npy"), &[4, 1], &four).unwrap();
    assert!(complaint(&[]).contains("both need the same feature size"));
    std::fs::write(path.join("w.npy"), b"not an array").unwrap();
    assert!(complaint(&[]).contains("w.npy: expected a .npy file"));
}

/// A value that is not finite is reported with its file, row and column, and nothing is written.
#[test]
fn values_that_are_no_finite_numbers_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let good = [3.0, 4.0, 1.0, 0.5];
    let refused = |expected: &[&str], args: &[&str]| {
        let output = run(path, args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(output.stdout.is_empty());
        assert_eq!(text.trim_end().lines().count(), 1, "{text}");
        for part in expected {
            assert!(text.contains(part), "{text}");
        }
        assert!(!path.join("out").exists());
    };
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for at in 0..4 {
            let mut values = good;
            values[at] = bad;
            let place = format!("{bad} in row {}, column {}", at / 2, at % 2);
            let single = Values::F32(values.iter().map(|&v| v as f32).collect());
            let double = Values::F64(values.to_vec());
            arrays(path, &single, &Values::F64(good.to_vec()), &[0, 1]);
            refused(&["x.npy has ", &place], &["--json"]);
            arrays(path, &Values::F64(good.to_vec()), &double, &[0, 1]);
            refused(&["w.npy has ", &place], &["--loss", "arc-face"]);
        }
    }
    // In Fortran order, values are at another place in the file than in the matrix.
    let header = "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 2), }\n";
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    for value in [1.0, f64::NAN, 2.0, 3.0] {
        bytes.extend(value.to_le_bytes());
    }
    std::fs::write(path.join("x.npy"), bytes).unwrap();
    refused(&["x.npy has NaN in row 1, column 0"], &[]);
    // Finite numbers whose logits overflow in their precision.
    let huge = Values::F32(vec![1e30; 4]);
    arrays(path, &huge, &huge, &[0, 1]);
    refused(
        &["logits would hold inf", "float64"],
        &["--loss", "softmax"],
    );
    // Flags: nan and inf parse as floats.
    arrays(path, &huge, &huge, &[0, 1]);
    for (flag, value) in [
        ("--lambda", "nan"),
        ("--lambda", "inf"),
        ("--margin", "nan"),
        ("--scale", "inf"),
    ] {
        let output = run(path, &["--loss", "arc-face", flag, value]);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(
            text.contains(flag) && text.contains("a finite number"),
            "{text}"
        );
    }
}

/// `logits.npy` contains the logits that the loss trains: inner products, |x| cos θ, or s cos θ.
#[test]
fn logits_are_those_of_the_loss_without_margin() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    // |x| = 5 and 1; the second class weight is ten times as long as the first.
    let x = Values::F64(vec![3.0, 4.0, 1.0, 0.0]);
    let w = Values::F64(vec![1.0, 0.0, 0.0, 10.0]);
    arrays(path, &x, &w, &[0, 1]);
    for (args, expected) in [
        (&["--loss", "softmax"][..], [3.0, 40.0, 1.0, 0.0]),
        (
            &["--loss", "l-softmax", "--lambda", "2"],
            [3.0, 40.0, 1.0, 0.0],
        ),
        (&["--loss", "a-softmax"], [3.0, 4.0, 1.0, 0.0]),
        (
            &["--loss", "arc-face", "--scale", "10"],
            [6.0, 8.0, 10.0, 0.0],
        ),
        (
            &["--loss", "cos-face", "--scale", "1"],
            [0.6, 0.8, 1.0, 0.0],
        ),
        (
            &["--loss", "combined", "--scale", "5"],
            [3.0, 4.0, 5.0, 0.0],
        ),
    ] {
        let output = run(path, args);
        assert!(output.status.success(), "{args:?}");
        let found = values(read(&path.join("out/logits.npy")).unwrap());
        let near = found
            .iter()
            .zip(expected)
            .all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(near, "{args:?}: {found:?}");
    }
}
