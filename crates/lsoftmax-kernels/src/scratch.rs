//! Working memory kept between calls, so that a training step makes no large allocation.

// A slice of cache lines is read as a slice of floats.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// One cache line, the unit of allocation: buffers start on a line boundary.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Floats in a cache line.
pub(crate) const LINE: usize = 16;

thread_local! {
    /// Free buffers of this thread. They stay with the thread because they are in its cache.
    static POOL: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of floats with arbitrary (but initialised) content. Dropping it returns the memory to
/// the pool of the dropping thread.
pub(crate) struct Scratch {
    lines: Vec<Line>,
    len: usize,
}

impl Scratch {
    /// A buffer of `len` floats of unspecified value.
    pub(crate) fn take(len: usize) -> Self {
        let wanted = len.div_ceil(LINE);
        let mut lines = POOL
            .try_with(|pool| {
                let mut pool = pool.borrow_mut();
                // The smallest buffer that is large enough; otherwise the largest, which then
                // grows.
                let fitting =
                    |lines: &Vec<Line>| (lines.len() < wanted, lines.len().abs_diff(wanted));
                let best = (0..pool.len()).min_by_key(|&at| fitting(&pool[at]));
                best.map(|at| pool.swap_remove(at))
            })
            .ok()
            .flatten()
            .unwrap_or_default();
        if lines.len() < wanted {
            lines.clear(); // nothing to copy
            lines.resize(wanted, Line([0.0; LINE]));
        }
        Self { lines, len }
    }

    /// A buffer of `len` zeros.
    pub(crate) fn zeros(len: usize) -> Self {
        let mut scratch = Self::take(len);
        scratch.fill(0.0);
        scratch
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let lines = std::mem::take(&mut self.lines);
        // The pool may already be gone while a thread ends; the memory is then freed.
        let _ = POOL.try_with(|pool| pool.borrow_mut().push(lines));
    }
}

impl Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: `lines` holds at least `len` floats: `Line` is `repr(C)` and contains only
        // floats.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}
