//! Burn's generator of random numbers, which all threads share.

use burn::tensor::Device;
use std::sync::{Mutex, PoisonError};

/// Runs what draws from the generator, seeded. Others of this crate wait meanwhile, so that what is
/// drawn is a function of the seed.
pub(crate) fn seeded<T>(device: &Device, seed: u64, draw: impl FnOnce() -> T) -> T {
    static GENERATOR: Mutex<()> = Mutex::new(());
    let _alone = GENERATOR.lock().unwrap_or_else(PoisonError::into_inner);
    device.seed(seed);
    draw()
}
