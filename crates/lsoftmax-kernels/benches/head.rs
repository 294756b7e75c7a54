//! Benchmarks the head: the cross-entropy of a margin loss with both gradients.
//!
//! `cargo bench -p lsoftmax-kernels --bench head [-- batch [feature]]`
//!
//! Prints milliseconds and, in parentheses, the share in percent of the machine's measured peak
//! that the unavoidable products need: one for the loss, three with the gradient.
#![allow(clippy::print_stdout)]

mod common;

use common::{argument, noise, peak, time};
use lsoftmax_kernels::head::{
    Batch, Normalisation, Target, TargetLogit, cross_entropy, cross_entropy_with_gradient,
};

/// L-Softmax with m = 2.
fn margin(t: Target) -> TargetLogit {
    let (c, product) = (t.cosine, t.feature_norm * t.weight_norm);
    let psi = if c >= 0.0 {
        2.0 * c * c - 1.0
    } else {
        -2.0 * c * c - 1.0
    };
    TargetLogit {
        value: product * psi,
        d_cosine: product * 4.0 * c.abs(),
        d_feature_norm: t.weight_norm * psi,
        d_weight_norm: t.feature_norm * psi,
    }
}

fn main() {
    let (size, columns) = (argument(0, 256), argument(1, 512));
    let peak = peak(&format!("batch {size}, feature {columns}"));
    for classes in [10, 100, 1_000, 10_000, 100_000, 1_000_000] {
        let x = noise(size * columns, 1, 1.0);
        let w = noise(classes * columns, 2, 0.05);
        let labels: Vec<u32> = (0..size).map(|i| (i * 7919 % classes) as u32).collect();
        let batch = Batch::new(&x, &w, &labels, classes, columns).expect("lengths fit");
        let (mut dx, mut dw) = (vec![0.0; x.len()], vec![0.0; w.len()]);
        let product = 2e-4 / peak * (size * columns * classes) as f64;
        let none = Normalisation::default();
        let forward = time(|| drop(cross_entropy(&batch, none, &margin)));
        let both = time(|| {
            cross_entropy_with_gradient(&batch, none, &margin, &mut dx, &mut dw)
                .expect("lengths fit");
        });
        println!(
            "{classes:8} classes  loss {forward:9.3} ({:3.0})  with gradient {both:9.3} ({:3.0})",
            product / forward,
            3.0 * product / both
        );
    }
}
