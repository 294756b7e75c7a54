//! The precision of the convolutions in a training.

use serde::{Deserialize, Serialize};

/// The number format of images, activations and their gradients while a network is trained.
///
/// Weights, statistics, the feature layer, the loss and the optimiser are f32 always, and so is every
/// evaluation. On the CPU there is f32 alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
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

impl Precision {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::F16];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        }
    }

    /// The precision of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|precision| precision.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for precision in Precision::ALL {
            assert_eq!(Precision::named(precision.name()), Some(precision));
        }
        assert_eq!(Precision::named("f17"), None);
    }
}
