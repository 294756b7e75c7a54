//! Data sets and batches: file formats, generated images, augmentation, sampling, background
//! loading.
//!
//! Images are decoded once and stored as bytes ([`Dataset`]). Everything random is a function of
//! (seed, epoch, index) ([`random`]), so that a batch depends only on its step.
//!
//! ```
//! use lsoftmax_data::{
//!     Augmentation, DataSource, LoadPlan, Loader, MemoryLayout, SourceOptions,
//! };
//!
//! let options = SourceOptions { train_samples: Some(100), ..SourceOptions::default() };
//! let split = DataSource::Glyphs.load(&options)?;
//! assert_eq!(split.train.len(), 100);
//!
//! // Batches for steps 0 to 3, prepared in the background.
//! let batches = Loader::start(LoadPlan {
//!     preprocessing: split.train.preprocessing(),
//!     data: split.train,
//!     augmentation: Augmentation::none(),
//!     layout: MemoryLayout::Nchw,
//!     batch: 32,
//!     images_per_class: None,
//!     seed: 0,
//!     steps: 0..4,
//! })?;
//! for batch in batches {
//!     assert_eq!(batch?.shape, [32, 1, 28, 28]);
//! }
//! # Ok::<(), lsoftmax_data::DataError>(())
//! ```

mod augmentation;
mod cifar;
mod dataset;
mod digest;
#[cfg(feature = "download")]
pub mod download;
mod duplicates;
mod error;
pub mod faces;
mod file;
pub mod glyphs;
mod guard;
mod identities;
mod idx;
pub mod images;
mod loader;
pub mod names;
pub mod npy;
mod origins;
#[cfg(feature = "parquet")]
pub mod parquet_file;
pub use lsoftmax_spec::random;
mod open_set;
mod record;
mod sampler;
pub mod shell;
mod source;
mod splits;
mod table;

pub use augmentation::{Augmentation, ColourJitter, Mirror, RandAugment};
pub use cifar::{load_cifar10, load_cifar100};
pub use dataset::{Batch, Dataset, MemoryLayout, Preprocessing, View};
pub use digest::Digest;
pub use error::DataError;
pub use file::{
    Staged, atomic_folder, atomic_write, atomic_write_with, open_file, read_file, read_text,
    remove_stale,
};
pub use idx::load as load_idx;
pub use loader::{Draw, Draws, LoadPlan, Loader};
pub use open_set::{OpenSet, SameNames};
pub use origins::Origin;
pub use record::{RunImage, RunImages, RunPart};
pub use sampler::{ClassSampler, Sampler};
pub use source::{DataSource, SourceOptions, data_root};
pub use splits::Split;
