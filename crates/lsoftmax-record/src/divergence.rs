//! The ways in which a margin training is known to fail, and the response to them.

use serde::{Deserialize, Serialize};

/// The way in which a training diverged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Divergence {
    /// The loss was not finite.
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
    /// A short description.
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

/// The response to a training that diverges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDivergence {
    /// Stop, and say why.
    Stop,
    /// Return to the last good checkpoint and continue with a larger λ.
    RaiseLambda {
        /// The maximum number of times.
        recoveries: u32,
    },
}

const STOP: &str = "stop";
const RAISE_LAMBDA: &str = "raise-lambda";
const RECOVERIES: u32 = 3;

impl OnDivergence {
    /// The names accepted by [`named`](Self::named).
    pub const NAMES: &[&str] = &[STOP, RAISE_LAMBDA];

    /// The name used in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => STOP,
            Self::RaiseLambda { .. } => RAISE_LAMBDA,
        }
    }

    /// The response of this name, with a number of recoveries if it has one; 3 unless given.
    pub fn named(name: &str, recoveries: Option<u32>) -> Option<Self> {
        match name {
            STOP => Some(Self::Stop),
            RAISE_LAMBDA => Some(Self::RaiseLambda {
                recoveries: recoveries.unwrap_or(RECOVERIES),
            }),
            _ => None,
        }
    }

    /// The number of recoveries, if it has one.
    pub fn recoveries(self) -> Option<u32> {
        match self {
            Self::Stop => None,
            Self::RaiseLambda { recoveries } => Some(recoveries),
        }
    }
}
