//! lsoftmax-train
