//! Our side of the benchmark: a worker that does what it is told, a JSON line at a time.
//!
//! `bench.py` starts it, and PyTorch's worker, once for each case and lets them work in turn.

mod head;
mod inference;
mod train;
mod worker;

use clap::{Parser, Subcommand};
use std::path::PathBuf;

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    case: Case,
}

#[derive(Subcommand)]
enum Case {
    /// Writes the first weights and ten batches that both sides train on.
    Prepare {
        network: String,
        batch: usize,
        dir: PathBuf,
    },
    /// Steps of a training.
    Train { dir: PathBuf },
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

fn main() -> anyhow::Result<()> {
    let case = Arguments::parse().case;
    // As the command `lsoftmax` does.
    rayon::scope(|_| run(case))
}

fn run(case: Case) -> anyhow::Result<()> {
    match case {
        Case::Prepare {
            network,
            batch,
            dir,
        } => train::prepare(&network, batch, &dir),
        Case::Train { dir } => train::run(&dir),
        Case::Inference { dir } => inference::run(&dir),
        Case::Head {
            batch,
            feature,
            classes,
            m,
            lambda,
        } => head::run(batch, feature, classes, m, lambda),
    }
}
