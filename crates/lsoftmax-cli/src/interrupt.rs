//! Ctrl-C: the first one lets the training finish its step and save its state, the second quits at
//! once.

use crate::output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);
/// The message to print before quitting at once, while everything needed to resume is already
/// saved.
static LEAVE: Mutex<Option<String>> = Mutex::new(None);

/// The exit status that shells give to a program ended by Ctrl-C.
pub(crate) const EXIT: u8 = 130;

/// Listens for Ctrl-C and for the signals with which systems end programs. A hang-up that was
/// ignored at the start of the program, as under `nohup`, stays ignored.
#[cfg(unix)]
pub(crate) fn listen() -> anyhow::Result<()> {
    use anyhow::Context as _;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let failed = "cannot listen for signals";
    let mut wanted = vec![SIGINT, SIGTERM];
    if !is_ignored(SIGHUP) {
        wanted.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(wanted).context(failed)?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || signals.forever().for_each(|_| hear()))
        .context(failed)?;
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn listen() -> anyhow::Result<()> {
    use anyhow::Context as _;
    ctrlc::set_handler(hear).context("cannot listen for Ctrl-C")
}

/// Whether a signal is ignored, according to `/proc` on systems that have it.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    is_in_mask(&status, signal)
}

#[cfg(unix)]
fn is_in_mask(status: &str, signal: i32) -> bool {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Handles a signal.
fn hear() {
    let leave = LEAVE.lock().ok().and_then(|mut leave| leave.take());
    let again = ASKED.swap(true, Ordering::SeqCst);
    if let Some(message) = &leave {
        output::note(message);
    }
    if again || leave.is_some() {
        // No file is half-written, since files are created whole or not at all.
        #[allow(clippy::exit)]
        std::process::exit(EXIT.into());
    }
    output::note("stopping after this step; interrupt again to quit at once");
}

/// From now on a signal quits at once with this message. `None` restores the usual behaviour.
pub(crate) fn leave_with(message: Option<String>) {
    if let Ok(mut leave) = LEAVE.lock() {
        *leave = message;
    }
}

/// Whether the training should stop.
pub(crate) fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

#[cfg(all(test, unix))]
mod tests {
    use super::is_in_mask;

    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        let status = "Name:\tx\nSigBlk:\t0000000000000001\nSigIgn:\t0000000000001001\n";
        assert!(is_in_mask(status, 1));
        assert!(!is_in_mask(status, 2));
        assert!(is_in_mask(status, 13));
        assert!(!is_in_mask("SigIgn:\tnonsense\n", 1));
        assert!(!is_in_mask("", 1));
    }
}
