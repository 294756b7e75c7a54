//! Every parser that reads a file from outside, as a function of bytes that must neither panic nor
//! hang nor take more than a gigabyte for a small file.
//!
//! `scripts/fuzz MINUTES` runs them on changed seeds, on a stable compiler; the tests of this crate
//! replay the seeds, some changes of each, and every input that was ever one too many
//! (`failures/`). [`TARGETS`] is all that another fuzzer needs.

mod data;
mod mutate;
mod scratch;
mod seeds;
mod training;

pub use mutate::Mutator;
pub use scratch::folder;

/// A parser.
#[derive(Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder in `failures/`.
    pub name: &'static str,
    /// Reads an input. What is wrong with it is no matter.
    pub run: fn(&[u8]),
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All parsers.
pub const TARGETS: [Target; 14] = [
    target("idx", data::idx, seeds::idx),
    target("cifar", data::cifar, seeds::cifar),
    target("npy", data::npy, seeds::npy),
    target("list", data::list, seeds::list),
    target("landmarks", data::landmarks, seeds::landmarks),
    target("pairs", data::pairs, seeds::pairs),
    target("identities", data::identities, seeds::identities),
    target("parquet", data::parquet, seeds::parquet),
    target("images", data::images, seeds::images),
    target("experiment", training::experiment, seeds::experiment),
    target("network", training::network, seeds::network),
    target("model", training::model, seeds::model),
    target("checkpoint", training::checkpoint, seeds::checkpoint),
    target("gallery", training::gallery, seeds::gallery),
];

const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, run, seeds }
}
