//! Large buffers that are reused between steps. New memory is slow, because the system maps it page
//! by page and clears each page.

// Only to advise the system on newly allocated memory.
#![cfg_attr(target_os = "linux", allow(unsafe_code))]

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Shorter buffers are cheap: the allocator caches them itself.
const MIN_POOLED_LEN: usize = 1 << 15;
/// A buffer is freed after this many others have come back while it was idle. One step of the
/// largest network returns about fifty.
const MAX_IDLE_RETURNS: u64 = 500;

#[derive(Default)]
struct Pool {
    idle: Vec<(u64, Vec<f32>)>,
    /// Number of buffers on loan, by length. Only these are taken back; nothing would request a
    /// foreign buffer again.
    out: HashMap<usize, u64>,
    given: u64,
}

fn with_pool<T>(run: impl FnOnce(&mut Pool) -> T) -> T {
    static POOL: OnceLock<Mutex<Pool>> = OnceLock::new();
    let pool = POOL.get_or_init(Mutex::default);
    run(&mut pool.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Zeros in new memory. Large buffers use 2 MiB pages where the system supports them, which takes a
/// few hundred page faults instead of a hundred thousand.
pub fn zeros(len: usize) -> Vec<f32> {
    let zeros = vec![0.0; len];
    #[cfg(target_os = "linux")]
    {
        const PAGE: usize = 2 << 20;
        let bytes = len * size_of::<f32>();
        let start = zeros.as_ptr().align_offset(PAGE) * size_of::<f32>();
        if bytes >= 4 * PAGE && start < bytes {
            let inside = (bytes - start) / PAGE * PAGE;
            // SAFETY: the range is within the vector's memory, and the advice changes no content. A
            // failure is harmless.
            unsafe {
                let from = zeros.as_ptr().cast::<u8>().add(start);
                libc::madvise(from.cast_mut().cast(), inside, libc::MADV_HUGEPAGE);
            }
        }
    }
    zeros
}

/// A buffer of `len` floats with arbitrary values, reused if possible.
pub fn take(len: usize) -> Vec<f32> {
    if len < MIN_POOLED_LEN {
        return vec![0.0; len];
    }
    let reused = with_pool(|pool| {
        *pool.out.entry(len).or_default() += 1;
        let at = pool.idle.iter().position(|(_, idle)| idle.len() == len)?;
        Some(pool.idle.swap_remove(at).1)
    });
    reused.unwrap_or_else(|| zeros(len))
}

/// Returns a buffer to the pool for a later [`take`] of the same length.
pub fn give(values: Vec<f32>) {
    let freed = with_pool(|pool| {
        match pool.out.get_mut(&values.len()) {
            Some(out) if *out > 0 => *out -= 1,
            _ => return vec![values],
        }
        pool.given += 1;
        let now = pool.given;
        pool.idle.push((now, values));
        let stale = |buffer: &mut (u64, _)| now - buffer.0 >= MAX_IDLE_RETURNS;
        pool.idle.extract_if(.., stale).map(|(_, b)| b).collect()
    });
    drop(freed); // outside the lock
}

/// Frees all idle buffers.
pub fn clear() {
    drop(with_pool(std::mem::take));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_for_the_same_length() {
        // Lengths that no other test uses.
        let len = 1_234_567;
        let buffer = take(len);
        let place = buffer.as_ptr();
        give(buffer);
        let other = take(len + 1);
        assert_ne!(other.as_ptr(), place);
        let again = take(len);
        assert_eq!(again.as_ptr(), place);
    }

    #[test]
    fn large_buffers_are_zeros_too() {
        for len in [0, 1, 2 << 20, (5 << 20) + 3] {
            let zeros = zeros(len);
            assert!(zeros.len() == len && zeros.iter().all(|&v| v == 0.0));
        }
    }

    #[test]
    fn a_foreign_buffer_is_not_kept() {
        let buffer = vec![1.0; 2_345_678];
        give(buffer);
        assert_eq!(take(2_345_678)[0], 0.0);
    }

    #[test]
    fn an_idle_buffer_is_eventually_freed() {
        let buffer = take(3_456_789);
        give(buffer);
        for _ in 0..MAX_IDLE_RETURNS {
            give(take(MIN_POOLED_LEN + 1));
        }
        assert!(with_pool(|pool| pool
            .idle
            .iter()
            .all(|(_, idle)| idle.len() != 3_456_789)));
    }
}
