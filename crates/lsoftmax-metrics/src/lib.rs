//! lsoftmax-metrics
