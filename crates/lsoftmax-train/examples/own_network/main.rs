//! Trains a custom network with L-Softmax: `cargo run --release --example own_network`.
//!
//! `network.rs` defines the network, a Burn module. This file trains it on generated images in a
//! run folder, loads the model again, and evaluates it.

// Printing the results is the purpose of this program.
#![allow(clippy::print_stdout)]

mod network;

use burn::tensor::Device;
use lsoftmax_train::{
    Experiment, MODEL_FILE, Model, Network as _, RunFolder, Settings, TrainError, evaluate,
    load_data, train_network,
};
use network::{SmallResNet, SmallResNetConfig};
use std::path::Path;

fn main() -> Result<(), TrainError> {
    let config = SmallResNetConfig {
        widths: vec![16, 32],
        feature: 64,
        dropout: 0.1,
    };
    let settings = Settings {
        data: Some("glyphs".into()),
        network: Some(SmallResNet::kind(&config)?.into()),
        loss: Some("l-softmax".into()),
        iterations: Some(300),
        batch: Some(64),
        learning_rate: Some(0.1),
        evaluations: Some(3),
        ..Settings::default()
    };
    let experiment = Experiment::resolve(settings, Settings::default())?;
    let split = load_data(&experiment)?;
    let device = Device::flex();

    let folder = std::env::args().nth(1).unwrap_or("own-network".into());
    let folder = Path::new(&folder);
    let mut run = RunFolder::create(folder, &experiment, &split)?;
    let trained = train_network::<SmallResNet>(&experiment, &split, &device, &mut run)?;
    run.finish(&trained)?;
    for point in &trained.outcome.curve {
        if let Some(error) = point.test_error_percent {
            println!("step {}: test error {error:.2} %", point.step);
        }
    }

    let (model, info) = Model::<SmallResNet>::load_network(&folder.join(MODEL_FILE), &device)?;
    let found = evaluate(&model, &info, &split.test)?;
    println!(
        "{}: {:.2} % wrong, mean angle to the own class {:.1}°",
        folder.join(MODEL_FILE).display(),
        found.error_percent,
        found.mean_target_angle_deg
    );
    Ok(())
}
