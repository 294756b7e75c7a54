//! The precision of the convolutions in a training.

use crate::device::is_graphics;
use crate::error::TrainError;
use burn::tensor::{Device, FloatDType};
use serde::{Deserialize, Serialize};

/// What images, activations and their gradients are kept and multiplied in while a network is trained.
///
/// Weights, statistics, the feature layer, the loss and the optimiser are f32 always, and so is every
/// evaluation. On the CPU there is f32 alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
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
pub(crate) const PRECISIONS: &[&str] = &["f32", "bf16", "f16"];

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

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::value::{Error, StrDeserializer};

    #[test]
    fn the_names_are_those_of_files() {
        for &name in PRECISIONS {
            let read = Precision::deserialize(StrDeserializer::<Error>::new(name)).unwrap();
            assert_eq!(read.name(), name);
        }
    }

    #[test]
    fn the_cpu_trains_in_f32() {
        let cpu = Device::flex().autodiff();
        Precision::F32.check(&cpu).unwrap();
        let message = Precision::Bf16.check(&cpu).unwrap_err().to_string();
        assert!(message.contains("--device"), "{message}");
    }
}
