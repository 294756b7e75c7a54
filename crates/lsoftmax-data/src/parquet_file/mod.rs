//! Tables in Parquet files: columns in, embeddings out.

mod read;
mod write;

pub use read::{Column, read_columns};
pub use write::write_embeddings_parquet;

#[cfg(test)]
mod tests;
