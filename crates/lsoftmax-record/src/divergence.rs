//! The ways in which a margin training is known to fail.

use serde::{Deserialize, Serialize};

/// How a training died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Divergence {
    /// The loss was no finite number.
    NotFinite,
    /// Features or class weights have shrunk until no logit matters.
    NormCollapse,
    /// They have grown until `f32` cannot tell the logits apart.
    NormBlowUp,
    /// The loss stays at that of guessing.
    Stuck,
    /// The error on the test set is that of guessing.
    Chance,
}

impl Divergence {
    /// What it is, in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotFinite => "the loss is not a finite number",
            Self::NormCollapse => "norm collapse",
            Self::NormBlowUp => "norm blow-up",
            Self::Stuck => "the loss stays at that of guessing",
            Self::Chance => "no better than guessing",
        }
    }
}
