//! Our side of the benchmark: a worker that does what it is told, a JSON line at a time.
//!
//! `bench.py` starts it, and PyTorch's worker, once for each case and lets them work in turn.

mod head;
mod inference;
mod train;
mod worker;

use clap::{Parser, Subcommand};
use lsoftmax_train::{DeviceChoice, Precision};
use std::io::Write;
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    /// Where to compute, as of the command `lsoftmax`.
    #[arg(long, default_value_t = DeviceChoice::CPU)]
    device: DeviceChoice,
    #[command(subcommand)]
    case: Case,
}

#[derive(Subcommand)]
enum Case {
    /// Prints the name of the instruction set that the kernels use.
    Level,
    /// Writes the first weights and ten batches that both sides train on.
    Prepare {
        network: String,
        batch: usize,
        dir: PathBuf,
    },
    /// Steps of a training.
    Train {
        dir: PathBuf,
        #[arg(long, default_value = "f32", value_parser = precision)]
        precision: Precision,
    },
    /// Features of images, in evaluation mode.
    Inference { dir: PathBuf },
    /// A loss with its gradients: m = 1 is softmax.
    Head {
        batch: usize,
        feature: usize,
        classes: usize,
        m: u32,
        lambda: f64,
    },
}

fn precision(name: &str) -> Result<Precision, String> {
    Precision::named(name).ok_or_else(|| format!("expected f32, bf16 or f16, found {name:?}"))
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    // As the command `lsoftmax` does.
    rayon::scope(|_| run(arguments))
}

fn run(Arguments { device, case }: Arguments) -> anyhow::Result<()> {
    if matches!(case, Case::Level) {
        return Ok(writeln!(
            std::io::stdout(),
            "{}",
            lsoftmax_kernels::level()
        )?);
    }
    let device = device.open()?;
    match case {
        Case::Level => Ok(()),
        Case::Prepare {
            network,
            batch,
            dir,
        } => train::prepare(&network, batch, &dir),
        Case::Train { dir, precision } => train::run(&dir, precision, &device),
        Case::Inference { dir } => inference::run(&dir, &device),
        Case::Head {
            batch,
            feature,
            classes,
            m,
            lambda,
        } => head::run([batch, feature, classes], m, lambda, &device),
    }
}
