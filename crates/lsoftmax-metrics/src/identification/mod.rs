//! Identification: whose image is it?
//!
//! A probe is compared with every image of a gallery, by cosine; of an identity with several
//! images the best counts. A probe whose identity is in the gallery is *mated*. Closed set: the
//! rank of the right identity ([`Identification::cmc`]). Open set: a threshold must also reject
//! the probes that are not mated ([`Identification::tpir_at_fpir`]).

mod gallery;
mod rates;

pub use gallery::identify;
pub use rates::{OpenSetPoint, TpirAtFpir};

use serde::{Deserialize, Serialize};

/// What [`identify`] found for each probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identification {
    /// Identities in the gallery.
    pub identities: usize,
    /// The probes whose identity is in the gallery, in order.
    pub mated: Vec<MatedProbe>,
    /// The others, in order.
    pub non_mated: Vec<NonMatedProbe>,
}

/// A probe whose identity is in the gallery.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MatedProbe {
    /// Row of the probe.
    pub probe: usize,
    /// Rank of its identity, from 1: one more than the other identities that score as high or
    /// higher. Of equal scores the right one comes last, so that a model that gives everybody
    /// the same embedding finds nobody.
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
