//! The precision of the convolutions in a training.

use crate::device::is_graphics;
use crate::error::TrainError;
use crate::experiment::unknown_name;
use burn::tensor::{Device, FloatDType};
use std::str::FromStr;

/// What images, activations and their gradients are kept and multiplied in while a network is trained.
///
/// Weights, statistics, the feature layer, the loss and the optimiser are f32 always, and so is every
/// evaluation. On the CPU there is f32 alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// 24 bits; on NVIDIA's cards the products may be TF32, as Burn chooses them.
    #[default]
    F32,
    /// 8 bits, with the range of f32.
    Bf16,
    /// 11 bits. Gradients are scaled, so that small ones are not lost, and what is too large becomes
    /// the largest number instead of an infinity.
    F16,
}

/// The names that `--precision` knows.
const PRECISIONS: &[&str] = &["f32", "bf16", "f16"];

impl Precision {
    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    pub(crate) fn dtype(self) -> FloatDType {
        match self {
            Self::F32 => FloatDType::F32,
            Self::Bf16 => FloatDType::BF16,
            Self::F16 => FloatDType::F16,
        }
    }

    /// Whether a device trains in it.
    ///
    /// # Errors
    /// It does not.
    pub fn check(self, device: &Device) -> Result<(), TrainError> {
        if self == Self::F32 || (is_graphics(device) && device.supports_dtype(self.dtype())) {
            return Ok(());
        }
        let expected = if is_graphics(device) {
            "one that the device computes in, such as f32"
        } else {
            "f32 on the CPU; for others name a graphics processor with --device"
        };
        Err(TrainError::setting("precision", expected, self.name()))
    }
}

impl FromStr for Precision {
    type Err = TrainError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let all = [Self::F32, Self::Bf16, Self::F16].into_iter();
        let mut found = all.filter(|precision| precision.name() == name);
        let wrong = || unknown_name("precision", PRECISIONS, name);
        found.next().ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for &name in PRECISIONS {
            assert_eq!(name.parse::<Precision>().unwrap().name(), name);
        }
        let message = "f17".parse::<Precision>().unwrap_err().to_string();
        assert!(message.contains("f16"), "{message}");
    }

    #[test]
    fn the_cpu_trains_in_f32() {
        let cpu = Device::flex().autodiff();
        Precision::F32.check(&cpu).unwrap();
        let message = Precision::Bf16.check(&cpu).unwrap_err().to_string();
        assert!(message.contains("--device"), "{message}");
    }
}
