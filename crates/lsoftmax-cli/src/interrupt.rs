//! Ctrl-C: the first lets the step end and the training save itself, the second leaves at once.

use crate::output;
use anyhow::Context as _;
use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// What a shell says of a program that ended by Ctrl-C.
pub(crate) const EXIT: u8 = 130;

/// Listens for Ctrl-C, and for the signals by which systems end programs.
pub(crate) fn listen() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        if ASKED.swap(true, Ordering::SeqCst) {
            // Nothing is half-written: files appear whole or not at all.
            #[allow(clippy::exit)]
            std::process::exit(EXIT.into());
        }
        output::note("stopping after this step; once more leaves at once");
    })
    .context("cannot listen for Ctrl-C")
}

/// Whether the training is to stop.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}
