//! lsoftmax-data
