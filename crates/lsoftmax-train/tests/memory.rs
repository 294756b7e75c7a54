//! The memory of a training. Alone in its program, whose peak it measures.

#![cfg(target_os = "linux")]

use lsoftmax_train::{DeviceChoice, Experiment, Settings, load_data, train};

/// The most memory that this process has held so far, in MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.unwrap().trim_end_matches("kB").trim();
    kilobytes.parse::<u64>().unwrap() >> 10
}

/// The peak after a few steps, with or without an average of the weights.
fn after_training(ema_decay: Option<f64>) -> u64 {
    let settings = Settings {
        network: Some("compact".parse().unwrap()),
        train_samples: Some(10_000),
        test_samples: Some(200),
        iterations: Some(4),
        batch: Some(256),
        ema_decay,
        ..Settings::default()
    };
    let experiment = Experiment::resolve(settings, Settings::default()).unwrap();
    let split = load_data(&experiment).unwrap();
    let device = DeviceChoice::CPU.open().unwrap();
    train(&experiment, &split, &device, &mut ()).unwrap();
    peak()
}

/// The statistics of an average are computed over many batches without a backward pass, in which Burn would
/// otherwise keep the activations of all of them.
#[test]
fn the_statistics_of_an_average_take_the_memory_of_one_batch() {
    let without = after_training(None);
    let with = after_training(Some(0.9));
    assert!(
        with < without + 150,
        "{without} MiB, and {with} with an average"
    );
}
