//! Burn's random number generator, which all threads share.

use burn::tensor::Device;
use std::sync::{Mutex, PoisonError};

/// Seeds the generator and runs `draw`. Other users of the generator in this crate wait meanwhile,
/// so that the random numbers depend on the seed only.
pub(crate) fn seeded<T>(device: &Device, seed: u64, draw: impl FnOnce() -> T) -> T {
    static GENERATOR: Mutex<()> = Mutex::new(());
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    device.seed(seed);
    draw()
}
