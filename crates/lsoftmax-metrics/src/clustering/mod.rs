//! Clustering: do the embeddings form groups, and do the groups match the classes?
//!
//! [`k_means`] with one cluster per class forms the groups; [`normalized_mutual_information`] and
//! [`adjusted_mutual_information`] compare them with the labels.

mod contingency;
mod k_means;
mod mutual_information;
mod points;

pub use k_means::{KMeans, k_means, k_means_from, k_means_until};
pub use mutual_information::{adjusted_mutual_information, normalized_mutual_information};
