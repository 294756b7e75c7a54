//! Faces aligned by `OpenCV` and scikit-image (`golden/face_alignment.py`), and ours.

use lsoftmax_data::MemoryLayout;
use lsoftmax_data::faces::{Alignment, FaceTemplate, FivePoints};
use lsoftmax_data::npy::{self, Values};
use std::path::Path;

fn golden(name: &str) -> npy::Array {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/face_alignment");
    npy::read(&folder.join(name)).unwrap()
}

fn floats(name: &str) -> Vec<f64> {
    let Values::F64(values) = golden(name).values else {
        panic!("{name} holds no float64")
    };
    values
}

/// `[height, width, channels]`, as the program draws it.
fn image(smooth: bool, [height, width, channels]: [u64; 3]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for y in 0..height {
        for x in 0..width {
            for c in 0..channels {
                bytes.push(if smooth {
                    let folded = (3 * x + 2 * y + x * y / 64 + 85 * c) % 510;
                    folded.min(510 - folded) as u8
                } else {
                    ((x * 73 + y * 151 + c * 31 + 7).pow(2) % 65521 % 256) as u8
                });
            }
        }
    }
    bytes
}

#[test]
fn faces_are_those_of_opencv_and_scikit_image() {
    use FaceTemplate::{Arc112x112, Sphere112x96};
    let cases = [
        (true, [250, 250, 3], Sphere112x96),
        (true, [200, 180, 1], Arc112x112),
        (false, [90, 120, 3], Arc112x112),
        (false, [250, 250, 1], Sphere112x96),
        (true, [500, 600, 1], Arc112x112),
        (false, [500, 600, 3], Sphere112x96),
    ];
    let landmarks = floats("landmarks.npy");
    let matrices = floats("matrices.npy");
    assert_eq!((landmarks.len(), matrices.len()), (6 * 10, 6 * 6));
    for (number, (smooth, shape, template)) in cases.into_iter().enumerate() {
        let landmarks = &landmarks[number * 10..][..10];
        let points: FivePoints = std::array::from_fn(|i| [landmarks[2 * i], landmarks[2 * i + 1]]);
        let alignment = Alignment::estimate(&points, template).unwrap();
        let matrix = alignment.similarity().matrix();
        for (found, expected) in matrix.iter().flatten().zip(&matrices[number * 6..]) {
            assert!(
                (found - expected).abs() < 1e-9,
                "case {number}: {found} {expected}"
            );
        }

        let face = golden(&format!("face_{number}.npy"));
        let [height, width, channels] = shape.map(|size| size as usize);
        let [rows, columns] = template.size();
        assert_eq!(face.shape, [rows, columns, channels]);
        let Values::Int(expected) = face.values else {
            panic!("a face is bytes")
        };
        let found = alignment
            .warp(
                &image(smooth, shape),
                [channels, height, width],
                MemoryLayout::Nhwc,
            )
            .unwrap();
        let worst = found
            .iter()
            .zip(&expected)
            .map(|(&found, expected)| (i64::from(found) - expected).abs())
            .max();
        // OpenCV's places are rounded; scikit-image differs in how halves are rounded only.
        assert!(
            worst <= Some(if smooth { 2 } else { 1 }),
            "case {number}: {worst:?}"
        );
    }
}
