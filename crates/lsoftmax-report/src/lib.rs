//! lsoftmax-report
