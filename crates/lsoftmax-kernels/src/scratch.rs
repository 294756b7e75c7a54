//! Working memory that is kept between calls, so that a training step allocates nothing large.

// A slice of cache lines is read as a slice of floats.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// One cache line, the unit of allocation: buffers start on a line.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([f32; LINE]);

/// Floats in a cache line.
pub(crate) const LINE: usize = 16;

thread_local! {
    /// Buffers that this thread has finished with. They stay with the thread, whose cache knows them.
    static POOL: RefCell<Vec<Vec<Line>>> = const { RefCell::new(Vec::new()) };
}

/// A buffer of floats with arbitrary (but initialised) content. Dropping it returns the memory to
/// the pool of the thread that drops it.
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
                // The smallest that is large enough, else the largest, which then grows.
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
        // While a thread ends its pool may be gone; then the memory is simply freed.
        let _ = POOL.try_with(|pool| pool.borrow_mut().push(lines));
    }
}

impl Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: `lines` holds at least `len` floats: `Line` is `repr(C)` and nothing but floats.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above, and borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}
