//! The command `lsoftmax`. Each subcommand only calls the library crates.

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

/// Makes writing beyond the limit of `ulimit -f` an error. Without a handler for it, the signal
/// would end the program without a message.
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
        // The reader of our output has stopped reading, which is not an error.
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
