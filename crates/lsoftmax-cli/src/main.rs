//! The command `lsoftmax`: every verb is a call into the crates.

mod args;
mod commands;
mod experiments;
mod interrupt;
mod misuse;
mod onnx_runtime;
mod open_set;
mod output;
mod output_options;
mod outputs;
mod pages;
mod results;
mod run_observer;

use clap::Parser as _;
use std::process::ExitCode;
#[cfg(unix)]
use std::sync::{Arc, atomic::AtomicBool};

/// Exit status for invalid usage.
const MISUSE: u8 = 2;
/// Exit status for a failure.
const FAILURE: u8 = 1;

/// Lets a file that grows beyond the limit of `ulimit -f` be an error of the write. Unless somebody
/// listens to the signal, it ends the program without a word.
fn keep_writing() {
    #[cfg(unix)]
    signal_hook::flag::register(
        signal_hook::consts::SIGXFSZ,
        Arc::new(AtomicBool::new(false)),
    )
    .ok();
}

fn main() -> ExitCode {
    let args = match args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => return output::usage(&error),
    };
    keep_writing();
    match commands::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has stopped: nothing is wrong.
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if commands::is_interruption(&error) => {
            output::error(&error);
            ExitCode::from(interrupt::EXIT)
        }
        Err(error) => {
            output::error(&error);
            ExitCode::from(if commands::is_misuse(&error) {
                MISUSE
            } else {
                FAILURE
            })
        }
    }
}
