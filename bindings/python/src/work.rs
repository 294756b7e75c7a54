//! Long-running work outside the interpreter lock, which Ctrl-C can stop.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// Interval at which signals and reports are checked.
const TICK: Duration = Duration::from_millis(50);

/// The process that owns the threads, once they exist.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// Checks that the worker threads exist in this process. A fork copies only the calling thread,
/// which would then wait for the others forever.
fn check_process() -> PyResult<()> {
    let own = std::process::id();
    match OWNER.compare_exchange(0, own, Ordering::SeqCst, Ordering::SeqCst) {
        Ok(_) => Ok(()),
        Err(owner) if owner == own => Ok(()),
        Err(_) => Err(PyRuntimeError::new_err(
            "lsoftmax was used before this process was forked, and its threads are not in the copy: \
             start processes with multiprocessing's method \"spawn\" or \"forkserver\"",
        )),
    }
}

/// Runs work without the interpreter lock.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    check_process()?;
    Ok(py.detach(work))
}

/// Runs work in another thread, while this one handles signals and calls `tick`. If either fails,
/// sets `stop`, waits for the work to end, and returns the error with its result.
pub(crate) fn beside<T: Send>(
    py: Python<'_>,
    stop: &AtomicBool,
    work: impl FnOnce() -> T + Send,
    mut tick: impl FnMut(Python<'_>) -> PyResult<()>,
) -> PyResult<(T, Option<PyErr>)> {
    check_process()?;
    let done = AtomicBool::new(false);
    let done = &done;
    let waiting = thread::current();
    thread::scope(|scope| {
        let worker = scope.spawn(move || {
            let _done = Done { done, waiting };
            // Run on a thread of the pool, as the command does. Otherwise each of the many small
            // parallel loops would wait for a pool thread.
            rayon::scope(|_| work())
        });
        let mut failed = None;
        loop {
            let is_done = done.load(Ordering::SeqCst);
            if failed.is_none()
                && let Err(error) = py.check_signals().and_then(|()| tick(py))
            {
                stop.store(true, Ordering::SeqCst);
                failed = Some(error);
            }
            if is_done {
                break;
            }
            py.detach(|| thread::park_timeout(TICK));
        }
        let found = py.detach(|| worker.join());
        Ok((found.unwrap_or_else(|panic| resume_unwind(panic)), failed))
    })
}

/// Signals the end of the work, even if it panics.
struct Done<'a> {
    done: &'a AtomicBool,
    waiting: thread::Thread,
}

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        self.waiting.unpark();
    }
}
