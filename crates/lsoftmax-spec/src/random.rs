//! Random numbers as functions of a seed and keys, without shared generator state.
//!
//! [`Rng::at`] starts a generator from a seed and a list of keys (a stream, an epoch, an index), so
//! that any number can be reproduced without the preceding ones, on any thread.

/// A generator for one set of keys: SplitMix64, started from a hash of seed and keys.
#[derive(Clone, Debug)]
pub struct Rng(u64);

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
    pub fn at(seed: u64, keys: &[u64]) -> Self {
        let start = mix(seed.wrapping_add(GOLDEN));
        Self(keys.iter().fold(start, |state, &key| {
            mix(state.rotate_left(23) ^ mix(key.wrapping_add(GOLDEN)))
        }))
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// Uniform in [0, 1), a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in [low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform among 0 .. n, without bias; 0 for n = 0.
    pub fn below(&mut self, n: u64) -> u64 {
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
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }

    /// True with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.uniform() < probability
    }

    /// Gaussian with mean 0 and standard deviation 1 (Box and Muller), with the same bits on every
    /// machine.
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * libm::log(1.0 - self.uniform())).sqrt();
        radius * libm::cos(2.0 * std::f64::consts::PI * self.uniform())
    }
}

/// A random permutation of 0 .. n, determined by seed and keys.
pub fn permutation(seed: u64, keys: &[u64], n: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..n as u32).collect();
    Rng::at(seed, keys).shuffle(&mut order);
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_give_equal_numbers_and_different_keys_different_ones() {
        let draw = |seed, keys: &[u64]| {
            let mut rng = Rng::at(seed, keys);
            [rng.next_u64(), rng.next_u64(), rng.next_u64()]
        };
        assert_eq!(draw(1, &[2, 3]), draw(1, &[2, 3]));
        let places = [
            draw(1, &[2, 3]),
            draw(1, &[3, 2]),
            draw(2, &[2, 3]),
            draw(1, &[2]),
            draw(1, &[2, 3, 0]),
            draw(0, &[]),
            draw(0, &[0]),
            draw(0, &[0, 0]),
        ];
        for (i, a) in places.iter().enumerate() {
            for b in &places[..i] {
                assert_ne!(a, b);
            }
        }
    }

    #[test]
    fn moments_are_right() {
        let mut rng = Rng::at(7, &[]);
        let n = 200_000;
        let normal: Vec<f64> = (0..n).map(|_| rng.normal()).collect();
        let mean = normal.iter().sum::<f64>() / n as f64;
        let var = normal.iter().map(|v| v * v).sum::<f64>() / n as f64;
        assert!(
            mean.abs() < 0.01 && (var - 1.0).abs() < 0.02,
            "{mean} {var}"
        );
        let mut counts = [0; 7];
        for _ in 0..n {
            counts[rng.below(7) as usize] += 1;
        }
        assert!(
            counts
                .iter()
                .all(|&c| (c as f64 / n as f64 - 1.0 / 7.0).abs() < 0.005)
        );
    }

    #[test]
    fn a_permutation_has_each_number_once() {
        let mut order = permutation(3, &[0], 1000);
        assert_ne!(order, permutation(3, &[1], 1000));
        order.sort_unstable();
        assert!(order.iter().enumerate().all(|(i, &v)| i as u32 == v));
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
