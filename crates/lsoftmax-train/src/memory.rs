//! Check that a training fits in memory, before it starts.

use crate::error::TrainError;
use burn::tensor::Device;
use lsoftmax_data::Split;
use lsoftmax_networks::is_graphics;
use lsoftmax_networks::{Bytes, NetworkSpec, SpecError};
use lsoftmax_record::{Experiment, NetworkKind};
use lsoftmax_spec::Method;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

/// Checks that an experiment suits its images and, on the CPU, fits in the memory of this machine,
/// so that a run that must fail never starts.
///
/// # Errors
/// The network does not suit the images, or a step takes more memory than the machine has.
pub fn check_fit(
    experiment: &Experiment,
    split: &Split,
    device: &Device,
) -> Result<(), TrainError> {
    let data = &split.train;
    let image = [data.channels, data.height, data.width];
    let NetworkKind::Row(network) = &experiment.network else {
        // The memory use of a custom network is unknown.
        return Ok(());
    };
    let state = match experiment.optimiser.method {
        Method::Sgd { .. } => 1,
        Method::AdamW { .. } => 2,
    };
    let average = u64::from(experiment.averaging.is_some());
    let bytes = step_bytes(network, image, experiment.batch, state + average)?;
    let memory = Bytes(total());
    if is_graphics(device) || bytes.0 <= memory.0 {
        return Ok(());
    }
    Err(TrainError::Network(SpecError::Memory {
        network: network.name.clone(),
        batch: experiment.batch,
        bytes,
        memory,
    }))
}

/// Memory of a step: activations, their gradients where the backward pass currently is, the
/// weights, their gradients, and the values that the optimiser and others keep for each weight.
fn step_bytes(
    network: &NetworkSpec,
    image: [usize; 3],
    batch: usize,
    kept_beside: u64,
) -> Result<Bytes, SpecError> {
    let weights = network.weights(image)? as u64;
    let sizes = network.sizes(image)?;
    let kept = (sizes.kept as u64).saturating_add(sizes.largest as u64);
    let values = kept
        .saturating_mul(batch as u64)
        .saturating_add((2 + kept_beside) * weights);
    Ok(Bytes(values.saturating_mul(size_of::<f32>() as u64)))
}

/// Memory of the machine in bytes, or of the container if that is less.
fn total() -> u64 {
    let what = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(what);
    let limit = system.cgroup_limits().map(|limits| limits.total_memory);
    let found = [Some(system.total_memory()), limit];
    // If the size is unknown, nothing is refused.
    let found = found.into_iter().flatten().filter(|&bytes| bytes > 0);
    found.min().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_grows_with_the_batch_and_never_overflows() {
        let network = NetworkSpec::named("cifar10").unwrap();
        let bytes = |batch| step_bytes(&network, [3, 32, 32], batch, 1).unwrap().0;
        let image = bytes(2) - bytes(1);
        assert_eq!(bytes(256), bytes(1) + 255 * image);
        assert_eq!(bytes(usize::MAX), u64::MAX);
    }

    #[test]
    fn there_is_some_memory() {
        assert!(total() > 1 << 28);
    }
}
