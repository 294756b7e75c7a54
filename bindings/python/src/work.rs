//! Long work beside the interpreter: without its lock, and stopped by Ctrl-C.

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// How often signals and news of the work are looked at.
const TICK: Duration = Duration::from_millis(50);

/// The process that the threads belong to, once there are any.
static OWNER: AtomicU32 = AtomicU32::new(0);

/// Checks that the threads which compute are there. A fork copies only the thread that asks for it, and would
/// then wait for the others for ever.
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

/// Work without the interpreter's lock.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    check_process()?;
    Ok(py.detach(work))
}

/// Work in a thread of its own, while this one answers signals and calls `tick`. If either fails, `stop`
/// is set, the work is waited for, and the error is returned with its result.
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
            // On a thread of the pool, as in the command: each of the many small parallel loops would
            // otherwise wait for one.
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

/// Says that the work is done, also where it panics.
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
