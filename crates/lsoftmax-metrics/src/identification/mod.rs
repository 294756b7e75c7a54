//! Identification (1:N): whose image is it?
//!
//! Compares a probe with every image of a gallery by cosine; the best image of an identity counts.
//! A probe whose identity is in the gallery is *mated*. Closed set: the rank of the right identity
//! ([`Identification::cmc`]). Open set: a threshold must also reject the probes that are not mated
//! ([`Identification::tpir_at_fpir`]).

mod gallery;
mod rates;

pub use gallery::{identify, identify_until};
pub use rates::{OpenSetPoint, TpirAtFpir};

use serde::{Deserialize, Serialize};

/// The result of [`identify`] for each probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identification {
    /// Number of identities in the gallery.
    pub identities: usize,
    /// The probes whose identity is in the gallery, in order.
    pub mated: Vec<MatedProbe>,
    /// The probes whose identity is not in the gallery, in order.
    pub non_mated: Vec<NonMatedProbe>,
}

/// A probe whose identity is in the gallery.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MatedProbe {
    /// Row of the probe.
    pub probe: usize,
    /// Rank of its identity, from 1: one more than the number of other identities with an equal or
    /// higher score. The right identity ranks last among equal scores, so that a model that gives
    /// everybody the same embedding identifies nobody.
    pub rank: usize,
    /// The best score of its identity.
    pub score: f32,
}

/// A probe whose identity is not in the gallery.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NonMatedProbe {
    /// Row of the probe.
    pub probe: usize,
    /// The best score of any identity.
    pub score: f32,
}
