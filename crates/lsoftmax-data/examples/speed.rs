//! Measures how fast images are drawn and batches made; prints the best of five.

#![expect(clippy::print_stdout, reason = "prints its measurements")]

use lsoftmax_data::glyphs::{Difficulty, Stream, alphabet, digits};
use lsoftmax_data::{Augmentation, DataError, Dataset, LoadPlan, Loader, MemoryLayout};
use std::hint::black_box;
use std::time::Instant;

/// Prints the time of the fastest of five rounds.
fn best(what: &str, unit: &str, count: f64, mut round: impl FnMut()) {
    let seconds = (0..5).map(|_| {
        let start = Instant::now();
        round();
        start.elapsed().as_secs_f64()
    });
    let seconds = seconds.fold(f64::INFINITY, f64::min);
    println!("{what}: {seconds:.3} s, {:.0} {unit}/s", count / seconds);
}

fn main() -> Result<(), DataError> {
    let difficulty = Difficulty::default();
    best("24,000 digits", "images", 24_000.0, || {
        black_box(digits(0, Stream::Train, 24_000, &difficulty));
    });
    best("24,000 characters", "images", 24_000.0, || {
        black_box(alphabet(0, Stream::Train, 0..40, 600, &difficulty));
    });
    for (name, shape) in [("28x28 grey", [1, 28, 28]), ("32x32 colour", [3, 32, 32])] {
        let images = (0..10_000 * shape.iter().product::<usize>())
            .map(|i| (i * 7) as u8)
            .collect();
        let labels = (0..10_000).map(|i| i % 10).collect();
        let names = (0..10).map(|class| class.to_string()).collect();
        let data = Dataset::new(images, labels, shape, names)?;
        for augmentation in [Augmentation::none(), Augmentation::cifar_plus()] {
            for layout in [MemoryLayout::Nchw, MemoryLayout::Nhwc] {
                let plan = LoadPlan {
                    preprocessing: data.preprocessing(),
                    data: data.clone(),
                    augmentation,
                    layout,
                    batch: 128,
                    images_per_class: None,
                    seed: 0,
                    steps: 0..400,
                };
                let what = format!("{name}, {augmentation:?}, {layout:?}");
                best(&what, "images", 400.0 * 128.0, || {
                    black_box(Loader::start(plan.clone()).map(Iterator::count)).ok();
                });
            }
        }
    }
    Ok(())
}
