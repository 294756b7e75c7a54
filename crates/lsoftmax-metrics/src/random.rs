//! Random numbers as functions of a seed and keys, so that no draw depends on another thread.

/// A generator for one set of keys: SplitMix64, started from a hash of seed and keys.
#[derive(Debug, Clone)]
pub(crate) struct Rng(u64);

/// The increment of SplitMix64.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// The finaliser of SplitMix64.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Rng {
    /// Creates the generator for these keys.
    pub(crate) fn at(seed: u64, keys: &[u64]) -> Self {
        let start = mix(seed.wrapping_add(GOLDEN));
        Self(keys.iter().fold(start, |state, &key| {
            mix(state.rotate_left(23) ^ mix(key.wrapping_add(GOLDEN)))
        }))
    }

    fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform among 0 .. n, without bias; 0 for n = 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        // Rejects the largest numbers, which do not fill a whole multiple of n.
        let limit = u64::MAX - (u64::MAX % n + 1) % n;
        loop {
            let bits = self.next_u64();
            if bits <= limit {
                return bits % n;
            }
        }
    }

    /// Shuffles `items` (Fisher and Yates).
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_give_equal_numbers_and_different_keys_different_ones() {
        let draw = |seed, keys: &[u64]| Rng::at(seed, keys).next_u64();
        assert_eq!(draw(1, &[2, 3]), draw(1, &[2, 3]));
        let places = [
            draw(1, &[2, 3]),
            draw(1, &[3, 2]),
            draw(2, &[2, 3]),
            draw(1, &[2]),
            draw(0, &[]),
            draw(0, &[0]),
        ];
        for (i, a) in places.iter().enumerate() {
            assert!(!places[..i].contains(a));
        }
    }

    #[test]
    fn draws_are_uniform() {
        let mut rng = Rng::at(7, &[]);
        let n = 70_000;
        let mut counts = [0; 7];
        let mut sum = 0.0;
        for _ in 0..n {
            counts[rng.below(7) as usize] += 1;
            sum += rng.uniform();
        }
        assert!(counts.iter().all(|count| (9_600..10_400).contains(count)));
        assert!((sum / f64::from(n) - 0.5).abs() < 0.01);
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<usize> = (0..100).collect();
        Rng::at(3, &[]).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
