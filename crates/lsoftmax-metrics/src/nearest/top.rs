//! Lists of the best candidates.
//!
//! A candidate is one number, its key: larger is better, and ties in the score go to the lower
//! index. Keys of different rows differ, so that "the k best" is always unique.

/// No candidate: smaller than every key.
pub(crate) const NONE: u64 = 0;

/// The key of a finite score and its row.
pub(crate) fn key(score: f32, index: u32) -> u64 {
    // -0 and +0 are equal scores.
    let bits = (score + 0.0).to_bits();
    let ordered = if bits >> 31 == 1 {
        !bits
    } else {
        bits | 1 << 31
    };
    u64::from(ordered) << 32 | u64::from(!index)
}

/// The score of a key; -infinity for [`NONE`].
pub(crate) fn score(key: u64) -> f32 {
    if key == NONE {
        return f32::NEG_INFINITY;
    }
    let ordered = (key >> 32) as u32;
    f32::from_bits(if ordered >> 31 == 1 {
        ordered & !(1 << 31)
    } else {
        !ordered
    })
}

/// The row of a key.
pub(crate) fn index(key: u64) -> u32 {
    !(key as u32)
}

/// Moves the `k` largest keys to the front, unsorted, and returns the smallest of them.
pub(crate) fn select(keys: &mut [u64], k: usize) -> u64 {
    *keys.select_nth_unstable_by(k - 1, |a, b| b.cmp(a)).1
}

/// For each of several queries, the `k` best candidates so far and some more. A list is cut back to
/// `k` only when it is full, which is cheaper per candidate than keeping it sorted.
pub(crate) struct Lists {
    k: usize,
    keys: Vec<u64>,
    lengths: Vec<u32>,
}

impl Lists {
    /// Capacity of one list.
    pub(crate) fn capacity(k: usize) -> usize {
        k.saturating_mul(2).max(k.saturating_add(32))
    }

    pub(crate) fn new(queries: usize, k: usize) -> Self {
        Self {
            k,
            keys: vec![NONE; queries * Self::capacity(k)],
            lengths: vec![0; queries],
        }
    }

    pub(crate) fn clear(&mut self) {
        self.lengths.fill(0);
    }

    pub(crate) fn list(&self, query: usize) -> &[u64] {
        &self.keys[query * Self::capacity(self.k)..][..self.lengths[query] as usize]
    }

    /// Adds a candidate. If that fills the list, cuts it back and returns the score that later rows
    /// must exceed.
    pub(crate) fn push(&mut self, query: usize, key: u64) -> Option<f32> {
        let capacity = Self::capacity(self.k);
        let list = &mut self.keys[query * capacity..][..capacity];
        let length = &mut self.lengths[query];
        list[*length as usize] = key;
        *length += 1;
        if (*length as usize) < capacity {
            return None;
        }
        *length = self.k as u32;
        Some(score(select(list, self.k)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_by_score_then_by_index() {
        let scores = [f32::MIN, -1.5, -1e-45, 0.0, 1e-45, 1.5, f32::MAX];
        for (at, &low) in scores.iter().enumerate() {
            assert_eq!(score(key(low, 7)), low);
            assert_eq!(index(key(low, 7)), 7);
            assert!(key(low, u32::MAX) > NONE);
            assert!(key(low, 3) > key(low, 4));
            for &high in &scores[at + 1..] {
                assert!(key(high, u32::MAX) > key(low, 0));
            }
        }
        assert_eq!(key(-0.0, 1), key(0.0, 1));
        assert_eq!(score(NONE), f32::NEG_INFINITY);
    }

    #[test]
    fn a_full_list_is_cut_to_the_best() {
        let mut lists = Lists::new(2, 3);
        let capacity = Lists::capacity(3);
        for row in 0..capacity {
            let threshold = lists.push(1, key(row as f32, row as u32));
            let full = row + 1 == capacity;
            assert_eq!(threshold, full.then_some(capacity as f32 - 3.0));
        }
        let mut best: Vec<u32> = lists.list(1).iter().map(|&key| index(key)).collect();
        best.sort_unstable();
        let last = capacity as u32 - 1;
        assert_eq!(best, [last - 2, last - 1, last]);
        assert!(lists.list(0).is_empty());
        lists.clear();
        assert!(lists.list(1).is_empty());
    }
}
